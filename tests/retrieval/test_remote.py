"""A retriever by HTTP: a real server process, connections that are cut, and servers that talk nonsense."""

import json
import os
import signal
import threading
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from starlette.testclient import TestClient

from lrat_hub import cli
from lrat_hub.cli import serve
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import resolve
from lrat_hub.hub.lineage import read_lineage
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.retrieval.indexes import load_index
from lrat_hub.retrieval.remote import RemoteRetriever, batches_of
from lrat_hub.schema import Document
from lrat_hub.serving.application import create_app
from lrat_hub.serving.limits import Limits
from lrat_hub.serving.service import Backend, SearchService
from tests.serving.served import listening, serving
from tests.waiting import HANGS_AFTER_SECONDS

QUERIES = ["kabe lodo", "nothing known", "mifi rast nugu", ""]


@pytest.fixture(scope="module")
def index(published):
    return str(cli.run(["index", "--bm25", "--corpus", published.corpus, "--to", "lrat/served"]))


@contextmanager
def answering(respond):
    """A server in this process that calls `respond(handler, number of the request)`."""
    count = iter(range(1_000))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            respond(self, next(count))

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def send(handler, body, status=200, length=None):
    handler.send_response(status)
    handler.send_header("Content-Length", str(length or len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def send_json(handler, value, status=200):
    send(handler, json.dumps(value).encode(), status)


ABOUT = {"name": "some", "revision": None, "corpus": None}


@pytest.mark.slow
def test_a_served_index_answers_as_it_does_here_and_survives_cut_connections_but_not_its_death(index, published):
    corpus = resolve(published.corpus, repo_type="dataset")
    here = load_index(index, corpus=corpus)
    with serving("--index", index, "--corpus", published.corpus) as (process, url):
        remote = RemoteRetriever(url, corpus=corpus, batch_size=3, attempts=2, pause=0.01)
        assert (remote.name, remote.revision, remote.corpus) == (here.name, here.revision, here.corpus)
        assert remote.search(QUERIES, 20) == here.search(QUERIES, 20)
        assert remote.search([], 5) == []
        with pytest.raises(LratError, match=r"status 422.*expected `k` to be 1 or more, found 0"):
            remote.search(["kabe"], 0)

        words = ["--corpus", published.corpus, "--queries", published.queries, "--index", url, "--max_turns", "1"]
        run = cli.run(["rollout", "--agent", "reader", *words, "--to", "lrat/served-rollout"])
        assert read_lineage(run).inputs["index"] == f"bm25@{remote.revision} (served at {url})"

        def cut_every_other(handler, number):
            body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
            request = urllib.request.Request(url + handler.path, data=body or None)
            answer = urllib.request.urlopen(request).read()
            if number % 2:
                send(handler, answer)
            elif number % 4:
                send(handler, answer[: len(answer) // 2], length=len(answer))
            else:
                handler.connection.close()

        with answering(cut_every_other) as cutting:
            assert RemoteRetriever(cutting, pause=0.01).search(QUERIES, 20) == here.search(QUERIES, 20)
            with pytest.raises(LratError, match="in 1 attempts"):
                RemoteRetriever(cutting, attempts=1)

        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with pytest.raises(LratError, match=r"found none in 2 attempts .*Is lrat serve running there\?"):
            remote.search(["kabe"], 5)


def test_the_server_of_another_corpus_is_refused(published):
    corpus = resolve(published.corpus, repo_type="dataset")
    other = published.corpus[:-1] + ("0" if published.corpus[-1] != "0" else "1")
    for stamp in (None, f"{other}#corpus:train"):
        with answering(lambda handler, _, stamp=stamp: send_json(handler, ABOUT | {"corpus": stamp})) as url:
            RemoteRetriever(url)
            with pytest.raises(LratError, match=f"expected a retriever of {corpus}, found {stamp or 'none'}"):
                RemoteRetriever(url, corpus=corpus)


def test_overloaded_servers_are_asked_again_and_others_not():
    asked = []

    def respond(handler, number):
        asked.append(number)
        status = [503, 429, 200, 500][min(number, 3)]
        send_json(handler, ABOUT if status == 200 else {"error": "out of order"}, status)

    with answering(respond) as url:
        remote = RemoteRetriever(url, pause=0.01)
        assert len(asked) == 3
        with pytest.raises(LratError, match=r"status 500\. out of order"):
            remote.search(["query"], 5)
        assert len(asked) == 4


def test_a_server_that_is_silent_is_given_up_after_one_timeout_for_all_attempts():
    woken, asked = threading.Event(), []

    def respond(handler, number):
        asked.append(number)
        woken.wait(HANGS_AFTER_SECONDS)

    with answering(respond) as url:
        with pytest.raises(LratError, match=r"within 0\.1 s, found none in 1 attempts"):
            RemoteRetriever(url, timeout=0.1, attempts=4, pause=0.01)
        woken.set()
    assert len(asked) <= 1


def test_what_is_left_of_the_time_is_that_of_the_next_attempt():
    woken = threading.Event()

    def respond(handler, number):
        if number == 0:
            send_json(handler, {"error": "later"}, 503)
        else:
            woken.wait(HANGS_AFTER_SECONDS)

    with answering(respond) as url:
        with pytest.raises(LratError, match="found none in 2 attempts"):
            RemoteRetriever(url, timeout=0.5, attempts=9, pause=0.01)
        woken.set()


def test_a_connection_is_kept_and_opened_anew_when_the_server_has_closed_it(monkeypatch):
    here = BM25Retriever([Document("d1", "", "kabe"), Document("d2", "", "lodo")])
    app, clients = create_app(SearchService(Backend(here))), []

    async def noted(scope, receive, send):
        async def closing(message):
            if message["type"] == "http.response.start" and len(clients) == 4:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        if scope["type"] == "http":
            clients.append(scope["client"])
        await app(scope, receive, closing)

    with listening(noted) as url:
        remote = RemoteRetriever(url, attempts=1)
        for _ in range(5):
            assert remote.search(QUERIES, 2) == here.search(QUERIES, 2)
        assert len(clients) == 6
        assert [len(set(part)) for part in (clients[:4], clients[4:], clients)] == [1, 1, 2]
        # What has waited for longer may be closed by the server at the same moment.
        monkeypatch.setattr("lrat_hub.retrieval.remote.KEPT_SECONDS", 0.0)
        remote.search(QUERIES, 2)
        assert clients[6] != clients[5]


@pytest.mark.parametrize(
    "results", ["absent", [], [[{"docid": "a"}]], [[["a", 1.0]]], [[{"docid": "a", "score": "high"}]], None]
)
def test_what_is_no_answer_of_a_retriever_is_refused(results):
    answer = [] if results == "absent" else {"results": results}
    with answering(lambda handler, number: send_json(handler, answer if number else ABOUT)) as url:
        remote = RemoteRetriever(url)
        with pytest.raises(LratError, match="expected the answer of a retriever"):
            remote.search(["query"], 5)


@pytest.mark.parametrize("name", ["http://127.0.0.1:9", "me/a+me/b", "me/a>me/b"])
def test_only_an_index_is_served(name):
    with pytest.raises(LratError, match=r"lrat serve: expected one index, .* found .* given by --retriever"):
        serve.main(["--index", name, "--corpus", "me/corpus"])


def test_a_server_says_how_its_queries_have_to_be_rendered():
    class Historian:
        name, revision, query_style = "historian", None, "history"

        def search(self, queries, k):
            return [[] for _ in queries]

    about = TestClient(create_app(SearchService(Backend(Historian())))).get("/").json()
    assert about.pop("query_style") == "history"
    for more, style in (({}, "plain"), ({"query_style": "history"}, "history")):
        with answering(lambda handler, _, more=more: send(handler, json.dumps(about | more).encode())) as url:
            assert RemoteRetriever(url).query_style == style
    with (
        answering(lambda handler, _: send(handler, json.dumps(about | {"query_style": "verse"}).encode())) as url,
        pytest.raises(LratError, match="expected the answer of a retriever"),
    ):
        RemoteRetriever(url)


def test_a_token_goes_along_with_every_request(monkeypatch):
    tokens = []

    def respond(handler, number):
        tokens.append(handler.headers.get("Authorization"))
        send_json(handler, {"results": [[]]} if number % 2 else ABOUT)

    with answering(respond) as url:
        RemoteRetriever(url, token="secret").search(["query"], 5)
        monkeypatch.setenv("LRAT_SERVE_TOKEN", "of the shell")
        RemoteRetriever(url).search(["query"], 5)
    assert tokens == ["Bearer secret"] * 2 + ["Bearer of the shell"] * 2


def test_a_token_out_of_a_file_ends_with_its_text_and_what_no_header_can_have_is_refused():
    with answering(lambda handler, _: send_json(handler, ABOUT | {"name": handler.headers["Authorization"]})) as url:
        assert RemoteRetriever(url, token="secret\n").name == "Bearer secret"
        for token in ("t\u00f6ken", "secret\r\nHost: elsewhere", "a\0b", "\u20ac"):
            with pytest.raises(LratError, match="expected a token of printable ASCII") as refused:
                RemoteRetriever(url, token=token)
            assert token not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://", "http://a b", "http://a:b", "http://a:99999", "http://..", f"http://{'a' * 64}", "http://a/\u00f6",
            "http://[::1", "http://a\n"]
)  # fmt: skip
def test_what_is_no_url_is_refused_before_anybody_is_asked(url):
    with pytest.raises(LratError, match="expected the URL of a served retriever"):
        RemoteRetriever(url)


def test_the_longest_queries_that_a_server_takes_arrive_in_as_many_requests_as_they_need():
    limits, documents = Limits(), [Document("d1", "", "\u6f22 lodo"), Document("d2", "", "lodo")]
    # Six bytes of JSON a character: many times what a body may have.
    queries = ["\u6f22" * limits.query_length] * 127 + ["lodo"]
    batches = list(batches_of(queries, 128))
    assert [query for batch in batches for query in batch] == queries
    assert max(len(json.dumps({"queries": batch, "k": 5})) for batch in batches) < limits.body
    here = BM25Retriever(documents)
    with listening(create_app(SearchService(Backend(here)), limits=limits)) as url:
        assert RemoteRetriever(url, attempts=1).search(queries, 5) == here.search(queries, 5)


def test_what_is_no_json_is_refused():
    with (
        answering(lambda handler, _: send(handler, b"<html>")) as url,
        pytest.raises(LratError, match="expected JSON"),
    ):
        RemoteRetriever(url)
