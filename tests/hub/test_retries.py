"""Commits through conflicts and lost connections: each lands once, and the log says what happened."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from datasets import Dataset, get_dataset_config_names, load_dataset
from huggingface_hub import CommitOperationAdd, HfApi
from tenacity import Retrying

from lrat_hub import HubRef
from lrat_hub.errors import LratError
from lrat_hub.hub import retries
from lrat_hub.hub.lineage import Lineage
from lrat_hub.hub.publish import publish_dataset, update_card
from tests.hub.doors import Door

CARD = "---\npretty_name: Test\n---\n\n# Test\n"


def publish(name: str, docid: str) -> HubRef:
    rows = {"train": Dataset.from_dict({"docid": [docid], "title": [""], "text": [""]})}
    return publish_dataset(HubRef(name, "dataset"), {"corpus": rows}, card=CARD, lineage=Lineage("test", {}, {}))


def titles(name: str) -> list[str]:
    return [commit.title for commit in HfApi().list_repo_commits(name, repo_type="dataset")]


class Cable(Door):
    """A proxy before the Hub that loses connections during commits: before the request arrives, or the answer."""

    def __init__(self, endpoint: str) -> None:
        self.losses: list[str] = []
        super().__init__(endpoint)

    def serve(self, client: socket.socket) -> None:
        """One connection; each of its requests is complete before its answer begins."""
        with client, socket.create_connection(self.hub) as hub:
            lose_answer = threading.Event()

            def answers() -> None:
                with contextlib.suppress(OSError):
                    while (portion := hub.recv(65536)) and not lose_answer.is_set():
                        client.sendall(portion)
                    client.shutdown(socket.SHUT_RDWR)

            threading.Thread(target=answers, daemon=True).start()
            with contextlib.suppress(OSError):
                while portion := client.recv(65536):
                    start = portion.partition(b"\r\n")[0]
                    if start.startswith(b"POST ") and b"/commit/" in start and self.losses:
                        if self.losses.pop(0) == "request":
                            break
                        lose_answer.set()
                    hub.sendall(portion)
                hub.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def cable(hub, monkeypatch) -> Iterator[Cable]:
    """All clients of this process talk to the Hub through it."""
    cable = Cable(hub.endpoint)
    init = HfApi.__init__
    monkeypatch.setattr(HfApi, "__init__", lambda self, *args, **kwargs: init(self, cable.endpoint))
    yield cable
    cable.close()


@pytest.mark.parametrize("losses", [["request"], ["answer"], ["request", "answer"], ["answer", "request"]])
def test_a_publication_lands_once_though_connections_are_lost(cable, caplog, losses):
    name = f"lrat/lost-{'-'.join(losses)}"
    publish(name, "old")
    cable.losses = list(losses)
    with caplog.at_level(logging.WARNING, logger="lrat_hub"):
        pin = publish(name, "new")
    assert cable.losses == (["request"] if losses == ["answer", "request"] else [])
    assert titles(name) == ["lrat test", "lrat test", "initial commit"]
    assert HfApi().list_repo_commits(name, repo_type="dataset")[0].commit_id == pin.revision
    logged = [record.getMessage() for record in caplog.records if record.name == "lrat_hub.hub.retries"]
    assert "no answer" in logged[0]
    assert any(f"the commit had arrived, as {pin.revision}" in line for line in logged) is ("answer" in losses)


def test_what_others_commit_after_a_lost_answer_stays(cable, monkeypatch):
    """The commit had arrived, so it must not be made again on top of what came after it."""
    publish("lrat/lost-then-card", "old")
    cable.losses = ["answer"]

    def somebody_else(seconds):
        api = HfApi()
        card = CommitOperationAdd("README.md", b"---\nlicense: mit\n---\n# Mine\n")
        api.create_commit("lrat/lost-then-card", [card], repo_type="dataset", commit_message="theirs")

    monkeypatch.setattr("tenacity.nap.time.sleep", somebody_else)
    pin = publish("lrat/lost-then-card", "new")
    assert titles("lrat/lost-then-card")[:3] == ["theirs", "lrat test", "lrat test"]
    assert HfApi().list_repo_commits("lrat/lost-then-card", repo_type="dataset")[1].commit_id == pin.revision


def test_a_card_is_updated_once_and_only_on_its_parent(cable):
    pin = publish("lrat/lost-card", "a")
    cable.losses = ["answer"]
    target = HubRef("lrat/lost-card", "dataset")
    updated = update_card(target, CARD + "More\n", parent=pin.revision)
    assert titles("lrat/lost-card")[:2] == ["lrat eval: results into the card", "lrat test"]
    with pytest.raises(LratError, match="A commit has happened since"):
        update_card(target, CARD + "Other\n", parent=pin.revision)
    assert titles("lrat/lost-card")[:2] == ["lrat eval: results into the card", "lrat test"]
    assert updated.revision != pin.revision


def test_a_refusal_is_not_repeated_and_patience_ends(monkeypatch):
    calls: list[float] = []
    now = 0.0

    def sleep(seconds):
        nonlocal now
        now += seconds

    monkeypatch.setattr("tenacity.nap.time.sleep", sleep)
    monkeypatch.setattr("tenacity.time.monotonic", lambda: now)

    @contextlib.contextmanager
    def failing(error):
        def attempt():
            calls.append(now)
            raise error

        calls.clear()
        with pytest.raises(type(error)):
            yield attempt

    with failing(ValueError("no")) as attempt:
        retries.retried(attempt, what="x")
    assert calls == [0]
    with failing(ConnectionError("gone")) as attempt:
        retries.retried(attempt, what="x", patience=60)
    # Pauses grow to ten seconds at most, and no attempt begins after the minute.
    assert 7 < len(calls) < 20
    assert 40 < calls[-1] < 60


class Refusal(Exception):
    """An answer that refuses, with its headers."""

    def __init__(self, **headers: str):
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def pauses(error: Exception, **options) -> list[float]:
    slept: list[float] = []

    def attempt():
        raise error

    with pytest.raises(type(error)) as raised:
        Retrying(**retries.backoff(lambda error: isinstance(error, Refusal), **options), sleep=slept.append)(attempt)
    assert raised.value is error
    return slept


def test_pauses_double_up_to_the_longest_and_differ_between_those_who_failed_together():
    slept = pauses(Refusal(), attempts=7, pause=0.5, longest_pause=8)
    for pause, full in zip(slept, [0.5, 1, 2, 4, 8, 8], strict=True):
        assert full / 2 <= pause <= full
    assert pauses(Refusal(), attempts=7) != pauses(Refusal(), attempts=7)
    assert pauses(ValueError(), attempts=7) == []


@pytest.mark.parametrize(("asked", "pause"), [("7", 7), ("0.1", 0.1), ("60", 60)])
def test_a_pause_that_a_server_asks_for_is_kept(asked, pause):
    assert pauses(Refusal(Retry_After=asked), attempts=3) == [pause, pause]


@pytest.mark.parametrize("asked", ["", "-1", "0", "nan", "Wed, 25 Nov 2026 10:00:00 GMT", "3600"])
def test_a_pause_that_is_no_short_number_of_seconds_is_our_own(asked):
    (slept,) = pauses(Refusal(Retry_After=asked), attempts=2)
    assert 0.25 <= slept <= 0.5


PUSHER = """
import sys, json
from datasets import Dataset
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError
from lrat_hub.hub.retries import retried
repo, number = sys.argv[1], sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
rows = Dataset.from_dict({"n": [int(number)]})
retried(lambda: rows.push_to_hub(repo, f"config_{number}"), what=repo)
print("pushed", flush=True)
parent = sys.stdin.readline().strip()
add = CommitOperationAdd(f"race/{number}", b"x")
try:
    HfApi().create_commit(repo, [add], repo_type="dataset", commit_message="race", parent_commit=parent)
    print(200, flush=True)
