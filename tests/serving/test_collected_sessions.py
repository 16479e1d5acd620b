"""From served sessions to pairs: what is collected and mined is what a hand-made account of the sessions gives."""

import asyncio
import os
import signal
import socket

import pytest

pytest.importorskip("mcp")

from mcp import Client, StdioServerParameters

from lrat_hub import cli, load_trajectories, mine_pairs
from lrat_hub.importers import Accounts, read_trajectories
from lrat_hub.importers.served import NO_SESSION
from lrat_hub.mining.pipeline import SILENT
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.schema import Step
from lrat_hub.serving.journal import files_of, forget_session
from tests.builders import browse, search, trajectory
from tests.serving.conftest import CORPUS
from tests.serving.served import ask, bm25, command, published_corpus, serving

pytestmark = pytest.mark.slow

TRACE = "0af7651916cd43dd8448eb211c80319c"
K = 6


@pytest.fixture(scope="module")
def corpus(hub, tmp_path_factory):
    return published_corpus(tmp_path_factory.mktemp("corpus"))


def listed(query):
    """The list of a query, searched here and not by the server."""
    return [hit.docid for hit in BM25Retriever(CORPUS).search([query], K)[0]]


class HttpAgent:
    """An agent that searches by HTTP and is told apart by a header."""

    def __init__(self, **headers):
        self.headers = headers

    async def search(self, url, query, reasoning):
        question = {"queries": [query], "k": K, "reasoning": reasoning}
        return (await asyncio.to_thread(ask, url, "/search", question, **self.headers))["search_id"]

    async def fetch(self, url, docid, reasoning, search_id):
        question = {"docids": [docid], "reasoning": reasoning, "search_id": search_id}
        assert (await asyncio.to_thread(ask, url, "/documents", question, **self.headers))["found"] == 1


class McpAgent:
    """An agent that searches by MCP and is told apart by an argument, or by a trace."""

    def __init__(self, mode, session_id=None, trace=None):
        self.mode, self.named = mode, {"session_id": session_id} if session_id else {}
        self.meta = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"} if trace else None

    async def call(self, url, tool, **arguments):
        async with Client(f"{url}/mcp", mode=self.mode) as client:
            said = {name: value for name, value in (arguments | self.named).items() if value is not None}
            result = await client.call_tool(tool, said, meta=self.meta)
        assert not result.is_error, result.content
        return result.structured_content

    async def search(self, url, query, reasoning):
        found = await self.call(url, "search", query=query, k=K, reasoning=reasoning)
        return found["results"][0]["search_id"]

    async def fetch(self, url, docid, reasoning, search_id):
        await self.call(url, "fetch", id=docid, reasoning=reasoning, search_id=search_id)


# Each session by hand: what was searched for or opened (the document at a rank of the latest list, or of the list of
# the search of a turn, which later ones listed, too), and the reasoning.
SESSIONS = {
    "http-header": [
        ("kabe lodo", "I begin with both words."), (2, "The second may say it."),
        ("mifi", "It says nothing of mifi, which the question is about, so I search for that."), (1, "The first."),
        (3, "Not it; the third is left."), ("pelo", "Now I know, and look for the rest of it."),
    ],
    "http-trace": [("rast nugu", "I look."), (4, "Hm."), ("kabe", "Four long words follow."), (1, "x"), (2, "y z")],
    "mcp-argument": [("nugu", "I search."), (1, "I open it."), ("pelo rast", "This was of no use."), (5, "Perhaps.")],
    "mcp-trace": [("lodo", "One."), (1, "Two words."), (2, "Three words here."),
                  ("lodo mifi", "Four words stand here.")],
    "http-named": [("kabe lodo", "I begin."), ("lodo mifi", "I look for the other."), ((0, 3), "The earlier third."),
                   (3, "Now the third of the later."), ((0, 3), "And that of the earlier again.")],
    "mcp-named": [("lodo", "One word."), ("kabe lodo", "Two words."), ((0, 1), "As I saw it first."), (6, "Last.")],
    "mcp-silent": [("mifi", None), (2, None), ("rast", None), (1, None)],
}  # fmt: skip
AGENTS = {
    "http-header": HttpAgent(Mcp_Session_Id="by-header"),
    "http-trace": HttpAgent(traceparent=f"00-{TRACE}-b7ad6b7169203331-01"),
    "mcp-argument": McpAgent("2026-07-28", session_id="by-argument"),
    "mcp-trace": McpAgent("auto", trace="1" * 32),
    "http-named": HttpAgent(Mcp_Session_Id="by-name"),
    "mcp-named": McpAgent("2026-07-28", session_id="by-name-too"),
    "mcp-silent": McpAgent("2026-07-28", session_id="silent"),
}


def by_hand(name, calls):
    steps: list[Step] = []
    lists: list[list[str]] = []
    for what, reasoning in calls:
        if isinstance(what, str):
            lists.append(listed(what))
            steps.append(search(what, *lists[-1], reasoning=reasoning or ""))
        elif isinstance(what, tuple):
            docid = lists[what[0]][what[1] - 1]
            assert docid in lists[-1]
            steps.append(browse(docid, reasoning=reasoning or "", search_turn=what[0]))
        else:
            steps.append(browse(lists[-1][what - 1], reasoning=reasoning or ""))
    return trajectory(*steps, name=name)


async def work(url, states, calls):
    """One call of each session after the other, as they come in."""
    for name, (what, reasoning) in calls:
        agent, searches = AGENTS[name], states.setdefault(name, [])
        if isinstance(what, str):
            searches.append((await agent.search(url, what, reasoning), listed(what)))
        else:
            turn, rank = what if isinstance(what, tuple) else (-1, what)
            search_id, docids = searches[turn]
            await agent.fetch(url, docids[rank - 1], reasoning, search_id)


