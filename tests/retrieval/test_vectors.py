"""Search in vectors: ties by place, whatever FAISS does, and the kinds of index."""

import hashlib

import faiss
import numpy as np
import pytest

from lrat_hub.errors import LratError
from lrat_hub.retrieval.settings import IndexSettings
from lrat_hub.retrieval.vectors import (
    VectorIndex,
    build_index,
    build_memory,
    ivf_lists,
    require_gpu_memory,
    spread,
    use_matrix_products,
)

KINDS = ("flat", "hnsw", "ivf")
DIMENSION = 24


def unit_vectors(count, seed=0):
    vectors = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def index_of(vectors, **settings):
    docids = [f"d{place}" for place in range(len(vectors))]
    return VectorIndex(build_index([vectors], IndexSettings(**settings)), docids)


def docids_of(hits):
    return [hit.docid for hit in hits]


def test_a_flat_index_finds_what_numpy_finds():
    vectors, queries = unit_vectors(2_000), unit_vectors(30, seed=1)
    found = index_of(vectors).search(queries, 10)
    scores = queries @ vectors.T
    for hits, row in zip(found, scores, strict=True):
        assert docids_of(hits) == [f"d{place}" for place in np.argsort(-row, kind="stable")[:10]]
        assert [hit.score for hit in hits] == pytest.approx(np.sort(row)[::-1][:10], abs=1e-6)
        assert [hit.rank for hit in hits] == list(range(1, 11))


@pytest.mark.parametrize("kind", KINDS)
def test_more_equal_vectors_than_are_fetched_at_first_are_ordered_by_place(kind):
    """200 copies of the best vector lie scattered: the first ten of them are the result, for every kind of index."""
    vectors = unit_vectors(1_500)
    copies = np.sort(np.random.default_rng(2).choice(1_500, 200, replace=False))
    vectors[copies] = vectors[7]
    copies = sorted({7, *copies.tolist()})
    # As many candidates as documents: an approximate index then sees every copy, too.
    index = index_of(vectors, kind=kind, hnsw_search=1_500, ivf_lists=4, ivf_probes=4)
    for query in (vectors[7], vectors[7] + 0.01 * unit_vectors(1, seed=3)[0]):
        assert docids_of(index.search(query[None], 10)[0]) == [f"d{place}" for place in copies[:10]]


