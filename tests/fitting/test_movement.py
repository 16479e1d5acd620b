"""A run says how far it has moved a model, trains what was stored in half precision, and picks a rate that fits."""

import numpy as np
import pytest

from lrat_hub.errors import LratError
from lrat_hub.fitting.settings import FitSettings

from .small import DOCUMENTS, pair, rows_of, tiny_bert, tiny_late, tiny_reranker

PAIRS = [pair(f"{['one', 'two'][number % 2]} {'abcd'[number % 4]}", "abcdef"[number % 6], "fedcba"[: number % 4])
         for number in range(8)]  # fmt: skip
SETTINGS = {"max_steps": 3, "batch_size": 4, "learning_rate": 1e-6, "query_length": 0, "document_length": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("tiny"))


def load(folder):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


def fit(model, **settings):
    from lrat_hub.fitting import fit_retriever

    rows = rows_of(*PAIRS, **{**SETTINGS, **settings})
    return fit_retriever(model, rows, rows.settings)


@pytest.fixture
def stored_in_bf16(folder, tmp_path):
    import torch

    model = load(folder)
    for parameter in model.parameters():
        # Biases that are 0, as in a model that was never trained, would change in any precision.
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    model.to(torch.bfloat16)
    model.save_pretrained(str(tmp_path / "bf16"), create_model_card=False)
    assert load(tmp_path / "bf16").dtype == torch.bfloat16  # transformers loads what the file holds
    return tmp_path / "bf16"


def test_a_checkpoint_in_bf16_trains_as_its_twin_in_fp32(stored_in_bf16):
    import torch

    # The twin holds the same numbers.
    twins = [fit(load(stored_in_bf16).float()), fit(load(stored_in_bf16))]
    moved = [twin.movement for twin in twins]
    assert moved[1].changed == pytest.approx(moved[0].changed, abs=0.02)
    assert moved[1].changed_rows == pytest.approx(moved[0].changed_rows, abs=0.02)
    assert moved[0].changed > 0.9
    assert [(one.base_dtype, one.dtype) for one in moved] == [("fp32", "fp32"), ("bf16", "fp32")]
    assert twins[1].model.dtype == torch.float32
    assert (moved[1].last_loss, moved[1].turned) == (moved[0].last_loss, moved[0].turned)


def test_adapters_on_a_base_in_bf16_go_on_as_they_were(stored_in_bf16, tmp_path):
    """They are kept in fp32; loaded into the base's type, they would be rounded."""
    import torch

    from lrat_hub.fitting import fit_retriever

    def run(work, kill_at=0):
        def stop(folder, step):
            if step == kill_at:
                raise KeyboardInterrupt

        rows = rows_of(*PAIRS, **SETTINGS | {"max_steps": 6, "learning_rate": 1e-2, "lora_rank": 2, "save_steps": 2})
        model = load(stored_in_bf16)
        return fit_retriever(model, rows, rows.settings, work_dir=tmp_path / work, on_checkpoint=stop).model

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("killed", kill_at=4)
    for again in (run("killed"), run("killed"), run("whole")):
        for values, expected in zip(again.parameters(), whole.parameters(), strict=True):
            assert torch.equal(values, expected)


def test_what_rounding_to_the_type_of_the_base_takes_away_is_said(stored_in_bf16):
    from lrat_hub.fitting import require_movement

    lost = fit(load(stored_in_bf16), published_dtype="base").movement
    assert (lost.base_dtype, lost.dtype, lost.unchanged) == ("bf16", "bf16", True)
    with pytest.raises(LratError, match=r"unchanged: .* `allow_unchanged`"):
        require_movement(lost)
    require_movement(lost, allowed=True)
    kept = fit(load(stored_in_bf16), published_dtype="base", learning_rate=1e-2).movement
    assert (kept.dtype, kept.unchanged) == ("bf16", False)


