"""Vectors in shards: what is used again and what is not, and that searching them finds what a flat index finds."""

import os

import numpy as np
import pytest
from datasets import Dataset

from lrat_hub.errors import LratError
from lrat_hub.retrieval import shards
from lrat_hub.retrieval.settings import IndexSettings
from lrat_hub.retrieval.shards import EncodedCorpus, StreamedVectors
from lrat_hub.retrieval.vectors import VectorIndex, build_index
from tests.retrieval.test_vectors import unit_vectors

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
    encoded.encode(model, table)
    vectors = np.concatenate(encoded.shards())
    expected = model.encode([d.content for d in documents[:300]], normalize_embeddings=True)
    assert vectors == pytest.approx(expected, abs=1e-5)


def test_progress_is_told_while_a_shard_is_encoded(encoded, model, table):
    # A shard of the default size takes minutes on a CPU: a bar that counts shards would seem to stand still.
    batches, again = [], []
    encoded.encode(model, table, on_documents=batches.append)
    assert batches == [16] * 18 + [12]
    encoded.encode(model, table, on_documents=again.append)
    assert again == [64, 64, 64, 64, 44]
    assert [encoded.share(rank, 2) for rank in (0, 1)] == [64 + 64 + 44, 64 + 64]
    assert not model._forward_hooks


@pytest.mark.slow
def test_any_number_of_processes_in_any_order_gives_the_same_bytes(encoded, model, table, tmp_path):
    encoded.encode(model, table)
    shared = EncodedCorpus.open(tmp_path / "shared", model, 300, SETTINGS, corpus_pin="c", model_pin="m")
    for rank in (2, 0, 1):
        shared.encode(model, table, rank=rank, ranks=3)
    assert contents(shared) == contents(encoded)


@pytest.mark.slow
def test_whole_shards_are_kept_and_broken_ones_made_again(encoded, model, table):
    encoded.encode(model, table)
    before = contents(encoded)
    paths = sorted(encoded.folder.glob("shard-*"))
    paths[1].write_bytes(paths[1].read_bytes()[:-10])
    np.save(paths[2], np.zeros((64, 5), dtype=np.float32))
    paths[3].unlink()
    # What a killed process leaves of a file that it was writing.
    (encoded.folder / f".{paths[3].name}.123").write_bytes(b"half")
    times = [paths[number].stat().st_mtime_ns for number in (0, 4)]
    with pytest.raises(LratError, match="expected 5 shards, found 2"):
        encoded.shards()
    encoded.encode(model, table)
    assert contents(encoded) == before
    assert [paths[number].stat().st_mtime_ns for number in (0, 4)] == times


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


SIZES = (700, 1, 64, 1_235)


def shards_of(folder, vectors, sizes=SIZES):
    ends = np.cumsum(sizes)
    for number, end in enumerate(ends):
        np.save(folder / f"{number}.npy", vectors[end - sizes[number] : end])
    return [np.load(folder / f"{number}.npy", mmap_mode="r") for number in range(len(sizes))]


def docids(count):
    return [f"d{number}" for number in range(count)]


@pytest.mark.parametrize(
    ("dtype", "block"),
    [
        (np.float32, 137 * 96),
        (np.float16, shards.BLOCK_BYTES),
        pytest.param(np.float16, 137 * 96, marks=pytest.mark.slow),
        pytest.param(np.float32, shards.BLOCK_BYTES, marks=pytest.mark.slow),
    ],
)
def test_it_finds_what_a_flat_index_finds_in_blocks_across_shards(dtype, block, tmp_path, monkeypatch):
    """Scores too, and ties by place, with copies that lie in several shards and blocks."""
    monkeypatch.setattr(shards, "BLOCK_BYTES", block)
    monkeypatch.setattr(shards, "QUERIES", 25)
    vectors = unit_vectors(2_000).astype(dtype)
    vectors[[1_999, 701, 3, 700, *range(300, 360)]] = vectors[1_000]
    queries = np.concatenate([unit_vectors(60, seed=1), vectors[[1_000]].astype(np.float32)])
    flat = VectorIndex(build_index([vectors], IndexSettings()), docids(2_000))
    streamed = VectorIndex(StreamedVectors(shards_of(tmp_path, vectors)), docids(2_000))
    for k in (1, 10, 1_000):
        assert streamed.search(queries, k) == flat.search(queries, k)
    assert streamed.search(queries, 3_000) == flat.search(queries, 3_000)


def test_fewer_vectors_than_results(tmp_path):
    vectors = unit_vectors(3)
    streamed = VectorIndex(StreamedVectors(shards_of(tmp_path, vectors, (2, 1))), docids(3))
    assert len(streamed.search(vectors, 10)[0]) == 3


def test_an_encoded_corpus_is_searched_as_the_index_of_it_is(documents, model, tmp_path):
    from lrat_hub.retrieval.dense import DenseRetriever

    settings = IndexSettings(shard_size=64)
    table = Dataset.from_list([{"docid": d.docid, "title": d.title, "text": d.text} for d in documents])
    encoded = EncodedCorpus.open(tmp_path, model, len(table), settings, corpus_pin="c", model_pin="m")
    encoded.encode(model, table)
    streamed = DenseRetriever(model, encoded.vector_index(table["docid"]))
    index = DenseRetriever(model, VectorIndex(build_index(encoded.shards(), settings), table["docid"]))
    queries = [document.text for document in documents[:50]]
    assert streamed.search(queries, 10) == index.search(queries, 10)


def test_shards_that_are_cut_short_or_do_not_belong_together_are_refused(tmp_path):
    vectors = unit_vectors(100)
    files = shards_of(tmp_path, vectors, (50, 50))
    with pytest.raises(LratError, match="2 kinds"):
        StreamedVectors([files[0], files[1][:, :3]])
    with pytest.raises(LratError, match="0 kinds"):
        StreamedVectors([])
    streamed = StreamedVectors(files)
    path = tmp_path / "1.npy"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(LratError, match="10 bytes more"):
        streamed.search(vectors, 5)


def test_a_second_run_of_the_same_vectors_is_refused_by_the_process_that_has_them(encoded, model, tmp_path):
    encoded.lock()
    second = EncodedCorpus.open(tmp_path, model, 300, SETTINGS, corpus_pin="c", model_pin="m")
    with pytest.raises(LratError, match=rf"process {os.getpid()} does the same work"):
        second.lock()
    encoded.unlock()
    assert not list(tmp_path.glob("*.lock"))
    second.lock()
    second.unlock()
