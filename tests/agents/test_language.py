from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest

from lrat_hub.agents import SearchEnvironment, run_agents
from lrat_hub.agents.calls import CUT_HERE
from lrat_hub.agents.language import LanguageAgent
from lrat_hub.agents.protocols import CUT, AgentPrompt
from lrat_hub.errors import LratError
from lrat_hub.evaluation.agents import evaluate_agents
from lrat_hub.llm.chat import Reply, ToolCall
from lrat_hub.schema import Document, Sampling
from tests.agents.scripted import DOCUMENTS, QUESTIONS, SAMPLING, Spread, agent, environment, errors, notes, timeless
from tests.chat_server import REFUSALS, ChatServer, Script

PROTOCOLS = [
    ("tongyi", "tongyi"),
    ("webexplorer", "webexplorer"),
    ("webexplorer", "agentcpm"),
    ("tools", "tools"),
    ("glm", "tools"),
    ("gpt-oss", "tools"),
    ("json", "json"),
]


class Fixed:
    """A model with a list of replies, the last of which it gives again and again; keeps what it was asked."""

    name, revision = "fixed", None

    def __init__(self, *replies: Reply) -> None:
        self._replies = list(replies)
        self.asked: list[dict] = []

    async def chat(self, messages, **options) -> Reply:
        self.asked.append({"messages": [dict(message) for message in messages], **options})
        return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]


def run_fixed(protocol: str, *replies: Reply, **options):
    model = Fixed(*replies)
    (run,) = run_agents(LanguageAgent(model, protocol, **options), QUESTIONS[:1], environment(), max_turns=12)
    return run, model


def tagged(text: str, **fields) -> Reply:
    return Reply(f"{text}</think>", **fields)


@pytest.mark.parametrize(("served", "protocol"), PROTOCOLS)
def test_every_model_s_own_format_runs_to_its_answer(served, protocol):
    with ChatServer(Script(protocol=served)) as server:
        runs = run_agents(agent(server.base_url, protocol), QUESTIONS, environment(), max_turns=20)
    assert {run.status for run in runs} == {"completed"}
    assert not errors(runs)
    for run in runs:
        assert run.count("search") >= 1
        assert run.count("browse") >= 1
        assert run.final_answer.startswith("Title")
        # What was read last is what the answer's reasoning is about: mining takes it from here.
        assert all(step.reasoning.startswith(("The question is", "I have read")) for step in run.steps)
        assert "<" not in "".join(step.reasoning for step in run.steps)
    requests = [request for request in server.requests if request["messages"][-1]["role"] != "system"]
    assert sum(notes(run)["requests"] for run in runs) == len(requests)


def test_a_run_notes_the_seconds_it_took_where_the_evaluation_reads_them():
    with ChatServer(Script(protocol="json", delay=0.05)) as server:
        runs = run_agents(agent(server.base_url, "json"), QUESTIONS[:4], environment(), max_turns=20)
    seconds = evaluate_agents(runs, [run.query_id for run in runs]).values("seconds")
    assert all(seconds[run.query_id] >= 0.05 * notes(run)["requests"] for run in runs)


@pytest.mark.parametrize(("served", "protocol"), PROTOCOLS)
def test_malformed_calls_cost_themselves_and_the_run_goes_on(served, protocol):
    with ChatServer(Script(protocol=served, malformed=0.4)) as server:
        runs = run_agents(agent(server.base_url, protocol), QUESTIONS, environment(), max_turns=40)
        stats = server.stats()
    assert stats["malformed"] > 20
    assert {run.status for run in runs} <= {"completed", "limited"}
    found = errors(runs)
    assert "there is no tool 'python'" in found or "there is no action 'python'" in found
    assert "a query must be a text or a list of texts" in found
    for run in runs:
        for step in run.steps:
            # The agent is told.
            assert step.action != "invalid" or step.error in step.observation or "at the limit" in step.error


