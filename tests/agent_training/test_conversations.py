"""Runs are told to a trainer as they were told to the agent, and nothing that it said or saw is lost."""

import dataclasses
import json

import pytest

from lrat_hub.agent_training import conversation_of, steps_of
from lrat_hub.agents import run_agents
from lrat_hub.agents.protocols import PROTOCOLS, AgentPrompt
from lrat_hub.errors import LratError
from lrat_hub.schema import Candidate, Step, Trajectory
from tests.agents.scripted import QUESTIONS, agent, environment
from tests.chat_server import ChatServer, Script

SERVED = {"agentcpm": "webexplorer"}
"""Which script of the chat server speaks a protocol, where it has another name."""


def seen(steps):
    """Steps as the agent saw them: without scores."""
    return tuple(
        dataclasses.replace(step, results=tuple(dataclasses.replace(hit, score=None) for hit in step.results))
        for step in steps
    )


def real_runs(protocol, **options):
    with ChatServer(Script(protocol=SERVED.get(protocol, protocol))) as server:
        runs = run_agents(agent(server.base_url, protocol), QUESTIONS, environment(k=3), **options)
        return runs, list(server.requests)


def spoken(message):
    """What a message says. Ids of calls are the server's to choose, and it puts reasoning in a field of its name."""
    calls = [
        (call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in message.get("tool_calls") or ()
    ]
    content = message["content"] or ""
    if message["role"] == "assistant" and content.startswith("{"):
        content = json.loads(content)
    elif message["role"] == "assistant":
        # Some models' templates open the thought for them.
        content = "".join(content.removeprefix("<think>").split())
    reasoning = message.get("reasoning") or message.get("reasoning_content") or ""
    return message["role"], content, reasoning, calls


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("max_turns", [20, 2])
def test_the_trainer_is_told_what_the_server_was_told(protocol, max_turns):
    runs, requests = real_runs(protocol, max_turns=max_turns)
    prompt = AgentPrompt.load(protocol)
    limited = [run for run in runs if run.status == "limited"]
    assert bool(limited) == (max_turns == 2)
    last = {}
    for request in requests:
        last[json.dumps(request["messages"][: len(prompt.opening(""))])] = request
    for run in runs:
        conversation = conversation_of(run, protocol, prompt)
        request = last[json.dumps(prompt.opening(run.question))]
        # The last request has all but its reply.
        assert list(map(spoken, conversation.messages[:-1])) == list(map(spoken, request["messages"]))
        assert list(conversation.tools) == (request.get("tools") or [])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("max_turns", [20, 2])
def test_trajectories_come_back_from_their_conversations(protocol, max_turns):
    runs, _ = real_runs(protocol, max_turns=max_turns)
    prompt = AgentPrompt.load(protocol)
    places = ("field", "content") if protocol == "tools" else ("field",)
    for run in runs:
        for place in places:
            conversation = conversation_of(run, protocol, prompt, reasoning=place)
            assert steps_of(conversation.messages, protocol, prompt) == (seen(run.steps), run.final_answer)


def test_a_prompt_whose_answer_is_a_call_is_answered_so():
    told = AgentPrompt.load("tools_required")
    runs, _ = real_runs("tools")
    for run in runs:
        conversation = conversation_of(run, "tools", told)
        assert steps_of(conversation.messages, "tools", told) == (seen(run.steps), run.final_answer)
        assert conversation.messages[-1]["tool_calls"][0]["function"]["name"] == "answer"


def observed(queries, docids):
    blocks, results = [], []
    for index, query in enumerate(queries):
        block = [f"Results for {query!r}:"]
        for rank, docid in enumerate(docids, start=1):
            # A snippet with blank lines, and one that is empty.
            snippet = f"First of {docid}.\n\n[7] and more." if rank % 2 else ""
            block.append(f"[{rank}] DocID: {docid}\nTitle: {docid.upper()}: a 'title'\n{snippet}")
            results.append(Candidate(index, rank, docid, f"{docid.upper()}: a 'title'", snippet))
        blocks.append("\n\n".join(block))
    return "\n\n".join(blocks), tuple(results)


def hard_run(**changes):
    """Several queries in a search, several calls in a message, quotes, other scripts, calls that failed."""
    queries = ("who's it", 'she said "no"', "東京タワー")
    text, results = observed(queries, ["a1", "b2"])
    steps = (
        Step(0, "I plan.\n\nThen I search.", "search", queries, results, observation=text),
        Step(1, "I open both.", "browse", docid="a1", observation="DocID: a1\nTitle: A1\n\nText.\n\nMore <b>x</b>."),
        Step(2, None, "browse", docid="b2", observation="DocID: b2\nTitle: B2\n\n"),
        Step(3, "Hm.", "invalid", observation="Error: there is no tool 'python'.", error="there is no tool 'python'"),
        Step(4, "", "search", ("again",), (), observation="Results for 'again':\n\nNothing was found."),
        Step(5, "So it is.", "answer"),
    )
    fields = {"steps": steps, "final_answer": "Tōkyō\n(in Japan)", "correct": True, **changes}
    return Trajectory("t-0", "t", "What is {it}?", **fields)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_hard_to_write_comes_back_but_for_calls_that_failed(protocol):
    prompt = AgentPrompt.load(protocol)
    run = hard_run()
    conversation = conversation_of(run, protocol, prompt)
    steps, answer = steps_of(conversation.messages, protocol, prompt)
    wanted = [step for step in run.steps if step.action != "invalid"]
    if protocol != "tools":
        # One call a message: the second has no reasoning of its own.
        wanted[2] = dataclasses.replace(wanted[2], reasoning="")
    assert steps == tuple(dataclasses.replace(step, turn=turn) for turn, step in enumerate(wanted))
    assert answer == run.final_answer
    assert "python" not in json.dumps(conversation.messages)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"final_answer": None}, "it has no final answer"),
        ({"final_answer": "<|im_end|>"}, "its words have marks of a chat template"),
        ({"steps": (Step(0, "", "search", ("a",)),)}, "what the agent was shown is not recorded"),
        ({"final_answer": '<tool_call>{"name": "search"}'}, "the protocol reads its words in another way"),
    ],
)
def test_a_run_that_cannot_be_told_says_why(changes, reason):
    with pytest.raises(LratError, match=reason):
        conversation_of(hard_run(**changes), "tongyi", AgentPrompt.load("tongyi"))


def test_a_search_of_several_queries_is_not_told_to_a_tool_that_takes_one():
    with pytest.raises(LratError, match="several queries"):
        conversation_of(hard_run(), "tools", AgentPrompt.load("tools_required"))


def test_calls_behind_one_that_is_left_out_begin_a_message_of_their_own():
    def search(turn, reasoning, query):
        return Step(turn, reasoning, "search", (query,), observation=f"Results for {query!r}:\n\nNothing was found.")

    steps = (
        search(0, "First.", "a"),
        search(1, None, "b"),
        # Begins the second message, and with it the calls c and d.
        Step(2, "Second.", "invalid", error="it failed", observation="Error: it failed."),
        search(3, None, "c"),
        search(4, None, "d"),
        Step(5, "Third.", "answer"),
    )
    run = Trajectory("t", "q", "Q?", steps, final_answer="It.")
    told = [message for message in conversation_of(run, "tools").messages if message["role"] == "assistant"]
    assert [message["reasoning_content"] for message in told] == ["First.", "Second.", "Third."]
    assert [len(message.get("tool_calls", ())) for message in told] == [2, 2, 0]