except HfHubHTTPError as error:
    print(error.response.status_code, flush=True)
"""


@pytest.mark.slow
def test_eight_processes_push_configs_to_one_dataset_and_race_for_one_parent(hub, tmp_path: Path):
    repo = HfApi().create_repo("lrat/pushed-at-once", repo_type="dataset").repo_id
    environment = os.environ | {"HF_HOME": str(tmp_path)}
    command = [sys.executable, "-c", PUSHER, repo]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    with contextlib.ExitStack() as stack:
        push_at_once(
            [stack.enter_context(subprocess.Popen([*command, str(number)], **pipes)) for number in range(8)], repo
        )


def push_at_once(processes: list[subprocess.Popen[str]], repo: str) -> None:
    def everybody(line: str) -> list[str]:
        for process in processes:
            process.stdin.write(line + "\n")
            process.stdin.flush()
        return [process.stdout.readline().strip() for process in processes]

    assert [process.stdout.readline().strip() for process in processes] == ["ready"] * 8
    assert everybody("go") == ["pushed"] * 8
    pushed = HfApi().dataset_info(repo).sha
    names = [f"config_{number}" for number in range(8)]
    assert sorted(get_dataset_config_names(repo, revision=pushed)) == names
    loaded = {name: load_dataset(repo, name, split="train", revision=pushed)["n"][:] for name in names}
    assert loaded == {f"config_{number}": [number] for number in range(8)}

    assert sorted(everybody(pushed)) == ["200"] + ["412"] * 7
    assert len([path for path in HfApi().list_repo_files(repo, repo_type="dataset") if path.startswith("race/")]) == 1
    assert [process.wait(60) for process in processes] == [0] * 8