def test_what_is_sent_is_what_is_recorded():
    with ChatServer(Script(protocol="tools")) as server:
        (run,) = run_agents(agent(server.base_url, "tools", max_tokens=321), QUESTIONS[:1], environment())
    sent = server.requests[0]
    assert Sampling(*(sent[name] for name in ("temperature", "top_p", "presence_penalty", "seed"))) == run.sampling
    assert run.sampling == SAMPLING
    assert sent["max_tokens"] == notes(run)["agent"]["max_tokens"] == 321
    assert notes(run)["agent"]["prompt_sha256"] == AgentPrompt.load("tools").digest
    assert (run.agent, run.agent_revision) == ("scripted", "0" * 40)


def test_what_the_agent_saw_is_what_is_recorded():
    with ChatServer(Script(protocol="tongyi")) as server:
        (run,) = run_agents(agent(server.base_url, "tongyi"), QUESTIONS[:1], environment())
    shown = [message["content"] for message in server.requests[-1]["messages"] if message["role"] == "user"][1:]
    assert shown == [f"<tool_response>\n{step.observation}\n</tool_response>" for step in run.steps[:-1]]


def test_another_sample_has_another_seed():
    first = agent("http://127.0.0.1:1/v1", "tools")
    assert [first.for_sample(number).sampling.seed for number in range(3)] == [2025, 2026, 2027]
    assert first.for_sample(2).settings == first.settings


@pytest.mark.parametrize(("served", "protocol"), PROTOCOLS)
def test_an_agent_that_repeats_itself_is_asked_to_answer_and_marked(served, protocol):
    with ChatServer(Script(protocol=served, stubborn=1.0)) as server:
        runs = run_agents(agent(server.base_url, protocol), QUESTIONS[:3], environment(), max_turns=40)
    assert [(run.status, notes(run)["limit"], run.count("search")) for run in runs] == [
        ("limited", "repetition", 5)
    ] * 3
    assert all(run.final_answer.startswith("unknown") for run in runs)


@pytest.mark.parametrize(("served", "protocol"), PROTOCOLS)
def test_at_the_limit_of_turns_one_more_message_asks_and_overwrites_nothing(served, protocol):
    with ChatServer(Script(protocol=served, endless=1.0)) as server:
        (run,) = run_agents(agent(server.base_url, protocol), QUESTIONS[:1], environment(), max_turns=6)
    assert (run.status, notes(run)["limit"], run.count("search")) == ("limited", "turns", 6)
    assert run.final_answer.startswith("unknown")
    last, before = server.requests[-1]["messages"], server.requests[-2]["messages"]
    assert last[: len(before)] == before
    assert last[-1] == {"role": "user", "content": AgentPrompt.load(protocol).final.strip()}
    assert run.steps[5].observation in last[-2]["content"]


@pytest.mark.parametrize(("served", "protocol"), [("tongyi", "tongyi"), ("tools", "tools"), ("json", "json")])
def test_the_context_is_never_overrun_and_the_answer_fits_in(served, protocol):
    # A token of the server is a word: four thousand of them.
    with ChatServer(Script(protocol=served, endless=1.0, context_tokens=4_000)) as server:
        runs = run_agents(
            agent(server.base_url, protocol, context_tokens=4_000), QUESTIONS[:4], environment(), max_turns=100
        )
        stats = server.stats()
    assert stats["refused"] == 0
    assert [(run.status, notes(run)["limit"]) for run in runs] == [("limited", "context")] * 4
    assert all(run.count("search") >= 5 and run.final_answer for run in runs)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_server_that_refuses_the_length_ends_the_run_as_limited(refusal):
    with ChatServer(Script(protocol="tools", endless=1.0, context_tokens=1_500, refusal=refusal)) as server:
        (run,) = run_agents(agent(server.base_url, "tools"), QUESTIONS[:1], environment(), max_turns=100)
    assert (run.status, notes(run)["limit"], run.final_answer) == ("limited", "context", None)


