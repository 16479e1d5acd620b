"""`lrat serve` as a process: what it refuses to serve, any retriever, and a champion whose tag moves."""

import os
import re
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from lrat_hub import cli
from lrat_hub.cli import serve
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import resolve
from lrat_hub.hub.refs import HubRef
from lrat_hub.retrieval.opening import open_retriever
from lrat_hub.retrieval.remote import RemoteRetriever
from tests.serving.served import ask, bm25, command, serving
from tests.waiting import wait_until

QUERIES = ["kabe lodo", "nothing known", "mifi rast nugu", ""]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--index", "me/index", "--host", "0.0.0.0"], "expected --tokens for an address that other machines reach"),
        (["--index", "me/index", "--host", "::"], "expected --tokens for an address"),
        (["--retriever", "bm25", "--follow", "5"], "expected --index at a tag for --follow"),
        (["--index", "me/index", "--follow", "5", "--require-pinned"], "and no --require-pinned"),
        (["--index", f"me/index@{'a' * 40}", "--follow", "5"], "which never moves"),
        (["--index", "./index", "--follow", "5"], "expected namespace/name"),
        (["--retriever", "http://127.0.0.1:9", "--model", "me/model"], "expected no --model for a server"),
        (["--index", "me/index", "--max-batch", "0"], "`max_batch` and `max_queue` of 1 or more, found 0"),
        (["--index", "me/index", "--max-k", "0"], "`k` of 1 or more, found 0"),
        (["--index", "me/index", "--rate", "-1"], "`rate` of 0 or more"),
        (["--index", "me/index", "--tokens", "/absent"], "Tokens: expected a text file at /absent"),
        (["--index", "me/index", "--retriever", "bm25"], "not allowed with"),
        ([], "one of the arguments --index --retriever"),
    ],
)
def test_what_can_not_be_served_is_refused_before_anything_is_read(words, message):
    with pytest.raises(LratError, match=re.escape(message)):
        serve.main([*words, "--corpus", "me/corpus"])


@pytest.mark.slow
def test_any_retriever_is_served_as_it_searches_here(published):
    corpus = resolve(published.corpus, repo_type="dataset")
    index = str(cli.run(["index", "--bm25", "--corpus", published.corpus, "--to", "lrat/served-any"]))
    name = f"bm25+index:{index}"
    here = open_retriever(name, corpus)
    with serving("--retriever", name, "--corpus", published.corpus) as (_, url):
        remote = RemoteRetriever(url, corpus=corpus)
        assert (remote.name, remote.revision) == (here.name, here.revision)
        assert remote.search(QUERIES, 7) == here.search(QUERIES, 7)
        (hit, *_) = here.search(QUERIES[:1], 1)[0]
        opened = ask(url, "/documents", {"docids": [hit.docid]})
        assert (opened["found"], opened["documents"][0]["docid"]) == (1, hit.docid)
        # A server of a server.
        with serving("--retriever", url, "--corpus", published.corpus) as (_, further):
            assert RemoteRetriever(further, corpus=corpus).search(QUERIES, 7) == here.search(QUERIES, 7)


