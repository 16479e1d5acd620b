"""Plug-ins that are wrong in every way: one line says what is, and nothing of theirs gets into records."""

from __future__ import annotations

import asyncio
import json

import pytest

from lrat_hub import Document, Hit, SearchEnvironment, run_agents
from lrat_hub.agents import Answer, Browse, Question, Search
from lrat_hub.agents.rollouts import PluginAgent
from lrat_hub.errors import LratError
from lrat_hub.judges.answers import PluginAnswerJudge
from lrat_hub.judges.documents import PluginJudge
from lrat_hub.plugins import load_object, load_plugin
from lrat_hub.retrieval.fusion import PluginRetriever
from lrat_hub.retrieval.remote import RemoteRetriever

DOCUMENTS = {"1": Document("1", "Sea", "Water with salt."), "2": Document("2", "Sky", "Air with clouds.")}


class Retriever:
    name, revision = "mine", None

    def __init__(self, results):
        self.results = results

    def search(self, queries, k):
        if isinstance(self.results, BaseException):
            raise self.results
        return self.results


RESULTS = {
    "raises": (RuntimeError("boom\nagain"), "its search failed; RuntimeError: boom again"),
    "exits": (SystemExit(0), "its search failed; SystemExit: 0"),
    "none": (None, "its search failed; TypeError"),
    "too few lists": ([], "expected 1 result lists, found 0"),
    "too many lists": ([[], []], "expected 1 result lists, found 2"),
    "too many hits": ([[Hit("1", 2.0, 1), Hit("2", 1.0, 2)]], "expected at most 1 hits, found 2"),
    "no hits but texts": (["1"], "expected hits with a docid and a score, found '1'"),
    "no score": ([[Hit("1", None, 1)]], "expected hits with a docid and a score"),
    "a word as score": ([[Hit("1", "high", 1)]], "expected hits with a docid and a score"),
    "not a number": ([[Hit("1", float("nan"), 1)]], "expected finite scores, found nan for '1'"),
    "a number as docid": ([[Hit(1, 1.0, 1)]], "expected documents of the corpus, found 1"),
    "another corpus": ([[Hit("3", 1.0, 1)]], "expected documents of the corpus, found '3'"),
}


@pytest.mark.parametrize(("results", "message"), RESULTS.values(), ids=RESULTS)
def test_what_a_retriever_gives_is_checked(results, message):
    retriever = PluginRetriever(Retriever(results), "m:r", DOCUMENTS)
    with pytest.raises(LratError, match=r"^Retriever mine: ") as refused:
        retriever.search(["salt"], 1)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_document_that_is_listed_twice_is_refused():
    retriever = PluginRetriever(Retriever([[Hit("1", 2.0, 1), Hit("1", 1.0, 2)]]), "m:r", DOCUMENTS)
    with pytest.raises(LratError, match="each document once"):
        retriever.search(["salt"], 2)


def test_what_a_plug_in_lacks_has_a_default_and_what_is_of_another_type_is_refused():
    unnamed = Retriever([[Hit("2", 1, 7)]])
    unnamed.name = None
    retriever = PluginRetriever(unnamed, "m:r", DOCUMENTS)
    assert (retriever.name, retriever.search(["x"], 5)) == ("m:r", [[Hit("2", 1.0, 1)]])
    unnamed.revision = 5
    with pytest.raises(LratError, match="expected its `revision` as str, found int"):
        PluginRetriever(unnamed, "m:r", DOCUMENTS)


class Judge:
    name = None

    def __init__(self, verdicts):
        self.verdicts = verdicts

    def judge(self, pairs):
        if isinstance(self.verdicts, BaseException):
            raise self.verdicts
        return self.verdicts


@pytest.mark.parametrize("verdicts", [ValueError("no"), SystemExit(3), None, 3], ids=repr)
def test_a_judge_that_fails_is_one_line(verdicts):
    with pytest.raises(LratError, match=r"^Judge m:j: it failed; "):
        PluginJudge(Judge(verdicts), "m:j").judge([])
    with pytest.raises(LratError, match=r"^Judge m:j: it failed; "):
        PluginAnswerJudge(Judge(verdicts), "m:j").judge([("q", "gold", "answer")])


CALLS = {
    "nothing": (None, "expected a Search, Browse, Answer or Invalid, found NoneType"),
    "one text as queries": (Search("r", "salt"), "expected the queries of a Search as a tuple of texts, found 'salt'"),
    "numbers as queries": (Search("r", (5,)), "expected the queries of a Search as a tuple of texts"),
    "no queries": (Search("r", None), "TypeError"),
    "a number as docid": (Browse("r", 3), "expected the docid of a Browse as a text, found 3"),
    "a number as answer": (Answer("r", 42), "expected the text of a Answer as a text, found 42"),
    "a number as reasoning": (Browse(3, "1"), "expected the reasoning of a Browse as a text, found 3"),
    "exit": (SystemExit(4), "SystemExit: 4"),
}


@pytest.mark.parametrize(("call", "message"), CALLS.values(), ids=CALLS)
def test_a_call_that_is_none_costs_its_own_question_only(call, message):
    class Agent:
        notes = None

        def start(self, question):
            self.question = question
            return self

        async def act(self, observation):
            await asyncio.sleep(0)
            if self.question == "good":
                return Answer("r", "salt")
            if isinstance(call, BaseException):
                raise call
            return call

    environment = SearchEnvironment(checked_retriever(), DOCUMENTS)
    questions = [Question("bad", "bad"), Question("good", "good")]
    # Each question has an agent of its own, as `start` gives the agent itself here.
    bad, good = (run_agents(PluginAgent(Agent(), "m:a"), [question], environment)[0] for question in questions)
    assert (bad.status, good.status) == ("failed", "completed")
    assert message in json.loads(bad.metadata)["error"]


def checked_retriever():
    return PluginRetriever(Retriever([[Hit("1", 1.0, 1)]]), "m:r", DOCUMENTS)


def test_notes_that_json_can_not_hold_are_said_and_left_out():
    class Agent:
        def start(self, question):
            self.notes = {"place": object()}
            return self

        async def act(self, observation):
            return Answer("r", "salt")

    environment = SearchEnvironment(checked_retriever(), DOCUMENTS)
    (run,) = run_agents(PluginAgent(Agent(), "m:a"), [Question("q", "good")], environment)
    assert "not JSON serializable" in json.loads(run.metadata)["notes_error"]


def test_code_that_ends_the_process_or_raises_is_a_line_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "leaving.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "raising.py").write_text("def build(documents):\n    raise KeyError('a\\nb')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(LratError, match=r"^Plug-in leaving:build: its module can't be imported; SystemExit: 0$"):
        load_object("leaving:build")
    with pytest.raises(LratError, match=r"^Plug-in sys:exit: it can't be made a judge; SystemExit"):
        load_plugin("sys:exit", "judge", ["judge"])
    with pytest.raises(LratError, match="it can't be made a retriever; KeyError: "):
        load_plugin("raising:build", "retriever", ["search"], DOCUMENTS)
    with pytest.raises(LratError, match="it can't be made a retriever; TypeError: "):
        load_plugin("os.path:join", "retriever", ["search"])


@pytest.mark.parametrize("url", ["http://[::1", "http://", "https:///search"])
def test_an_address_without_a_host_is_refused(url):
    with pytest.raises(LratError, match="expected the URL of a served retriever"):
        RemoteRetriever(url)
