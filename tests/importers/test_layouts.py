"""Texts of every layout and encoding give their values, and what is broken costs itself."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrat_hub.importers.sources import layouts
from tests.importers.reading import read

ONE, TWO, THREE = {"a": 1}, {"b": {"c": [2, {"d": "}\n{"}]}}, {"e": "é\u2028"}
RUNS = [ONE, TWO, THREE]


def dumped(values, **options):
    return [json.dumps(value, ensure_ascii=False, **options) for value in values]


LINES = "\n".join(dumped(RUNS))
PRETTY = dumped(RUNS, indent=2)
LAYOUTS = {
    "lines": LINES,
    "lines with commas and blanks": ",\n\n".join(dumped(RUNS)) + ",\n \n",
    "lines of Windows": "\r\n".join(dumped(RUNS)) + "\r\n",
    "several a line": "".join(dumped([ONE, TWO])) + "\n" + dumped([THREE])[0],
    "pretty": "\n".join(PRETTY),
    "pretty and not indented": "\n".join(dumped(RUNS, indent=0)) + "\n",
    "pretty side by side": "".join(PRETTY),
    "pretty with commas": ",\n".join(PRETTY),
    "pretty after a line": "\n".join([dumped([ONE])[0], *PRETTY[1:]]),
    "text sequence": "".join(f"\x1e{text}\n" for text in dumped(RUNS)),
    "pretty text sequence": "".join(f"\x1e{text}\n" for text in PRETTY),
    "array": json.dumps(RUNS),
    "array of lines": "[\n" + ",\n".join(dumped(RUNS)) + "\n]\n",
    "pretty array": json.dumps(RUNS, indent=4),
    "array with a comma too many": "[" + ", ".join(dumped(RUNS)) + ",]",
    "array that is cut off": json.dumps(RUNS)[:-1] + ', {"f": [1, 2',
    "array and a line after it": json.dumps(RUNS[:2]) + "\n" + dumped([THREE])[0],
}
BROKEN = {"array that is cut off": {"not JSON": 1}}


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".txt", ""])
@pytest.mark.parametrize("whole", [layouts.WHOLE, 16], ids=["at once", "in pieces"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_values_come_out_of_every_layout(name, whole, suffix, tmp_path, monkeypatch):
    monkeypatch.setattr(layouts, "WHOLE", whole)
    if suffix == ".jsonl" and name == "array and a line after it":
        pytest.skip("a line that is a list is a record there")
    path = tmp_path / f"runs{suffix}"
    path.write_text(LAYOUTS[name], encoding="utf-8", newline="")
    result = read(path)
    assert list(result.values.values()) == RUNS
    assert result.records.dropped == BROKEN.get(name, {})
    assert result.files.kept == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_texts_with_a_byte_order_mark_are_read(encoding, tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(LINES.encode(encoding))
    assert read(path).values == {"runs/1": ONE, "runs/2": TWO, "runs/3": THREE}


def test_places_are_lines_elements_or_nothing(tmp_path):
    def names(name, text):
        (tmp_path / name).write_text(text)
        return list(read(tmp_path / name).values)

    assert names("runs.json", PRETTY[1]) == ["runs"]
    assert names("runs.json", "\n".join(PRETTY)) == ["runs/1", "runs/4", "runs/14"]
    assert names("runs.jsonl", "{}") == ["runs/1"]
    assert names("runs.jsonl", "{}{}\n{}") == ["runs/1", "runs/1/2", "runs/2"]
    assert names("runs.json", "[1, 2]\n3\n[4]") == ["runs/1", "runs/2", "runs/2/1", "runs/3/1"]


def test_a_list_is_a_record_where_it_is_a_line_of_several_or_its_elements_are_messages(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text('[{"x": 1}]\n[{"x": 2}]\n')
    assert list(read(path).values.values()) == [[{"x": 1}], [{"x": 2}]]
    path.write_text('[{"role": 1}, {"role": 2}]\n')
    assert read(path).values == {"runs/1": [{"role": 1}, {"role": 2}]}
    path.write_text('[{"x": 1}, {"x": 2}]\n')
    assert read(path).values == {"runs/1": {"x": 1}, "runs/2": {"x": 2}}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{'a': None}\n", "Python literals in place of JSON (single quotes): write them with json.dumps"),
        (b'{"a": "caf\xe9"}\n', "Latin-1 or Windows-1252 in place of UTF-8"),
        (b'{"a": "\xff\xfe"}\n', "not UTF-8"),
        (b'{"a": 1\n', "not JSON"),
        (b'{"a": "\n', "not JSON"),
        (b"2026-01-01 INFO started\n", "not JSON"),
        (b"\0\0\0\0\n", "zero bytes in place of JSON"),
        (b'{"a":' * 100_000 + b"\n", "nested too deeply"),
        (b"[" * 100_000 + b"\n", "nested too deeply"),
        (b'{"a":' * 700 + b"1" + b"}" * 700 + b"\n", "nested too deeply"),
        (b'{"long": "' + b"x" * 2000 + b'"}\n', "record longer than 1 KiB"),
        (b'{\n"long": "' + b"x" * 2000 + b'"}\n', "record longer than 1 KiB"),
        (b'{\n "long": [\n' + b" 1,\n" * 2000 + b"2]}\n", "record longer than 1 KiB"),
    ],
)
def test_a_broken_record_costs_itself(content, reason, tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(b'{"a": 1}\n' + content + b'{"b": 2}\n{"c": 3}\n')
    result = read(path, record=1024 if "KiB" in reason else 1 << 20)
    if b"}" * 700 in content and not result.records.dropped:
        pytest.skip("this Python is not stopped by the depth")
    assert list(result.values.values()) == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert result.records.dropped == {reason: 1}
    assert result.records.examples[reason].startswith("runs.jsonl/")


def test_a_pretty_value_that_is_broken_costs_itself(tmp_path):
    path = tmp_path / "runs.json"
    path.write_text("\n".join([PRETTY[1][:-20], PRETTY[1], PRETTY[1].replace(":", ";", 1), PRETTY[1]]))
    result = read(path)
    assert list(result.values.values()) == [TWO, TWO]
    assert result.records.dropped == {"not JSON": 2}


def test_an_element_that_is_too_long_costs_itself(tmp_path):
    path = tmp_path / "runs.json"
    long = [
        '"' + 'x\\"{[' * 1000 + '"',
        "1" * 3000,
        json.dumps([{"a": "]}" * 2000}, 1]),
        json.dumps({"a": {"b": "\\" * 2000}}),
    ]
    path.write_text("[" + ",\n".join(f"{value}, {number}" for number, value in enumerate(long)) + "]")
    result = read(path, record=1024)
    assert list(result.values.values()) == [0, 1, 2, 3]
    assert result.records.dropped == {"record longer than 1 KiB": 4}


def test_an_object_or_list_of_messages_that_is_too_long_is_named(tmp_path):
    for text in ('{"q1": "' + "x" * 2000 + '"}', '[{"role": 1}, ' + '{"role": 2}, ' * 200 + "3]"):
        (tmp_path / "runs.json").write_text(text)
        result = read(tmp_path / "runs.json", record=1024)
        assert not result.values
        assert result.records.dropped == {"record longer than 1 KiB": 1}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
            "Git LFS pointer: fetch the file itself",
        ),
        (b"<!DOCTYPE html>\n<html>", "HTML page in place"),
        (b"  <Error><Code>NoSuchKey</Code></Error>", "XML or other markup"),
        (b'<?xml version="1.0"?>\n<html xmlns="x">', "HTML page in place"),
        (b'<?xml version="1.0"?>\n<runs><run id="1">', "write it as JSON lines first, a run a line"),
        ('{"a": 1}'.encode("utf-16-le"), "UTF-16 without a byte order mark: save it as UTF-8"),
        ('\n{"a": 1}'.encode("utf-16-be"), "UTF-16 without a byte order mark: save it as UTF-8"),
        ('{"a": 1}'.encode("utf-32-le"), "UTF-32 without a byte order mark: save it as UTF-8"),
        (b"\x80\x04\x95", "pickle"),
        (b"SQLite format 3\0", "SQLite database"),
        (b"\x7fELF\0\0", "binary data in place of text"),
        (b"", "empty file"),
        (b" \n\n", "empty file"),
        (b"[]", "empty file"),
    ],
)
@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".json.gz"])
def test_a_file_that_holds_no_records_is_named(content, problem, suffix, tmp_path):
    (tmp_path / f"runs{suffix}").write_bytes(content)
    result = read(tmp_path / f"runs{suffix}")
    assert problem in result.refusal
    assert result.files.num_dropped == 1
    assert not result.records.read


def test_lines_that_never_end_are_not_read_over_and_over(tmp_path, monkeypatch):
    # Each of them could begin a value, so that what comes after it is read again; together that is bounded.
    monkeypatch.setattr(layouts, "RESCANS", 1 << 16)
    path = tmp_path / "runs.jsonl"
    for text in ('{"a": [1,\n' + "2,\n" * 300) * 30, '{"a":\n' * 5000, "[\n" * 5000, "{\n" * 5000:
        path.write_text(text)
        result = read(path)
        assert not result.values
        assert result.records.dropped


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    values=st.lists(st.dictionaries(st.text(max_size=4), JSON, min_size=1, max_size=3), min_size=2, max_size=5),
    indent=st.sampled_from([None, 0, 1, 4]), escaped=st.booleans(),
    between=st.sampled_from(["\n", ",\n", "\n\n", "\r\n", ""]), whole=st.sampled_from([layouts.WHOLE, 8]),
)  # fmt: skip
def test_any_values_one_after_the_other_come_back(values, indent, escaped, between, whole, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "runs.json"
    texts = [json.dumps(value, indent=indent, ensure_ascii=escaped) for value in values]
    path.write_text(between.join(texts), encoding="utf-8", errors="surrogatepass", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layouts, "WHOLE", whole)
        result = read(path)
    assert list(result.values.values()) == values
    assert not result.records.dropped


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(sorted(LAYOUTS)), suffix=st.sampled_from([".json", ".jsonl"]),
    position=st.floats(0, 1), junk=st.binary(max_size=4), length=st.integers(0, 9),
    whole=st.sampled_from([layouts.WHOLE, 8]), limit=st.sampled_from([1 << 20, 40]),
)  # fmt: skip
def test_texts_that_are_garbled_only_change_counts(
    name, suffix, position, junk, length, whole, limit, tmp_path_factory
):
    content = LAYOUTS[name].encode()
    start = int(position * len(content))
    path = tmp_path_factory.mktemp("runs") / f"runs{suffix}"
    path.write_bytes(content[:start] + junk + content[start + length :])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layouts, "WHOLE", whole)
        read(path, record=limit)
