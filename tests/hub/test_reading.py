"""Reading: outages are waited out, no Hub is waited for without end, and what arrives is what the pin says."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from datasets import Dataset
from huggingface_hub import HfApi, close_session, constants

from lrat_hub import HubRef
from lrat_hub.errors import LratError
from lrat_hub.hub import integrity, refs, retries
from lrat_hub.hub.inputs import fetch_folder, load_table, resolve
from lrat_hub.hub.integrity import require_intact, snapshot_folder
from lrat_hub.hub.lineage import Lineage
from lrat_hub.hub.outputs import Unpublished, check_output, output_folder
from lrat_hub.hub.publish import publish_dataset, publish_output
from lrat_hub.hub.retries import retried
from tests.hub.doors import Door

CARD = "---\npretty_name: Test\n---\n\n# Test\n"
ANSWERS = {
    "500": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "429": b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "cut": b"",
}


class Trouble(Door):
    """A Hub's door that answers its first connections itself, or not at all, and passes the others on."""

    def __init__(self, endpoint: str) -> None:
        self.troubles: list[str] = []
        self._held: list[socket.socket] = []
        super().__init__(endpoint)

    def serve(self, client: socket.socket) -> None:
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble == "silence":
            self._held.append(client)
            return
        with client, contextlib.suppress(OSError):
            first = client.recv(65536)
            if trouble is not None:
                client.sendall(ANSWERS[trouble])
                return
            with socket.create_connection(self.hub) as hub:
                hub.sendall(first)
                threading.Thread(target=self._pass_on, args=(client, hub), daemon=True).start()
                while portion := hub.recv(65536):
                    client.sendall(portion)

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while portion := source.recv(65536):
                target.sendall(portion)

    def close(self) -> None:
        super().close()
        for client in self._held:
            client.close()


@pytest.fixture
def trouble(hub, monkeypatch) -> Iterator[Trouble]:
    door = Trouble(hub.endpoint)
    init = HfApi.__init__
    monkeypatch.setattr(HfApi, "__init__", lambda self, *args, **kwargs: init(self, door.endpoint))
    # Connections that are open already would not pass the door.
    close_session()
    yield door
    door.close()
    close_session()


def publish(name: str, *docids: str) -> HubRef:
    rows = {"train": Dataset.from_dict({"docid": list(docids), "title": [""] * len(docids), "text": list(docids)})}
    return publish_dataset(HubRef(name, "dataset"), {"corpus": rows}, card=CARD, lineage=Lineage("test", {}, {}))


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_outage_while_reading_is_waited_out(hub, trouble, kind):
    pin = publish(f"lrat/read-{kind}", "a")
    close_session()
    trouble.troubles = [kind, kind]
    assert resolve(f"lrat/read-{kind}", repo_type="dataset") == pin
    assert not trouble.troubles


def test_a_hub_that_falls_silent_is_asked_again(hub, trouble, monkeypatch):
    pin = publish("lrat/read-silence", "a")
    monkeypatch.setattr(refs, "ANSWER_SECONDS", 0.3)
    close_session()
    trouble.troubles = ["silence"]
    assert resolve("lrat/read-silence", repo_type="dataset") == pin
    assert not trouble.troubles


def test_offline_nothing_is_tried_again(monkeypatch):
    calls: list[int] = []

    def attempt() -> None:
        calls.append(1)
        raise ConnectionError("offline")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError):
        retried(attempt, what="x")
    assert calls == [1]


def large_model(name: str) -> HubRef:
    api = HfApi()
    api.create_repo(name, exist_ok=True)
    api.upload_file(path_or_fileobj=os.urandom(200_000), path_in_repo="weights.safetensors", repo_id=name)
    return HubRef(name).pin()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def test_a_flipped_bit_is_refused_by_name_and_hashed_only_once(hub, monkeypatch):
    pin = large_model("lrat/flipped")
    folder = fetch_folder(pin)
    hashed: list[Path] = []
    with monkeypatch.context() as patched:
        patched.setattr(integrity, "sha256_of", lambda path: hashed.append(path) or path.name)
        fetch_folder(pin)
    assert hashed == []
    flip((folder / "weights.safetensors").resolve())
    with pytest.raises(LratError, match=r"weights\.safetensors is damaged: expected sha256"):
        require_intact(pin)
    # It is fetched again, and is right.
    assert fetch_folder(pin) == folder


def test_a_bit_that_is_flipped_where_it_is_stored_reaches_nobody(hub, caplog):
    pin = large_model("lrat/flipped-there")
    (entry,) = HfApi().get_paths_info(pin.repo_id, ["weights.safetensors"], revision=pin.revision)
    names = {entry.lfs.sha256, entry.lfs.sha256[4:]}
    (stored,) = [path for path in Path(hub.root, "objects").rglob("*") if path.is_file() and path.name in names]
    flip(stored)
    with pytest.raises(LratError, match=r"weights\.safetensors is damaged"):
        fetch_folder(pin)
    assert "trying again" not in caplog.text, "it is damaged at every attempt"


