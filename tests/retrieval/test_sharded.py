"""An index in shards: lists of the whole to the last bit, and all of it or an error, whatever becomes of a shard."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import pytest
from starlette.testclient import TestClient

from lrat_hub import cli
from lrat_hub.cli import serve
from lrat_hub.cli.ending import leaving_on_sigterm
from lrat_hub.cli.sharding import kept
from lrat_hub.errors import LratError, Unavailable
from lrat_hub.hub.inputs import resolve
from lrat_hub.hub.refs import HubRef
from lrat_hub.llm.processes import ServerProcess, free_port
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.retrieval.indexes import INDEX_FILE, load_index
from lrat_hub.retrieval.remote import RemoteRetriever
from lrat_hub.retrieval.settings import IndexSettings
from lrat_hub.retrieval.sharded import Shard, ShardedRetriever, load_shard, merged, packed
from lrat_hub.retrieval.vectors import VectorIndex, build_index
from lrat_hub.serving.limits import Limits
from lrat_hub.serving.shards import create_shard_app
from tests.retrieval.conftest import WORDS, make_documents
from tests.serving.served import ask, command, listening, serving
from tests.waiting import HANGS_AFTER_SECONDS, wait_until

QUERIES = ["kabe lodo", "nothing known", "mifi rast nugu", "", *WORDS]


def pieces(count, shards):
    return [Shard("index", number, shards, count).rows for number in range(1, shards + 1)]


def as_sent(hits):
    """A list as it comes over the wire."""
    return json.loads(json.dumps([(hit.docid, hit.score) for hit in hits]))


def merged_lists(parts, queries, k):
    lists = [[as_sent(hits) for hits in part.search(queries, k)] for part in parts]
    return [merged(of_query, k) for of_query in zip(*lists, strict=True)]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_merged_lists_of_vectors_are_those_of_the_whole_to_the_last_bit(shards, dtype):
    rng = np.random.default_rng(shards)
    # Each vector stands in about ten places, so that ties lie within shards and across them, also at rank k.
    distinct = rng.standard_normal((60, 24)).astype(dtype)
    vectors = distinct[rng.integers(0, 60, 601)]
    queries = np.concatenate([rng.standard_normal((40, 24)), distinct[:20], np.zeros((1, 24))]).astype(np.float32)
    docids = [f"d{place}" for place in range(len(vectors))]
    whole = VectorIndex(build_index([vectors], IndexSettings()), docids)
    rows = pieces(len(vectors), shards)
    assert [place for part in rows for place in part] == list(range(len(vectors)))
    parts = [whole.part(part) for part in rows]
    for k in (1, 10, 97, 601, 1_000):
        assert merged_lists(parts, queries, k) == whole.search(queries, k)
    assert any(len({hit.score for hit in hits}) < len(hits) for hits in whole.search(queries, 10))


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_merged_lists_of_words_are_those_of_the_whole_to_the_last_bit(shards, tmp_path):
    documents = make_documents(300)
    whole = BM25Retriever(documents)
    whole.save(tmp_path)
    for retriever in (whole, BM25Retriever.load(tmp_path, [document.docid for document in documents])):
        parts = [retriever.part(rows) for rows in pieces(300, shards)]
        for k in (1, 10, 300):
            assert merged_lists(parts, QUERIES, k) == whole.search(QUERIES, k)
    lists = whole.search(QUERIES, 10)
    assert any(len({hit.score for hit in hits}) < len(hits) for hits in lists)


def test_indexes_that_are_not_exact_have_no_parts():
    vectors = np.random.default_rng(0).standard_normal((100, 8)).astype(np.float32)
    index = VectorIndex(build_index([vectors], IndexSettings(kind="hnsw")), [str(place) for place in range(100)])
    with pytest.raises(LratError, match="expected a flat one to take a part of, found IndexHNSW"):
        index.part(range(10))


@pytest.fixture(scope="module")
def flat(published):
    # Shards of the encoding are of another size than those that are served.
    words = ["--shard_size", "64", "--corpus", published.corpus, "--to", "lrat/in-shards"]
    return str(cli.run(["index", "--model", published.model, *words]))


@pytest.fixture(scope="module")
def bm25(published):
    return str(cli.run(["index", "--bm25", "--corpus", published.corpus, "--to", "lrat/in-shards-bm25"]))


@pytest.fixture(scope="module")
def corpus(published):
    return resolve(published.corpus, repo_type="dataset")


@pytest.fixture
def client(flat, corpus):
    shard, index = load_shard(resolve(flat, repo_type="model"), corpus, 2, 3)
    app = create_shard_app(shard, index, limits=Limits(k=50, queries=4))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


VECTORS = np.ones((2, 32), dtype=np.float32)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"k": 5, "queries": ["kabe"]}, "expected `vectors`, found queries"),
        ({"k": 5}, "expected `vectors`, found neither"),
        ({"k": 5, "vectors": packed(VECTORS), "queries": []}, "found queries and vectors"),
        ({"k": 5, "vectors": "?"}, "expected vectors of 32 float32 numbers"),
        ({"k": 5, "vectors": packed(VECTORS)[:-4]}, "expected vectors of 32 float32 numbers"),
        ({"k": 5, "vectors": packed(VECTORS * np.nan)}, "expected finite vectors"),
        ({"k": 5, "vectors": packed(np.ones((5, 32)))}, "expected at most 4 vectors, found 5"),
        ({"k": 51, "vectors": packed(VECTORS)}, "expected k of at most 50"),
        ({"k": 0, "vectors": packed(VECTORS)}, "expected `k` to be 1 or more"),
        ({"k": 5, "vector": packed(VECTORS)}, "expected no further fields"),
    ],
)
def test_a_shard_refuses_what_it_can_not_search(client, question, message):
    refused = client.post("/shard", json=question)
    assert (refused.status_code, message in refused.json()["error"]) == (422, True)


def test_a_shard_answers_with_what_it_is_and_nothing_that_agents_ask(client, flat):
    stamp = {"index": flat, "shard": 2, "shards": 3, "documents": 400}
    assert client.get("/").json() == stamp
    answer = client.post("/shard", json={"k": 5, "vectors": packed(VECTORS)}).json()
    assert {name: answer[name] for name in stamp} == stamp
    assert [len(docids) for docids in answer["docids"]] == [len(scores) for scores in answer["scores"]] == [5, 5]
    assert {int(docid[1:]) for docids in answer["docids"] for docid in docids} <= set(range(133, 266))
    assert client.get("/health").json() == {"status": "ready", "shard": stamp}
    assert "/shard" in client.get("/openapi.json").json()["paths"]
    assert client.post("/search", json={"queries": ["kabe"], "k": 1}).status_code == 404
    assert 'lrat_requests_total{route="/shard",status="200"} 1.0' in client.get("/metrics").text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--index", "me/index", "--shard", "0/2"], "expected --shard as number/count"),
        (["--index", "me/index", "--shard", "3/2"], "expected --shard as number/count"),
        (["--index", "me/index", "--shard", "\u0663/\u0664"], "expected --shard as number/count"),
        (["--index", "me/index", "--shard", f"1/{'9' * 5_000}"], "expected --shard as number/count"),
        (["--index", "me/index", "--shards", "9" * 5_000], "expected --shards as a number of processes, or as URLs"),
        (["--index", "me/index", "--shards", "0"], "expected --shards as a number of processes, or as URLs"),
        (["--index", "me/index", "--shards", "http://a:1,b:2"], "expected --shards as a number"),
        (["--index", "me/index", "--shards", "2", "--follow", "5"], "expected --index for --shards, and no --follow"),
        (["--retriever", "bm25", "--shards", "2"], "expected --index for --shards"),
        (["--retriever", "bm25", "--shard", "1/2"], "expected no --retriever for --shard"),
        (["--index", "me/index", "--shard", "1/2", "--collect", "calls"], "expected no --collect for --shard"),
        (["--index", "me/index", "--shard", "1/2", "--mcp", "none"], "expected no --mcp for --shard"),
    ],
)
def test_shards_that_can_not_be_served_are_refused_before_anything_is_read(words, message):
    with pytest.raises(LratError, match=re.escape(message)):
        serve.main([*words, "--corpus", "me/corpus"])


def test_an_index_that_has_no_such_shards_is_refused(published, flat, corpus):
    index = resolve(flat, repo_type="model")
    with pytest.raises(LratError, match="expected from 1 to 400 shards, as it has documents, found 401"):
        load_shard(index, corpus, 1, 401)
    with pytest.raises(LratError, match="expected from 1 to 400 shards, as it has documents, found 401"):
        serve.main(["--index", flat, "--corpus", published.corpus, "--shards", "401"])
    words = [
        "--kind",
        "hnsw",
        "--model",
        published.model,
        "--corpus",
        published.corpus,
        "--to",
        "lrat/graph-in-shards",
    ]
    graph = resolve(str(cli.run(["index", *words])), repo_type="model")
    for refused in (lambda: load_shard(graph, corpus, 1, 2), lambda: ShardedRetriever(graph, corpus, ["http://a:1"])):
        with pytest.raises(LratError, match="expected an index of kind bm25 or flat for shards, found hnsw"):
            refused()


def test_the_longest_queries_that_a_server_takes_reach_its_shards(bm25, corpus):
    source = resolve(bm25, repo_type="model")
    with listening(create_shard_app(*load_shard(source, corpus, 1, 1))) as url:
        sharded = ShardedRetriever(source, corpus, [url], attempts=1)
        queries = ["\u6f22" * Limits().query_length] * 127 + ["kabe"]
        assert sharded.search(queries, 5) == load_index(source, corpus=corpus).search(queries, 5)
        sharded.close()


def test_a_shard_that_never_answers_holds_a_search_for_one_timeout_in_all(bm25, corpus):
    source, woken, asked = resolve(bm25, repo_type="model"), threading.Event(), []
    app = create_shard_app(*load_shard(source, corpus, 1, 1))

    async def hanging(scope, receive, send):
        if scope["type"] == "http" and scope["path"] == "/shard":
            asked.append(scope["client"])
            await asyncio.to_thread(woken.wait, HANGS_AFTER_SECONDS)
        await app(scope, receive, send)

    with listening(hanging) as url:
        sharded = ShardedRetriever(source, corpus, [url], timeout=0.5, attempts=3, pause=0.01)
        with pytest.raises(Unavailable, match=r"within 0\.5 s, found none in 1 attempts"):
            sharded.search(["kabe"], 5)
        assert len(asked) == 1
        assert "within 0.5 s" in sharded.problems[1]
        woken.set()
        sharded.close()


def test_whoever_ends_a_server_does_not_wait_until_its_shards_are_ready(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "never_ready.py").write_text("import time\nprint('started', flush=True)\ntime.sleep(3_600)\n")
    log = tmp_path / "log"
    words = [sys.executable, "never_ready"]
    shard = ServerProcess("shard", words, f"http://127.0.0.1:{free_port()}", log=log, timeout=3_600)

    def end_when_started():
        wait_until(lambda: log.exists() and "started" in log.read_text())
        os.kill(os.getpid(), signal.SIGTERM)

    def serve_shards():
        with leaving_on_sigterm(0), kept([shard]):
            raise AssertionError("it is never ready")

    ender = threading.Thread(target=end_when_started)
    ender.start()
    with pytest.raises(SystemExit):
        serve_shards()
    ender.join()
    assert shard.has_ended


def test_a_shard_that_can_not_be_started_again_is_started_once_it_can(tmp_path, capsys):
    port, logs = free_port(), tmp_path / "logs"
    words = [sys.executable, "http.server", str(port), "--bind=127.0.0.1", f"--directory={tmp_path}"]
    url = f"http://127.0.0.1:{port}"
    shard = ServerProcess("shard", words, url, log=logs / "log", timeout=HANGS_AFTER_SECONDS)

    def answers():
        with suppress(OSError), urllib.request.urlopen(url, timeout=HANGS_AFTER_SECONDS):
            return True
        return False

    with kept([shard]):
        # Its log can't be written any more.
        logs.rename(tmp_path / "elsewhere")
        logs.touch()
        (process,) = (child for child in psutil.Process().children() if str(port) in child.cmdline())
        process.kill()
        wait_until(lambda: "shard: it could not be started; " in capsys.readouterr().err)
        assert not answers()
        logs.unlink()
        wait_until(answers)
    assert shard.has_ended


@contextmanager
def served_shards(index, corpus, *numbers):
    """Servers of shards, each with its process and URL."""
    with ExitStack() as stack:
        words = ("--index", index, "--corpus", corpus)
        yield [stack.enter_context(serving(*words, "--shard", number)) for number in numbers]


def error_of(url):
    """Status and message of a search that fails."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(url, "/search", {"queries": ["kabe"], "k": 5})
    with caught.value as error:
        return error.code, json.loads(error.read())["error"], error.headers["Retry-After"]


