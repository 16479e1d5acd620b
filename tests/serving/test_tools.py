"""The service as tools of MCP, called by the SDK's own client."""

import asyncio
import contextlib
import json
import threading

import pytest
import uvicorn

pytest.importorskip("mcp")

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from starlette.applications import Starlette

from lrat_hub.serving import SNIPPET_LENGTH
from lrat_hub.serving.application import create_app
from lrat_hub.serving.gate import Tokens
from lrat_hub.serving.limits import Limits
from lrat_hub.serving.service import Caller, SearchService, ServedAnswer
from lrat_hub.serving.tools import MOST_RESULTS, create_mcp, mcp_routes
from tests.serving.conftest import CORPUS
from tests.waiting import wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def server(backend, heard):
    service = SearchService(backend, observers=[heard])
    yield create_mcp(service)
    service.close()


@contextlib.contextmanager
def serving(server, **settings):
    """Its URL, served by HTTP."""
    routes = mcp_routes(server, **settings)
    with running(Starlette(routes=routes, lifespan=lambda app: server.session_manager.run())) as url:
        yield url


@contextlib.contextmanager
def running(app):
    """The URL of an application's MCP server."""
    web = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", ws="none"))
    thread = threading.Thread(target=web.run)
    thread.start()
    try:
        wait_until(lambda: web.started)
        yield f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}/mcp"
    finally:
        web.should_exit = True
        thread.join()


def shown(result):
    """What a result says, which is one item of text that is JSON, and the same as structured content."""
    assert not result.is_error, result.content
    (item,) = result.content
    assert item.type == "text"
    assert json.loads(item.text) == result.structured_content
    return result.structured_content


def called(target, *calls, **settings):
    async def go():
        async with Client(target, **settings) as client:
            return [await client.call_tool(name, arguments, meta=meta) for name, arguments, meta in calls]

    return asyncio.run(go())


def test_search_and_fetch_are_what_the_contract_of_openai_s_connectors_says(server):
    async def listed():
        async with Client(server) as client:
            return {tool.name: tool for tool in (await client.list_tools()).tools}

    tools = asyncio.run(listed())
    assert set(tools) == {"search", "fetch", "get_document", "feedback", "answer"}
    # Both are called with one string; whatever else there is may be left out.
    assert tools["search"].input_schema["required"] == ["query"]
    assert tools["fetch"].input_schema["required"] == ["id"]
    assert tools["get_document"].input_schema["required"] == ["docid"]
    for name, argument in (("search", "query"), ("fetch", "id"), ("get_document", "docid")):
        assert tools[name].annotations.read_only_hint
        assert tools[name].output_schema
        assert tools[name].input_schema["properties"][argument]["type"] == "string"
    found, fetched, alias = called(
        server,
        ("search", {"query": "kabe"}, None),
        ("fetch", {"id": "d0"}, None),
        ("get_document", {"docid": "d0"}, None),
    )
    results = shown(found)
    assert list(results) == ["results"]
    assert len(results["results"]) == 10
    for result in results["results"]:
        assert all(isinstance(result[key], str) and result[key] for key in ("id", "title", "url"))
    (first,) = [result for result in results["results"] if result["id"] == "d0"]
    document = shown(fetched)
    assert list(document) == ["id", "title", "text", "url", "metadata"]
    (there,) = [document for document in CORPUS if document.docid == first["id"]]
    assert (document["id"], document["title"], document["text"]) == (there.docid, there.title, there.text)
    assert document["url"] == first["url"]
    assert isinstance(document["metadata"], dict)
    assert shown(alias) == document


def test_the_beginning_of_a_text_is_shown_and_addresses_are_made_by_a_template(backend):
    service = SearchService(backend)
    server = create_mcp(service, k=2, document_url="https://wiki.example/{docid}?x=1")
    (found,) = called(server, ("search", {"query": "lodo"}, None))
    results = shown(found)["results"]
    assert [result["url"] for result in results] == [f"https://wiki.example/{hit['id']}?x=1" for hit in results]
    assert all(len(result["text"]) <= SNIPPET_LENGTH for result in results)
    assert len(results) == 2
    service.close()


def test_what_clients_add_of_their_own_is_passed_over(server):
    (found,) = called(server, ("search", {"query": "kabe", "k": 1, "toolCallId": "call_1"}, None))
    assert len(shown(found)["results"]) == 1


LONG = "a" * 51


@pytest.mark.parametrize(
    ("tool", "arguments", "expected"),
    [
        ("search", {"query": "kabe", "k": 6}, "k of at most 5"),
        ("search", {"query": LONG}, "queries of at most 50 characters"),
        ("search", {"query": "kabe", "reasoning": 10 * LONG}, "`reasoning` of at most 500 characters"),
        ("fetch", {"id": LONG}, "`id` of at most 50 characters"),
        ("get_document", {"docid": "d1", "search_id": LONG}, "`id` of at most 50 characters"),
        ("feedback", {"search_id": "a", "docid": LONG, "used": True}, "`id` of at most 50 characters"),
        (
            "feedback",
            {"search_id": "a", "docid": "d1", "used": True, "comment": 10 * LONG},
            "`comment` of at most 500",
        ),
        ("answer", {"answer": 10 * LONG}, "`answer` of at most 500"),
    ],
)
def test_the_limits_of_the_other_routes_are_those_of_tools(backend, heard, tool, arguments, expected):
    server = create_mcp(SearchService(backend, observers=[heard]), limits=Limits(k=5, query_length=50))
    (refused,) = called(server, (tool, arguments, None))
    assert (refused.is_error, heard.calls) == (True, [])
    assert expected in refused.content[0].text
    (found,) = called(server, ("search", {"query": "kabe"}, None))
    assert len(shown(found)["results"]) <= 5


