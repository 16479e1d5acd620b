"""Trajectories that were saved as files come back as they were."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from datasets import Dataset

from lrat_hub.importers import load_trajectories, read_trajectories
from lrat_hub.importers.accounts import Accounts
from lrat_hub.schema import Candidate, Sampling, Step, Trajectory, trajectory_features

RUN = Trajectory(
    "r/1", "q 1", "Who keeps the lamp?",
    (
        Step(0, "I look twice.", "search", ("lamp", "keeper"),
             (Candidate(0, 1, "d1", "T", "s", 1.5), Candidate(1, 1, "d2")), observation="found"),
        Step(1, None, "browse", docid="d1", observation="A lamp.", search_turn=0),
        Step(2, "No such thing.", "invalid", error="unknown tool: 'dance'"),
        Step(3, "So it is Ada.", "answer", observation="final"),
    ),
    gold_answer="Ada", final_answer="Ada", status="limited", correct=True, agent="a", agent_revision="b" * 40,
    retriever="bm25", sampling=Sampling(0.5, seed=3), metadata='{"source": "x"}',
)  # fmt: skip
HIDDEN = replace(RUN, trajectory_id="r/2", metadata='{"obfuscated_with": "canary", "asked": "lamp"}')


@pytest.mark.parametrize("suffix", ["json", "parquet"])
def test_rows_of_a_saved_dataset_are_the_runs_that_they_were(tmp_path, suffix):
    rows = Dataset.from_list([RUN.to_dict(), HIDDEN.to_dict()], features=trajectory_features())
    path = tmp_path / f"runs.{suffix}"
    rows.to_json(path) if suffix == "json" else rows.to_parquet(path)
    if suffix == "json":
        assert "Who keeps" in path.read_text().splitlines()[0]
        assert "Who keeps" not in path.read_text().splitlines()[1]
    assert list(load_trajectories(path, strict=True)) == [RUN, HIDDEN]


def test_what_cannot_be_read_of_a_row_is_counted_and_the_rest_kept(tmp_path):
    row = json.loads(json.dumps(RUN.to_dict()))
    row["steps"][0]["results"][0]["query_index"] = 7
    row["status"] = "done"
    hidden = json.loads(json.dumps(HIDDEN.to_dict())) | {"question": "not obfuscated"}
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(json.dumps(value) + "\n" for value in (row, hidden, {**row, "steps": None})))
    accounts = Accounts()
    (run,) = read_trajectories(path, accounts)
    assert [step.action for step in run.steps] == ["invalid", "browse", "invalid", "answer"]
    assert run.status == "completed"
    assert accounts.records.dropped.total() == 2
    assert accounts.steps.dropped == {"step can't be read": 1}