def metric(url, name):
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as response:
        lines = response.read().decode().splitlines()
    # Shards are named in the order in which they have answered first.
    return [float(line.rsplit(" ", 1)[1]) for line in sorted(lines) if line.startswith(name)]


@pytest.mark.slow
def test_servers_of_shards_are_searched_as_the_whole_and_one_that_ends_or_changes_is_an_error(
    published, flat, bm25, corpus
):
    here = load_index(flat, corpus=published.corpus)
    source = resolve(flat, repo_type="model")
    with served_shards(flat, published.corpus, "2/3", "1/3", "3/3") as shards:
        urls = [url for _, url in shards]
        sharded = ShardedRetriever(source, corpus, urls)
        assert (sharded.name, sharded.revision, sharded.query_style) == (here.name, here.revision, here.query_style)
        # More queries than a question has, in one batch.
        many = [f"{one} {other}" for one in WORDS[:13] for other in WORDS]
        for queries, k in ((QUERIES, 7), (many, 3), (many[:5], 400)):
            assert sharded.search(queries, k) == here.search(queries, k)
        assert sharded.search([], 5) == []
        sharded.close()
        for wrong, found in (
            (urls[:2], "shard 2 of 3"), ([*urls[:2], urls[1]], "shard 1 of 3"), ([*urls, urls[0]], "shard 2 of 3"),
        ):  # fmt: skip
            with pytest.raises(LratError, match=f"each once; found {found} of {flat}"):
                ShardedRetriever(source, corpus, wrong)
        with pytest.raises(LratError, match=f"expected one of the 3 shards of {bm25}"):
            ShardedRetriever(resolve(bm25, repo_type="model"), corpus, urls)
        with pytest.raises(LratError, match="expected the answer of a retriever"):
            RemoteRetriever(urls[0])
        words = ("--index", flat, "--corpus", published.corpus, "--shards", ",".join(urls), "--rate", "0")
        with serving(*words) as (_, url):
            remote = RemoteRetriever(url, corpus=corpus, attempts=1)
            assert remote.search(QUERIES[:3], 7) == here.search(QUERIES[:3], 7)
            assert ask(url, "/search", {"queries": ["kabe"], "k": 1})["pin"] == flat
            assert ask(url, "/health")["status"] == "ready"
            assert metric(url, "lrat_shard_seconds_count") == [2, 2, 2]
            (process, gone), port = shards[0], shards[0][1].rpartition(":")[2]
            process.send_signal(signal.SIGKILL)
            process.wait()
            status, message, wait = error_of(url)
            assert (status, gone in message, wait) == (503, True, "1")
            health = ask(url, "/health")
            assert (health["status"], [gone in problem for problem in health["problems"]]) == ("degraded", [True])
            assert metric(url, "lrat_shard_failures_total") == [0, 1, 0]
            # Whatever stands there now, it is no shard of this index.
            with serving("--index", bm25, "--corpus", published.corpus, "--shard", "2/3", "--port", port):
                status, message, _ = error_of(url)
                assert (status, f"found shard 2 of 3 of {bm25}" in message) == (503, True)
            with serving("--index", flat, "--corpus", published.corpus, "--mcp", "none", "--port", port):
                status, message, _ = error_of(url)
                assert (status, "found another server" in message) == (503, True)
            with serving("--index", flat, "--corpus", published.corpus, "--shard", "2/3", "--port", port):
                # Nobody searches: it is seen by itself.
                wait_until(lambda: ask(url, "/health")["status"] == "ready")
                assert remote.search(QUERIES[:3], 7) == here.search(QUERIES[:3], 7)


