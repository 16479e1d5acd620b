"""The client of chat servers: what it sends again, how long it waits, and what it makes of odd replies."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from lrat_hub.llm.chat import ChatClient, ChatError, Reply, ToolCall
from lrat_hub.schema import Sampling

Answer = Callable[..., "web.StreamResponse | Awaitable[web.StreamResponse]"]
"""From the number of the request, and the request itself where it is asked for, to what is answered."""


def said(**message) -> web.Response:
    return web.json_response({"choices": [{"message": message}]})


def ask(answer: Answer, **options) -> tuple[Reply | ChatError, int]:
    """What the client makes of a server that answers so, and how many requests it sent."""
    requests = 0

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal requests
        requests += 1
        answered = answer(*(requests, request)[: answer.__code__.co_argcount])
        return await answered if isinstance(answered, Awaitable) else answered

    async def run() -> Reply | ChatError:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            return await ChatClient(url, "m", **options).chat([{"role": "user", "content": "?"}], sampling=Sampling())
        except ChatError as error:
            return error
        finally:
            await runner.cleanup()

    return asyncio.run(run()), requests


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    """The pauses that the client makes, which last no time."""
    made: list[float] = []
    sleep = asyncio.sleep

    async def record(seconds: float, result: object = None) -> object:
        if seconds > 0:
            made.append(seconds)
        return await sleep(0, result)

    monkeypatch.setattr(asyncio, "sleep", record)
    return made


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_what_may_pass_is_sent_again_after_the_pause_that_the_server_asks_for(status, pauses):
    reply, requests = ask(
        lambda number: web.Response(status=status, headers={"Retry-After": "7"}) if number < 3 else said(content="yes")
    )
    assert (reply.content, requests) == ("yes", 3)
    assert pauses == [7, 7]


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_what_the_server_refuses_is_sent_once(status):
    error, requests = ask(lambda _: web.Response(status=status, text="no such model"))
    assert (error.status, requests) == (status, 1)
    assert f"{status} no such model" in str(error)


def test_the_last_attempt_says_what_went_wrong():
    error, requests = ask(lambda _: web.Response(status=503, text="too busy"), attempts=2)
    assert (error.status, requests) == (503, 2)
    assert (type(error), "too busy" in str(error)) == (ChatError, True)


@pytest.mark.parametrize("asked", ["Wed, 25 Nov 2026 10:00:00 GMT", "3600"])
def test_a_pause_that_is_no_short_number_of_seconds_is_the_client_s_own(asked, pauses):
    ask(lambda number: web.Response(status=503, headers={"Retry-After": asked}) if number < 2 else said(content="yes"))
    (pause,) = pauses
    assert 0.25 <= pause <= 0.5


def test_where_nobody_listens_there_is_no_status():
    client = ChatClient("http://127.0.0.1:9/v1", "m", attempts=2)
    with pytest.raises(ChatError) as raised:
        asyncio.run(client.chat([], sampling=Sampling()))
    assert raised.value.status is None


def test_the_key_is_sent_and_one_that_no_request_can_carry_is_an_error(tmp_path, monkeypatch):
    """Nor is anything else sent: aiohttp can be told to read passwords from ~/.netrc."""
    (tmp_path / ".netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for key, sent in (("k", "Bearer k"), ("", "")):
        reply, _ = ask(lambda _, http: said(content=http.headers.get("Authorization")), api_key=key)
        assert reply.content == sent
    error, requests = ask(lambda _: said(content="yes"), api_key="k\n")
    assert isinstance(error, ChatError)
    assert requests == 0


def test_a_server_that_does_not_answer_in_time_is_asked_again():
    async def late() -> web.StreamResponse:
        await asyncio.sleep(60)
        return said(content="late")

    reply, requests = ask(lambda number: late() if number == 1 else said(content="yes"), timeout=0.5)
    assert reply.content == "yes"
    assert requests > 1


@pytest.mark.parametrize(
    "body", ["", "<html>", "[" * 100_000, "[]", "null", "{}", '{"choices": []}', '{"choices": [{}]}']
)
def test_a_reply_that_is_none_is_asked_for_again_and_is_an_error(body, pauses):
    """Proxies answer so as the server behind them restarts."""
    error, requests = ask(lambda _: web.Response(text=body))
    assert (type(error), requests) == (ChatError, 4)
    reply, requests = ask(lambda number: web.Response(text=body) if number == 1 else said(content="yes"))
    assert (reply.content, requests) == ("yes", 2)


def test_an_error_that_comes_as_a_reply_is_said(pauses):
    error, _ = ask(lambda _: web.json_response({"error": {"message": "Upstream failed", "code": 502}}))
    assert "expected a reply with a message, found {'message': 'Upstream failed', 'code': 502}" in str(error)


def test_of_odd_replies_what_can_be_read_is_read():
    calls = [{"id": "a", "function": {"name": "search", "arguments": None}}, {"function": "search"}, 3]
    content = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    reply, _ = ask(lambda _: said(content=content, reasoning_content="so", reasoning="", tool_calls=calls))
    assert (reply.content, reply.reasoning, reply.reasoning_field) == ("one\ntwo", "so", "reasoning_content")
    assert (reply.tool_calls, reply.finish_reason) == ((ToolCall("a", "search", ""),), "stop")


@pytest.mark.filterwarnings("error")
def test_connections_are_closed_with_the_event_loop():
    assert ask(lambda _: said(content="yes"))[0].content == "yes"
    gc.collect()
