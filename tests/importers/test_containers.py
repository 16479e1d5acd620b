"""Compressed files and archives, as the libraries write them, give their records; what is broken is counted."""

import bz2
import gzip
import io
import json
import lzma
import random
import tarfile
import zipfile

import pyarrow
import pyarrow.parquet
import pytest

from tests.importers.reading import read

LINES = b'{"a": 1}\n{"a": 2}\n'


def zstd(content):
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def tar(members, mode="w", **options):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, **options) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zipped(members, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def parquet(rows):
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


COMPRESS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd}
MEMBERS = {
    "a.jsonl": LINES,
    "b/c.JSON": b'{"b": 1}',
    "b/d.ndjson.gz": gzip.compress(LINES),
    "e.parquet": parquet([{"e": 1}, {"e": 2}]),
    "notes.txt": b"nothing",
    "__MACOSX/._a.jsonl": b"nothing",
    "inner.zip": zipped({"f.jsonl": LINES}),
    "inner.tar.xz": lzma.compress(tar({"g.json": b'{"g": 1}'})),
}
NAMES = ["a/1", "a/2", "b/c", "b/d/1", "b/d/2", "e/1", "e/2", "inner/f/1", "inner/f/2", "inner/g"]


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("name", ["runs.jsonl", "runs.JSONL", "runs.ndjson", "runs.json"])
def test_a_compressed_text_is_read(name, suffix, tmp_path):
    path = tmp_path / f"{name}{suffix}"
    path.write_bytes(COMPRESS[suffix](LINES) + COMPRESS[suffix](LINES))  # as those who append to a file write it
    assert list(read(path).values) == ["runs/1", "runs/2", "runs/3", "runs/4"]
    assert list(read(tmp_path).values) == ["runs/1", "runs/2", "runs/3", "runs/4"]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_content_counts_and_not_the_name(suffix, tmp_path):
    (tmp_path / "runs.jsonl").write_bytes(COMPRESS[suffix](LINES))
    (tmp_path / f"text.jsonl{suffix}").write_bytes(LINES)
    (tmp_path / "table.json").write_bytes(parquet([{"a": 1}]))
    assert list(read(tmp_path).values) == ["runs/1", "runs/2", "table/1", "text/1", "text/2"]


