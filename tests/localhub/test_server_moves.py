"""Repositories that change their id, their history or their place, and ids in any case."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from requests_by_hand import commit, connect, put

from lrat_hub.localhub import LocalHub
from lrat_hub.localhub.app import create_app
from lrat_hub.localhub.changes import Put
from lrat_hub.localhub.objects import Pointer
from lrat_hub.localhub.protocol import RepoId
from lrat_hub.localhub.root import create_token, prepare_root, read_token

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi

LARGE = b"large" * 1000
_names = itertools.count()


@pytest.fixture
def name() -> str:
    return f"moving-{next(_names)}"


def filled(api: HfApi, repo: str, **how: bool) -> str:
    api.create_repo(repo, **how)
    api.upload_file(repo_id=repo, path_in_repo="a.txt", path_or_fileobj=b"small")
    return api.upload_file(repo_id=repo, path_in_repo="b.bin", path_or_fileobj=LARGE).oid


def test_a_repository_is_found_by_its_old_id_after_it_has_moved(
    api: HfApi, http: httpx2.Client, hub: LocalHub, name: str, tmp_path: Path
) -> None:
    old, new = f"lrat/{name}", f"elsewhere/{name}-new"
    sha = filled(api, old)
    opened = api.create_discussion(old, title="stays with it")
    api.move_repo(old, new)
    assert api.model_info(old).id == api.model_info(new).id == new
    with open(api.hf_hub_download(old, "b.bin", cache_dir=tmp_path)) as file:
        assert file.read() == LARGE.decode()
    assert Path(api.snapshot_download(old, cache_dir=tmp_path), "a.txt").read_text() == "small"
    assert api.get_discussion_details(new, opened.num).title == "stays with it"
    # Writing under the old id writes in the one repository that there is.
    api.upload_file(repo_id=old, path_in_repo="c", path_or_fileobj=b"1")
    api.upload_file(repo_id=old, path_in_repo="d.bin", path_or_fileobj=b"2" * 1000)
    assert api.file_exists(new, "c")
    assert [each.commit_id for each in api.list_repo_commits(new)].count(sha) == 1
    seen = http.get(f"/api/models/{old}?blobs=true")
    assert (seen.status_code, seen.headers["Location"]) == (307, f"/api/models/{new}?blobs=true")
    # From there on to a third place, and back.
    api.move_repo(new, f"lrat/{name}-third")
    assert api.model_info(old).id == f"lrat/{name}-third"
    api.move_repo(f"lrat/{name}-third", old)
    assert api.model_info(new).id == old
    # A new repository takes the id for itself.
    api.create_repo(new)
    assert api.model_info(new).id == new


def test_moves_that_are_not_allowed_change_nothing(api: HfApi, http: httpx2.Client, hub: LocalHub, name: str) -> None:
    filled(api, f"lrat/{name}")
    api.create_repo(f"lrat/{name}-taken")
    guest = create_token(hub.root, "mover", "write")
    moves = {
        (f"lrat/{name}", f"lrat/{name}-taken"): 409,
        (f"lrat/{name}", f"lrat/{name.upper()}-Taken"): 409,
        (f"lrat/{name}", "lrat/a..b"): 400,
        (f"lrat/{name}", "lrat"): 400,
        (f"lrat/{name}-none", f"lrat/{name}-x"): 404,
    }
    for (old, new), status in moves.items():
        assert http.post("/api/repos/move", json={"fromRepo": old, "toRepo": new}).status_code == status
    with connect(hub.endpoint, guest) as client:
        client.post("/api/repos/create", json={"name": f"{name}-own"}).raise_for_status()
        for old, new in ((f"lrat/{name}", f"mover/{name}"), (f"mover/{name}-own", f"lrat/{name}-x")):
            assert client.post("/api/repos/move", json={"fromRepo": old, "toRepo": new}).status_code == 403
    assert api.model_info(f"lrat/{name}").id == f"lrat/{name}"


def test_where_a_private_repository_has_moved_is_told_to_those_who_may_see_it(
    api: HfApi, http: httpx2.Client, name: str
) -> None:
    filled(api, f"lrat/{name}", private=True)
    api.move_repo(f"lrat/{name}", f"lrat/{name}-hidden")
    anonymous = http.get(f"/api/models/lrat/{name}", headers={"Authorization": ""})
    assert (anonymous.status_code, "Location" in anonymous.headers, "hidden" in anonymous.text) == (404, False, False)
    assert http.get(f"/api/models/lrat/{name}").status_code == 307


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_follows_a_move(api: HfApi, hub: LocalHub, name: str, tmp_path: Path) -> None:
    filled(api, f"lrat/{name}")
    api.move_repo(f"lrat/{name}", f"lrat/{name}-new")
    for suffix in ("", ".git"):
        target = tmp_path / f"clone{suffix}"
        environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1"}
        command = ["git", "clone", "-q", f"{hub.endpoint}/lrat/{name}{suffix}", str(target)]
        subprocess.run(command, check=True, env=environment)
        assert (target / "a.txt").read_text() == "small"


def test_ids_are_one_in_any_case(api: HfApi, http: httpx2.Client, hub: LocalHub, name: str) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    filled(api, f"Lab-{name}/Model")
    for other in (f"lab-{name}/model", f"LAB-{name.upper()}/MODEL"):
        with pytest.raises(HfHubHTTPError) as refused:
            api.create_repo(other)
        assert refused.value.response.status_code == 409
        assert api.create_repo(other, exist_ok=True).repo_id == f"Lab-{name}/Model"
        assert api.model_info(other).id == f"Lab-{name}/Model"
        assert http.get(f"/{other}/resolve/main/b.bin").content == LARGE
    api.upload_file(repo_id=f"lab-{name}/model", path_in_repo="c.bin", path_or_fileobj=b"c" * 1000)
    assert http.get(f"/Lab-{name}/Model/resolve/main/c.bin").content == b"c" * 1000
    # A namespace is one as well, for its files and for who may write there.
    assert api.create_repo(f"LAB-{name}/other").repo_id == f"Lab-{name}/other"
    assert [path.name for path in (hub.root / "objects").iterdir() if path.name.lower() == f"lab-{name}"] == [
        f"Lab-{name}"
    ]
    token = create_token(hub.root, f"lab-{name}", "write")
    assert commit(http, f"lab-{name}/OTHER", put("x")).status_code == 200
    answer = http.get(f"/api/models/Lab-{name}/other/auth-check/write", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    api.delete_repo(f"lab-{name}/MODEL")
    assert not api.repo_exists(f"Lab-{name}/Model")


def test_two_repositories_of_an_early_version_that_differ_in_case_are_both_there(
    api: HfApi, hub: LocalHub, name: str
) -> None:
    api.create_repo(f"lrat/{name}")
    store = hub.root / "repos/models/lrat"
    shutil.copytree(store / f"{name}.git", store / f"{name.title()}.git")
    assert api.model_info(f"lrat/{name}").id == f"lrat/{name}"
    assert api.model_info(f"lrat/{name.title()}").id == f"lrat/{name.title()}"


def test_a_duplicate_has_the_history_and_no_more(api: HfApi, http: httpx2.Client, name: str) -> None:
    source, copy = f"lrat/{name}", f"copies/{name}"
    sha = filled(api, source, private=True)
    api.create_tag(source, tag="v1")
    api.create_discussion(source, title="stays where it was")
    api.upload_file(repo_id=source, path_in_repo="p", path_or_fileobj=b"1", create_pr=True)
    made = api.duplicate_repo(source, copy)
    info = api.model_info(copy)
    assert (made.repo_id, info.sha, info.private) == (copy, sha, True)
    assert [tag.name for tag in api.list_repo_refs(copy).tags] == ["v1"]
    assert list(api.get_repo_discussions(copy)) == []
    assert http.get(f"/{copy}/resolve/{sha}/b.bin").content == LARGE
    assert api.duplicate_repo(source, f"{copy}-public", private=False)
    assert not api.model_info(f"{copy}-public").private
    assert http.post(f"/api/models/{source}/duplicate", json={"repository": copy}).status_code == 409
    commit(http, copy, put("only-here"))
    assert not api.file_exists(source, "only-here")


def test_a_squash_leaves_one_commit_with_the_same_files(api: HfApi, http: httpx2.Client, name: str) -> None:
    repo = f"lrat/{name}"
    before = filled(api, repo)
    files = api.list_repo_files(repo)
    api.super_squash_history(repo, commit_message="all in one")
    history = api.list_repo_commits(repo)
    assert [each.title for each in history] == ["all in one"]
    assert (api.list_repo_files(repo), history[0].commit_id != before) == (files, True)
    assert http.get(f"/{repo}/resolve/main/b.bin").content == LARGE
    # What was pinned before stays until somebody collects garbage.
    assert http.get(f"/{repo}/resolve/{before}/a.txt").text == "small"
    assert http.post(f"/api/models/{repo}/super-squash/nope", json={}).status_code == 404


def test_large_files_are_copied_between_repositories(
    api: HfApi, http: httpx2.Client, hub: LocalHub, name: str
) -> None:
    from huggingface_hub import CommitOperationCopy

    source, target = f"lrat/{name}", f"copies/{name}"
    filled(api, source, private=True)
    api.create_repo(target)
    copies = [
        CommitOperationCopy(path, f"copied/{path}", src_repo_id=source, src_repo_type="model")
        for path in ("a.txt", "b.bin")
    ]
    api.create_commit(target, copies, commit_message="copy")
    assert http.get(f"/{target}/resolve/main/copied/b.bin").content == LARGE
    assert http.get(f"/{target}/resolve/main/copied/a.txt").text == "small"
    # Only what the caller sees there.
    guest = {"Authorization": f"Bearer {create_token(hub.root, 'copier', 'write')}"}
    http.post("/api/repos/create", json={"name": name, "organization": "copier"}).raise_for_status()
    wanted = {
        "target": {"type": "model", "name": f"copier/{name}"},
        "files": [{"sha256": hashlib.sha256(LARGE).hexdigest(), "xetHash": "0" * 64, "filename": "b.bin"}],
    }
    assert http.post(f"/api/models/{source}/lfs-files/duplicate", json=wanted, headers=guest).status_code == 404
    unknown = {**wanted, "files": [{"sha256": "0" * 64}]}
    assert (
        http.post(f"/api/models/{source}/lfs-files/duplicate", json=unknown).json()["failed"][0]["sha256"] == "0" * 64
    )
    assert [file.filename for file in api.list_lfs_files(source)] == ["b.bin"]


def test_revisions_are_compared(api: HfApi, http: httpx2.Client, repo: str) -> None:
    api.create_branch(repo, branch="dev")
    commit(http, repo, put("a", b"one\n"))
    compared = http.get(f"/api/models/{repo}/compare/dev..main").json()
    assert compared["files"] == [{"path": "a", "status": "A"}]
    assert len(compared["commits"]) == 1
    assert "+one" in http.get(f"/api/models/{repo}/compare/dev..main?raw=true").text
    assert "-one" in http.get(f"/api/models/{repo}/compare/main..dev?raw=true").text
    assert http.get(f"/api/models/{repo}/compare/main...dev").json()["files"] == []
    assert http.get(f"/api/models/{repo}/compare/main").status_code == 400


def test_a_file_is_also_given_as_git_has_it(api: HfApi, http: httpx2.Client, name: str) -> None:
    filled(api, f"lrat/{name}")
    assert http.get(f"/lrat/{name}/raw/main/a.txt").text == "small"
    assert http.get(f"/lrat/{name}/raw/main/b.bin").text.startswith("version https://git-lfs.github.com/spec/v1")
    saved = http.get(f"/lrat/{name}/resolve/main/a.txt?download=true").headers["Content-Disposition"]
    assert saved == "attachment; filename*=UTF-8''a.txt"


def test_a_space_has_a_card_with_its_sdk(api: HfApi, http: httpx2.Client, name: str) -> None:
    repo = f"lrat/{name}"
    api.create_repo(repo, repo_type="space", space_sdk="gradio")
    info = api.space_info(repo)
    assert (info.sdk, info.card_data and info.card_data.sdk) == ("gradio", "gradio")
    wrong = {"name": f"{name}-x", "type": "space", "sdk": "php"}
    assert http.post("/api/repos/create", json=wrong).status_code == 400
    running = {"name": f"{name}-x", "type": "space", "sdk": "static", "hardware": "t4-medium"}
    assert http.post("/api/repos/create", json=running).status_code == 501
    assert not api.repo_exists(f"{repo}-x", repo_type="space")


@pytest.mark.parametrize("how", ["move", "duplicate"])
def test_large_files_of_a_commit_that_arrives_meanwhile_are_there_as_well(tmp_path: Path, how: str) -> None:
    """Whoever moves, or copies, waits here for a commit whose large file was not there when they began."""
    from starlette.testclient import TestClient

    root = prepare_root(tmp_path / "hub")
    app = create_app(root, user="lrat")
    hub, old, new = app.state.hub, RepoId("models", "lrat", "r"), RepoId("models", "elsewhere", "r")
    client = TestClient(app, headers={"Authorization": f"Bearer {read_token(root)}"})
    assert client.post("/api/repos/create", json={"name": "r"}).status_code == 200
    requests = {
        "move": ("/api/repos/move", {"fromRepo": str(old), "toRepo": str(new)}),
        "duplicate": (f"/api/models/{old}/duplicate", {"repository": str(new)}),
    }
    path, body = requests[how]
    pointer = Pointer(hashlib.sha256(LARGE).hexdigest(), len(LARGE))
    with ThreadPoolExecutor(1) as others:
        with hub.store.locked(old if how == "move" else new):
            answer = others.submit(client.post, path, json=body)
            # Nobody can see when it has come to the lock. Too short a wait would let this test pass, never fail.
            time.sleep(0.5)
            with hub.objects.of("lrat").upload(pointer) as upload:
                upload.write(LARGE)
                upload.finish()
            repository = hub.store.open(old)
            change = Put("b.bin", repository.write_blob(pointer.dump()))
            repository.commit("main", [change], message="meanwhile", author="lrat", parent=None)
        assert answer.result().status_code == 200
    found = client.get(f"/{new}/resolve/main/b.bin")
    assert (found.status_code, found.content) == (200, LARGE)


def test_an_address_that_ends_with_a_slash_leads_to_the_page(http: httpx2.Client, api: HfApi, name: str) -> None:
    filled(api, f"lrat/{name}")
    for path in (f"/lrat/{name}", f"/lrat/{name}/tree/main", f"/api/models/lrat/{name}"):
        seen = http.get(f"{path}/?cursor=0")
        assert (seen.status_code, seen.headers.get("Location")) == (307, f"{path}?cursor=0")
    # Of no other host, and not for what is not here.
    for path in (f"//lrat/{name}/", "//example.org/a/b/", f"/lrat/{name}-missing/", "///example.org/"):
        assert "Location" not in http.get(path).headers
