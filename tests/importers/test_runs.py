"""Runs that list their steps, as BrowseComp-Plus's clients and AgentIR write them, and memories of smolagents."""

import json
from pathlib import Path

import pytest

from lrat_hub.importers import Accounts, check_import, read_trajectories
from lrat_hub.importers.formats import FORMATS
from lrat_hub.importers.reading import trajectories_of
from lrat_hub.importers.recognition import recognise_format
from lrat_hub.importers.sources.records import Record

MEMORIES = Path(__file__).parent / "converters" / "memories" / "smolagents.json"
ROWS = json.dumps([{"docid": 7, "score": 1.5, "snippet": "Stones."}, {"docid": 8, "score": 1.0, "snippet": "Sails."}])


def item(kind, output, name=None, arguments=None, **more):
    return {"type": kind, "tool_name": name, "arguments": arguments, "output": output, **more}


def read(value, known="browsecomp-plus", name="runs/a"):
    accounts = Accounts()
    (run,) = trajectories_of(Record(name, None, value), FORMATS[known], accounts)
    for ledger in accounts.ledgers():
        ledger.to_dict()
    return run, accounts


def run_of(*items, **more):
    return {"metadata": {"model": "m"}, "query_id": 3, "status": "completed", "result": list(items), **more}


SEARCH = item("tool_call", ROWS, "search", '{"query": "old mill"}')


@pytest.mark.parametrize(
    ("output", "reasoning"),
    [
        ([{"type": "summary_text", "text": "One."}, {"type": "summary_text", "text": "Two."}], "One.\nTwo."),
        (["One.", "Two."], "One.\nTwo."), ("One.", "One."), ([], ""), (None, ""),
        ({"type": "summary_text", "text": "One."}, "One."),
    ],
)  # fmt: skip
def test_reasoning_is_a_text_whatever_a_client_writes(output, reasoning):
    run, accounts = read(run_of(item("reasoning", output), SEARCH))
    assert run.steps[0].reasoning == reasoning
    assert accounts.num_lost == 0


def test_of_the_texts_of_a_model_the_last_is_the_answer():
    run, _ = read(
        run_of(
            item("output_text", "I search."), SEARCH, item("output_text", "I open."),
            item("tool_call", "Stones.", "get_document", {"docid": "7"}), item("output_text", "So:"),
            item("output_text", "1790"),
        )
    )  # fmt: skip
    assert [(step.action, step.reasoning) for step in run.steps] == [
        ("search", "I search."), ("browse", "I open."), ("answer", "So:"),
    ]  # fmt: skip
    assert (run.final_answer, run.status, run.query_id) == ("1790", "completed", "3")


def test_a_call_that_nothing_answered_failed_and_a_result_without_a_call_is_counted():
    run, accounts = read(
        run_of(SEARCH, item("tool_call", None, "get_document", {"docid": "7"}), item("tool_call", "Stones."))
    )
    assert [(step.action, step.error is not None) for step in run.steps] == [("search", False), ("browse", True)]
    assert accounts.parts.lost == {"tool results without a call": 1}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("completed", "completed"), ("incomplete", "limited"), ("max_tokens", "limited"), ("MAX_TOKENS", "limited"),
        ("length", "limited"), ("exceed available llm calls", "limited"), ("tool_calls", "failed"),
        ("generate an answer as token limit reached", "limited"), ("answer not found", "failed"),
        ("format error: generate an answer as token limit reached", "failed"), ("refusal", "failed"), ("?", "failed"),
        ("No answer found after 2h30mins", "failed"),
    ],
)  # fmt: skip
def test_statuses_are_those_of_the_clients(status, expected):
    run, _ = read(run_of(SEARCH, item("output_text", "1790"), status=status))
    assert run.status == expected


def test_passages_with_titles_alone_are_called_by_them():
    run, _ = read(
        run_of(item("tool_call", 'Doc 1(Title: "Mill") a\nDoc 2(Title: Wind) b\n', "search", {"query": "q"}))
    )
    assert [(hit.docid, hit.snippet) for hit in run.steps[0].results] == [("Mill", "a"), ("Wind", "b")]


def agentir(*items):
    return {
        "agent": {"model": "Org/agent-7b", "temperature": 0.6}, "query": "When was the mill built?", "query_id": "3",
        "searcher": {"searcher_type": "faiss", "model_name": "Org/retriever-4b"}, "status": "completed",
        "result": list(items),
    }  # fmt: skip