@pytest.mark.slow
def test_a_tag_that_moves_is_followed_under_load(published):
    from huggingface_hub import HfApi

    api, repo = HfApi(), "lrat/followed"

    def publish(*options):
        ref = HubRef.parse(str(cli.run(["index", *options, "--corpus", published.corpus, "--to", repo])))
        return ref.revision

    first = publish("--bm25")
    api.create_tag(repo, tag="champion", revision=first)
    second = publish("--model", published.model)
    assert first != second
    words = ["--index", f"{repo}@champion", "--corpus", published.corpus, "--follow", "0.2"]
    with serving(*words) as (_, url):
        answers = []

        def pin():
            answers.append(ask(url, "/search", {"queries": QUERIES, "k": 5}))
            return answers[-1]["pin"]

        assert pin() == f"{repo}@{first}"
        api.delete_tag(repo, tag="champion")
        wait_until(lambda: ask(url, "/health")["status"] == "degraded")
        assert pin() == f"{repo}@{first}"
        api.create_tag(repo, tag="champion", revision=second)
        wait_until(lambda: pin() == f"{repo}@{second}")
        assert ask(url, "/health")["status"] == "ready"
    expected = {
        f"{repo}@{sha}": open_retriever(f"index:{repo}@{sha}", published.corpus).search(QUERIES, 5)
        for sha in (first, second)
    }
    assert expected[f"{repo}@{first}"] != expected[f"{repo}@{second}"]
    for answer in answers:
        lists = [[(hit["docid"], hit["score"]) for hit in hits] for hits in answer["results"]]
        assert lists == [[(hit.docid, hit.score) for hit in hits] for hits in expected[answer["pin"]]]


def command_of(process):
    import psutil

    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


@pytest.mark.slow
def test_a_replica_that_is_killed_loses_no_request_and_is_started_again(published):
    import psutil

    corpus = resolve(published.corpus, repo_type="dataset")
    here = open_retriever("bm25", corpus)
    expected = here.search(QUERIES, 7)
    with serving(*bm25(published.corpus), "--replicas", "2") as (process, url):
        supervisor = psutil.Process(process.pid)

        def replicas():
            """Those that serve: multiprocessing has a process of its own besides."""
            return {child.pid for child in supervisor.children() if "spawn_main" in command_of(child)}

        remote = RemoteRetriever(url, corpus=corpus, attempts=20, pause=0.05)
        stop, wrong, counts = threading.Event(), [], [0] * 6

        def client(number):
            while not stop.is_set():
                try:
                    if remote.search(QUERIES, 7) != expected:
                        wrong.append("another answer")
                except LratError as error:
                    wrong.append(str(error))
                counts[number] += 1

        def answered(more):
            before = sum(counts)
            wait_until(lambda: sum(counts) >= before + more)

        threads = [threading.Thread(target=client, args=[number]) for number in range(len(counts))]
        for thread in threads:
            thread.start()
        try:
            answered(50)
            for _ in range(2):
                wait_until(lambda: len(replicas()) == 2)
                (first, *_) = before = replicas()
                os.kill(first, signal.SIGKILL)
                answered(50)
                wait_until(lambda before=before: len(replicas()) == 2 and replicas() != before)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert wrong == []
        # Each reports what all of them have answered, those that were killed too.
        lines = urllib.request.urlopen(url + "/metrics").read().decode().splitlines()
        (total,) = (line for line in lines if line.startswith('lrat_requests_total{route="/search",status="200"}'))
        assert float(total.split()[-1]) >= sum(counts)
        last = replicas()
    assert not any(map(psutil.pid_exists, last))


@pytest.mark.slow
def test_replicas_have_one_rate_and_end_with_the_one_that_started_them_and_what_can_not_start_is_said(published):
    import psutil

    # One request may come in all of the time that this takes; each of these has a connection of its own.
    with serving(*bm25(published.corpus), "--replicas", "2", "--rate", "1e-6") as (process, url):

        def status(_):
            try:
                return urllib.request.urlopen(url, timeout=60).status
            except urllib.error.HTTPError as error:
                return error.code

        with ThreadPoolExecutor(16) as clients:
            assert Counter(clients.map(status, range(64))) == {200: 1, 429: 63}
        children = psutil.Process(process.pid).children()
        process.kill()
        # Nobody may be there to bury them.
        wait_until(lambda: not any(map(command_of, children)))
    words = ["--retriever", "absent.module:thing", "--corpus", published.corpus, "--replicas", "2", "--port", "0"]
    done = subprocess.run(command(*words), capture_output=True, text=True, timeout=600)
    assert "lrat serve: Plug-in absent.module:thing: expected" in done.stderr
    assert done.returncode == 1
