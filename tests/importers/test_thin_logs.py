"""Runs that open few documents or none: what they can't give is said before anybody mines them."""

import json

import pytest

from lrat_hub import cli, mine_pairs
from lrat_hub.errors import LratError
from lrat_hub.importers import Accounts, read_trajectories
from lrat_hub.importers.concerns import concerns
from lrat_hub.importers.summary import Summary
from lrat_hub.mining.pipeline import opens_of
from lrat_hub.mining.weights import Weighting
from lrat_hub.schema import OUTCOMES, STATUSES
from lrat_hub.walk.opens import Opens
from tests.importers.test_look import LISTED, call, conversation, shown
from tests.importers.test_public_logs import CASES, LOGS, read

SEARCH_R1 = LOGS / "search_r1_messages" / "rollouts.jsonl"


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """Pages in lines that are not broken, whatever the terminal."""
    monkeypatch.setenv("COLUMNS", "400")


@pytest.mark.parametrize("name", CASES)
def test_pairs_before_a_judge_are_those_that_mining_finds(name):
    runs, _ = read(name)
    opens = Opens()
    for run in runs:
        opens.count(run.steps)
    mined = mine_pairs(runs, outcomes=OUTCOMES, statuses=STATUSES, weighting=Weighting("uniform"))
    assert opens.pairs == len(mined.pairs)
    assert opens.opened == len({(pair.trajectory_id, pair.search_turn) for pair in mined.pairs})
    assert opens_of(mined.ledger) == opens


def run(number, *, opens):
    searches = []
    for n in range(10):
        searches += [call("search", f"{n}", query=f"query {n}"), shown(f"{n}", LISTED)]
    browse = [call("get_document", "b", docid="7"), shown("b", "A page of some length. " * 9)] if opens else []
    return conversation(*searches, *browse, question=f"Question {number}?")


def warnings(path, *runs):
    path.write_text("\n".join(map(json.dumps, runs)))
    accounts, summary = Accounts(), Summary()
    for trajectory in read_trajectories(path, accounts):
        summary.count(trajectory)
    return [text for text in concerns(summary, accounts) if "few pairs" in text]


def test_runs_that_open_far_less_than_usual_are_a_warning_with_the_share(tmp_path):
    (warning,) = warnings(tmp_path / "runs.jsonl", *(run(n, opens=n == 0) for n in range(5)))
    assert "1 of 50 searches (2%) led to an opened document; 1 pair before a judge, 0.2 a run" in warning
    assert not warnings(tmp_path / "runs.jsonl", *(run(n, opens=True) for n in range(5)))
    assert not warnings(tmp_path / "runs.jsonl", *(run(n, opens=n == 0) for n in range(4))), "too few to say"


def test_a_look_says_the_share_and_that_mining_keeps_none(tmp_path, capsys):
    path = tmp_path / "runs.jsonl"
    path.write_text("\n".join(json.dumps({**run(n, opens=True), "correct": False}) for n in range(2)))
    cli.run(["import", str(path), "--look"])
    page = " ".join(capsys.readouterr().out.split())
    assert "2 of 20 searches (10%) led to an opened document; 2 pairs before a judge, 1 a run" in page
    assert "mining keeps none of 2 pairs with its defaults: 2 trajectories left out, outcome incorrect" in page


def test_runs_whose_tools_open_nothing_are_no_matter_of_a_mapping(capsys):
    cli.run(["import", str(SEARCH_R1), "--look"])
    page = " ".join(capsys.readouterr().out.split())
    assert "no tool of these runs opens a document, so they give no pairs" in page
    assert "no run has a browse" not in page
    assert "lrat eval retrieval" in page


@pytest.mark.slow
def test_what_follows_an_import_without_pairs_is_an_analysis_and_works(hub, capsys):
    assert cli.main(["import", str(SEARCH_R1), "--to", "lrat/search-only"]) == 0
    (command,) = [line for line in capsys.readouterr().out.splitlines() if "next: " in line]
    assert "lrat mine" not in command
    words = command.partition("next: lrat ")[2].split()
    cli.run(words)
    with pytest.raises(LratError, match="there were no browses"):
        cli.run(["mine", "--trajectories", words[2], "--to", "lrat/search-only-pairs"])


def told(path, *runs):
    path.write_text("\n".join(map(json.dumps, runs)))
    accounts, summary = Accounts(), Summary()
    for trajectory in read_trajectories(path, accounts):
        summary.count(trajectory)
    return str(summary.opens), list(concerns(summary, accounts))


def opening(number, docid, *words):
    visit = [call("get_document", "b", docid=docid), shown("b", "A page of some length. " * 9)]
    thought = [{"role": "assistant", "content": "", "reasoning_content": word} for word in words]
    first, last = ([call("search", name, query=name), shown(name, LISTED)] for name in "st")
    return conversation(*first, *visit, *thought, *last, question=f"Question {number}?")


def test_pairs_without_a_word_after_their_document_are_a_warning(tmp_path):
    said, warned = told(tmp_path / "runs.jsonl", *(opening(n, "7") for n in range(5)))
    assert said.endswith("5 pairs before a judge, 1 a run, 5 of them without a word right after the document")
    assert any(
        text.startswith("the agent goes on without a word after the documents of 5 of 5 pairs") for text in warned
    )
    said, warned = told(tmp_path / "runs.jsonl", *(opening(n, "7", "It says so.") for n in range(5)))
    assert said.endswith("1 a run")
    assert not any("without a word" in text for text in warned)


def test_opened_documents_under_other_ids_than_those_listed_are_told_with_an_example(tmp_path):
    _, warned = told(tmp_path / "runs.jsonl", *(opening(n, f"d{n}", "It says so.") for n in range(5)))
    (warning,) = (text for text in warned if "no search before had listed" in text)
    assert warning.startswith(
        "5 documents were opened that no search before had listed, such as: 'd0' was opened, and '7'"
    )
    assert not any("few pairs" in text for text in warned)


def test_gold_answers_that_are_all_the_agents_own_are_a_warning(tmp_path):
    def runs(answer):
        return [{**opening(n, "7", "So."), "answer": answer} for n in range(5)]

    _, warned = told(tmp_path / "runs.jsonl", *runs("Ada"))
    assert any(text.startswith("the gold answers of all 5 runs that have one are word for word") for text in warned)
    _, warned = told(tmp_path / "runs.jsonl", *runs("Eve"))
    assert not any("gold answers" in text for text in warned)
