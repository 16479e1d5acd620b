"""The file of a flat index: FAISS's own to the byte, and written in memory that does not grow with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest

from lrat_hub.retrieval import flat
from lrat_hub.retrieval.flat import write_flat_index
from lrat_hub.retrieval.settings import IndexSettings
from lrat_hub.retrieval.vectors import build_index

MEBIBYTE = 2**20

WRITE = """
import resource, sys
from pathlib import Path
import faiss, numpy as np
from lrat_hub.retrieval.flat import write_flat_index
from lrat_hub.retrieval.settings import IndexSettings
from lrat_hub.retrieval.vectors import build_index

folder, streamed, spare = Path(sys.argv[1]), sys.argv[2] == "streamed", int(sys.argv[3])
shards = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("shard-*.npy"))]
# Mapped files are not counted by this limit.
used = int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmData"))) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + spare, used + spare))
if streamed:
    write_flat_index(folder / "index.faiss", shards)
else:
    build_index(shards, IndexSettings())
"""


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize(("count", "dimension", "parts"), [(1, 1, 1), (50, 7, 3), (101, 64, 4)])
def test_the_file_is_that_of_faiss(dtype, count, dimension, parts, tmp_path, monkeypatch):
    monkeypatch.setattr(flat, "BLOCK", 16)
    vectors = np.random.default_rng(0).standard_normal((count, dimension)).astype(dtype)
    vectors[0] = np.array([-0.0, 6e-8, -6e-5, 60_000, 1 / 3, 0, 1][:dimension] + [0] * max(0, dimension - 7), dtype)
    shards = np.array_split(vectors, parts)
    write_flat_index(tmp_path / "streamed", shards)
    faiss.write_index(build_index(shards, IndexSettings()), str(tmp_path / "faiss"))
    assert (tmp_path / "streamed").read_bytes() == (tmp_path / "faiss").read_bytes()


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<i4"])
def test_numbers_of_another_type_are_stored_as_float32(dtype, tmp_path):
    """As numbers of a file by someone else; their bytes would be an index of other vectors."""
    vectors = np.arange(12).reshape(3, 4).astype(dtype)
    write_flat_index(tmp_path / "streamed", [vectors])
    read = faiss.read_index(str(tmp_path / "streamed"))
    assert np.array_equal(read.reconstruct_n(0, 3), vectors)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_shards_without_vectors_and_parts_of_arrays_are_stored(dtype, tmp_path):
    vectors = np.random.default_rng(0).standard_normal((10, 8)).astype(dtype)
    for shards in ([vectors[:0]], [vectors[:0], vectors, vectors[:0]], [vectors[::2]], [np.asfortranarray(vectors)]):
        write_flat_index(tmp_path / "streamed", shards)
        faiss.write_index(build_index(shards, IndexSettings()), str(tmp_path / "faiss"))
        assert (tmp_path / "streamed").read_bytes() == (tmp_path / "faiss").read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the data of a process")
def test_an_index_of_many_vectors_is_written_in_the_memory_of_few(tmp_path):
    """With 64 MB to spare, 200 MB are written; an index that is built in memory finds none for them."""
    for number in range(8):
        np.save(tmp_path / f"shard-{number}.npy", np.full((25 * MEBIBYTE // 1024, 256), number, dtype=np.float32))

    def run(how: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", WRITE, str(tmp_path), how, str(64 * MEBIBYTE)]
        return subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2])

    streamed, built = run("streamed"), run("built")
    assert streamed.returncode == 0, streamed.stderr
    assert (tmp_path / "index.faiss").stat().st_size == 200 * MEBIBYTE + 45
    assert built.returncode != 0
    assert "alloc" in built.stderr or "Memory" in built.stderr
