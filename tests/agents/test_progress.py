from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from functools import partial

import pytest
import tqdm

from lrat_hub.agents import Answer, Search, SearchEnvironment
from lrat_hub.agents.journal import Journal
from lrat_hub.agents.language import Usage
from lrat_hub.agents.rollouts import RolloutProgress, journaled_runs, run_shown
from lrat_hub.schema import Step
from tests.agents.test_runner import DOCUMENTS, QUESTIONS, Lister, Scripted
from tests.builders import answer, browse, search, trajectory


def test_progress_says_what_was_done_how_fast_and_what_went_wrong():
    now = [100.0]
    usage = Usage(completion_tokens=500)
    usage.errors["HTTP 500"] += 2
    progress = RolloutProgress(usage, clock=lambda: now[0])
    now[0] += 10
    for step in (search("a", "d"), browse("d"), Step(2, "", "invalid", error="no such document")):
        progress.step(step)
    assert str(progress).startswith("2 steps, ")  # nothing is said of answers before one can be right
    done = trajectory(search("a", "d"), answer())
    progress.run(replace(done, gold_answer="Paris", final_answer="It is Paris."))
    progress.run(replace(done, gold_answer="Paris", final_answer="Lyon", status="limited"))
    progress.run(replace(done, status="failed"))
    assert progress.runs == 3
    assert str(progress) == (
        "1 of 2 correct, 2 steps, 50 tokens/s, 0.1 searches/s, 2 HTTP 500, 1 failed, 1 invalid calls, 1 limited"
    )


@pytest.mark.parametrize("shown", [True, False])
def test_a_bar_shows_every_step_while_no_run_has_ended(tmp_path, monkeypatch, capsys, shown):
    monkeypatch.setattr("tqdm.tqdm", partial(tqdm.tqdm, mininterval=0))
    agent = Scripted(lambda _: [*(Search("", (text,)) for text in "abc"), Answer("", "it")])
    environment = SearchEnvironment(Lister(), DOCUMENTS)
    questions = QUESTIONS[:2]
    if shown:
        with Journal(tmp_path / "runs", {}) as journal:
            asyncio.run(run_shown(agent, questions, environment, journal, RolloutProgress(), concurrency=2))
    else:
        journaled_runs(agent, questions, environment, tmp_path, max_turns=9, inputs={})
    bars = re.split(r"[\r\n]+", capsys.readouterr().err)
    before = [re.search(r"(\d+) steps", bar)[1] for bar in bars if " 0/2 " in bar and "steps" in bar]
    assert before == ["1", "2", "3", "4", "5", "6"]