class Started(NamedTuple):
    pid: int
    url: str


def started(process):
    """The processes of shards that a server has started, by their numbers."""
    found = {}
    for child in psutil.Process(process.pid).children():
        # One that has just ended has no words any more.
        with suppress(psutil.Error):
            words = child.cmdline()
            if "--shard" in words and "-m" in words:
                after = dict(pairwise(words))
                found[after["--shard"]] = Started(child.pid, f"http://127.0.0.1:{after['--port']}")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["flat", "bm25"])
def test_shards_of_this_machine_are_searched_as_the_whole_and_started_again(kind, published, flat, bm25, corpus):
    index = {"flat": flat, "bm25": bm25}[kind]
    here = load_index(index, corpus=published.corpus)
    words = (
        "--index",
        index,
        "--corpus",
        published.corpus,
        "--shards",
        "2",
        *(["--replicas", "2"] * (kind == "bm25")),
    )
    with serving(*words) as (process, url):
        remote = RemoteRetriever(url, corpus=corpus)
        assert remote.search(QUERIES[:5], 7) == here.search(QUERIES[:5], 7)
        assert remote.search(QUERIES[:1], 400) == here.search(QUERIES[:1], 400)
        before = started(process)
        assert sorted(before) == ["1/2", "2/2"]
        # Whoever is on this machine, but has not the token of the server, can not ask a shard.
        with pytest.raises(urllib.error.HTTPError, match="401") as refused:
            ask(before["1/2"].url, "/")
        refused.value.close()
        os.kill(before["1/2"].pid, signal.SIGKILL)

        def answered():
            """Whether there is an answer, which is a whole one."""
            try:
                lists = RemoteRetriever(url, attempts=1).search(QUERIES[:5], 7)
            except Unavailable:
                return False
            assert lists == here.search(QUERIES[:5], 7)
            return True

        wait_until(lambda: started(process).get("1/2", before["1/2"]) != before["1/2"])
        wait_until(answered)
        wait_until(lambda: ask(url, "/health")["status"] == "ready")
        last = started(process)
        assert last["2/2"] == before["2/2"]
    wait_until(lambda: not any(psutil.pid_exists(shard.pid) for shard in last.values()))


@pytest.mark.slow
def test_a_shard_that_can_not_start_ends_the_server_and_says_what_is_wrong(published, flat, tmp_path):
    from huggingface_hub import snapshot_download

    ref = HubRef.parse(flat)
    folder = Path(snapshot_download(ref.repo_id, revision=ref.revision, local_dir=tmp_path / "index"))
    whole = (folder / INDEX_FILE).read_bytes()
    (folder / INDEX_FILE).write_bytes(whole[: len(whole) // 2])
    words = command("--index", str(folder), "--corpus", published.corpus, "--shards", "2", "--port", "0")
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1
    assert "lrat serve --shard 1/2: it ended with code 1" in done.stderr
    assert f"{INDEX_FILE}: expected a FAISS index" in done.stderr
