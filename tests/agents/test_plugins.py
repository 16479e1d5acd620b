"""Agents and judges of one's own, named as module:object: the documentation's examples, run as they stand there."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from lrat_hub import HubRef, cli, load_trajectories
from lrat_hub.agents import Question, SearchEnvironment, run_agents
from lrat_hub.agents.rollouts import load_agent
from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import read_lineage
from lrat_hub.judges.answers import PluginAnswerJudge
from lrat_hub.judges.documents import PluginJudge
from tests.agents.scripted import DOCUMENTS, Spread

PAGE = Path(__file__).parents[2] / "docs" / "rollouts.md"


def example(name: str) -> str:
    """The block of the documentation that begins with the name of its file."""
    (block,) = [
        text for text in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S) if text.startswith(f"# {name}\n")
    ]
    return block


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """The documentation's files in the current directory, forgotten afterwards."""
    for name in ("my_agent.py", "my_judges.py"):
        (tmp_path / name).write_text(example(name))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("my_agent", "my_judges", "other_agent"):
        sys.modules.pop(name, None)


def test_an_agent_needs_no_more_than_start_and_is_called_by_what_names_it(plugins):
    (plugins / "other_agent.py").write_text(
        "from lrat_hub.agents import Answer\n"
        "class Episode:\n"
        "    async def act(self, observation):\n"
        "        return Answer('so', 'it')\n"
        "class Agent:\n"
        "    def start(self, question):\n"
        "        return Episode()\n"
        "agent = Agent()\n"
        "nothing = 3\n"
    )
    for name in ("other_agent:agent", "other_agent:Agent"):
        agent = load_agent(name, {})
        assert (agent.name, agent.revision, dict(agent.settings)) == (name, None, {})
        (run,) = run_agents(agent, [Question("1", "what?")], SearchEnvironment(Spread(), DOCUMENTS))
        assert (run.final_answer, run.agent, run.status) == ("it", name, "completed")
    with pytest.raises(LratError, match="expected a search agent, or a class or function that makes one; found int"):
        load_agent("other_agent:nothing", {})


def test_an_agent_that_wants_the_documents_gets_them(plugins):
    assert load_agent("lrat_hub.demo.natural:NaturalReader", {}).name == "reader"
    (plugins / "other_agent.py").write_text(
        "class Agent:\n"
        "    def __init__(self, documents):\n"
        "        self.settings = {'documents': len(documents)}\n"
        "    def start(self, question): ...\n"
    )
    assert load_agent("other_agent:Agent", DOCUMENTS).settings == {"documents": len(DOCUMENTS)}


@pytest.mark.parametrize(("verdicts", "found"), [(["relevant"], "found 1"), (["yes", "relevant"], "found 'yes'")])
def test_verdicts_of_a_judge_are_checked(verdicts, found):
    class Judge:
        def judge(self, cases):
            return verdicts

    with pytest.raises(LratError, match=f"expected 2 verdicts out of relevant, irrelevant, unjudged, {found}"):
        PluginJudge(Judge(), "mine:Judge").judge([None, None])
    with pytest.raises(LratError, match="expected 2 verdicts out of correct, incorrect, unjudged"):
        PluginAnswerJudge(Judge(), "mine:Judge").judge([("q", "a", "b"), ("q", "a", "c")])


@pytest.mark.slow
def test_the_documentations_agent_and_judges_run_from_the_command_line(hub, plugins):
    rows = [json.dumps({"docid": d.docid, "title": d.title, "text": d.text}) for d in DOCUMENTS.values()]
    (plugins / "documents.jsonl").write_text("\n".join(rows))
    (plugins / "queries.tsv").write_text(
        "".join(f"q{n}\twhat says the document {n}?\tTitle {n}\n" for n in range(20, 24))
    )
    files = ["--documents", str(plugins / "documents.jsonl"), "--queries", str(plugins / "queries.tsv")]
    corpus = str(cli.run(["corpus", *files, "--to", "lrat/plugin-things"]))
    inputs = ["--corpus", corpus, "--queries", corpus, "--journal", str(plugins / "journal")]
    ref = cli.run(
        [
            "rollout",
            "--agent",
            "my_agent:TwoStep",
            "--answer_judge",
            "my_judges:Lenient",
            *inputs,
            "--to",
            "lrat/plugin-runs",
        ]
    )
    runs = list(load_trajectories(ref))
    assert [[step.action for step in run.steps] for run in runs] == [["search", "browse", "answer"]] * 4
    assert {run.agent for run in runs} == {"two-step"}
    assert {json.loads(run.metadata)["judge"]["by"] for run in runs} == {"my_judges:Lenient"}
    assert all(run.correct is not None for run in runs)
    lineage = read_lineage(ref)
    assert lineage.inputs["agent"].startswith("my_agent:TwoStep (plug-in, unpinned, sha256:")
    assert lineage.inputs["judge"].startswith("my_judges:Lenient (plug-in")
    pairs = cli.run(["mine", "--trajectories", str(ref), "--corpus", corpus, "--judge", "my_judges:LongNotes",
                     "--outcomes", "correct", "incorrect", "--to", "lrat/plugin-pairs"])  # fmt: skip
    from datasets import load_dataset

    mined = load_dataset(pairs.repo_id, "pairs", revision=pairs.revision, split="train")
    assert set(mined["judge"]) == {"my_judges:LongNotes"}
    evaluated = cli.run(["eval", "agents", "--agents", "my_agent:TwoStep", "--retrievers", "bm25", "--answer_judge",
                         "my_judges:Lenient", *inputs, "--to", "lrat/plugin-evaluated"])[0]  # fmt: skip
    assert isinstance(evaluated, HubRef)
    with pytest.raises(LratError, match="expected llm, reader or module:object, found 'writer'"):
        cli.run(["rollout", "--agent", "writer", *inputs, "--to", "lrat/plugin-runs"])
