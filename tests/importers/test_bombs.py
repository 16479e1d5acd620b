"""Files that unpack to gigabytes, or lie about their sizes, end soon, with a reason, and in bounded memory."""

import bz2
import gzip
import io
import json
import lzma
import struct
import subprocess
import sys
import tarfile
import zipfile

import pyarrow
import pyarrow.parquet
import pytest

from tests.importers.reading import read
from tests.importers.test_containers import tar, zipped, zstd

MIB = 1 << 20
RATIO = "unpacks to more than 800 times its size"
BLANK = b" " * (16 * MIB)

# Reads in a process that tells the most memory that it had. The limit on its address space, much of which allocators
# only reserve, is far: it spares the machine where the reading is wrong.
READER = """
import json, re, resource, sys
from pathlib import Path
import pyarrow.parquet
from tests.importers.reading import read
def memory(name):
    return 1024 * int(re.search(name + r":\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
used = memory("VmRSS")
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
result = read(Path(sys.argv[1]), **json.loads(sys.argv[2]))
dropped = [dict(ledger.dropped) for ledger in (result.records, result.files)]
print(json.dumps([memory("VmHWM") - used, len(result.values), *dropped]))
"""


def read_apart(path, **limits):
    """The number of values, and the reasons for what is missing."""
    command = [sys.executable, "-c", READER, str(path), json.dumps(limits)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    memory, count, records, files = json.loads(done.stdout)
    assert memory < 1024 * MIB
    return count, records | files


def streams_of_zstd(path):
    with pyarrow.CompressedOutputStream(str(path), "zstd") as stream:
        for _ in range(200):
            stream.write(BLANK)


def overlapping_zip(count):
    """An archive whose directory names the same member again and again."""
    content = zipped({"a.jsonl": BLANK * 4})
    directory, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    entries = content[directory:end] * count
    tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, len(entries), directory, 0)
    return content[:directory] + entries + tail


def sparse_tar():
    """A member of a terabyte of holes: a header of GNU tar's old form."""
    info = tarfile.TarInfo("a.jsonl")
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[156:157] = b"S"
    header[386 : 386 + 24] = b"%011o\0" % 0 + b"%011o\0" % 0
    header[483:495] = b"%011o\0" % (8 << 30)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(1024)


def bomb(name, path):
    spaces = gzip.compress(BLANK)
    match name:
        case "gz" | "gz as json":
            path.write_bytes(spaces * 200)
        case "gz in gz":
            path.write_bytes(gzip.compress(spaces * 200))
        case "gz in zip":
            path.write_bytes(zipped({"b.jsonl.gz": spaces * 200}))
        case "bz2":
            path.write_bytes(bz2.compress(BLANK) * 200)
        case "xz":
            path.write_bytes(lzma.compress(BLANK) * 200)
        case "zst":
            streams_of_zstd(path)
        case "tar.gz":
            path.write_bytes(gzip.compress(tar({"a.jsonl": BLANK * 20})))
        case "zip":
            path.write_bytes(zipped({f"{number}.jsonl": BLANK * 2 for number in range(20)}))
        case "zip of bzip2":
            path.write_bytes(zipped({f"{number}.jsonl": BLANK * 2 for number in range(20)}, zipfile.ZIP_BZIP2))
        case "overlapping zip":
            path.write_bytes(overlapping_zip(10_000))
        case "sparse tar":
            path.write_bytes(sparse_tar())
        case "parquet":
            rows = pyarrow.table({"a": pyarrow.array(["x" * MIB] * 2000).dictionary_encode()})
            pyarrow.parquet.write_table(rows, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["gz", "gz as json", "gz in gz", "gz in zip", "bz2", "xz", "zst", "tar.gz", "zip", "zip of bzip2",
     "overlapping zip", "parquet"],
)  # fmt: skip
def test_a_bomb_ends_with_its_reason(name, tmp_path):
    path = bomb(name, tmp_path / ("runs.json" if name == "gz as json" else "runs.jsonl"))
    assert path.stat().st_size < 5 * MIB
    _, dropped = read_apart(path)
    assert dropped[RATIO] == 1


@pytest.mark.slow
def test_a_sparse_member_is_not_read_for_ever(tmp_path):
    _, dropped = read_apart(bomb("sparse tar", tmp_path / "runs.tar"))
    assert set(dropped) <= {RATIO, "binary data in place of text", "archive is cut off or damaged"}


