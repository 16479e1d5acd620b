"""Codes in memory with exact vectors on disk: what they find, what it scores, and what can't be made."""

from __future__ import annotations

import numpy as np
import pytest

from lrat_hub.errors import LratError
from lrat_hub.retrieval.coded import CodedVectors, measured_recall, recall_in_words, sampled_queries, write_vectors
from lrat_hub.retrieval.indexes import INDEX_FILE, write_vector_index
from lrat_hub.retrieval.settings import PQ_DOCUMENTS, IndexSettings
from lrat_hub.retrieval.shards import StreamedVectors
from lrat_hub.retrieval.vectors import VectorIndex, build_index, read_index

COUNT, DIMENSION = PQ_DOCUMENTS + 16, 16
SETTINGS = IndexSettings(kind="ivfpq", ivf_lists=64, ivf_probes=8, pq_bytes=2, pq_candidates=200)


@pytest.fixture(scope="module")
def vectors():
    """Vectors in clusters, as those of texts are, in which codes can be told apart from what they stand for."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((200, DIMENSION))
    rows = centres[rng.integers(0, 200, COUNT)] + 0.5 * rng.standard_normal((COUNT, DIMENSION))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def queries(vectors):
    noise = np.random.default_rng(1).standard_normal((60, DIMENSION)).astype(np.float32)
    return vectors[::160][:60] + 0.1 * noise


@pytest.fixture(scope="module")
def shards(vectors, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    for number, part in enumerate(np.array_split(vectors, 7)):
        np.save(folder / f"{number}.npy", part)
    return [np.load(path, mmap_mode="r") for path in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def folder(shards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    write_vector_index(folder, shards, SETTINGS, map(str, range(COUNT)))
    return folder


def opened(folder, candidates):
    return VectorIndex(CodedVectors.load(folder, INDEX_FILE, candidates), [str(row) for row in range(COUNT)])


@pytest.mark.slow
def test_what_codes_find_is_scored_and_ranked_exactly(folder, vectors, queries):
    for query, hits in zip(queries, opened(folder, 200).search(queries, 10), strict=True):
        rows = [int(hit.docid) for hit in hits]
        assert [hit.score for hit in hits] == pytest.approx((vectors[rows] @ query).tolist(), abs=1e-6)
        assert rows == sorted(rows, key=lambda row: (-float(np.float64(vectors[row]) @ np.float64(query)), row))
        assert [hit.rank for hit in hits] == list(range(1, 11))


@pytest.mark.slow
def test_more_candidates_find_more_of_the_best_and_codes_alone_fewer(folder, shards, queries):
    def recall(candidates):
        return measured_recall(opened(folder, candidates), shards, queries)["recall@10"]

    few, many, all_of_them = recall(1), recall(200), recall(COUNT)
    # At least 10 and those that could tie are fetched.
    assert few < many
    assert many > 0.9
    # The clusters that are not searched are what is missed now.
    assert many <= all_of_them < 1
    codes = CodedVectors.load(folder, INDEX_FILE, 1)._index.search(queries, 10)[1]
    exact = VectorIndex(StreamedVectors(shards), [str(row) for row in range(COUNT)]).search(queries, 10)
    pairs = zip(codes, exact, strict=True)
    assert np.mean([len({*map(str, row)} & {hit.docid for hit in best}) / 10 for row, best in pairs]) < few


@pytest.mark.slow
def test_every_cluster_and_every_document_is_the_exact_search(folder, shards, queries):
    codes, ids = read_index(folder / INDEX_FILE, "ivfpq"), [str(row) for row in range(COUNT)]
    codes.nprobe = 64
    index = VectorIndex(CodedVectors(codes, StreamedVectors(shards), COUNT), ids)
    assert index.search(queries, 20) == VectorIndex(StreamedVectors(shards), ids).search(queries, 20)
    assert measured_recall(index, shards, queries) == {"queries": 60, "recall@10": 1.0, "recall@100": 1.0}


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_vectors_are_kept_in_files_of_a_size_and_in_the_order_of_the_corpus(vectors, dtype, tmp_path):
    parts = np.array_split(vectors.astype(dtype), 7)
    write_vectors(tmp_path, parts, file_bytes=2 * parts[0].nbytes)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [f"vectors-0000{number}-of-00004.npy" for number in range(4)]
    whole = np.concatenate([np.load(file) for file in files])
    assert whole.dtype == dtype
    assert (whole == vectors.astype(dtype)).all()


@pytest.mark.slow
def test_a_missing_file_of_vectors_is_told(folder, shards, tmp_path):
    (tmp_path / INDEX_FILE).write_bytes((folder / INDEX_FILE).read_bytes())
    write_vectors(tmp_path, shards[:-1])
    with pytest.raises(LratError, match=f"expected codes of [0-9]+ vectors of 16 numbers, found {COUNT} of 16"):
        CodedVectors.load(tmp_path, INDEX_FILE, 10)
    next(tmp_path.glob("vectors-*")).write_bytes(b"damaged")
    with pytest.raises(LratError, match=r"expected vectors-\*\.npy"):
        CodedVectors.load(tmp_path, INDEX_FILE, 10)


@pytest.mark.parametrize(
    ("settings", "documents", "error"),
    [
        ({"kind": "ivfpq"}, 9_983, "expected 9,984 documents or more"),
        ({"kind": "ivfpq", "pq_bytes": 5}, 10_000, "`pq_bytes` 5: expected a divisor of the dimension, 16"),
        ({"kind": "ivf", "ivf_lists": 11}, 10, "`ivf_lists` 11: expected at most as many clusters as documents"),
    ],
)
def test_settings_that_can_not_work_are_refused_before_anything_is_encoded(settings, documents, error):
    with pytest.raises(LratError, match=error):
        IndexSettings(**settings).require(documents, 16)
    with pytest.raises(LratError, match=error):
        build_index([np.zeros((documents, 16), dtype=np.float32)], IndexSettings(**settings))


def test_queries_to_measure_with_are_the_first_words_of_documents_all_over_the_corpus():
    texts = [f"title {number}\n" + "word " * 30 for number in range(1_000)]
    found = sampled_queries(iter(texts), 1_000)
    assert len(found) == 256
    assert found[1] == "title 3 " + " ".join(["word"] * 10)
    assert len(sampled_queries(iter(texts[:3]), 3)) == 3


def test_recall_in_words():
    assert recall_in_words({"queries": 60, "recall@10": 0.9876, "recall@100": 1.0}) == (
        "against exact search, of 60 queries that are the first words of documents: recall@10 0.988, recall@100 1.000"
    )