@pytest.mark.parametrize("kind", KINDS)
def test_the_result_of_a_query_does_not_depend_on_the_queries_beside_it(kind):
    """FAISS sums in another order when there are twenty queries or more, or as many numbers as there are below."""
    vectors, queries = unit_vectors(3_000), unit_vectors(1 + 4_096 // DIMENSION, seed=1)
    index = index_of(vectors, kind=kind)
    together = index.search(queries, 5)
    assert together == [index.search(query[None], 5)[0] for query in queries]
    assert together == index.search(queries, 5)


def test_a_batch_of_queries_is_compared_by_a_product_of_matrices_on_few_threads(monkeypatch):
    monkeypatch.setattr(faiss, "omp_get_max_threads", lambda: 2)
    before = faiss.cvar.distance_compute_blas_threshold
    try:
        for found, expected in ((128_000, 8_192), (1_500, 1_500), (20, 20)):
            faiss.cvar.distance_compute_blas_threshold = found
            use_matrix_products()
            assert faiss.cvar.distance_compute_blas_threshold == expected
    finally:
        faiss.cvar.distance_compute_blas_threshold = before


def test_fewer_documents_than_asked_for_are_all_found():
    assert docids_of(index_of(np.eye(3, DIMENSION, dtype=np.float32)).search(np.eye(1, DIMENSION), 10)[0]) == [
        "d0",
        "d1",
        "d2",
    ]
    assert index_of(unit_vectors(5)).search(np.empty((0, DIMENSION), dtype=np.float32), 3) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_files_are_the_same_every_time_and_serve_the_same_memory_mapped(kind, dtype, tmp_path):
    vectors, queries = unit_vectors(1_500).astype(dtype), unit_vectors(20, seed=1)
    docids = [f"d{place}" for place in range(1_500)]
    digests = set()
    for threads in (1, 2):
        faiss.omp_set_num_threads(threads)
        index = build_index(np.array_split(vectors, 3), IndexSettings(kind=kind))
        assert faiss.omp_get_max_threads() == threads
        faiss.write_index(index, str(tmp_path / "index.faiss"))
        digests.add(hashlib.sha256((tmp_path / "index.faiss").read_bytes()).hexdigest())
    assert len(digests) == 1
    expected = VectorIndex(index, docids).search(queries, 10)
    for mmap in (True, False):
        loaded = VectorIndex.load(tmp_path / "index.faiss", docids, kind, mmap=mmap)
        assert loaded.search(queries, 10) == expected
        assert loaded.num_bytes == pytest.approx((tmp_path / "index.faiss").stat().st_size, rel=0.02)


def test_half_the_bytes_change_scores_by_little():
    vectors, queries = unit_vectors(1_000), unit_vectors(10, seed=1)
    for full, half in zip(
        index_of(vectors).search(queries, 5), index_of(vectors.astype(np.float16)).search(queries, 5), strict=True
    ):
        assert [hit.score for hit in half] == pytest.approx([hit.score for hit in full], abs=1e-3)


def test_approximate_indexes_find_nearly_all_of_the_best():
    vectors, queries = unit_vectors(4_000), unit_vectors(100, seed=1)
    exact = index_of(vectors).search(queries, 10)

    def share(**settings):
        found = index_of(vectors, **settings).search(queries, 10)
        return np.mean([len({*docids_of(a)} & {*docids_of(b)}) / 10 for a, b in zip(found, exact, strict=True)])

    assert share(kind="hnsw") > 0.98
    # Random vectors have no clusters, so that this is the worst case.
    assert share(kind="ivf") > 0.6
    assert share(kind="ivf", ivf_lists=20, ivf_probes=20) == 1.0


def test_clusters_keep_enough_documents_each():
    assert ivf_lists(10, IndexSettings()) == 1
    assert ivf_lists(6_119, IndexSettings()) == 156
    assert ivf_lists(1_000_000, IndexSettings()) == 4_000
    assert ivf_lists(1_000_000, IndexSettings(ivf_lists=50)) == 50


def test_other_numbers_of_ids_and_damaged_files_are_refused(tmp_path):
    index = build_index([unit_vectors(10)], IndexSettings())
    with pytest.raises(LratError, match="expected 9 vectors, found 10"):
        VectorIndex(index, ["d"] * 9)
    path = tmp_path / "index.faiss"
    faiss.write_index(index, str(path))
    path.write_bytes(path.read_bytes()[:500])
    for mmap in (True, False):
        with pytest.raises(LratError, match="expected a FAISS index"):
            VectorIndex.load(path, ["d"] * 10, "flat", mmap=mmap)
    with pytest.raises(LratError, match="expected a FAISS index"):
        VectorIndex.load(tmp_path / "nothing", ["d"] * 10, "flat")


def test_settings_that_make_no_sense_are_refused():
    for setting in ({"batch_size": 0}, {"shard_size": -1}, {"ivf_lists": -1}):
        with pytest.raises(LratError, match=next(iter(setting))):
            IndexSettings(**setting)


# embeddings-benchmark/mteb#1043: models make other vectors of empty texts; a zero vector is near to nothing.
@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_a_query_whose_vector_is_zero_finds_nothing(kind):
    vectors = np.eye(50, 64, dtype=np.float32)
    index = VectorIndex(build_index([vectors], IndexSettings(kind=kind)), [str(row) for row in range(50)])
    queries = np.stack([np.zeros(64), vectors[3], -vectors[3]]).astype(np.float32)
    none, own, opposite = index.search(queries, 3)
    assert none == []
    assert own[0].docid == "3"
    assert len(opposite) == 3


@pytest.mark.parametrize("fp16", [False, True])
def test_vectors_that_are_spread_over_devices_are_found_where_they_stood(fp16):
    """Each device's part is an index of the CPU here; FAISS has the same interface for those of GPUs."""
    vectors, queries = unit_vectors(1_001), unit_vectors(20, seed=1)
    index = build_index([vectors.astype(np.float16) if fp16 else vectors], IndexSettings())
    parts = [faiss.IndexFlatIP(DIMENSION) for _ in range(3)]
    scores, positions = spread(index, parts).search(queries, 10)
    assert [part.ntotal for part in parts] == [334, 333, 334]
    expected_scores, expected = index.search(queries, 10)
    assert positions.tolist() == expected.tolist()
    assert scores == pytest.approx(expected_scores, abs=1e-5)


def test_gpus_that_are_too_small_for_their_part_are_refused_before_anything_is_copied():
    require_gpu_memory(80 * 10**9, [45 * 10**9, 44 * 10**9])
    with pytest.raises(LratError, match=r"expected 42\.0 GB of free memory on each of 2 GPUs, found 30\.0 GB"):
        require_gpu_memory(80 * 10**9, [45 * 10**9, 30 * 10**9])


def test_codes_are_built_in_a_fraction_of_the_memory_of_vectors():
    """At 100 million documents of 1,024 numbers, in float16."""
    memory = {
        kind: build_memory(100_000_000, 1_024, IndexSettings(kind=kind, fp16=True)) for kind in (*KINDS, "ivfpq")
    }
    vectors = 100_000_000 * 1_024 * 2
    assert memory["flat"] == 0
    assert memory["ivf"] > 2 * vectors < memory["hnsw"]
    # Codes of 128 bytes, and 64 vectors a cluster to train with.
    assert memory["ivfpq"] == 4 * 1_024 * 64 * 40_000 + 2 * 100_000_000 * (128 + 8)