@pytest.mark.parametrize("kind", ["SentenceTransformer", "CrossEncoder", "MultiVectorEncoder"])
def test_after_a_run_in_bf16_a_model_gives_what_its_published_weights_give(tmp_path, kind):
    """In fp32, as the base was measured; Accelerate leaves it computing in bf16."""
    import sentence_transformers

    makers = {"SentenceTransformer": tiny_bert, "CrossEncoder": tiny_reranker, "MultiVectorEncoder": tiny_late}
    load_kind = getattr(sentence_transformers, kind)
    model = load_kind(str(makers[kind](tmp_path)), device="cpu")
    fit(model, precision="bf16", learning_rate=1e-3)
    model.save_pretrained(str(tmp_path / "out"), create_model_card=False)
    again = load_kind(str(tmp_path / "out"), device="cpu")
    texts = ["one a", "text of b"]
    given, expected = (
        one.predict([texts]) if kind == "CrossEncoder" else np.concatenate(one.encode(texts, convert_to_numpy=True))
        for one in (model, again)
    )
    np.testing.assert_array_equal(given, expected)


def test_shares_are_those_of_weights_that_differ(folder):
    import torch

    before, trained = load(folder), fit(load(folder), learning_rate=1e-3)
    counts = {True: [0, 0], False: [0, 0]}
    for (name, one), other in zip(before.named_parameters(), trained.model.parameters(), strict=True):
        into = counts["embeddings." in name and "LayerNorm" not in name]
        into[0] += int((one != other).sum())
        into[1] += one.numel()
    assert trained.movement.changed == pytest.approx(counts[False][0] / counts[False][1])
    assert trained.movement.changed_embeddings == pytest.approx(counts[True][0] / counts[True][1])
    texts = [document.content for document in DOCUMENTS.values()]
    vectors = [model.encode(texts, normalize_embeddings=True) for model in (before, trained.model)]
    turned = float(1 - (vectors[0] * vectors[1]).sum(axis=1).mean())
    assert trained.movement.turned == pytest.approx(turned, abs=1e-6)
    assert not trained.movement.unchanged
    assert all(torch.isfinite(parameter).all() for parameter in trained.model.parameters())


def test_a_static_model_moves_in_the_rows_of_its_tokens(model):
    moved = fit(model, learning_rate=1e-2).movement
    assert moved.changed is None
    assert 0.2 < moved.changed_embeddings < 1
    assert moved.changed_rows > 0.9
    assert not moved.unchanged
    assert "outside embeddings" not in str(moved)


def test_a_rate_that_moves_nothing_is_seen(folder):
    assert fit(load(folder), learning_rate=1e-12).movement.unchanged


def test_the_anchor_and_the_loss_see_the_dimensions_that_are_encoded(folder):
    model = load(folder)
    model.truncate_dim = 4
    before = model.encode("text of a").shape
    fitted = fit(model, document_anchor=2.0, learning_rate=1e-2)
    assert before == (4,)
    assert fitted.model.encode("text of a").shape == (4,)
    assert np.isfinite(fitted.movement.turned)
    # Nothing behind the fourth dimension is trained: the last layer's bias is added to each dimension alone.
    name = "0.model.encoder.layer.1.output.LayerNorm.bias"
    changed = (fitted.model.get_parameter(name) != load(folder).get_parameter(name)).tolist()
    assert changed == [True] * 4 + [False] * (len(changed) - 4)


@pytest.mark.parametrize(
    ("kind", "lora", "rate"), [("static", 0, 3e-3), ("small", 0, 1e-4), ("small", 8, 1e-4), ("large", 0, 1e-6)]
)
def test_a_learning_rate_is_chosen_by_the_kind_of_the_model(folder, model, monkeypatch, kind, lora, rate):
    from lrat_hub.fitting import choices

    if kind == "large":
        monkeypatch.setattr(choices, "SMALL", 10)
        monkeypatch.setattr(choices, "LARGE", 20)
    own = model if kind == "static" else load(folder)
    settings, made = choices.choose_settings(own, FitSettings(lora_rank=lora))
    assert (settings.learning_rate, settings.temperature) == (rate, 0.02)
    assert [choice.name for choice in made] == ["learning_rate", "temperature"]
    assert made[0].reason
    given, none = choices.choose_settings(own, FitSettings(learning_rate=0.5, temperature=0.1, lora_rank=lora))
    assert (given.learning_rate, given.temperature, none) == (0.5, 0.1, [])


def test_dot_products_of_any_length_are_not_divided_by_the_papers_temperature(model):
    from lrat_hub.fitting import choose_settings

    model.similarity_fn_name = "dot"
    assert choose_settings(model, FitSettings())[0].temperature == 1.0