def test_a_damaged_table_is_not_taken_from_what_was_made_of_it(hub):
    pin = publish("lrat/flipped-table", *map(str, range(20_000)))
    load_table(pin, "corpus")
    (blob,) = [path.resolve() for path in snapshot_folder(pin).rglob("*.parquet")]
    assert len(blob.name) == 64, "large enough to be stored by its sha256"
    flip(blob)
    with pytest.raises(LratError, match="is damaged"):
        load_table(pin, "corpus")
    assert len(load_table(pin, "corpus")) == 20_000


def test_the_name_of_a_file_that_is_there_is_a_path(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lrat").mkdir()
    for name in ("rows.csv", "lrat/rows.csv"):
        Path(name).write_text("docid,title,text\n7,t,x\n")
        assert load_table(resolve(name, repo_type="dataset"), "corpus")["docid"] == ["7"]
    # A folder that is named as a repository is not meant, unless it says so.
    (tmp_path / "lrat" / "nowhere").mkdir()
    with pytest.raises(LratError, match="no such dataset repository"):
        resolve("lrat/nowhere", repo_type="dataset")


@pytest.mark.parametrize("split", ["test-2024", "a b", "", "all", "a."])
def test_a_split_that_load_dataset_cannot_load_is_not_published(hub, split):
    rows = Dataset.from_dict({"docid": ["a"], "title": [""], "text": [""]})
    target = HubRef("lrat/splits", "dataset")
    with pytest.raises(LratError, match="expected a split named with letters"):
        publish_dataset(target, {"corpus": {split: rows}}, card=CARD, lineage=Lineage("test", {}, {}))


def test_what_the_hub_refuses_is_kept_and_published_later(hub):
    publish("lrat/reading-refused", "a")
    rows = {"train": Dataset.from_dict({"docid": ["b"]})}
    with pytest.raises(Unpublished, match=r"it has corpus, which this would remove.* is kept in") as refused:
        publish_dataset(
            HubRef("lrat/reading-refused", "dataset"), {"other": rows}, card=CARD, lineage=Lineage("test", {}, {})
        )
    folder = refused.value.folder
    assert check_output(folder).stage == "test"
    with pytest.raises(LratError, match="expected a model to publish to lrat/elsewhere@main, found a dataset"):
        publish_output(folder, HubRef("lrat/elsewhere"))
    pin = publish_output(folder, HubRef("lrat/elsewhere", "dataset"))
    assert load_table(resolve(f"{pin}#other", repo_type="dataset"), "document_ids")["docid"] == ["b"]
    next(folder.rglob("*.parquet")).unlink()
    with pytest.raises(LratError, match=r"found none\. The output is no longer complete"):
        publish_output(folder, HubRef("lrat/elsewhere", "dataset"))
    refused.value.discard()


def test_a_model_is_kept_though_it_was_not_finished_and_other_leftovers_are_not():
    made: list[Path] = []

    def make(error: Exception, *, keep: bool) -> None:
        with output_folder(HubRef("lrat/unfinished"), keep_unfinished=keep) as folder:
            made.append(folder / "model.safetensors")
            made[-1].write_bytes(b"x")
            raise error

    with pytest.raises(LratError, match="no card What was made so far is kept in") as kept:
        make(LratError("no card"), keep=True)
    assert str(made[0].parent) in str(kept.value)
    assert made[0].exists()
    with pytest.raises(LratError, match=r"expected a finished output with its README\.md"):
        check_output(made[0].parent)
    with pytest.raises(ValueError, match="no card"):
        make(ValueError("no card"), keep=False)
    assert not made[1].parent.exists()


def test_a_hub_that_has_not_answered_yet_is_waited_for_for_moments_only(hub, monkeypatch, caplog):
    monkeypatch.setattr(retries, "FIRST_PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(retries, "_heard", {})
    calls: list[int] = []

    def attempt() -> None:
        calls.append(1)
        raise ConnectionError("refused")

    ref = HubRef("lrat/nowhere", "dataset")
    with pytest.raises(LratError, match="can't be reached"):
        retries.read(ref, attempt)
    assert 1 < len(calls) < 5
    assert (
        f"{ref} at {constants.ENDPOINT}: no answer (ConnectionError); trying again, for 0 seconds more" in caplog.text
    )
    # What is read after that is asked for once.
    calls.clear()
    with pytest.raises(LratError, match="can't be reached"):
        retries.read(ref, attempt)
    assert len(calls) == 1
    assert retries.read(ref, lambda: "an answer") == "an answer"
    monkeypatch.setattr(retries, "PATIENCE_SECONDS", 0.2)
    calls.clear()
    with pytest.raises(LratError, match="can't be reached"):
        retries.read(ref, attempt)
    assert len(calls) > 1, "it has answered, and is waited for"


def test_a_hub_that_says_there_is_no_such_repository_has_answered(hub, monkeypatch):
    monkeypatch.setattr(retries, "_heard", {})
    with pytest.raises(LratError, match="no such dataset repository"):
        resolve("lrat/nowhere", repo_type="dataset")
    assert retries._heard == {constants.ENDPOINT: True}
