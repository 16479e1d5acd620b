"""The weighted losses of rerankers against sentence-transformers' own and against the sums worked by hand."""

import math

import pytest
import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss, ListNetLoss

from lrat_hub import WeightedBinaryCrossEntropyLoss, WeightedListNetLoss
from lrat_hub.losses.reranking import CandidateLists
from tests.fitting.small import tiny_bert, tiny_reranker

QUERIES, POSITIVES = ["one a", "two b", "query c"], ["text of a", "text b", "c"]
NEGATIVES = [["text of b", "one", "."], ["e f one two", ".", "."]]
GIVEN = torch.tensor([[3.0, 0.3], [1.0, 0.0], [0.0, 0.0]])
"""Of the three queries, the first has two negatives, the second one, the third none."""

LISTS = [[POSITIVES[0], "text of b", "e f one two"], [POSITIVES[1], "one"], [POSITIVES[2]]]
LOSSES = [WeightedListNetLoss, WeightedBinaryCrossEntropyLoss]


@pytest.fixture
def model(tmp_path):
    return CrossEncoder(str(tiny_reranker(tmp_path)), device="cpu")


def value_and_gradient(model, loss, inputs, labels):
    model.zero_grad()
    value = loss(inputs, labels)
    value.backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return value.detach(), torch.cat([gradient.flatten() for gradient in gradients])


def ours(model, kind, weights, tiers=GIVEN, **options):
    inputs = [QUERIES, POSITIVES, *NEGATIVES, tiers]
    return value_and_gradient(model, kind(model, **options), inputs, torch.as_tensor(weights))


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean"])
def test_weights_of_one_give_list_net_loss(model, reduction):
    """With labels whose softmax is 1 for the positive and exactly 0 for the others."""
    labels = [torch.tensor([1e3, *[0.0] * (len(texts) - 1)]) for texts in LISTS]
    theirs = value_and_gradient(model, ListNetLoss(model, mini_batch_size=-1), [QUERIES, LISTS], labels)
    got = ours(model, WeightedListNetLoss, [1.0] * 3, (GIVEN > 0).float(), reduction=reduction)
    torch.testing.assert_close(got, theirs, atol=1e-6, rtol=0)
    assert theirs[1].abs().max() > 1e-3


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean"])
def test_weights_of_one_give_binary_cross_entropy_loss(model, reduction):
    pairs = [(query, text) for query, texts in zip(QUERIES, LISTS, strict=True) for text in texts]
    labels = torch.tensor([float(text in POSITIVES) for _, text in pairs])
    columns = [list(column) for column in zip(*pairs, strict=True)]
    theirs = value_and_gradient(model, BinaryCrossEntropyLoss(model), columns, labels)
    got = ours(model, WeightedBinaryCrossEntropyLoss, [1.0] * 3, (GIVEN > 0).float(), reduction=reduction)
    torch.testing.assert_close(got, theirs, atol=1e-6, rtol=0)
    assert theirs[1].abs().max() > 1e-3


def test_values_are_the_sums_worked_by_hand(model):
    weights = [0.5, 1.75, 2.0]
    raw = [
        model.predict([(query, text) for text in texts], activation_fn=torch.nn.Identity()).astype(float) * 4.0
        for query, texts in zip(QUERIES, LISTS, strict=True)
    ]
    tiers = [[1.0, 3.0, 0.3], [1.0, 1.0], [1.0]]
    listwise = [
        -math.log(math.exp(s[0]) / sum(v * math.exp(x) for v, x in zip(t, s, strict=True)))
        for s, t in zip(raw, tiers, strict=True)
    ]
    total = sum(weight * value for weight, value in zip(weights, listwise, strict=True))
    for reduction, divisor in (("mean", 3), ("weighted_mean", sum(weights))):
        got, _ = ours(model, WeightedListNetLoss, weights, scale=4.0, reduction=reduction)
        assert float(got) == pytest.approx(total / divisor, rel=1e-5)
    pointwise = [
        math.log1p(math.exp(-s[0])) + sum(v * math.log1p(math.exp(x)) for v, x in zip(t[1:], s[1:], strict=True))
        for s, t in zip(raw, tiers, strict=True)
    ]
    total = sum(weight * value for weight, value in zip(weights, pointwise, strict=True))
    counted = sum(weight * sum(t) for weight, t in zip(weights, tiers, strict=True))
    for reduction, divisor in (("mean", 6), ("weighted_mean", counted)):
        got, _ = ours(model, WeightedBinaryCrossEntropyLoss, weights, scale=4.0, reduction=reduction)
        assert float(got) == pytest.approx(total / divisor, rel=1e-5)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("size", [1, 4, 100])
