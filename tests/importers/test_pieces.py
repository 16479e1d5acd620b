"""Files that are divided into pieces have the records, and the accounts, that they have in one go."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lrat_hub.importers import SECRETS, Redactor
from lrat_hub.importers import bulk as bulk_module
from lrat_hub.importers.bulk import RecordImport, import_records
from lrat_hub.importers.sources import pieces as pieces_module
from lrat_hub.importers.sources.records import Piece, read_items
from lrat_hub.ledger import Ledger
from tests.importers.fixtures import OPENAI
from tests.importers.reading import is_message, read

LINES = (
    '{"a": 1}', '{"a": {"b": [1, {"c": 2}]}}', '{"a": "}\\n{"}', '{"a": 1} {"b": 2}', '{"a": 1},', '{"a": [{"b": 1}',
    '{"a": {"b": 1}', "{", "}", "]", "]}", "}}", "[", "[1]", '"b": {}', ',{"c": 3}', ', "d": {"e": 4}}', "", "  ",
    '\x1e{"a": 1}', '{"a": "cut off', "{'a': 1}", "null", "3", "\udc80{}", '{"a": 1}\t', '  {"a": 5}',
)  # fmt: skip


def divided(patch, size):
    patch.setattr(pieces_module, "PIECE", size)
    patch.setattr(pieces_module, "CHUNK", 8 * size)


@settings(max_examples=300, deadline=None)
@given(
    lines=st.lists(st.sampled_from(LINES), min_size=1, max_size=12),
    end=st.sampled_from(["\n", "\r\n"]),
    size=st.integers(1, 40),
)
@example(['{"a": [{"b": 1}', '{"a": 1}', "]}"], "\n", 1)
@example(["{", '"b": {}', "}", '{"a": 1}'], "\r\n", 3)
def test_pieces_have_the_records_of_the_file(tmp_path_factory, lines, end, size):
    path = tmp_path_factory.mktemp("lines") / "runs.jsonl"
    path.write_bytes(end.join(['{"first": {}}', *lines]).encode("utf-8", "surrogateescape"))
    whole = read(path)
    with pytest.MonkeyPatch.context() as patch:
        divided(patch, size)
        assert read(path) == whole
    assert len(whole.values) + whole.records.num_dropped >= 1


def pieces_in(path):
    return [item for item in read_items(path, Ledger("records"), is_message) if isinstance(item, Piece)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("compressed", [False, True])
def test_lines_are_divided_where_records_end(tmp_path, monkeypatch, end, compressed):
    divided(monkeypatch, 300)
    text = "".join(json.dumps({"number": number, "text": {"x": "y" * 20}}) + end for number in range(100)).encode()
    path = tmp_path / ("runs.jsonl.gz" if compressed else "runs.jsonl")
    path.write_bytes(gzip.compress(text) if compressed else text)
    found = pieces_in(path)
    assert len(found) > 10
    assert b"".join(piece.text for piece in found) == text
    assert not any(piece.is_whole for piece in found)
    assert [value["number"] for value in read(path).values.values()] == list(range(100))


def test_small_files_are_pieces_of_their_own_whatever_stands_in_them(tmp_path):
    for name, text in (("a.json", '{"a": 1}'), ("b.json", '[{"role": "user"}]'), ("c.jsonl", '{"a": 1}\n{"a": 2}\n')):
        (tmp_path / name).write_text(text)
    assert [(piece.path, piece.is_whole) for piece in pieces_in(tmp_path)] == [
        ("a.json", True), ("b.json", True), ("c.jsonl", True),
    ]  # fmt: skip


def test_what_comes_before_the_damage_of_a_compressed_file_is_read(tmp_path, monkeypatch):
    divided(monkeypatch, 300)
    text = "".join(json.dumps({"number": number}) + "\n" for number in range(50_000)).encode()
    content = gzip.compress(text)
    (tmp_path / "runs.jsonl.gz").write_bytes(content[: len(content) // 2])
    result = read(tmp_path / "runs.jsonl.gz")
    assert [value["number"] for value in result.values.values()] == list(range(len(result.values)))
    assert 10_000 < len(result.values) < 40_000
    assert result.records.dropped == {"file is cut off or damaged": 1}


def test_messages_that_stand_alone_among_conversations_are_one_run_wherever_pieces_end(tmp_path, monkeypatch):
    """Only a process that reads one can tell, after others have read other pieces."""
    lines = [json.dumps({**OPENAI, "question": f"Question {number}?"}) for number in range(20)]
    alone = [json.dumps(message) for message in OPENAI["messages"]]
    for place, message in enumerate(alone):
        lines.insert(4 + 3 * place, message)
    path = tmp_path / "runs.jsonl"
    path.write_text("\n".join(lines))

    def imported(folder: Path):
        folder.mkdir()
        return import_records(path, folder, RecordImport(redactor=Redactor(SECRETS)))

    whole = imported(tmp_path / "whole")
    divided(monkeypatch, 2_000)
    monkeypatch.setattr(bulk_module, "TASK_CHARACTERS", 2_000)
    assert len(pieces_in(path)) > 5
    in_pieces = imported(tmp_path / "pieces")
    assert in_pieces.summary == whole.summary
    assert in_pieces.summary.num_runs == 21
    assert in_pieces.accounts == whole.accounts
