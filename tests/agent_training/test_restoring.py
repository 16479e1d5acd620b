"""Runs of logs with ids alone show what a rollout would have shown, and only those teach."""

import dataclasses

import pytest

from lrat_hub.agent_training import ConversationSettings, restore_shown, select_runs
from lrat_hub.agents import run_agents
from lrat_hub.agents.showing import ShownDocuments
from lrat_hub.errors import LratError
from lrat_hub.schema import Candidate
from tests.agents.scripted import DOCUMENTS, QUESTIONS, agent, environment
from tests.chat_server import ChatServer, Script

SHOWN = {"snippet_tokens": 3, "browse_tokens": 5}


def as_a_log(run):
    """A run of which a server has collected ids, queries and reasoning."""
    steps = [
        dataclasses.replace(
            step,
            observation="",
            results=tuple(Candidate(hit.query_index, hit.rank, hit.docid, score=hit.score) for hit in step.results),
        )
        for step in run.steps
    ]
    return dataclasses.replace(run, steps=tuple(steps))


@pytest.fixture(scope="module")
def runs():
    with ChatServer(Script(protocol="tongyi")) as server:
        made = run_agents(agent(server.base_url, "tongyi"), QUESTIONS, environment(k=3, **SHOWN), max_turns=20)
    kept = [run for run in made if run.final_answer and not run.num_invalid]
    assert len(kept) > 10
    return [dataclasses.replace(run, correct=True) for run in kept]


def test_a_run_is_restored_to_what_a_rollout_has_recorded(runs):
    shown = ShownDocuments(DOCUMENTS, **SHOWN)
    logs = [as_a_log(run) for run in runs]
    assert all(log != run for log, run in zip(logs, runs, strict=True))
    assert [restore_shown(log, shown, k=3) for log in logs] == runs
    # What is recorded stays, whatever the corpus would show now.
    assert [restore_shown(run, ShownDocuments(DOCUMENTS), k=1) for run in runs] == runs


def test_shorter_lists_leave_out_runs_that_open_what_they_do_not_show(runs):
    shown = ShownDocuments(DOCUMENTS, **SHOWN)
    settings = ConversationSettings(protocol="tongyi")
    logs = [as_a_log(run) for run in runs]
    whole, cut = (select_runs(logs, settings, shown=shown, k=k) for k in (3, 1))
    assert whole.conversations == select_runs(runs, settings).conversations
    assert whole.ledger.to_dict()["notes"] == {"results restored from the corpus": len(runs)}
    firsts = [
        run for run in runs
        if {step.docid for step in run.steps if step.docid}
        <= {hit.docid for step in run.steps for hit in step.results if hit.rank == 1}
    ]  # fmt: skip
    assert 0 < len(firsts) < len(runs)
    assert [one.trajectory_id for one in cut.conversations] == [run.trajectory_id for run in firsts]
    assert cut.ledger.dropped == {"it opens a document that no list shows": len(runs) - len(firsts)}
    assert select_runs(logs, settings).ledger.dropped == {"what the agent was shown is not recorded": len(runs)}


def test_a_document_that_the_corpus_lacks_is_not_made_up(runs):
    listed = next(hit.docid for step in runs[0].steps for hit in step.results)
    documents = {docid: document for docid, document in DOCUMENTS.items() if docid != listed}
    with pytest.raises(LratError, match="the corpus lacks a document that it was shown"):
        restore_shown(as_a_log(runs[0]), ShownDocuments(documents), k=3)