def test_caching_changes_neither_value_nor_gradient(tmp_path, kind, size):
    """With dropout where one mini-batch has all pairs: both passes draw the same."""
    model = CrossEncoder(str(tiny_reranker(tmp_path, dropout=0.3 if size == 100 else 0.0)), device="cpu").train()
    results = []
    for mini_batch_size in (0, size):
        torch.manual_seed(7)
        value, gradient = ours(model, kind, [0.5, 1.5, 1.0], mini_batch_size=mini_batch_size)
        results.append((value, gradient))
    torch.testing.assert_close(results[1], results[0], atol=1e-6, rtol=1e-5)
    with torch.no_grad():
        assert not kind(model, mini_batch_size=size)([QUERIES, POSITIVES], torch.ones(3)).requires_grad


@pytest.mark.parametrize("kind", LOSSES)
def test_padding_is_not_scored_and_weights_of_zero_teach_nothing(model, kind):
    lists = CandidateLists.of([QUERIES, POSITIVES, *NEGATIVES, GIVEN], torch.ones(3), torch.device("cpu"))
    assert [text for _, text in lists.pairs] == [text for texts in LISTS for text in texts]
    value, gradient = ours(model, kind, [0.0] * 3, reduction="weighted_mean")
    assert value == 0
    assert not gradient.any()


@pytest.mark.parametrize("kind", LOSSES)
def test_texts_are_cut_to_the_length_that_is_asked_for(model, kind):
    loss = kind(model, max_length=5)
    assert loss._features([("one two", "text of a b c d e f")])["input_ids"].shape == (1, 5)
    assert kind(model)._features([("one two", "text of a b c d e f")])["input_ids"].shape == (1, 10)
    assert loss.get_config_dict() == {"scale": 1.0, "reduction": "mean", "mini_batch_size": 0, "max_length": 5}


@pytest.mark.parametrize("kind", LOSSES)
def test_what_can_not_be_weighted_is_refused(tmp_path, model, kind):
    from sentence_transformers import SentenceTransformer

    with pytest.raises(ValueError, match="expected a CrossEncoder, found a SentenceTransformer"):
        kind(SentenceTransformer(str(tiny_bert(tmp_path)), device="cpu"))
    with pytest.raises(ValueError, match="one score per pair, found 3"):
        kind(CrossEncoder(str(tiny_reranker(tmp_path / "three", labels=3)), device="cpu"))
    with pytest.raises(ValueError, match="'weighted_mean', found 'sum'"):
        kind(model, reduction="sum")
    loss = kind(model)
    with pytest.raises(ValueError, match=r"shape \(batch,\), found none"):
        loss([QUERIES, POSITIVES], None)
    with pytest.raises(ValueError, match="expected 3, one per query, found 2"):
        loss([QUERIES, POSITIVES], torch.ones(2))
    with pytest.raises(ValueError, match="columns of queries and documents, found 1"):
        loss([QUERIES], torch.ones(3))
    with pytest.raises(ValueError, match=r"expected shape \(3, 2\), found \(3, 1\)"):
        loss([QUERIES, POSITIVES, *NEGATIVES, GIVEN[:, :1]], torch.ones(3))