def test_a_document_that_does_not_fit_is_shown_and_recorded_as_far_as_it_does():
    replies = [
        tagged("I search.", prompt_tokens=200, completion_tokens=10),
        tagged("I open.", prompt_tokens=2_000, completion_tokens=10),
        Reply("enough</think><answer>A</answer>", prompt_tokens=3_900, completion_tokens=10),
    ]
    calls = [
        '{"name": "search", "arguments": {"query": ["x"]}}',
        '{"name": "get_document", "arguments": {"docid": "%s"}}',
    ]
    first = Spread().search(["x"], 10)[0][0].docid
    replies[0] = Reply(
        replies[0].content + f"<tool_call>{calls[0]}</tool_call>", prompt_tokens=200, completion_tokens=10
    )
    replies[1] = Reply(
        replies[1].content + f"<tool_call>{calls[1] % first}</tool_call>", prompt_tokens=2_000, completion_tokens=10
    )
    model = Fixed(*replies)
    documents = {**DOCUMENTS, first: Document(first, "Long", "word\n" * 100_000)}
    long = SearchEnvironment(Spread(), documents)
    chosen = LanguageAgent(model, "tongyi", max_tokens=400, context_tokens=6_000)
    (run,) = run_agents(chosen, QUESTIONS[:1], long)
    opened = run.steps[1]
    assert opened.observation.endswith(CUT_HERE)
    assert 1_000 < len(opened.observation) < 20_000
    assert opened.observation in model.asked[-1]["messages"][-2]["content"]
    assert (run.status, run.final_answer, notes(run)["limit"]) == ("limited", "A", "context")


def test_several_calls_are_told_apart():
    two = '<tool_call>{"name": "search", "arguments": {"query": "%s"}}</tool_call>'
    done = Reply("</think><answer>A</answer>")
    run, _ = run_fixed("tongyi", tagged("Both.", finish_reason="stop"), done)
    run, model = run_fixed("tongyi", Reply("Both.</think>" + two % "a" + two % "b"), done)
    assert [(step.action, step.reasoning) for step in run.steps[:2]] == [("search", "Both."), ("invalid", None)]
    assert model.asked[1]["messages"][-1]["content"].count("<tool_response>") == 2
    calls = tuple(ToolCall(f"id{name}", "search", json.dumps({"queries": [name]})) for name in "ab")
    run, model = run_fixed("tools", Reply("", "Both.", calls, reasoning_field="reasoning_content"), Reply("A"))
    assert [(step.action, step.reasoning) for step in run.steps] == [
        ("search", "Both."),
        ("search", None),
        ("answer", ""),
    ]
    asked = model.asked[1]["messages"]
    assert [message["tool_call_id"] for message in asked[-2:]] == ["ida", "idb"]
    assert asked[-3]["reasoning_content"] == "Both."


def test_calls_left_at_a_limit_are_answered_for_the_server_s_sake():
    calls = tuple(ToolCall(f"id{name}", "search", json.dumps({"queries": [name]})) for name in "abc")
    model = Fixed(Reply("", "All.", calls), Reply("A"))
    (run,) = run_agents(LanguageAgent(model, "tools"), QUESTIONS[:1], environment(), max_turns=2)
    assert [step.action for step in run.steps] == ["search", "search", "answer"]
    asked = model.asked[1]
    assert [message.get("tool_call_id") for message in asked["messages"][-4:]] == ["ida", "idb", "idc", None]
    assert asked["tool_choice"] == "none"


def test_arguments_that_are_no_json_do_not_poison_the_history():
    model_says = Reply("", "Hm.", (ToolCall("id", "search", '{"queries": ["a'),))
    run, model = run_fixed("tools", model_says, Reply("A"))
    assert run.steps[0].error == "the arguments of search are not a complete JSON object"
    (echoed,) = model.asked[1]["messages"][-2]["tool_calls"]
    assert json.loads(echoed["function"]["arguments"]) == {"unreadable": '{"queries": ["a'}


def test_a_reply_that_loops_until_it_is_cut_is_a_repetition():
    loop = Reply("and so it goes on, " * 300, finish_reason="length")
    run, _ = run_fixed("tongyi", loop, Reply("</think><answer>A</answer>"))
    assert (run.status, run.final_answer, notes(run)["limit"]) == ("limited", "A", "repetition")
    assert run.steps[0].error == CUT