def test_documents_of_agentir_come_from_its_docids():
    listing = "A search for 'old mill' found 2 results:\n\n## Web Results\n1. [Mill]\nStones.\n\n2. [Wind]\nSails."
    value = agentir(
        item("tool_call", listing, "search", '{"query": "old mill"}', success=True, docids=["11", 12]),
        item("tool_call", "[Search] Invalid", "search", '{"query": ["a", "b"]}', success=False, docids=None),
        item(
            "tool_call", "The useful information ...", "visit", {"url": ["https://a.org"]}, success=True, docids=["12"]
        ),
        item("tool_call", "none", "visit", {"url": "https://b.org"}, success=False, error="no goal"),
        item("output_text", "1790"),
    )
    assert FORMATS["agentir"].special_case_of == "browsecomp-plus"
    run, _ = read(value, "agentir")
    assert [(hit.docid, hit.title, hit.snippet) for hit in run.steps[0].results] == [
        ("11", "Mill", "Stones."), ("12", "Wind", "Sails."),
    ]  # fmt: skip
    assert [(step.action, step.docid, step.error is not None) for step in run.steps[1:4]] == [
        ("search", None, True), ("browse", "12", False), ("browse", "https://b.org", True),
    ]  # fmt: skip
    assert (run.agent, run.retriever, run.sampling.temperature) == ("agent-7b", "faiss / retriever-4b", 0.6)


def test_runs_that_count_their_calls_and_list_none_are_imported_and_counted(tmp_path):
    value = run_of(item("output_text", "1790"), tool_call_counts={"search": 4}, retrieved_docids=["7"])
    (tmp_path / "run.json").write_text(json.dumps(value))
    accounts = Accounts()
    (run,) = read_trajectories(tmp_path / "run.json", accounts)
    assert json.loads(run.metadata)["retrieved_docids"] == ["7"]
    assert accounts.records.lost == {"runs whose log counts their calls and lists none": 1}
    assert accounts.calls.notes == {"calls that runs count and do not list": 4}
    check_import(tmp_path, accounts, strict=False)


def memory(folder, name):
    """A memory that smolagents 1.26 wrote, as a file, and what it is read as."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(json.loads(MEMORIES.read_text(encoding="utf-8"))[name]))
    assert recognise_format(path).format == "smolagents"
    accounts = Accounts()
    return list(read_trajectories(path, accounts)), accounts


def test_each_task_of_a_memory_is_a_run(tmp_path):
    (first, second), accounts = memory(tmp_path, "two")
    assert [run.question for run in (first, second)] == ["Which city?", "Second question?"]
    assert [run.final_answer for run in (first, second)] == ["Turku", "Two"]
    # The query stands in a variable; the loop can't be read; the third search raised an error.
    assert [(step.action, step.queries, len(step.results), step.error is not None) for step in first.steps] == [
        ("search", ("turku castle",), 2, False), ("invalid", (), 0, True), ("browse", (), 0, False),
        ("search", ("boom",), 0, True), ("answer", (), 0, False),
    ]  # fmt: skip
    assert [step.queries for step in second.steps] == [("second",), ()]
    assert accounts.steps.dropped == {"code calls web_search without literal arguments": 1}


def test_searches_in_one_step_share_their_observation_and_stay_empty(tmp_path):
    (run,), accounts = memory(tmp_path, "tool")
    assert [(step.action, step.queries, len(step.results)) for step in run.steps[:3]] == [
        ("search", ("turku",), 2), ("search", ("x",), 0), ("search", ("y",), 0),
    ]  # fmt: skip
    assert accounts.lists.num_dropped == 2


def test_the_end_at_a_limit_is_no_lost_call(tmp_path):
    (run,), accounts = memory(tmp_path, "max")
    assert (run.status, run.final_answer) == ("limited", "the end")
    assert accounts.num_lost == 0


def browser_log(query, topn, num_results):
    page = "[0] a | b (web-search://ts=1)\n" + "\n".join(
        f"L{number}: * 【{number}†Page {number}†https://a.org/{number}】 words" for number in range(num_results)
    )
    arguments = {"query": query} | ({"topn": topn} if topn else {})
    call = {"id": "0", "type": "function", "function": {"name": "browser.search", "arguments": arguments}}
    opened = {"id": "1", "type": "function", "function": {"name": "browser.open", "arguments": {"id": 1}}}
    failure = "An unexpected error occurred while executing function 'open': x"
    return {"qid": 3, "status": "success", "messages": [
        {"role": "user", "content": "Q?"}, {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "0", "content": page},
        {"role": "assistant", "content": "", "tool_calls": [opened]},
        {"role": "tool", "tool_call_id": "1", "content": failure},
        {"role": "assistant", "content": "A."},
    ]}  # fmt: skip


def test_lists_that_a_browser_puts_into_one_are_divided_where_each_query_has_its_full_share():
    run, accounts = read(browser_log(["a", "b"], 2, 4), "openresearcher")
    assert [(hit.query_index, hit.rank, hit.docid[-1]) for hit in run.steps[0].results] == [
        (0, 1, "0"), (0, 2, "1"), (1, 1, "2"), (1, 2, "3"),
    ]  # fmt: skip
    assert accounts.lists.kept == 2
    run, accounts = read(browser_log(["a", "b"], None, 4), "openresearcher")
    assert run.steps[0].results == ()
    assert accounts.lists.num_dropped == 2
    assert (run.steps[1].action, run.steps[1].error is not None) == ("browse", True)