@pytest.mark.slow
def test_lines_and_elements_of_gigabytes_cost_themselves(tmp_path):
    for name, before, after in (
        ("line.jsonl", b'{"a": 1}\n{"b": "', b'"}\n{"c": 1}\n'),
        ("element.json", b'[{"a": 1},\n{"b": "', b'"},\n{"c": 1}]\n'),
        ("pretty.json", b'{\n"a": 1}\n{\n"b": "', b'"\n}\n{\n"c": 1\n}\n'),
    ):
        with (tmp_path / name).open("wb") as stream:
            stream.write(before)
            for _ in range(20):
                stream.write(b"x" * (16 * MIB))
            stream.write(after)
        count, dropped = read_apart(tmp_path / name, record=64 * MIB)
        assert (count, dropped) == (2, {"record longer than 64 MiB": 1})
        (tmp_path / name).unlink()


def header_of(kind, size):
    info = tarfile.TarInfo("a.jsonl")
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize("size", [5 << 50, 1 << 62, (1 << 80) + 1])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, b"Z"])
def test_a_tar_archive_that_declares_petabytes_is_damaged(kind, size, compress, tmp_path):
    (tmp_path / "runs.tar").write_bytes(compress(header_of(kind, size) + b'{"a": 1}\n' * 200 + bytes(1024)))
    result = read(tmp_path / "runs.tar")
    reasons = {"archive is cut off or damaged", "archive with a header of more than 32 MiB", "not a regular file"}
    assert set(result.records.dropped + result.files.dropped) & reasons


def test_a_zip_archive_that_lies_about_sizes_is_damaged(tmp_path):
    content = zipped({"a.jsonl": b'{"a": 1}\n' * 1000})
    for size in (0, 10, 0xFFFFFFF0):
        lie = bytearray(content)
        start = lie.index(b"PK\x01\x02")
        lie[start + 24 : start + 28] = size.to_bytes(4, "little")
        (tmp_path / "runs.zip").write_bytes(lie)
        result = read(tmp_path / "runs.zip")
        assert len(result.values) <= 1000
        assert result.values or result.refusal


def test_members_and_headers_have_limits(tmp_path):
    (tmp_path / "runs.tar").write_bytes(tar({f"{number}.json": b"{}" for number in range(20)}))
    (tmp_path / "runs.zip").write_bytes(zipped({f"{number}.json": b"{}" for number in range(20)}))
    for name in ("runs.tar", "runs.zip"):
        result = read(tmp_path / name, members=10)
        assert len(result.values) == 10
        assert result.records.dropped == {"archive of more than 10 members": 1}
    assert read(tmp_path / "runs.zip", header=500).files.dropped == {"archive with a header of more than 500 bytes": 1}


def test_the_limits_are_those_of_a_file_with_all_that_is_nested_in_it(tmp_path):
    line = json.dumps({"a": "x" * 1000}).encode() + b"\n"
    (tmp_path / "runs.jsonl.gz").write_bytes(gzip.compress(line * 1000))
    assert len(read(tmp_path / "runs.jsonl.gz", unpacked=2 * MIB).values) == 1000
    result = read(tmp_path / "runs.jsonl.gz", unpacked=MIB // 2, ratio=10)
    assert 400 < len(result.values) < 600
    assert result.records.dropped == {"unpacks to more than 10 times its size": 1}
    result = read(tmp_path / "runs.jsonl.gz", unpacked=MIB // 2, total=MIB * 3 // 4)
    assert 600 < len(result.values) < 800
    assert result.records.dropped == {"unpacks to more than 768 KiB": 1}
    # Files before and after it are read.
    (tmp_path / "a.json").write_bytes(b"{}")
    (tmp_path / "z.zip").write_bytes(zipped({"a.jsonl": b"{}", "b.zip": zipped({"c.zip": zstd(line)})}))
    names = list(read(tmp_path, unpacked=MIB // 2, ratio=10).values)
    assert (names[0], names[-1]) == ("a", "z/b/c")


def test_a_window_of_xz_that_takes_gigabytes_is_refused(tmp_path):
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 29}]
    # A stream that is written without its size asks its reader for the whole window.
    buffer = io.BytesIO()
    try:
        with lzma.open(buffer, "wb", filters=filters) as stream:
            stream.write(b'{"a": 1}\n')
    except (MemoryError, lzma.LZMAError):
        pytest.skip("too little memory to write it")
    (tmp_path / "runs.jsonl.xz").write_bytes(buffer.getvalue())
    result = read(tmp_path / "runs.jsonl.xz")
    assert result.files.dropped == {"file is cut off or damaged": 1}
    assert "emory" in result.files.examples["file is cut off or damaged"]