def compared(pairs):
    return sorted(
        (pair.query, pair.positive_id, pair.negative_ids, pair.reasoning, pair.reasoning_before, pair.previous_queries,
         pair.read_ids, pytest.approx(pair.weight, abs=1e-12))
        for pair in pairs
    )  # fmt: skip


def test_collected_sessions_give_the_pairs_of_a_hand_made_account(corpus, tmp_path):
    longest = max(map(len, SESSIONS.values()))
    calls = [(name, own[turn]) for turn in range(longest) for name, own in SESSIONS.items() if turn < len(own)]
    states: dict[str, list[tuple[str, list[str]]]] = {}
    middle = len(calls) // 2
    with serving(*bm25(corpus), "--collect", str(tmp_path)) as (process, url):
        asyncio.run(work(url, states, calls[:middle]))
        ask(url, "/search", {"queries": ["kabe"], "k": 2})
        process.send_signal(signal.SIGKILL)
        process.wait()
    with serving(*bm25(corpus), "--collect", str(tmp_path)) as (_, url):
        asyncio.run(work(url, states, calls[middle:]))
        health = ask(url, "/health")["details"]["collecting"]
        assert sum(health["calls"].values()) == len(calls) - middle
        ask(url, "/search", {"queries": ["kabe"], "k": 2})
        assert ask(url, "/health")["details"]["collecting"]["calls"]["not attributed"] == 1
    accounts = Accounts()
    runs = list(read_trajectories(tmp_path, accounts))
    assert accounts.records.dropped == {NO_SESSION: 2}
    assert len(runs) == len(SESSIONS)
    hand = [by_hand(name, own) for name, own in SESSIONS.items()]
    mined, expected = mine_pairs(runs), mine_pairs(hand)
    named = [pair for pair in expected.pairs if pair.trajectory_id.endswith("-named")]
    assert [(pair.query, pair.positive_id) for pair in named] == [
        ("kabe lodo", listed("kabe lodo")[2]), ("lodo mifi", listed("lodo mifi")[2]),
        ("lodo", listed("lodo")[0]), ("kabe lodo", listed("kabe lodo")[5]),
    ]  # fmt: skip
    # One of them opens a document again from the same list.
    assert len(expected.pairs) == sum(not isinstance(what, str) for own in SESSIONS.values() for what, _ in own) - 1
    assert compared(mined.pairs) == compared(expected.pairs)
    assert mined.ledger["pairs"].notes[SILENT] == 2
    # The stages give the same, by way of the Hub.
    imported = cli.run(["import", str(tmp_path), "--to", "lrat/served-runs"])
    assert compared(mine_pairs(load_trajectories(str(imported))).pairs) == compared(expected.pairs)
    forget_session(tmp_path, "by-argument")
    everything = b"".join(path.read_bytes() for path in files_of(tmp_path))
    assert b"by-argument" not in everything
    assert len(list(load_trajectories(tmp_path))) == len(SESSIONS) - 1


def test_an_agent_over_the_streams_of_the_process_is_collected_as_well(corpus, tmp_path):
    words = command(*bm25(corpus), "--mcp", "stdio", "--collect", str(tmp_path))

    async def go(mode):
        server = StdioServerParameters(command=words[0], args=words[1:], env=dict(os.environ))
        async with Client(server, mode=mode) as client:
            found = await client.call_tool("search", {"query": "kabe lodo", "k": K, "session_id": mode})
            docid = found.structured_content["results"][1]["id"]
            assert not (await client.call_tool("get_document", {"docid": docid, "session_id": mode})).is_error
            return docid

    for mode in ("legacy", "2026-07-28"):
        assert asyncio.run(go(mode)) == listed("kabe lodo")[1]
    runs = list(load_trajectories(tmp_path))
    assert [[step.action for step in run.steps] for run in runs] == [["search", "browse"]] * 2
    assert [pair.positive_id for pair in mine_pairs(runs).pairs] == [listed("kabe lodo")[1]] * 2


def test_without_a_folder_nothing_of_a_request_is_written(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    secret = "unheard-of-query-4711"
    with (tmp_path / "log").open("wb") as log:
        monkeypatch.setattr("tests.serving.served.subprocess.Popen", _logging(log))
        with serving(*bm25(corpus)) as (process, url):
            ask(url, "/search", {"queries": [secret], "k": 2, "session_id": secret, "reasoning": secret})
            asyncio.run(McpAgent("auto", secret).call(url, "search", query=secret, reasoning=secret))
            with pytest.raises(AssertionError, match="expected the id of a document"):
                asyncio.run(McpAgent("auto", secret).call(url, "fetch", id=secret))
            feedback = {"search_id": secret, "docid": "d1", "used": True, "comment": secret}
            assert ask(url, "/feedback", feedback) == {"kept": False}
            process.terminate()
            assert secret not in process.stdout.read()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if secret.encode() in path.read_bytes()] == []


def _logging(log):
    """Starts processes whose errors go to a file."""
    from functools import partial
    from subprocess import Popen

    return partial(Popen, stderr=log)


def test_a_client_that_never_ends_its_request_does_not_keep_a_server_from_stopping(corpus, tmp_path):
    with serving(*bm25(corpus), "--collect", str(tmp_path / "calls")) as (process, url):
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
            ask(url, "/search", {"queries": ["kabe"], "k": 1, "session_id": "a"})
            process.terminate()
            process.wait(60)
    assert [len(run.steps) for run in load_trajectories(tmp_path / "calls")] == [1]
