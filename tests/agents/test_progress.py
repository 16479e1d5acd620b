from __future__ import annotations

from dataclasses import replace

from lrat_hub.agents.language import Usage
from lrat_hub.agents.rollouts import RolloutProgress
from lrat_hub.schema import Step
from tests.builders import answer, browse, search, trajectory


def test_progress_says_what_was_done_how_fast_and_what_went_wrong():
    now = [100.0]
    usage = Usage(completion_tokens=500)
    usage.errors["HTTP 500"] += 2
    progress = RolloutProgress(usage, clock=lambda: now[0])
    now[0] += 10
    for step in (search("a", "d"), browse("d"), Step(2, "", "invalid", error="no such document")):
        progress.step(step)
    done = trajectory(search("a", "d"), answer())
    progress.run(replace(done, gold_answer="Paris", final_answer="It is Paris."))
    progress.run(replace(done, gold_answer="Paris", final_answer="Lyon", status="limited"))
    progress.run(replace(done, status="failed"))
    assert progress.runs == 3
    assert str(progress) == (
        "1 correct, 2 steps, 50 tokens/s, 0.1 searches/s, 2 HTTP 500, 1 failed, 1 invalid calls, 1 limited"
    )
