"""A language model as judge, over HTTP: right verdicts, `unjudged` where there is none, no reply paid for twice."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import yaml

from lrat_hub.judges.documents import LLMJudge
from lrat_hub.judges.llm import ReplyCache
from lrat_hub.llm.chat import ChatClient
from lrat_hub.llm.prompts import read_prompt
from lrat_hub.llm.replicas import ReplicatedClient
from lrat_hub.schema import Pair
from tests.judges.server import ChatServer


def pair(reasoning: str, name: str = "p") -> Pair:
    return Pair(name, "t", "q", 0, 1, "Who was it?", "who", "d", (), (), reasoning, 3)


def judge_at(server, *, cache=None, attempts=1, **options):
    backend = ChatClient(server.url, "m", name="org/judge", revision="a" * 40, attempts=attempts, timeout=5)
    return LLMJudge(backend, cache=cache, **options)


def notes_of(request):
    """The reasoning that a request asks about."""
    return request["messages"][1]["content"].split("<notes>")[1].split("</notes>")[0].strip()


def test_the_model_is_asked_at_temperature_zero_for_json_and_its_reply_is_read_however_it_comes():
    replies = {
        "a": '{"why": "w", "verdict": "relevant"}',
        "b": "IRRELEVANT.",
        "c": "**RELEVANT**",
        "d": "<think>irrelevant?</think>RELEVANT",
        "e": {"message": {"role": "assistant", "content": "irrelevant", "reasoning_content": "relevant? no"}},
        "f": {"message": {"role": "assistant", "content": None, "reasoning": "relevant"}},
    }
    with ChatServer(lambda request: replies[notes_of(request)]) as server:
        judge = judge_at(server)
        verdicts = judge.judge([pair(name) for name in replies])
    assert verdicts == ["relevant", "irrelevant", "relevant", "relevant", "irrelevant", "unjudged"]
    assert judge.problems["reply without a verdict"] == 1
    first = server.requests[0]
    assert first["temperature"] == 0
    assert first["response_format"]["json_schema"]["schema"]["properties"]["verdict"]["enum"]
    assert judge.name == f"org/judge@{'a' * 40}"


def test_what_a_prompt_says_of_its_request_is_sent_by_whoever_asks_with_it(tmp_path):
    sampling = {"temperature": 0.7, "top_k": 20}
    own = read_prompt("lrat_hub.judges", "document") | {"request": sampling}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(own))
    with ChatServer(lambda request: "relevant") as server, ReplyCache(tmp_path / "replies.sqlite") as cache:
        for prompt in ("document", tmp_path / "own.yaml"):
            assert judge_at(server, prompt=prompt, cache=cache).judge([pair("x")]) == ["relevant"]
    first, second = server.requests
    assert second == first | sampling


def test_a_reply_without_a_verdict_is_asked_about_once_more():
    def answer(request):
        return "Hard to say." if len(request["messages"]) == 2 else "relevant"

    with ChatServer(answer) as server:
        assert judge_at(server).judge([pair("x")]) == ["relevant"]
    assert [message["content"] for message in server.requests[1]["messages"]][2] == "Hard to say."


def test_what_has_no_verdict_is_unjudged_and_never_irrelevant():
    cut = {"finish_reason": "length", "message": {"role": "assistant", "content": "<think>irrelevant, because"}}
    with ChatServer(lambda request: {"x": "nonsense", "y": 500, "z": cut}[notes_of(request)]) as server:
        judge = judge_at(server)
        assert judge.judge([pair("x"), pair("y"), pair("z"), pair(" ")]) == ["unjudged"] * 4
    assert judge.problems == {
        "reply without a verdict": 1, "no reply": 1, "reply cut off": 1, "no reasoning after the browse": 1,
    }  # fmt: skip


def test_several_servers_are_asked_and_only_for_what_is_not_known(tmp_path):
    pairs = [pair(f"note {number}") for number in range(40)]

    def judge(servers):
        return LLMJudge(ReplicatedClient([server.url for server in servers], "m"), cache=cache, concurrency=8)

    with ReplyCache(tmp_path / "cache") as cache, ChatServer(lambda _: "relevant") as first:
        with ChatServer(lambda _: "relevant") as second:
            verdicts = judge([first, second]).judge(pairs[:20])
            assert len(first.requests) > 0 < len(second.requests)
            assert len(first.requests) + len(second.requests) == 20
        # One of them is gone.
        known = len(second.requests)
        verdicts += judge([second, first]).judge(pairs)
    assert verdicts == ["relevant"] * 60
    assert (len(first.requests), len(second.requests)) == (40 - known, known)


def test_a_judge_that_is_down_leaves_everything_unjudged_and_is_not_asked_for_ever():
    with ChatServer(lambda request: "relevant") as server:
        pass
    judge = judge_at(server, concurrency=4)
    assert judge.judge([pair(str(number)) for number in range(200)]) == ["unjudged"] * 200
    assert judge.problems["no reply"] + judge.problems["not asked, as the model did not answer before"] == 200
    assert judge.requests < 20


def test_a_server_that_knows_no_schemas_is_asked_without():
    with ChatServer(lambda request: 400 if "response_format" in request else "relevant") as server:
        assert judge_at(server, concurrency=1).judge([pair("x"), pair("y")]) == ["relevant"] * 2
    assert len(server.requests) == 3


def test_a_request_that_is_too_long_costs_its_verdict_and_nothing_else():
    def answer(request):
        return 400 if len(notes_of(request)) > 10 else "relevant"

    with ChatServer(answer) as server:
        judge = judge_at(server, concurrency=1)
        verdicts = judge.judge([*(pair(f"long {number} " * 9) for number in range(12)), pair("x")])
    assert verdicts == ["unjudged"] * 12 + ["relevant"]
    assert "response_format" in server.requests[-1]
    assert judge.problems == {"no reply": 12}


@pytest.mark.slow
def test_requests_that_fail_for_a_while_are_sent_again_and_no_more_than_allowed_run_at_once():
    failed, order, together = set(), itertools.count(), threading.Barrier(3)

    def answer(request):
        # The first three wait for each other, however slow the machine is.
        if next(order) < 3:
            together.wait(60)
        if (notes := notes_of(request)) not in failed:
            failed.add(notes)
            return 503
        return "relevant"

    with ChatServer(answer) as server:
        verdicts = judge_at(server, concurrency=3, attempts=3).judge([pair(str(number)) for number in range(6)])
    assert verdicts == ["relevant"] * 6
    assert server.highest == 3


def test_the_same_request_is_sent_once_and_another_model_prompt_or_text_is_another_request(tmp_path):
    path = tmp_path / "replies.sqlite"
    with ChatServer(lambda request: "relevant") as server, ReplyCache(path) as cache, ReplyCache(path) as reopened:
        assert judge_at(server, cache=cache).judge([pair("x"), pair("x"), pair("y")]) == ["relevant"] * 3
        assert len(server.requests) == 2
        again = judge_at(server, cache=reopened)
        assert again.judge([pair("y"), pair("x")]) == ["relevant"] * 2
        assert (len(server.requests), again.requests) == (2, 0)
        other = LLMJudge(ChatClient(server.url, "m", name="org/judge", revision="b" * 40), cache=cache)
        assert other.judge([pair("x")]) == ["relevant"]
        assert len(server.requests) == 3


def test_a_judge_can_be_asked_where_an_event_loop_runs_already_as_in_notebooks():
    async def cell():
        with ChatServer(lambda request: "relevant") as server:
            return judge_at(server).judge([pair("x")])

    assert asyncio.run(cell()) == ["relevant"]


KILLED = """
import sys
from lrat_hub.judges.llm import ReplyCache
from tests.judges.test_llm import judge_at, pair
class Server: url = sys.argv[1]
with ReplyCache(sys.argv[2]) as cache:
    verdicts = judge_at(Server, cache=cache, concurrency=2).judge([pair(str(n)) for n in range(12)])
print(*verdicts)
"""


@pytest.mark.slow
def test_a_kill_in_the_middle_costs_no_finished_verdict_and_repeats_no_finished_request(tmp_path):
    cache = tmp_path / "replies.sqlite"

    def run(url):
        words = [sys.executable, "-c", KILLED, url, str(cache)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": "."})

    def slowly(request):
        time.sleep(0.1)
        return "relevant"

    with ChatServer(slowly) as server:
        process = run(server.url)
        while len(server.requests) < 6:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        time.sleep(0.3)  # for the requests that were under way
        started = len(server.requests)
        with ReplyCache(cache) as kept_replies:
            kept = len(kept_replies)
        # All but those under way (two) were finished, and are kept.
        assert started - 2 <= kept <= started
        process = run(server.url)
        output, _ = process.communicate()
        assert output.split() == ["relevant"] * 12
        assert len(server.requests) - started == 12 - kept
