"""Encoding in shards: what is used again, and what is not."""

import numpy as np
import pytest
from datasets import Dataset

from lrat_hub.errors import LratError
from lrat_hub.retrieval.encoding import EncodedCorpus
from lrat_hub.retrieval.settings import IndexSettings

SETTINGS = IndexSettings(shard_size=64, batch_size=16)


@pytest.fixture(scope="module")
def table(documents):
    return Dataset.from_list([{"docid": d.docid, "title": d.title, "text": d.text} for d in documents[:300]])


@pytest.fixture
def encoded(model, tmp_path):
    return EncodedCorpus.open(tmp_path, model, 300, SETTINGS, corpus_pin="c", model_pin="m")


def contents(encoded):
    return {path.name: path.read_bytes() for path in encoded.folder.glob("shard-*")}


def test_shards_hold_the_vectors_of_the_documents_in_order(encoded, model, table, documents):
    done = []
    encoded.encode(model, table, on_shard=done.append)
    assert done == [64, 64, 64, 64, 44]
    vectors = np.concatenate(encoded.shards())
    expected = model.encode([d.content for d in documents[:300]], normalize_embeddings=True)
    assert vectors == pytest.approx(expected, abs=1e-5)


def test_any_number_of_processes_in_any_order_gives_the_same_bytes(encoded, model, table, tmp_path):
    encoded.encode(model, table)
    shared = EncodedCorpus.open(tmp_path / "shared", model, 300, SETTINGS, corpus_pin="c", model_pin="m")
    for rank in (2, 0, 1):
        shared.encode(model, table, rank=rank, ranks=3)
    assert contents(shared) == contents(encoded)


def test_whole_shards_are_kept_and_broken_ones_made_again(encoded, model, table):
    encoded.encode(model, table)
    before = contents(encoded)
    paths = sorted(encoded.folder.glob("shard-*"))
    paths[1].write_bytes(paths[1].read_bytes()[:-10])
    np.save(paths[2], np.zeros((64, 5), dtype=np.float32))
    paths[3].unlink()
    # What a killed process leaves of a file that it was writing.
    (encoded.folder / f".{paths[3].name}.123").write_bytes(b"half")
    times = [paths[place].stat().st_mtime_ns for place in (0, 4)]
    with pytest.raises(LratError, match="expected 5 shards, found 2"):
        encoded.shards()
    encoded.encode(model, table)
    assert contents(encoded) == before
    assert [paths[place].stat().st_mtime_ns for place in (0, 4)] == times


def test_another_corpus_model_or_setting_starts_anew(encoded, model, tmp_path):
    def folder(settings=SETTINGS, **pins):
        return EncodedCorpus.open(
            tmp_path, model, 300, settings, **({"corpus_pin": "c", "model_pin": "m"} | pins)
        ).folder

    assert folder() == encoded.folder
    others = {folder(corpus_pin="d"), folder(model_pin="n"), folder(IndexSettings(shard_size=64, batch_size=8)),
              folder(IndexSettings(shard_size=32, batch_size=16))}  # fmt: skip
    assert len(others - {encoded.folder}) == 4
    # The kind of index is not part of it: all kinds share the vectors.
    assert folder(IndexSettings(shard_size=64, batch_size=16, kind="hnsw")) == encoded.folder
    (encoded.folder / "stamp.json").write_text("{}")
    with pytest.raises(LratError, match="another stamp"):
        folder()


def test_half_precision_halves_the_shards_and_refuses_what_does_not_fit(model, table, tmp_path):
    settings = IndexSettings(shard_size=300, fp16=True)
    encoded = EncodedCorpus.open(tmp_path, model, 300, settings, corpus_pin="c", model_pin="m")
    encoded.encode(model, table)
    assert encoded.shards()[0].dtype == np.float16
    encoded.remove()
    assert not encoded.folder.exists()