def test_the_json_schema_offers_only_what_can_be_done():
    search = Reply('{"reasoning": "r", "action": "search", "queries": ["a"]}')
    answer = Reply('{"reasoning": "r", "action": "answer", "answer": "A"}')
    run, model = run_fixed("json", search, answer)
    first, second = (asked["schema"]["anyOf"] for asked in model.asked)
    assert [shape["properties"]["action"]["enum"] for shape in first] == [["search"]]
    assert [shape["properties"]["action"]["enum"] for shape in second] == [["search"], ["browse"], ["answer"]]
    assert set(second[1]["properties"]["docid"]["enum"]) == {result.docid for result in run.steps[0].results}


@pytest.mark.slow
def test_server_faults_leave_every_question_completed_failed_or_limited():
    script = Script(
        protocol="tools", errors=0.08, hangs=0.03, cuts=0.08, broken=0.2, malformed=0.2, stubborn=0.1, endless=0.1
    )
    with ChatServer(script) as server:
        runs = run_agents(
            agent(server.base_url, "tools", timeout=1.0, attempts=3), QUESTIONS, environment(), max_turns=15
        )
        stats = server.stats()
    assert min(stats["errors"], stats["hangs"], stats["cuts"], stats["malformed"]) > 0
    counts = Counter(run.status for run in runs)
    assert counts.total() == len(QUESTIONS)
    assert min(counts[status] for status in ("completed", "failed", "limited")) > 0
    assert all(notes(run)["error"].startswith("ChatError: ") for run in runs if run.status == "failed")


def test_prompts_and_limits_that_make_no_sense_are_refused(tmp_path):
    with pytest.raises(LratError, match="expected a protocol"):
        LanguageAgent(Fixed(), "smoke signals")
    with pytest.raises(LratError, match="Lower max_tokens"):
        LanguageAgent(Fixed(), "tools", max_tokens=4_000, context_tokens=8_000)
    (tmp_path / "p.yaml").write_text("system: s\nquestion: q\nfinal: f\nagain: a\n")
    with pytest.raises(LratError, match="its question has no"):
        LanguageAgent(Fixed(), "tools", prompt=str(tmp_path / "p.yaml"))
    with pytest.raises(LratError, match="found neither"):
        LanguageAgent(Fixed(), "tools", prompt="no-such")


def test_agents_can_run_in_one_event_loop_after_another():
    with ChatServer(Script(protocol="json")) as server:
        chosen = agent(server.base_url, "json")
        first, second = (asyncio.run(_one(chosen)) for _ in range(2))
    assert list(map(timeless, first)) == list(map(timeless, second))


async def _one(chosen):
    from lrat_hub.agents import run_agents_async

    return await run_agents_async(chosen, QUESTIONS[:2], environment())


def test_where_a_call_is_required_the_tools_offer_only_what_can_be_done():
    search = Reply("", "r", (ToolCall("id", "search", '{"query": "a"}'),))
    answer = Reply("", "r", (ToolCall("id", "answer", '{"answer": "A"}'),))
    run, model = run_fixed("tools", search, answer, prompt="tools_required")
    assert run.final_answer == "A"
    first, second = ([tool["function"] for tool in asked["tools"]] for asked in model.asked)
    assert [tool["name"] for tool in first] == ["search"]
    assert [tool["name"] for tool in second] == ["search", "get_document", "answer"]
    docids = second[1]["parameters"]["properties"]["docid"]["enum"]
    assert set(docids) == {result.docid for result in run.steps[0].results}
    assert [asked["tool_choice"] for asked in model.asked] == ["required", "required"]


def test_a_server_without_a_parser_for_its_models_calls_stops_the_runs():
    model = Fixed(Reply("<|python_tag|>search for it"))
    runs = run_agents(LanguageAgent(model, "tools"), QUESTIONS[:20], environment(), max_turns=3, concurrency=1)
    assert {run.status for run in runs[:10]} == {"limited"}
    assert {run.status for run in runs[10:]} == {"failed"}
    assert "The server has no tool parser" in notes(runs[-1])["error"]
    assert len({str(each["messages"][1]) for each in model.asked}) == 10