def told(heard):
    return [(caller.attributed_by, caller.session, type(call).__name__) for caller, call in heard.calls]


def test_calls_are_attributed_and_refer_to_their_search(server, heard):
    async def go():
        async with Client(server) as client:
            asked = {"query": "kabe", "k": 3, "session_id": "a", "reasoning": "Why?"}
            (search_id,) = {hit["search_id"] for hit in shown(await client.call_tool("search", asked))["results"]}
            about = {"search_id": search_id}
            traced = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
            shown(await client.call_tool("fetch", about | {"id": "d1"}, meta=traced))
            shown(await client.call_tool("feedback", about | {"docid": "d1", "used": True, "session_id": "a"}))
            shown(await client.call_tool("answer", {"answer": "Oslo", "question": "Where?", "session_id": "a"}))
            shown(await client.call_tool("search", {"query": "kabe"}))
            return search_id

    search_id = asyncio.run(go())
    assert told(heard) == [
        ("argument", "a", "ServedSearch"), ("traceparent", TRACE, "ServedFetch"), ("argument", "a", "ServedFeedback"),
        ("argument", "a", "ServedAnswer"), (None, None, "ServedSearch"),
    ]  # fmt: skip
    assert heard.calls[0][0] == Caller("a", "argument", None, "Why?")
    assert [call.search_id for _, call in heard.calls[:3]] == [search_id] * 3
    assert heard.calls[0][1].k == 3
    assert heard.calls[3][1] == ServedAnswer("Oslo", "Where?")


HOSTILE = [
    ("search", {}), ("search", {"query": 5}), ("search", {"query": None}), ("search", {"query": ["a"]}),
    ("search", {"query": "a", "k": 0}), ("search", {"query": "a", "k": MOST_RESULTS + 1}),
    ("search", {"query": "a" * 40_000}), ("search", {"query": "a", "k": "many"}),
    ("search", {"query": "a", "session_id": "s" * 300}),
    ("search", {"query": "a", "session_id": {"a": 1}}), ("search", {"query": "a", "reasoning": "r" * 400_000}),
    ("fetch", {}), ("fetch", {"id": "../../etc/passwd"}), ("fetch", {"id": "no such"}), ("fetch", {"id": 1.5}),
    ("get_document", {"id": "d1"}), ("feedback", {"search_id": "1", "docid": "d1"}),
    ("feedback", {"search_id": "1", "docid": "d1", "used": "perhaps"}), ("answer", {}), ("answer", {"answer": 5}),
    ("drop_tables", {}), ("", {}),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28", "auto"])
def test_hostile_calls_get_an_error_and_the_next_good_one_an_answer(server, mode):
    with serving(server) as url:

        async def go():
            async with Client(url, mode=mode) as client:
                for name, arguments in HOSTILE:
                    with contextlib.suppress(MCPError):
                        assert (await client.call_tool(name, arguments)).is_error, (name, arguments)
                return await client.call_tool("search", {"query": "kabe"})

        assert len(shown(asyncio.run(go()))["results"]) == 10


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "attributed"), [("legacy", True), ("2026-07-28", False), ("auto", False)])
def test_the_older_protocol_tells_sessions_by_its_header_and_the_newer_one_has_none(server, heard, mode, attributed):
    with serving(server) as url:
        for _ in range(2):
            called(url, ("search", {"query": "kabe"}, None), ("fetch", {"id": "d1"}, None), mode=mode)
    sessions = [session for _, session, _ in told(heard)]
    if attributed:
        assert {by for by, _, _ in told(heard)} == {"session header"}
        assert sessions[0] == sessions[1] != sessions[2] == sessions[3]
    else:
        assert sessions == [None] * 4


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_tools_pass_the_gate_of_the_other_routes_and_a_token_tells_whose_calls_they_are(server, backend, heard, mode):
    app = create_app(
        SearchService(backend), hosts=["127.0.0.1"], tokens=Tokens([("ann", "a-secret-token")]),
        routes=mcp_routes(server, stateless=True), during=[server.session_manager.run],
    )  # fmt: skip

    async def go(url, **headers):
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(url, http_client=http), mode=mode) as client,
        ):
            return await client.call_tool("search", {"query": "kabe"})

    with running(app) as url:
        for headers in ({}, {"Authorization": "Bearer another-token"}, {"Host": "elsewhere.example"}):
            with pytest.raises((MCPError, ExceptionGroup)):
                asyncio.run(go(url, **headers))
        shown(asyncio.run(go(url, Authorization="Bearer a-secret-token")))
    assert told(heard) == [("token", "ann", "ServedSearch")]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_arguments_and_traces_attribute_calls_in_both_protocols(server, heard, mode):
    traced = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    with serving(server, stateless=True) as url:
        called(url, ("search", {"query": "kabe", "session_id": "a"}, None), ("fetch", {"id": "d1"}, traced), mode=mode)
    assert told(heard) == [("argument", "a", "ServedSearch"), ("traceparent", TRACE, "ServedFetch")]
