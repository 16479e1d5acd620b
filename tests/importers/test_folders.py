"""A folder is read for what is in it: nothing outside, nothing hidden, nothing but files; the rest is counted."""

import os
import socket
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download

from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import path_digest
from lrat_hub.importers.sources.records import read_records
from lrat_hub.ledger import Ledger
from tests.importers.reading import is_message, read

OUTSIDE = "link that leads out of the folder"


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "runs"
    (root / "b").mkdir(parents=True)
    for name in ("a.json", "b/c.json", "d.json"):
        (root / name).write_text("{}")
    return root


def test_files_come_in_the_order_of_their_names_and_others_are_counted_by_suffix(folder):
    for name in ("log.md", "b/picture.PNG", "b/picture2.png", "runs-1", "run.2026-01-01", "notes.txt"):
        (folder / name).write_text("{}")
    result = read(folder)
    assert list(result.values) == ["a", "b/c", "d"]
    assert result.files.kept == 3
    assert result.files.dropped == {
        "not read: .md": 1, "not read: .png": 2, "not read: no suffix": 1, "not read: other suffix": 1,
        "not read: .txt": 1,
    }  # fmt: skip
    assert result.files.examples["not read: .png"] == "b/picture.PNG"


def test_a_folder_without_a_file_that_is_read_is_refused_with_what_is_there(tmp_path):
    for name in ("a.png", "b.png", "c.csv", ".hidden.json"):
        (tmp_path / name).write_text("{}")
    refusal = read(tmp_path).refusal
    assert "found none that can be read: 2 not read: .png, 1 not read: .csv; write it as JSON lines" in refusal


def test_cards_and_licences_are_no_logs_and_no_loss(folder):
    for name in ("README.md", "LICENSE", "b/LICENSE.txt", "CITATION.cff", "dataset_infos.json", "lineage.json"):
        (folder / name).write_text("{}")
    (folder / ".gitattributes").write_text("*.parquet filter=lfs")
    result = read(folder)
    assert list(result.values) == ["a", "b/c", "d"]
    assert (result.files.num_lost, result.files.notes["card, licence and the like"]) == (0, 6)


@pytest.mark.parametrize("name", ["runs.csv", "runs.TSV", "runs.yaml", "runs.yml"])
def test_files_whose_content_can_be_written_as_lines_are_refused_with_the_cure(tmp_path, name):
    (tmp_path / name).write_text("question,answer\nWho?,Ada\n")
    assert f"not read: .{name[5:].lower()}; write it as JSON lines" in read(tmp_path / name).refusal


def test_hidden_files_and_folders_are_not_read(folder):
    for name in (".git/a.json", "__MACOSX/b.json", "b/.ipynb_checkpoints/c.json", "._a.json", ".DS_Store"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")
    result = read(folder)
    assert list(result.values) == ["a", "b/c", "d"]
    assert result.files.notes == {"hidden file": 2, "hidden folder": 3}
    # What is named is read, whatever it is called.
    assert list(read(folder / ".git").values) == ["a"]


def test_links_that_lead_out_of_the_folder_are_not_followed(folder, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "s.json").write_text("{}")
    (folder / "file.json").symlink_to(secret / "s.json")
    (folder / "folder").symlink_to(secret)
    (folder / "parent").symlink_to("..")
    (folder / "chain.json").symlink_to("b/chain.json")
    (folder / "b/chain.json").symlink_to("../../secret/s.json")
    (folder / "loop").symlink_to("loop")
    (folder / "gone.json").symlink_to("gone")
    (folder / "zero.json").symlink_to("/dev/zero")
    result = read(folder)
    assert list(result.values) == ["a", "b/c", "d"]
    assert result.files.dropped == {OUTSIDE: 6, "link that leads nowhere": 2}


def test_links_in_the_folder_give_each_file_once(folder):
    (folder / ".store").mkdir()
    (folder / ".store/x").write_text("{}")
    (folder / "latest.json").symlink_to("d.json")
    (folder / "again").symlink_to("b")
    (folder / "self").symlink_to(".")
    (folder / "stored.json").symlink_to(".store/x")
    result = read(folder)
    assert list(result.values) == ["a", "b/c", "d", "stored"]
    assert result.files.notes == {
        "hidden folder": 1, "link to a file that is read under its own name": 1,
        "link to a folder that is read under its own name": 2,
    }  # fmt: skip
    assert not result.files.dropped


def test_a_source_may_be_a_link(folder, tmp_path):
    (tmp_path / "to_folder").symlink_to(folder)
    (tmp_path / "to_file.json").symlink_to(folder / "a.json")
    assert list(read(tmp_path / "to_folder").values) == ["a", "b/c", "d"]
    assert list(read(tmp_path / "to_file.json").values) == ["to_file"]


def test_pipes_and_sockets_are_not_opened(folder, monkeypatch):
    os.mkfifo(folder / "pipe.json")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(folder)  # the path of a socket is short
        server.bind("socket.json")
        result = read(folder)
    assert list(result.values) == ["a", "b/c", "d"]
    assert result.files.dropped == {"not a regular file": 2}
    path_digest(folder)
    with pytest.raises(LratError, match="found a pipe or device"):
        list(read_records(folder / "pipe.json", Ledger("records"), is_message))


def test_what_can_not_be_opened_is_counted(folder, monkeypatch):
    opened, scanned = Path.open, os.scandir

    def failing(path, *args, **options):
        if path.name == "a.json":
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **options)

    def failing_too(path):
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied")
        return scanned(path)

    monkeypatch.setattr(Path, "open", failing)
    monkeypatch.setattr(os, "scandir", failing_too)
    result = read(folder)
    assert list(result.values) == ["d"]
    assert result.files.dropped == {
        "can't be opened: Permission denied": 1, "folder can't be read: Permission denied": 1,
    }  # fmt: skip
    assert path_digest(folder) != path_digest(folder / "d.json")


def test_names_that_are_not_utf8_are_read_and_named(folder):
    (folder / os.fsdecode(b"caf\xe9.json")).write_text("{}")
    assert list(read(folder).values) == ["a", "b/c", "caf\ufffd", "d"]
    path_digest(folder)


def test_a_snapshot_of_the_hub_is_read_through_its_links(hub, tmp_path):
    from huggingface_hub import HfApi

    api = HfApi()
    api.create_repo("lrat/logs", repo_type="dataset")
    for name in ("runs.jsonl", "more/runs.json"):
        api.upload_file(path_or_fileobj=b'{"a": 1}', path_in_repo=name, repo_id="lrat/logs", repo_type="dataset")
    snapshot = Path(snapshot_download("lrat/logs", repo_type="dataset", cache_dir=tmp_path / "cache"))
    assert (snapshot / "runs.jsonl").is_symlink()
    assert list(read(snapshot).values) == ["more/runs", "runs/1"]
    assert list(read(snapshot / "more").values) == ["runs"]
    # Its links do not make the rest of the cache, or what is beside it, part of it.
    (tmp_path / "secret.json").write_text("{}")
    (snapshot / "secret.json").symlink_to(tmp_path / "secret.json")
    (snapshot / "other.json").symlink_to(snapshot.parent.parent / "refs/main")
    result = read(snapshot)
    assert list(result.values) == ["more/runs", "runs/1"]
    assert result.files.dropped[OUTSIDE] == 2
