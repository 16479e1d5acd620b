"""The examples, each run against a served index with a scripted model: their sessions become pairs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("smolagents")

from lrat_hub import load_trajectories, mine_pairs
from lrat_hub.mining.pipeline import SILENT
from tests.chat_server import ChatServer, Script
from tests.serving.conftest import CORPUS
from tests.serving.served import bm25, published_corpus, serving

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
TOLD_BY = {
    "chat_agent": "argument", "mcp_agent": "argument", "langgraph_agent": "traceparent",
    "smolagents_agent": "session header",
}  # fmt: skip


@pytest.fixture(scope="module")
def corpus(hub, tmp_path_factory):
    return published_corpus(tmp_path_factory.mktemp("corpus"))


def test_every_example_is_run():
    # The others have their tests here, in tests/agent_training and in tests/test_notebooks.py.
    others = {"served", "search_r1_tool", "grpo_search_env", "whole_loop"}
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*others, *TOLD_BY}


def test_the_tool_of_search_r1_shows_what_is_served(corpus):
    document = CORPUS[0]
    with serving(*bm25(corpus)) as (_, url):
        words = [
            sys.executable,
            EXAMPLES / "search_r1_tool.py",
            document.title,
            "words",
            "--server",
            url,
            "--topk",
            "2",
        ]
        ran = subprocess.run(words, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    first, second = ran.stdout.strip().split("\n\n<search>")
    assert first.startswith(f"<search>{document.title}</search>\n<information>Doc 1 (Title: ")
    assert document.text in first
    assert second.endswith("</information>")


@pytest.mark.parametrize("name", TOLD_BY)
def test_the_session_of_an_example_becomes_pairs(corpus, tmp_path, name):
    session = "0af7651916cd43dd8448eb211c80319c"
    with ChatServer(Script(protocol="tools")) as model, serving(*bm25(corpus), "--collect", str(tmp_path)) as (_, url):
        known = {"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "none", "LANGSMITH_TRACING": "false"}
        words = [
            EXAMPLES / f"{name}.py",
            *("kabe lodo mifi", "--model", "scripted", "--server", url, "--session", session),
        ]
        ran = subprocess.run([sys.executable, *words], env=os.environ | known, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr[-2000:]
        asked = model.requests
    # The model answers with the title of what it read last.
    assert any(document.title in ran.stdout for document in CORPUS), ran.stdout
    (run,) = load_trajectories(tmp_path)
    assert f'"attributed_by": "{TOLD_BY[name]}"' in run.metadata
    assert (run.query_id, run.question) == (session, "kabe lodo mifi")
    assert run.final_answer in ran.stdout
    assert any(document.title in run.final_answer for document in CORPUS)
    opened = [step.docid for step in run.steps if step.action == "browse"]
    assert len([step for step in run.steps if step.action in ("search", "browse")]) == len(asked) - 1
    result = mine_pairs([run])
    assert [pair.positive_id for pair in result.pairs] == opened != []
    assert all(pair.negative_ids for pair in result.pairs)
    has_reasoning = name in ("chat_agent", "mcp_agent")
    assert all(bool(pair.reasoning_before) == has_reasoning for pair in result.pairs)
    assert result.ledger["pairs"].notes[SILENT] == (0 if has_reasoning else len(opened))
