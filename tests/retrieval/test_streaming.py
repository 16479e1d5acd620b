"""Exact search through shards on disk: what a flat index finds, whatever the shards and blocks are."""

import numpy as np
import pytest

from lrat_hub.errors import LratError
from lrat_hub.retrieval import streaming
from lrat_hub.retrieval.exact import open_streamed
from lrat_hub.retrieval.settings import IndexSettings
from lrat_hub.retrieval.streaming import StreamedVectors
from lrat_hub.retrieval.vectors import VectorIndex, build_index
from tests.retrieval.test_vectors import unit_vectors

SIZES = (700, 1, 64, 1_235)


def shards_of(folder, vectors, sizes=SIZES):
    ends = np.cumsum(sizes)
    for number, end in enumerate(ends):
        np.save(folder / f"{number}.npy", vectors[end - sizes[number] : end])
    return [np.load(folder / f"{number}.npy", mmap_mode="r") for number in range(len(sizes))]


def docids(count):
    return [f"d{place}" for place in range(count)]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("block", [37 * 96, streaming.BLOCK_BYTES])
def test_it_finds_what_a_flat_index_finds_in_blocks_across_shards(dtype, block, tmp_path, monkeypatch):
    """Scores too, and ties by place, with copies that lie in several shards and blocks."""
    monkeypatch.setattr(streaming, "BLOCK_BYTES", block)
    monkeypatch.setattr(streaming, "QUERIES", 25)
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
    from datasets import Dataset

    from lrat_hub.retrieval.dense import DenseRetriever
    from lrat_hub.retrieval.encoding import EncodedCorpus

    settings = IndexSettings(shard_size=64)
    table = Dataset.from_list([{"docid": d.docid, "title": d.title, "text": d.text} for d in documents])
    encoded = EncodedCorpus.open(tmp_path, model, len(table), settings, corpus_pin="c", model_pin="m")
    encoded.encode(model, table)
    streamed = DenseRetriever(model, open_streamed(encoded, table["docid"]))
    index = DenseRetriever(model, VectorIndex(build_index(encoded.shards(), settings), table["docid"]))
    queries = [document.text for document in documents[:50]]
    assert streamed.search(queries, 10) == index.search(queries, 10)


def test_shards_that_are_cut_short_or_do_not_belong_together_are_refused(tmp_path):
    vectors = unit_vectors(100)
    shards = shards_of(tmp_path, vectors, (50, 50))
    with pytest.raises(LratError, match="2 kinds"):
        StreamedVectors([shards[0], shards[1][:, :3]])
    with pytest.raises(LratError, match="0 kinds"):
        StreamedVectors([])
    streamed = StreamedVectors(shards)
    path = tmp_path / "1.npy"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(LratError, match="10 bytes more"):
        streamed.search(vectors, 5)
