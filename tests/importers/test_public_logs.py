"""Logs in formats of others give what a reader of them would expect.

Each folder of `logs/` has an input in the shape of a public source (`source.md` names it), perhaps a mapping file,
and `expected.json`: the question, answers, verdict and status; the searches and browses with their queries, the ids of
each query's list, the document and the reasoning before; and the pairs that mining finds. What is null or absent there
is not checked.
"""

import json
from pathlib import Path

import pytest

from lrat_hub import mine_pairs
from lrat_hub.importers import Accounts, check_import, load_mapping, read_trajectories
from lrat_hub.mining.weights import Weighting

LOGS = Path(__file__).parent / "logs"
CASES = sorted(folder.name for folder in LOGS.iterdir())
ARGUED = {"open_deep_research"}
"""Several queries share one list without repetitions, which `expected.json` has under the first of them."""

DESCRIPTIONS = {"expected.json", "source.md", "mapping.yaml"}


def read(name):
    """The trajectories of a case, and its accounts."""
    (source,) = [path for path in (LOGS / name).iterdir() if path.name not in DESCRIPTIONS]
    mapping = LOGS / name / "mapping.yaml"
    accounts = Accounts()
    runs = list(read_trajectories(source, accounts, mapping=load_mapping(mapping) if mapping.exists() else None))
    check_import(source, accounts, strict=False)
    return runs, accounts


def lists_of(step):
    """The ids of each query's list."""
    return [
        [hit.docid for hit in step.results if hit.query_index == index] for index in range(len(step.queries))
    ]  # fmt: skip


def shown(step, expected):
    """A step in the words of what is expected."""
    values = {"action": step.action, "queries": list(step.queries), "results": lists_of(step), "docid": step.docid}
    values |= {"failed": step.error is not None, "reasoning": step.reasoning}
    return {key: values[key] for key in expected}


@pytest.mark.parametrize("name", [name for name in CASES if name not in ARGUED])
def test_a_log_is_read_as_expected(name):
    expected = json.loads((LOGS / name / "expected.json").read_text(encoding="utf-8"))
    runs, accounts = read(name)
    assert len(runs) == len(expected["trajectories"])
    for run, wanted in zip(runs, expected["trajectories"], strict=True):
        columns = {
            "question": run.question, "answer": run.final_answer, "gold_answer": run.gold_answer,
            "correct": run.correct, "status": run.status,
        }  # fmt: skip
        wanted_columns = {key: value for key, value in wanted.items() if key != "steps" and value is not None}
        assert {key: columns[key] for key in wanted_columns} == wanted_columns
        steps = [step for step in run.steps if step.action in ("search", "browse")]
        assert len(steps) == len(wanted["steps"])
        assert [shown(step, want) for step, want in zip(steps, wanted["steps"], strict=True)] == wanted["steps"]
        for step, want in zip(steps, wanted["steps"], strict=True):
            assert step.action != "browse" or (step.error is not None) == want.get("failed", False)
    if (wanted_pairs := expected.get("pairs")) is not None:
        # Most of the logs end right after a browse, so that there is no reasoning to weigh a pair by.
        pairs = mine_pairs(runs, weighting=Weighting("uniform")).pairs
        assert [(pair.query, pair.positive_id) for pair in pairs] == [
            (pair["query"], pair["positive"]) for pair in wanted_pairs
        ]
        for pair, want in zip(pairs, wanted_pairs, strict=True):
            assert want.get("negatives") is None or list(pair.negative_ids) == want["negatives"]
    for ledger in accounts.ledgers():
        ledger.to_dict()


def test_a_list_that_several_queries_share_is_left_out_and_counted_unless_the_mapping_says_that_it_is_shared(tmp_path):
    folder = LOGS / "open_deep_research"
    (run,), accounts = read(folder.name)
    search = run.steps[0]
    assert (len(search.queries), search.results) == (2, ())
    assert accounts.lists.dropped == {"lists of several queries that can't be told apart": 2}
    mapping = (
        (folder / "mapping.yaml").read_text(encoding="utf-8").replace("  results: {", "  results: {shared: true, ")
    )
    (tmp_path / "mapping.yaml").write_text(mapping, encoding="utf-8")
    (run,) = read_trajectories(folder / "state.json", Accounts(), mapping=load_mapping(tmp_path / "mapping.yaml"))
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    assert [shown(run.steps[0], want) for want in expected["trajectories"][0]["steps"]] == (
        expected["trajectories"][0]["steps"]
    )
