"""`lrat rollout` on several servers of its model, of which one, or all, are killed in the middle."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import read_lineage
from tests.agents.scripted import QUESTIONS
from tests.agents.test_rollout_stage import runs_of, timeless_runs, words
from tests.chat_server import ChatServer, Script, ServerProcess

SHARE = len(QUESTIONS) // 3
"""Questions that each of three servers gets at first."""


@pytest.fixture
def servers(request) -> Iterator[list[ServerProcess]]:
    """Three, which give as many replies as the test says and then hang; 0 for all that they are asked for."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(ServerProcess(Script(protocol="json", delay=0.1, last=last))) for last in request.param
        ]


def on(servers, corpus: str, to: str, journal: Path, *more: str) -> list[str]:
    """The command on servers, with all questions at once."""
    sent = words(corpus, "", to, journal, "--concurrency", str(len(QUESTIONS)), "--request_timeout", "60", *more)
    at = sent.index("--url")
    return [*sent[: at + 1], *(server.base_url for server in servers), *sent[at + 2 :]]


def when(is_so: Callable[[], bool], do: Callable[[], object]) -> threading.Thread:
    """Does something as soon as something is so, in a thread, which ends with that."""

    def work() -> None:
        deadline = time.monotonic() + 300
        while not is_so():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        do()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def asked_in(folder: Path) -> list[str]:
    """Ids of the questions whose runs a journal has, in its order."""
    lines = [line for file in folder.rglob("shard-*") for line in file.read_text().splitlines(keepends=True)]
    return [json.loads(line)["query_id"] for line in lines if line.endswith("\n")]


@pytest.mark.slow
@pytest.mark.parametrize("servers", [(SHARE, 0, 0)], indirect=True)
def test_with_one_of_three_killed_every_question_is_answered_once_as_by_one(corpus, servers, tmp_path):
    with ChatServer(Script(protocol="json")) as server:
        calm = cli.run(words(corpus, server.base_url, "lrat/replicas-one", tmp_path / "one"))
    # It has replied to each of its questions once, and to no more; none of them is done.
    killer = when(lambda: servers[0].stats()["requests"] > SHARE, servers[0].kill)
    ref = cli.run(on(servers, corpus, "lrat/replicas-killed", tmp_path / "killed"))
    killer.join()
    assert timeless_runs(ref) == timeless_runs(calm)
    assert list(runs_of(ref)) == [f"{question.query_id}-0" for question in QUESTIONS]
    assert sum(server.stats()["questions"] for server in servers[1:]) == len(QUESTIONS)
    lineage = read_lineage(ref)
    assert (lineage.inputs["agent"], lineage.counts["endpoints"]) == ("scripted (served, unpinned)", {"agent": 3})
    assert "127.0.0.1" not in lineage.to_json()
    # No run failed, and so none was made twice.
    assert sorted(asked_in(tmp_path / "killed")) == sorted(question.query_id for question in QUESTIONS)


@pytest.mark.slow
@pytest.mark.parametrize("servers", [(10, 10, 10), (10,)], indirect=True)
def test_with_all_killed_the_command_ends_in_one_line_and_goes_on_when_they_are_back(corpus, servers, tmp_path):
    sent = on(servers, corpus, "lrat/replicas-all", tmp_path, "--concurrency", "4", "--request_timeout", "2")

    def kill() -> None:
        for server in servers:
            server.kill()

    killer = when(lambda: len(asked_in(tmp_path)) >= 3, kill)
    what = "one of its 3 servers" if len(servers) > 1 else servers[0].base_url
    with pytest.raises(LratError, match=rf"^scripted: expected {what} to answer within 2 s, found none\."):
        cli.run(sent)
    killer.join()
    before = asked_in(tmp_path)
    assert 3 <= len(before) < len(QUESTIONS)
    servers[-1].script = Script(protocol="json")
    servers[-1].start()
    assert len(runs_of(cli.run(sent))) == len(QUESTIONS)
    assert sorted(asked_in(tmp_path)) == sorted(question.query_id for question in QUESTIONS)
    assert asked_in(tmp_path)[: len(before)] == before


@pytest.mark.slow
def test_with_one_of_three_that_answers_every_question_comes_out_once_as_by_it(corpus, tmp_path):
    """One gives a page in place of replies, one refuses the key, and the third fails now and then."""
    with ChatServer(Script(protocol="json")) as server:
        calm = cli.run(words(corpus, server.base_url, "lrat/replicas-calm", tmp_path / "one"))
    scripts = [
        Script(protocol="json", wrong="page"),
        Script(protocol="json", wrong="key"),
        Script(protocol="json", errors=0.1, cuts=0.2),
    ]
    with ExitStack() as stack:
        servers = [stack.enter_context(ServerProcess(script)) for script in scripts]
        ref = cli.run(on(servers, corpus, "lrat/replicas-mixed", tmp_path / "mixed"))
        assert servers[2].stats()["errors"] + servers[2].stats()["cuts"] > 0
    assert timeless_runs(ref) == timeless_runs(calm)
    assert sorted(asked_in(tmp_path / "mixed")) == sorted(question.query_id for question in QUESTIONS)


def test_servers_of_different_models_are_refused_before_any_work(corpus, tmp_path):
    with ChatServer(Script(protocol="json")) as one, ChatServer(Script(protocol="json", model="another")) as other:
        with pytest.raises(LratError, match="expected a server of scripted, found one of another"):
            cli.run(on([one, other], corpus, "lrat/replicas-other", tmp_path))
        assert one.stats()["requests"] == other.stats()["requests"] == 0
