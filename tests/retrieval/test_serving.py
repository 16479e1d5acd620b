"""A retriever by HTTP: a real server process, connections that are cut, and servers that talk nonsense."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lrat_hub import cli
from lrat_hub.cli import serve
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import resolve
from lrat_hub.hub.lineage import read_lineage
from lrat_hub.retrieval.indexes import load_index
from lrat_hub.retrieval.serving import RemoteRetriever, create_app

QUERIES = ["kabe lodo", "nothing known", "mifi rast nugu", ""]


@pytest.fixture(scope="module")
def index(published):
    return str(cli.run(["index", "--bm25", "--corpus", published.corpus, "--to", "lrat/served"]))


@contextmanager
def serving(index, corpus, port=0):
    """`lrat serve` in a process of its own: gives the process and its URL."""
    words = ["serve", "--index", index, "--corpus", corpus, "--port", str(port)]
    process = subprocess.Popen([sys.executable, "-m", "lrat_hub.cli", *words], stdout=subprocess.PIPE, text=True)
    try:
        yield process, re.search(r"http://\S+", process.stdout.readline())[0]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


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
    with serving(index, published.corpus) as (process, url):
        remote = RemoteRetriever(url, corpus=corpus, batch_size=3, attempts=2, pause=0.01)
        assert (remote.name, remote.revision, remote.corpus) == (here.name, here.revision, here.corpus)
        assert remote.search(QUERIES, 20) == here.search(QUERIES, 20)
        assert remote.search([], 5) == []
        with pytest.raises(LratError, match=r"status 422.*k of 1 or more, found 0"):
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


def test_a_server_that_is_silent_is_given_up_after_the_timeout():
    woken = threading.Event()
    with answering(lambda *_: woken.wait(10)) as url:
        with pytest.raises(LratError, match=r"within 0\.1 s, found none in 2 attempts"):
            RemoteRetriever(url, timeout=0.1, attempts=2, pause=0.01)
        woken.set()


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
    with pytest.raises(LratError, match="lrat serve: expected one index, as namespace/name or a folder; found "):
        serve.main(["--index", name, "--corpus", "me/corpus"])


def test_a_server_says_how_its_queries_have_to_be_rendered():
    class Historian:
        name, revision, query_style = "historian", None, "history"

        def search(self, queries, k):
            return [[] for _ in queries]

    (route, *_) = create_app(Historian()).routes
    about = json.loads(asyncio.run(route.endpoint(None)).body)
    assert about.pop("query_style") == "history"
    for more, style in (({}, "plain"), ({"query_style": "history"}, "history")):
        with answering(lambda handler, _, more=more: send(handler, json.dumps(about | more).encode())) as url:
            assert RemoteRetriever(url).query_style == style
    with (
        answering(lambda handler, _: send(handler, json.dumps(about | {"query_style": "verse"}).encode())) as url,
        pytest.raises(LratError, match="expected the answer of a retriever"),
    ):
        RemoteRetriever(url)


def test_what_is_no_json_is_refused():
    with (
        answering(lambda handler, _: send(handler, b"<html>")) as url,
        pytest.raises(LratError, match="expected JSON"),
    ):
        RemoteRetriever(url)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"queries": "one", "k": 1}', b'{"queries": [1], "k": 1}',
                                  b'{"queries": [], "k": true}', b"\xff", b"[" * 100_000])  # fmt: skip
def test_the_server_refuses_what_is_no_search(body):
    from starlette.testclient import TestClient

    from lrat_hub.retrieval.bm25 import BM25Retriever
    from lrat_hub.retrieval.serving import create_app
    from lrat_hub.schema import Document

    client = TestClient(create_app(BM25Retriever([Document("a", "", "word")])))
    answer = client.post("/search", content=body)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("Search: expected")


def test_the_server_answers_to_its_own_names_and_reads_no_more_than_a_batch():
    from starlette.testclient import TestClient

    from lrat_hub.localhub.process import LOOPBACK
    from lrat_hub.retrieval.bm25 import BM25Retriever
    from lrat_hub.retrieval.serving import BODY_MAX_BYTES
    from lrat_hub.schema import Document

    app = create_app(BM25Retriever([Document("a", "", "word")]), hosts=LOOPBACK)
    client = TestClient(app, base_url="http://127.0.0.1")
    assert client.post("/search", json={"queries": ["word"], "k": 1}).status_code == 200
    assert client.get("/", headers={"Host": "elsewhere.example"}).status_code == 400
    too_long = client.post("/search", content=b" " * (BODY_MAX_BYTES + 1))
    assert (too_long.status_code, "at most" in too_long.json()["error"]) == (413, True)
