"""Chunks are exact pieces of the text, together all of it, and never longer than asked for."""

import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from lrat_hub.corpora.documents import chunk_documents, chunk_spans, token_spans
from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import read_lineage
from lrat_hub.ledger import Ledger
from tests.corpora.published import corpus, documents

TRAINED_ON = ["the sea has salt and water", "the sky has air and clouds", "naïve café 東京 🌊"] * 20


def trained_tokenizer(kind):
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    if kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=60, special_tokens=["[UNK]"], show_progress=False)
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TRAINED_ON, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]" if kind == "wordpiece" else None)


@pytest.fixture(scope="module")
def tokenizers():
    return {"words": None, "wordpiece": trained_tokenizer("wordpiece"), "bytes": trained_tokenizer("bytes")}


texts = st.text(st.sampled_from("aeht s.\n\t東🌊é­"), min_size=1, max_size=60).filter(str.strip)


@given(text=texts, size=st.integers(1, 9), kind=st.sampled_from(["words", "wordpiece", "bytes"]))
def test_chunks_are_the_text_but_for_blanks_between_them(tokenizers, text, size, kind):
    (tokens,) = token_spans([text], tokenizers[kind])
    chunks = chunk_spans(text, tokens, size)
    place = 0
    for start, end in chunks:
        assert not text[place:start].strip()
        # Several tokens can be parts of one character, which then counts for all of them.
        assert len({token for token in tokens if start <= token[0] < end}) <= size
        place = end
    assert not text[place:].strip()


def cut(text, size, tokenizer=None):
    table = Dataset.from_dict({"docid": ["d"], "title": ["T"], "text": [text]})
    return [tuple(row.values()) for row in chunk_documents(table, Ledger("documents"), tokenizer=tokenizer, size=size)]


def test_no_word_is_cut_unless_it_is_as_long_as_none_is(tokenizers):
    assert cut("the sea has saltysalt", 6, tokenizers["wordpiece"]) == [
        ("d#0", "T", "the sea has"),
        ("d#1", "T", "saltysalt"),
    ]
    unbroken = cut("x" * 100, 40, tokenizers["bytes"])
    assert [len(text) for _, _, text in unbroken] == [40, 40, 20]


def test_a_document_that_fits_keeps_its_id():
    assert cut("a few words", 3) == [("d", "T", "a few words")]
    assert [row[0] for row in cut("a few more words", 3)] == ["d#0", "d#1"]


def test_a_tokenizer_that_tells_no_places_is_refused():
    class Slow:
        is_fast, name_or_path = False, "ns/slow"

    with pytest.raises(LratError, match=r"ns/slow: expected one that tells where its tokens lie"):
        token_spans(["text"], Slow())


@pytest.mark.slow
def test_the_tokenizer_is_an_input_with_its_pin_and_chunks_are_counted(hub, tmp_path, tokenizers):
    tokenizers["wordpiece"].push_to_hub("lrat/tiny-tokenizer")
    (tmp_path / "docs.jsonl").write_text('{"id": "1", "title": "Sea", "text": "the sea has salt and water"}')
    words = ("--documents", tmp_path / "docs.jsonl", "--chunk_tokens", 4, "--tokenizer", "lrat/tiny-tokenizer")
    pin = corpus(*words, "--to", "lrat/c-tokens")
    chunks = documents(pin)
    assert [docid for docid, _, _ in chunks] == [f"1#{number}" for number in range(len(chunks))]
    assert {title for _, title, _ in chunks} == {"Sea"}
    lineage = read_lineage(pin)
    assert lineage.inputs["tokenizer"].startswith("lrat/tiny-tokenizer@")
    assert lineage.counts["documents"]["notes"] == {"cut into chunks": 1}
    assert lineage.counts["chunks"]["kept"] == len(chunks) > 1
