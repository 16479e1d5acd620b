"""Importing into files: the same bytes and counts for any number of processes, in bounded memory."""

import json
import os
import signal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lrat_hub import load_trajectories
from lrat_hub.errors import LratError
from lrat_hub.importers import SECRETS, Redactor, trace_text
from lrat_hub.importers import bulk as bulk_module
from lrat_hub.importers.bulk import RecordImport, import_records
from lrat_hub.importers.questions import JOINED, JUDGED, NOT_JOINED, NOT_JUDGED
from lrat_hub.importers.sources import pieces as pieces_module
from lrat_hub.judges.answers import AnswerJudge
from lrat_hub.schema import Trajectory
from tests.importers.fixtures import OPENAI

NUM_RUNS = 40
LOGS = Path(__file__).parent / "logs"


@pytest.fixture
def runs(tmp_path):
    """Conversations of which every seventh is damaged, one shows a token, and none has the question of another."""
    path = tmp_path / "runs.jsonl"
    lines = [json.dumps({**OPENAI, "question": f"Question {number}? hf_{'a1' * 17}"}) for number in range(NUM_RUNS)]
    lines[3::7] = ["{", '{"messages": 3}', "[]", "0", "null"][: len(lines[3::7])] + ["{"] * (len(lines[3::7]) - 5)
    path.write_text("\n".join(lines))
    return path


def imported(path, folder, processes, **settings):
    folder.mkdir()
    return import_records(path, folder, RecordImport(**settings), traces=5, processes=processes)


@pytest.fixture
def small_tasks(monkeypatch):
    """Tasks of three runs, or of pieces of two kilobytes, which have fewer."""
    monkeypatch.setattr(bulk_module, "TASK_ITEMS", 3)
    monkeypatch.setattr(bulk_module, "TASK_CHARACTERS", 2_000)
    monkeypatch.setattr(pieces_module, "PIECE", 2_000)


def rows_of(result):
    return [Trajectory.from_dict(row) for path in result.paths for row in pq.read_table(path).to_pylist()]


def test_files_hold_what_is_read_one_by_one(runs, tmp_path, small_tasks):
    result = imported(runs, tmp_path / "out", 1)
    expected = list(load_trajectories(runs))
    assert rows_of(result) == expected
    assert result.summary.num_runs == len(expected) == result.accounts.records.kept
    assert [path.read_text() for path in result.traces.values()] == [trace_text(run) for run in expected[:5]]


@pytest.fixture
def sessions(tmp_path):
    """Sessions with an event a line, two of them mixed in each file."""
    events = [json.loads(line) for line in (LOGS / "claude_code_session" / "s-1.jsonl").read_text().splitlines()]
    folder = tmp_path / "sessions"
    folder.mkdir()
    for number in range(8):
        mixed = [{**event, "sessionId": f"{name}-{number}"} for event in events for name in "ab"]
        (folder / f"{number}.jsonl").write_text("\n".join(map(json.dumps, mixed)))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("source", ["runs", "sessions"])
@pytest.mark.parametrize("processes", [2, 3])
def test_any_number_of_processes_gives_the_same_bytes_and_counts(request, tmp_path, small_tasks, source, processes):
    path = request.getfixturevalue(source)
    one, several = (
        imported(path, tmp_path / f"out-{number}", number, redactor=Redactor(SECRETS)) for number in (1, processes)
    )
    assert one.summary.num_runs >= 16
    assert [path.read_bytes() for path in one.paths] == [path.read_bytes() for path in several.paths]
    assert one.accounts == several.accounts
    assert one.summary == several.summary
    assert {name: path.read_bytes() for name, path in one.traces.items()} == {
        name: path.read_bytes() for name, path in several.traces.items()
    }


def kill_reader(record):
    """A reader that is killed as a system without memory does it."""
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_process_that_is_killed_is_an_error_and_no_hang(runs, tmp_path, small_tasks):
    with pytest.raises(LratError, match=r"one of them was killed"):
        imported(runs, tmp_path / "out", 2, reader=kill_reader)


def test_what_can_not_be_sent_to_another_process_is_said(runs, tmp_path, small_tasks):
    with pytest.raises(LratError, match="Set `processes` to 1"):
        imported(runs, tmp_path / "out", 2, reader=lambda record: record)


def test_traces_end_where_they_get_too_long_together(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk_module, "TRACES_BYTES", len(trace_text(next(load_trajectories(runs))).encode()) * 2)
    assert len(imported(runs, tmp_path / "out", 1).traces) == 2


def test_questions_and_gold_answers_are_joined_by_id_where_a_run_has_none(tmp_path):
    without = {key: value for key, value in OPENAI.items() if key not in ("question", "answer")}
    messages = [message for message in OPENAI["messages"] if message["role"] != "user"]
    path = tmp_path / "runs.jsonl"
    records = [
        {**without, "query_id": "1", "messages": messages},
        {**without, "query_id": "2", "messages": messages},
        {**OPENAI, "query_id": 3},
    ]
    path.write_text("\n".join(map(json.dumps, records)))
    result = imported(path, tmp_path / "out", 1, questions={"1": ("One?", "Uno"), "3": ("Three?", None)})
    assert [run.question for run in rows_of(result)] == ["One?", "", OPENAI.get("question") or "Who wrote it?"]
    assert rows_of(result)[0].gold_answer == "Uno"
    assert result.accounts.records.notes[JOINED] == 2
    assert result.accounts.records.notes[NOT_JOINED] == 1


@pytest.mark.parametrize("processes", [1, 2])
def test_answers_are_compared_where_a_run_has_no_verdict(tmp_path, small_tasks, processes):
    path = tmp_path / "runs.jsonl"
    # Without the last message, which answers.
    known = {"question": "Who?", "messages": OPENAI["messages"][:-1]}
    records = [
        {**known, "query_id": "1", "gold_answer": "Ada Lovelace", "final_answer": "ada lovelace."},
        {**known, "query_id": "2", "gold_answer": "Ada", "final_answer": "It was Ada."},
        {**known, "query_id": "3", "gold_answer": "Ada", "final_answer": "Grace"},
        {**known, "query_id": "4", "gold_answer": "Ada", "final_answer": "Grace", "correct": True},
        {**known, "query_id": "5", "final_answer": "Grace"},
    ]
    path.write_text("\n".join(map(json.dumps, records)))
    for judge, expected in [
        (None, [None, None, None, True, None]),
        (AnswerJudge(containment=False), [True, False, False, True, None]),
        (AnswerJudge(), [True, True, False, True, None]),
    ]:
        result = imported(path, tmp_path / f"out-{expected}", processes, judge=judge)
        assert [run.correct for run in rows_of(result)] == expected
        notes = result.accounts.records.notes
        assert (notes[JUDGED], notes[NOT_JUDGED]) == ((3, 1) if judge else (0, 0))
