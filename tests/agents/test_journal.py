from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from itertools import chain

import pytest

from lrat_hub.agents import Question
from lrat_hub.agents.journal import Journal, Shard
from lrat_hub.errors import LratError
from tests.builders import answer, search, trajectory

QUESTIONS = [Question(f"q{number}", f"question {number}?") for number in range(7)]
SETTINGS = {"agent": {"name": "a", "sampling": {"seed": 1}}, "retriever": {"name": "r"}, "max_turns": 3}


def run_of(question: Question, status: str = "completed"):
    return replace(trajectory(search("x", "d1"), answer(), name=question.query_id), status=status)


def write(journal: Journal, *questions: Question, status: str = "completed") -> None:
    for question in questions:
        asyncio.run(journal.append(question, run_of(question, status)))


def test_what_was_written_comes_back_in_the_order_of_the_questions(tmp_path):
    with Journal(tmp_path, SETTINGS) as journal:
        write(journal, *reversed(QUESTIONS[:3]))
        assert journal.pending(QUESTIONS) == QUESTIONS[3:]
    with Journal(tmp_path, SETTINGS) as journal:
        assert list(journal.trajectories(QUESTIONS)) == [run_of(question) for question in QUESTIONS[:3]]
        assert journal.statuses(QUESTIONS) == {"completed": 3, "missing": 4}


def test_a_line_that_a_killed_process_left_unfinished_costs_itself_only(tmp_path):
    with Journal(tmp_path, SETTINGS) as journal:
        write(journal, *QUESTIONS[:3])
    file = next(tmp_path.glob("shard-*"))
    whole = file.read_bytes()
    for cut in (1, 40, len(whole.splitlines(keepends=True)[2]) - 1):
        file.write_bytes(whole[:-cut])
        with Journal(tmp_path, SETTINGS) as journal:
            assert journal.pending(QUESTIONS[:3]) == QUESTIONS[2:3]
            write(journal, QUESTIONS[2])
        assert file.read_bytes() == whole


def test_failed_runs_are_pending_and_the_good_one_counts(tmp_path):
    with Journal(tmp_path, SETTINGS) as journal:
        write(journal, QUESTIONS[0], status="failed")
        write(journal, QUESTIONS[1], status="limited")
        assert journal.pending(QUESTIONS[:2]) == QUESTIONS[:1]
        assert [run.status for run in journal.trajectories(QUESTIONS)] == ["failed", "limited"]
        write(journal, QUESTIONS[0])
    with Journal(tmp_path, SETTINGS) as journal:
        assert not journal.pending(QUESTIONS[:2])
        assert [run.status for run in journal.trajectories(QUESTIONS)] == ["completed", "limited"]


def test_samples_of_a_question_are_runs_of_their_own(tmp_path):
    again = replace(QUESTIONS[0], sample=1)
    with Journal(tmp_path, SETTINGS) as journal:
        write(journal, QUESTIONS[0])
        assert journal.pending([QUESTIONS[0], again]) == [again]


def test_other_settings_are_refused_with_each_difference(tmp_path):
    Journal(tmp_path, SETTINGS).__exit__()
    changed = {"agent": {"name": "a", "sampling": {"seed": 2}}, "retriever": {"name": "r"}, "k": 5}
    expected = r"agent\.sampling\.seed was 1 and is 2; max_turns was 3 and is null; k was null and is 5\. Give another"
    with pytest.raises(LratError, match=expected):
        Journal(tmp_path, changed)
    with Journal(tmp_path, changed, inherited=("agent.sampling.seed", "max_turns", "k")) as journal:
        assert journal.settings == SETTINGS
    with pytest.raises(LratError, match="expected a journal there, found none"):
        Journal(tmp_path / "none", changed, inherited=("k",))


def test_lines_of_other_settings_and_lines_that_are_none_are_refused(tmp_path):
    with Journal(tmp_path / "a", SETTINGS) as journal:
        write(journal, QUESTIONS[0])
    Journal(tmp_path / "b", {**SETTINGS, "max_turns": 4}).__exit__()
    shutil.copy(next((tmp_path / "a").glob("shard-*")), tmp_path / "b" / "shard-2-of-2.jsonl")
    with pytest.raises(LratError, match="line 1: a run with other settings"):
        Journal(tmp_path / "b", {**SETTINGS, "max_turns": 4})
    (tmp_path / "a" / "shard-2-of-2.jsonl").write_text('{"query_id": 3}\n')
    with pytest.raises(LratError, match="line 1: expected a run"):
        Journal(tmp_path / "a", SETTINGS)


def test_two_processes_never_write_one_shard(tmp_path):
    with (
        Journal(tmp_path, SETTINGS, Shard(1, 2)),
        Journal(tmp_path, SETTINGS, Shard(2, 2)),
        pytest.raises(LratError, match="another process is writing it"),
    ):
        Journal(tmp_path, SETTINGS, Shard(1, 2))


def test_shards_share_out_every_question_once():
    shares = [Shard.parse(f"{number}/3").of(QUESTIONS) for number in (1, 2, 3)]
    assert sorted(chain(*shares), key=QUESTIONS.index) == QUESTIONS
    assert {len(share) for share in shares} == {2, 3}
    for text in ("0/3", "4/3", "1", "a/b", "1/0"):
        with pytest.raises(LratError, match="expected i/n"):
            Shard.parse(text)
