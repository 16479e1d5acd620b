"""Several servers of one model: who is asked, and what becomes of it when a server dies, hangs or comes back."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from lrat_hub.errors import LratError
from lrat_hub.llm import replicas
from lrat_hub.llm.chat import ChatError, NoServerError
from lrat_hub.llm.replicas import ReplicatedClient
from lrat_hub.llm.settings import ServerSettings
from lrat_hub.schema import Sampling
from tests.chat_server import WRONG, ChatServer, Script, ServerProcess

SCRIPT = Script(protocol="json")
NOBODY = "http://127.0.0.1:9/v1"


def question(number: int) -> list[dict[str, str]]:
    return [{"role": "system", "content": "Search."}, {"role": "user", "content": f"Question: the thing {number}"}]


async def ask(client, number: int = 0) -> str:
    return (await client.chat(question(number), sampling=Sampling())).content


@pytest.fixture
def servers() -> Iterator[list[ServerProcess]]:
    with ExitStack() as stack:
        yield [stack.enter_context(ServerProcess(SCRIPT)) for _ in range(2)]


def client_of(servers, **options) -> ReplicatedClient:
    return ReplicatedClient([server.base_url for server in servers], "scripted", **{"timeout": 60.0, **options})


def test_a_conversation_stays_where_it_is_and_a_new_one_goes_where_the_fewest_are():
    with ExitStack() as stack:
        servers = [stack.enter_context(ChatServer(SCRIPT)) for _ in range(3)]
        client = client_of(servers)

        async def run() -> None:
            conversations = [client.conversation() for _ in range(6)]
            for _ in range(3):
                await asyncio.gather(*(ask(each, number) for number, each in enumerate(conversations)))
            assert [each.conversations for each in client.replicas] == [2, 2, 2]
            for number in (1, 4):
                conversations[number].close()
            assert [each.conversations for each in client.replicas] == [2, 0, 2]
            assert await ask(client, 6)
            # One that ends twice ends once.
            conversations[1].close()
            assert [each.conversations for each in client.replicas] == [2, 0, 2]

        asyncio.run(run())
        assert [(one.stats()["requests"], one.stats()["questions"]) for one in servers] == [(6, 2), (7, 3), (6, 2)]


@pytest.mark.slow
def test_what_a_dead_server_was_asked_another_answers_and_it_is_asked_again_when_it_is_back(servers, caplog):
    first, second = servers
    client = client_of(servers, attempts=1)

    async def run() -> None:
        with ExitStack() as stack:
            conversations = [client.conversation() for _ in range(4)]
            before = [await ask(each, number) for number, each in enumerate(conversations)]
            await asyncio.to_thread(first.kill)
            # A single attempt is enough: a server that is gone counts for none.
            after = await asyncio.gather(*(ask(each, number) for number, each in enumerate(conversations)))
            assert (after, second.stats()["questions"]) == (before, 4)
            assert [each.conversations for each in client.replicas] == [0, 4]
            stack.callback(first.kill)
            await asyncio.to_thread(first.start)
            async with asyncio.timeout(120):
                while not client.replicas[0].is_up:
                    await asyncio.sleep(0.05)
            assert await ask(client, 9)
            assert first.stats()["questions"] == 1

    asyncio.run(run())
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "the server is gone; 1 of 2 are left",
        "the server is there",
    ]


@pytest.mark.slow
def test_a_server_that_hangs_is_gone_too(servers, monkeypatch):
    monkeypatch.setattr(replicas, "CHECK_SECONDS", 2.0)
    client = client_of(servers, timeout=5.0)

    async def run() -> str:
        conversation = client.conversation()
        await ask(conversation)
        os.kill(servers[0].process.pid, signal.SIGSTOP)
        return await ask(conversation)

    assert asyncio.run(run())
    assert not client.replicas[0].is_up


@pytest.mark.slow
def test_where_none_is_left_the_wait_is_bounded_and_one_that_comes_back_ends_it(servers):
    client = client_of(servers, timeout=2.0)

    async def run() -> None:
        assert await ask(client)
        for server in servers:
            await asyncio.to_thread(server.kill)
        with pytest.raises(NoServerError, match=r"^scripted: expected one of its 2 servers to answer within 2 s"):
            await ask(client)
        client.timeout = 60.0
        waiting = asyncio.create_task(ask(client, 5))
        await asyncio.sleep(0)
        await asyncio.to_thread(servers[1].start)
        assert await waiting

    asyncio.run(run())
    assert servers[1].stats()["questions"] == 1


def test_errors_of_a_server_that_is_there_are_attempts_and_each_goes_elsewhere():
    with ExitStack() as stack:
        broken, good = (stack.enter_context(ChatServer(Script(protocol="json", broken=share))) for share in (1, 0))
        assert asyncio.run(ask(client_of([broken, good], attempts=2)))
        assert (broken.stats()["requests"], good.stats()["requests"]) == (1, 1)
    with ExitStack() as stack:
        servers = [stack.enter_context(ChatServer(Script(protocol="json", broken=1))) for _ in range(2)]
        with pytest.raises(ChatError, match="500") as raised:
            asyncio.run(ask(client_of(servers, attempts=3)))
        assert raised.value.status == 500
        assert sum(server.stats()["requests"] for server in servers) == 3


def test_servers_that_do_not_serve_the_same_are_refused_before_they_are_asked():
    with ExitStack() as stack:
        first = stack.enter_context(ChatServer(Script(context_tokens=4_000)))
        other = stack.enter_context(ChatServer(Script(context_tokens=8_000)))
        another = stack.enter_context(ChatServer(Script(model="another")))
        for second, message in (
            (other, r"other servers of scripted serve, found 8000 tokens of context and not 4000\. Leave it out"),
            (another, "expected a server of scripted, found one of another"),
        ):
            client = client_of([first, second])
            with pytest.raises(LratError, match=message):
                client.describe()
            # Who asks again is told the same.
            with pytest.raises(LratError, match=message):
                client.describe()
            # A judge, whose replies may all be known, describes no servers before it has to ask.
            with pytest.raises(LratError, match=message):
                asyncio.run(ask(client_of([first, second])))
        assert [server.stats()["requests"] for server in (first, other, another)] == [0, 0, 0]


def test_one_that_does_not_answer_at_first_is_left_out_and_none_is_an_error(caplog):
    with ChatServer(SCRIPT) as server:
        client = ReplicatedClient([NOBODY, server.base_url], "scripted")
        assert client.describe().context_tokens is None
        assert asyncio.run(ask(client))
    assert [record.getMessage() for record in caplog.records] == [
        f"{NOBODY}: expected a server that lists its models, found [Errno 111] Connection refused. Start it, or "
        "correct the URL (up to and including /v1) or its key (OPENAI_API_KEY). It is used once it does."
    ]
    with pytest.raises(NoServerError, match="expected one of 2 servers to list its models, found none that does"):
        ReplicatedClient([NOBODY, "http://127.0.0.1:19/v1"], "scripted").describe()


@pytest.mark.parametrize("wrong", sorted(WRONG))
@pytest.mark.parametrize("good", [0, 1, 2])
def test_what_some_servers_answer_wrongly_another_answers(wrong, good):
    """Those that answer wrongly are done at once, and so have the fewest conversations: all new ones go there."""
    with ExitStack() as stack:
        servers = [
            stack.enter_context(ChatServer(SCRIPT if number == good else Script(protocol="json", wrong=wrong)))
            for number in range(3)
        ]
        client = client_of(servers)

        async def run() -> list[str]:
            return await asyncio.gather(*(ask(client, number) for number in range(12)))

        assert all(asyncio.run(run()))
        assert servers[good].stats()["replies"] == 12
        assert [each.conversations for each in client.replicas] == [0, 0, 0]


def test_a_key_that_all_refuse_is_an_error_after_each_was_asked_once():
    with ExitStack() as stack:
        servers = [stack.enter_context(ChatServer(Script(protocol="json", wrong="key"))) for _ in range(3)]
        with pytest.raises(ChatError, match=r"401 .*Incorrect API key") as raised:
            asyncio.run(ask(client_of(servers)))
        assert raised.value.status == 401
        assert [server.stats()["requests"] for server in servers] == [1, 1, 1]


def test_a_server_that_is_busy_is_asked_a_second_time_and_then_another():
    with ExitStack() as stack:
        busy, good = (stack.enter_context(ChatServer(Script(protocol="json", wrong=wrong))) for wrong in ("busy", ""))
        assert asyncio.run(ask(client_of([busy, good])))
        assert (busy.stats()["requests"], good.stats()["requests"]) == (2, 1)


def test_a_server_that_refuses_is_named_once(caplog):
    with ExitStack() as stack:
        bad, good = (stack.enter_context(ChatServer(Script(protocol="json", wrong=wrong))) for wrong in ("key", ""))
        client = client_of([bad, good])
        for number in range(3):
            assert asyncio.run(ask(client, number))
    assert [record.getMessage() for record in caplog.records] == [
        f"{bad.base_url}: it refuses requests with status 401; others get them"
    ]


def test_a_server_that_comes_back_as_another_is_not_asked_and_is_named_once(caplog, monkeypatch):
    monkeypatch.setattr(replicas, "FIRST_PAUSE", 0.01)
    with ExitStack() as stack:
        good = stack.enter_context(ChatServer(SCRIPT))
        with ChatServer(SCRIPT) as first:
            client = client_of([first, good])
            client.describe()
        port = int(first.base_url.removesuffix("/v1").rpartition(":")[2])

        assert asyncio.run(ask(client))
        other = stack.enter_context(ChatServer(Script(protocol="json", model="another"), port=port))

        async def run() -> None:
            assert await ask(client, 1)
            async with asyncio.timeout(60):
                while not client.replicas[0].problem:
                    await asyncio.sleep(0.01)
            assert await asyncio.gather(*(ask(client, number) for number in range(4)))

        asyncio.run(run())
        assert other.stats()["requests"] == 0
    assert [record.getMessage() for record in caplog.records] == [
        f"{first.base_url}: the server is gone; 1 of 2 are left",
        f"{first.base_url}: expected a server of scripted, found one of another.",
    ]


def test_the_same_server_twice_is_refused():
    assert ServerSettings(base_url="http://h/v1/").base_url == ["http://h/v1"]
    for again in ("http://h/v1/", "http://H/v1", "http://h:80/v1", " http://h/v1"):
        with pytest.raises(
            LratError, match=rf"expected each `base_url` once, found {again.strip().rstrip('/')} again"
        ):
            ServerSettings(base_url=["http://h/v1", "http://i/v1", again])


@pytest.mark.parametrize(
    "url",
    ["h:8000/v1", "h/v1", "ftp://h/v1", "file:///v1", "http:///v1", "http://[::1/v1", "http://h:port/v1",
     "http://h:99999/v1", "http://a b/v1", "http://h/v1?key=x", "http://h/\x00"],
)  # fmt: skip
def test_what_is_no_url_of_a_server_is_refused(url):
    with pytest.raises(LratError, match="expected a `base_url` such as http://host:8000/v1, found"):
        ServerSettings(base_url=["http://h/v1", url])


def test_a_password_in_a_url_is_refused_and_not_repeated():
    with pytest.raises(LratError, match="found 'h/v1' with a password") as raised:
        ServerSettings(base_url="https://me:hunter2@h/v1")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("name", ["request_timeout", "server_timeout"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_wait_of_no_number_of_seconds_is_refused(name, value):
    with pytest.raises(LratError, match=f"expected {name} of some seconds"):
        ServerSettings(**{name: value})


def test_servers_have_addresses_of_both_kinds():
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listener, ChatServer(SCRIPT) as other, ChatServer(SCRIPT, listener=listener) as server:
        url = f"http://[::1]:{listener.getsockname()[1]}/v1/"
        settings = ServerSettings(base_url=[url, other.base_url])
        client = ReplicatedClient(settings.base_url, "scripted")

        async def run() -> None:
            await asyncio.gather(*(ask(client, number) for number in range(4)))

        asyncio.run(run())
        assert [each.stats()["replies"] for each in (server, other)] == [2, 2]
