"""Rows become Arrow files in batches that are limited in rows and in characters."""

from pathlib import Path

import pyarrow as pa
import pytest

from lrat_hub import storage
from lrat_hub.schema import Candidate, Sampling, Step, Trajectory, document_features, trajectory_features
from lrat_hub.storage import TableWriter, rows_of, table_of, trajectory_batch, write_table, write_trajectories
from tests.builders import answer, browse, search, trajectory


def documents(*lengths):
    return [{"docid": str(number), "title": "", "text": "x" * length} for number, length in enumerate(lengths)]


def batch_sizes(path: Path) -> list[int]:
    with pa.OSFile(str(path)) as file:
        return [batch.num_rows for batch in pa.ipc.open_stream(file)]


def test_a_batch_is_limited_in_rows_and_in_characters(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "BATCH_ROWS", 3)
    monkeypatch.setattr(storage, "BATCH_CHARACTERS", 100)
    rows = documents(1, 1, 1, 1, 200, 1, 60, 60, 1)
    table = write_table(iter(rows), document_features(), tmp_path / "table.arrow")
    assert table.to_list() == rows
    assert batch_sizes(tmp_path / "table.arrow") == [3, 2, 3, 1]


def test_characters_of_nested_texts_count(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "BATCH_CHARACTERS", 10)
    schema = pa.schema({"steps": pa.list_(pa.struct({"texts": pa.list_(pa.string())}))})
    with TableWriter(tmp_path / "table.arrow", schema) as writer:
        writer.write([{"steps": [{"texts": ["x" * 6, "x" * 6]}]}, {"steps": [{"texts": ["x"]}]}, {"steps": None}])
    assert batch_sizes(tmp_path / "table.arrow") == [1, 2]


def test_a_table_without_rows_has_its_columns(tmp_path):
    table = write_table([], document_features(), tmp_path / "table.arrow")
    assert (len(table), table.features) == (0, document_features())


def test_the_rows_of_a_table_come_back_as_they_were_given():
    rows = [{"docid": "d1", "title": "One", "text": "first"}, {"docid": "d2", "title": "", "text": "second"}]
    table = table_of(rows, document_features())
    assert list(rows_of(table)) == rows
    assert list(rows_of(table.select([]))) == []


def test_rows_are_read_no_further_than_a_batch_ahead(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "BATCH_ROWS", 2)
    with TableWriter(tmp_path / "table.arrow", document_features()) as writer:
        for number, row in enumerate(documents(*[1] * 7), start=1):
            writer.write([row])
            assert writer.num_rows == number // 2 * 2
    assert writer.num_rows == len(writer.open()) == 7


def test_an_error_in_the_block_is_raised_as_it_is_and_what_waits_is_left_out(tmp_path):
    def rows():
        yield {"docid": object()}
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"), TableWriter(tmp_path / "a", document_features()) as writer:
        writer.write(rows())
    assert len(writer.open()) == 0


def test_the_file_format_is_read_at_random(tmp_path):
    with TableWriter(tmp_path / "a", pa.schema({"n": pa.int64()}), random_access=True, batch_rows=2) as writer:
        writer.write({"n": number} for number in range(5))
    with pa.memory_map(str(tmp_path / "a")) as file:
        assert pa.ipc.open_file(file).get_batch(2).to_pylist() == [{"n": 4}]


def test_trajectories_come_back_as_they_were_written(tmp_path):
    runs = [
        trajectory(search("q", "d1", "d2"), browse("d2"), answer()),
        trajectory(search("q"), name="u", correct=False),
    ]
    table = write_trajectories(iter(runs), tmp_path / "runs.arrow")
    assert [Trajectory.from_dict(row) for row in table] == runs


def test_a_batch_built_by_columns_is_that_of_the_rows():
    hits = (Candidate(0, 1, "1", "É", "snippet", 0.5), Candidate(1, 1, "2"))
    failed = Step(2, None, "invalid", observation="?", error="unknown tool")
    runs = [
        trajectory(Step(0, "", "search", ("a", "b"), hits), browse("2"), failed, answer()),
        Trajectory("empty", "q", "", ()),
        Trajectory(
            "full", "q", "Who?", (), "gold", "final", "limited", True, "agent", "a" * 40, "retriever", "b" * 40,
            Sampling(0.5, 1.0, 0.0, 2**40), '{"format": "x"}',
        ),
    ]  # fmt: skip
    schema = trajectory_features().arrow_schema
    for some in (runs, runs[1:2], []):
        expected = pa.RecordBatch.from_pylist([run.to_dict() for run in some], schema=schema)
        batch = trajectory_batch(iter(some), schema)
        batch.validate(full=True)
        assert batch.equals(expected)
        assert batch.schema == schema
