"""Texts that are longer than a model reads are counted before they are encoded."""

import pytest

from lrat_hub.encoders import count_cut, set_token_limit, token_limit
from lrat_hub.errors import LratError
from tests.fitting.small import tiny_bert


@pytest.fixture
def model(tmp_path):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(tiny_bert(tmp_path)), device="cpu")


def test_texts_are_counted_with_their_prompt_and_up_to_the_lower_limit(model):
    model.max_seq_length = 6
    texts = ["a b", "a b c d e f", "a b c d e f g h i j"]
    for prompt, max_length, expected in (("", 0, 1), ("a ", 0, 2), ("", 1, 3), ("", 100, 1)):
        cut = count_cut(model, 3, texts.__getitem__, name="queries", prompt=prompt, max_length=max_length)
        assert (cut.num_cut, cut.num_sampled, cut.max_length) == (expected, 3, min(6, max_length or 6))
    assert str(cut) == "1 of 3 queries are longer than 6 tokens; what is beyond is not read"


def test_of_many_texts_a_sample_is_looked_at_which_is_the_same_every_time(model):
    model.max_seq_length = 6
    read = []

    def text(row):
        read.append(row)
        return "a " * (row % 10)

    cut, again = (count_cut(model, 5_000, text, name="documents") for _ in range(2))
    assert cut == again
    assert read[:1_000] == read[1_000:] == sorted(set(read))
    assert str(cut).startswith(f"{sum(row % 10 > 6 for row in read[:1_000])} of 1,000 sampled documents are longer")


def test_a_model_for_texts_of_any_length_cuts_none_and_has_no_limit_to_set(model):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    static = SentenceTransformer(
        modules=[StaticEmbedding(model.tokenizer.backend_tokenizer, embedding_dim=4)], device="cpu"
    )
    assert token_limit(static) is None
    assert count_cut(static, 1, lambda row: "a " * 10_000, name="documents") is None
    with pytest.raises(LratError, match="expected a model that reads a limited number of tokens"):
        set_token_limit(static, 64)