ARCHIVES = {
    "m.zip": zipped(MEMBERS), "m.tar": tar(MEMBERS), "m.tar.gz": tar(MEMBERS, "w:gz"), "m.tgz": tar(MEMBERS, "w:gz"),
    "m.tar.bz2": tar(MEMBERS, "w:bz2"), "m.tar.xz": tar(MEMBERS, "w:xz"), "m.tar.zst": zstd(tar(MEMBERS)),
    "stored.zip": zipped(MEMBERS, zipfile.ZIP_STORED), "bzip2.zip": zipped(MEMBERS, zipfile.ZIP_BZIP2),
    "v7.tar": tar(MEMBERS, format=tarfile.USTAR_FORMAT), "pax.tar": tar(MEMBERS, format=tarfile.PAX_FORMAT),
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_is_read_with_what_is_packed_in_it(name, tmp_path):
    (tmp_path / name).write_bytes(ARCHIVES[name])
    result = read(tmp_path / name)
    assert list(result.values) == NAMES
    assert result.files.kept == 6
    assert result.files.dropped == {"not read: .txt": 1}
    assert result.files.notes == {"hidden file": 1}
    # In a folder, its members are named after it.
    stem = name.partition(".")[0]
    assert list(read(tmp_path).values) == [f"{stem}/{member}" for member in NAMES]


def test_a_zip_archive_compressed_by_zstd_is_read_whatever_the_version_of_python(tmp_path):
    # As the logs of Inspect are; the standard library can write such an archive from Python 3.14 on.
    stored, packed = zipped({"a.jsonl": LINES}, zipfile.ZIP_STORED), zstd(LINES)
    content = bytearray(stored.replace(LINES, packed))
    for signature, method, sizes in ((b"PK\x03\x04", 8, 18), (b"PK\x01\x02", 10, 20)):
        start = content.index(signature)
        content[start + method : start + method + 2] = (93).to_bytes(2, "little")
        content[start + sizes : start + sizes + 4] = len(packed).to_bytes(4, "little")
    end = content.index(b"PK\x05\x06")
    content[end + 16 : end + 20] = content.index(b"PK\x01\x02").to_bytes(4, "little")
    (tmp_path / "log.eval").write_bytes(content)
    assert list(read(tmp_path / "log.eval").values.values()) == [{"a": 1}, {"a": 2}]


def test_archives_in_archives_are_read_to_a_depth(tmp_path):
    content = zipped({"c.jsonl": LINES})
    for name in ("b.zip", "a.tar.gz"):
        content = tar({name: content}, "w:gz")
    (tmp_path / "runs.tgz").write_bytes(content)
    assert list(read(tmp_path / "runs.tgz").values) == ["a/b/c/1", "a/b/c/2"]
    result = read(tmp_path / "runs.tgz", depth=2)
    assert result.files.dropped == {"archive in more than 2 archives": 1}
    (tmp_path / "runs.jsonl").write_bytes(gzip.compress(gzip.compress(LINES)))
    assert len(read(tmp_path / "runs.jsonl").values) == 2
    assert "compressed more than 1 times" in read(tmp_path / "runs.jsonl", depth=1).refusal


def test_paths_of_members_are_names_and_nothing_is_written(tmp_path):
    names = ["/etc/a.json", "../../b.json", "C:\\logs\\c.json", "d\n\x1b[2J.json", "..", "./e.json", "e.json"]
    (tmp_path / "runs.zip").write_bytes(zipped(dict.fromkeys(names, b"{}")))
    assert list(read(tmp_path / "runs.zip").values) == ["etc/a", "b", "logs/c", "d\ufffd\ufffd[2J", "e", "e.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["runs.zip"]


def test_links_devices_and_encrypted_members_are_counted(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind in (("a.json", tarfile.SYMTYPE), ("b.json", tarfile.LNKTYPE), ("c.json", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    (tmp_path / "runs.tar").write_bytes(buffer.getvalue())
    assert read(tmp_path / "runs.tar").files.dropped == {"link": 2, "not a regular file": 1}
    content = bytearray(zipped({"a.json": b"{}"}))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "runs.zip").write_bytes(content)
    assert read(tmp_path / "runs.zip").files.dropped == {"encrypted member of a zip archive": 1}


def test_a_member_that_is_broken_costs_itself(tmp_path):
    cut = gzip.compress(LINES * 100)[:-9]
    members = {"a.jsonl.gz": cut, "b.zip": ARCHIVES["m.zip"][:-30], "c.jsonl": LINES}
    for content in (zipped(members), tar(members)):
        (tmp_path / "runs").write_bytes(content)
        result = read(tmp_path / "runs")
        assert [name for name in result.values if name.startswith("c")] == ["c/1", "c/2"]
        assert result.records.num_dropped + result.files.num_dropped == 2


@pytest.mark.parametrize("suffix", COMPRESS)
def test_what_comes_before_the_damage_is_read(suffix, tmp_path):
    rng = random.Random(0)
    lines = [json.dumps({"number": number, "noise": rng.random()}) for number in range(20_000)]
    content = COMPRESS[suffix]("\n".join(lines).encode())
    path = tmp_path / f"runs.jsonl{suffix}"
    path.write_bytes(content[:-10])
    result = read(path)
    assert result.values
    assert list(result.values.values()) == [json.loads(line) for line in lines[: len(result.values)]]
    assert result.records.dropped["file is cut off or damaged"] == 1
    assert result.files.kept == 1


BROKEN = {
    **{f"runs.jsonl{suffix}": compress(LINES * 50) for suffix, compress in COMPRESS.items()},
    **ARCHIVES, "runs.parquet": parquet([{"a": number, "b": ["x" * number]} for number in range(50)]),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_containers_that_are_cut_or_garbled_only_change_counts(name, tmp_path):
    rng, whole = random.Random(name), BROKEN[name]
    path = tmp_path / name
    for number in range(120):
        content = bytearray(whole)
        if number % 3 == 0:
            del content[rng.randrange(len(content)) :]
        else:
            for _ in range(rng.choice([1, 1, 2, 8])):
                content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        if number % 7 == 0:
            content += content[rng.randrange(len(content) + 1) :]
        path.write_bytes(content)
        result = read(path)
        assert result.values or result.refusal or result.records.dropped


def test_names_of_records_are_unique_and_stay_what_they_are(tmp_path):
    for name, content in {
        "a.json": b"{}", "a.jsonl": b"{}\n{}", "a.jsonl.gz": gzip.compress(b"{}\n{}"), "b.json": b"{}\n{}",
        "b/1.json": b"{}", "b/2.json": b"{}", "c/12.json": b"{}", "d.jsonl": b"{}", "a.zip": zipped({"1.json": b"{}"}),
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert list(read(tmp_path).values) == [
        "a", "a.jsonl/1", "a.jsonl/2", "a.jsonl.gz/1", "a.jsonl.gz/2", "a/1.json",
        "b/1", "b/2", "b.json/1", "b.json/2", "c/12", "d/1",
    ]  # fmt: skip
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as archive:
        archive.writestr("a.json", "{}")
        for _ in range(2):
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr("a.json", "{}")
    (tmp_path / "twice.zip").write_bytes(twice.getvalue())
    assert list(read(tmp_path / "twice.zip").values) == ["a", "a.json", "a.json (2)"]


def test_rows_of_parquet_that_python_can_not_hold_cost_themselves(tmp_path):
    import pyarrow as pa

    dates = pa.array([1, 2**40, 3], type=pa.int64()).cast(pa.timestamp("s"))
    pyarrow.parquet.write_table(pa.table({"at": dates}), tmp_path / "runs.parquet")
    result = read(tmp_path / "runs.parquet")
    assert list(result.values) == ["runs/1", "runs/3"]
    assert result.records.dropped == {"row that can't be read": 1}


def test_a_member_without_a_name_is_counted(tmp_path):
    content = zipped({"a.json": b"{}", "b.json": b"{}"})
    start = content.index(b"PK\x01\x02")
    nameless = bytearray(content[:start] + content[start : start + 46] + content[start + 52 :])
    nameless[start + 28] = 0
    end = nameless.index(b"PK\x05\x06")
    nameless[end + 12 : end + 16] = (end - start).to_bytes(4, "little")
    (tmp_path / "runs.zip").write_bytes(nameless)
    result = read(tmp_path / "runs.zip")
    assert list(result.values) == ["b"]
    assert result.files.dropped == {"not read: no suffix": 1}
