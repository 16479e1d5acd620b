"""Runs that the frameworks themselves wrote are read.

Each file of `runs/` is the same short run of an agent, which the library in its name played with a scripted model and
wrote down: `atif` 1.8.0, `llama-index-core` 0.14.25, `haystack-ai` 3.4.1, `google-genai` 3.6.1, `google-adk` 2.13.0,
`autogen-agentchat` 0.7.5, `pydantic-ai-slim` 2.68.0, `dspy` 3.4.1, `langchain-core` 1.8.3 with `langgraph` 1.2.24,
`semantic-kernel` 1.45.0, `agent-framework-core` 1.23.0, `strands-agents` 1.62.0, and
`ai` 6.0.326 from npm; `cohere` 7.3.1 wrote its messages.
"""

import json
from pathlib import Path

import pytest

from lrat_hub.importers import Accounts, read_trajectories
from lrat_hub.importers.formats import FORMATS
from lrat_hub.importers.recognition import recognise_format
from lrat_hub.ledger import Ledger

RUNS = Path(__file__).parent / "runs"
QUERY = "Lindqvist astrolabe maker"
FORMAT_OF = {
    "adk": "gemini-session", "atif": "atif", "autogen": "autogen", "dspy": "dspy", "gemini": "gemini",
    "haystack": "haystack", "langchain": "langchain", "langgraph": "langchain", "llamaindex": "llamaindex",
    "agentframework": "microsoft", "semantickernel": "microsoft", "cohere": "cohere", "pydantic": "pydantic-ai",
    "strands": "strands", "vercel": "vercel",
}  # fmt: skip
LISTS_BESIDE_THE_TEXT = (
    "haystack_documents", "langchain_dumpd", "langchain_events", "langchain_to_dict", "langgraph_history",
    "llamaindex_events",
)  # fmt: skip


def names():
    return sorted(path.name for path in RUNS.iterdir())


@pytest.mark.parametrize("name", names())
def test_a_run_is_recognised_as_that_of_one_framework(name):
    assert recognise_format(RUNS / name).format == FORMAT_OF[name.partition(".")[0].partition("_")[0]]


@pytest.mark.parametrize("name", names())
def test_a_run_is_read(name):
    accounts = Accounts()
    (run,) = read_trajectories(RUNS / name, accounts)
    assert run.question == "Which city keeps the Lindqvist astrolabe?"
    assert (run.final_answer, run.gold_answer) == ("Turku", None)
    search, browse, answer = run.steps
    assert (search.action, search.queries, search.error) == ("search", (QUERY,), None)
    assert (browse.action, browse.docid, browse.observation, browse.error) == ("browse", "12", "Words", None)
    assert answer.action == "answer"
    assert search.reasoning == "I should find out who made it."
    assert browse.reasoning == "The page says it went to Turku. Let me make sure."
    for ledger in accounts.ledgers():
        ledger.to_dict()
        assert not ledger.dropped, ledger


@pytest.mark.parametrize("name", [name for name in names() if not name.startswith(LISTS_BESIDE_THE_TEXT)])
def test_a_list_in_the_text_of_a_result_is_read(name):
    (run,) = read_trajectories(RUNS / name, Accounts())
    hits = [(hit.query_index, hit.docid, hit.score, hit.snippet) for hit in run.steps[0].results]
    assert hits == [(0, "11", 9.0, "Words of 11"), (0, "12", 8.0, "Words of 12")]


@pytest.mark.parametrize("name", [name for name in names() if name.startswith(LISTS_BESIDE_THE_TEXT)])
def test_documents_beside_the_text_are_the_list_with_the_id_that_the_agent_saw(name):
    path = RUNS / name
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    value = [json.loads(line) for line in lines]
    value = value if path.suffix == ".jsonl" else value[0]
    (record,) = FORMATS[recognise_format(path).format].convert(value, Ledger("parts"))
    (rows,) = next(message["results"] for message in record["messages"] if "results" in message)
    assert [(row["docid"], row["snippet"]) for row in rows] == [("11", "Words of 11"), ("12", "Words of 12")]
