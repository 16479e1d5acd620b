"""`lrat hub gc` and `lrat hub verify`: what they find, remove and leave."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lrat_hub.cli import main
from lrat_hub.errors import LratError
from lrat_hub.localhub import LocalHub
from lrat_hub.localhub.maintenance import collect, verify

if TYPE_CHECKING:
    from huggingface_hub import HfApi

pytestmark = pytest.mark.slow

KEPT, DROPPED, BRANCH = b"kept" * 100, b"dropped" * 100, b"on a branch" * 100


def oid(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def hf_api(hub: LocalHub) -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(hub.endpoint, token=hub.token)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A Hub that is not served: a large file in an old commit, one on a branch, one in a deleted repository."""
    with LocalHub(tmp_path / "root") as hub:
        api = hf_api(hub)
        for name, content in (("lrat/r", KEPT), ("lrat/gone", DROPPED)):
            api.create_repo(name)
            api.upload_file(repo_id=name, path_in_repo="x.bin", path_or_fileobj=content)
        api.delete_file("x.bin", "lrat/r")
        api.create_branch("lrat/r", branch="dev")
        api.upload_file(repo_id="lrat/r", path_in_repo="y.bin", path_or_fileobj=BRANCH, revision="dev")
        api.delete_repo("lrat/gone")
    return tmp_path / "root"


def objects(root: Path) -> set[str]:
    return {path.name for path in root.glob("objects/lrat/??/??/*")}


def test_only_what_no_commit_refers_to_is_removed_and_not_while_it_is_young(root: Path) -> None:
    everything = {oid(content) for content in (KEPT, DROPPED, BRANCH)}
    assert verify(root).unreferenced == 1
    assert collect(root, keep_seconds=3600).kept == 1
    assert (collect(root, keep_seconds=0, dry_run=True).large_files, objects(root)) == (1, everything)
    assert collect(root, keep_seconds=0).large_bytes == len(DROPPED)
    assert objects(root) == everything - {oid(DROPPED)}
    assert (verify(root).problems, verify(root).unreferenced) == ([], 0)
    with LocalHub(root) as hub:
        api = hf_api(hub)
        # Packed by git, and written on by libgit2.
        assert Path(api.hf_hub_download("lrat/r", "y.bin", revision="dev")).read_bytes() == BRANCH
        old = api.list_repo_commits("lrat/r")[1].commit_id
        assert Path(api.hf_hub_download("lrat/r", "x.bin", revision=old)).read_bytes() == KEPT
        api.upload_file(repo_id="lrat/r", path_in_repo="z", path_or_fileobj=b"z")
        with pytest.raises(LratError, match=f"process {hub.pid} is already serving it"):
            collect(root, keep_seconds=0)
        assert verify(root).problems == []


def test_damage_of_every_kind_is_reported(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hub", "verify", "--root", str(root)]) == 0
    assert "1 repositories with" in capsys.readouterr().out

    def path(content: bytes) -> Path:
        return root / "objects/lrat" / oid(content)[:2] / oid(content)[2:4] / oid(content)

    git = root / "repos/models/lrat/r.git"
    blob = next(git.glob("objects/??/*"))
    path(KEPT).unlink()
    os.chmod(path(BRANCH), 0o600)
    path(BRANCH).write_bytes(b"?" * len(BRANCH))
    problems = "\n".join(verify(root).problems)
    assert f"models/lrat/r: large file {oid(KEPT)} is missing" in problems
    assert f"content of {oid(BRANCH)} has another sha256" in problems
    assert oid(BRANCH) not in "\n".join(verify(root, hashes=False).problems)
    path(BRANCH).write_bytes(b"short")
    assert f"{oid(BRANCH)} has 5 bytes instead of {len(BRANCH)}" in "\n".join(verify(root, hashes=False).problems)

    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:-4] + b"?!?!")
    assert f"git object {blob.parent.name}{blob.name}" in "\n".join(verify(root).problems)
    blob.unlink()
    assert [problem for problem in verify(root).problems if problem.startswith("models/lrat/r: ")]
    with pytest.raises(LratError, match="nothing was removed"):
        collect(root, keep_seconds=0)
    assert main(["hub", "verify", "--root", str(root)]) == 1
    assert "expected a sound Hub, found" in capsys.readouterr().err


def test_a_folder_that_is_no_hub_is_left_alone(tmp_path: Path) -> None:
    for look in (verify, lambda root: collect(root, keep_seconds=0)):
        with pytest.raises(LratError, match="expected the folder of a Hub"):
            look(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_large_files_of_an_early_layout_move_to_their_namespaces(root: Path) -> None:
    (root / "objects/lrat").rename(root / "lfs")
    (root / "lfs/tmp").mkdir()
    with LocalHub(root):
        assert objects(root) == {oid(KEPT), oid(BRANCH)}
        assert not (root / "lfs").exists()
    assert verify(root).problems == []


def test_tokens_are_made_listed_and_revoked_by_command(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import httpx2

    create = [
        "hub",
        "token",
        "create",
        "--root",
        str(root),
        "--user",
        "alice",
        "--role",
        "write",
        "--namespace",
        "lab",
    ]
    assert main([*create, "--namespace", "lab"]) == 0
    printed = capsys.readouterr()
    token = printed.out.strip()
    assert "alice may read and write in alice, lab" in printed.err
    main(["hub", "token", "list", "--root", str(root)])
    listed = capsys.readouterr().out
    assert ("alice" in listed, token in listed) == (True, False)
    with LocalHub(root) as hub:
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx2.get(f"{hub.endpoint}/api/whoami-v2", headers=headers, timeout=60).json()["name"] == "alice"
        main(["hub", "token", "revoke", "--root", str(root), "--id", listed.split()[0]])
        assert httpx2.get(f"{hub.endpoint}/api/whoami-v2", headers=headers, timeout=60).status_code == 401


def test_an_upload_for_a_commit_to_come_survives_a_collection(root: Path) -> None:
    with LocalHub(root) as hub:
        from huggingface_hub import CommitOperationAdd

        api = hf_api(hub)
        waiting = CommitOperationAdd("later.bin", b"later" * 100)
        api.preupload_lfs_files("lrat/r", [waiting])
    collect(root, keep_seconds=3600)
    with LocalHub(root) as hub:
        hf_api(hub).create_commit("lrat/r", [waiting], commit_message="later")
    old = time.time() - 7200
    for path in root.glob("objects/lrat/??/??/*"):
        os.utime(path, (old, old))
    assert collect(root, keep_seconds=3600).large_files == 1
    assert objects(root) == {oid(KEPT), oid(BRANCH), oid(b"later" * 100)}


def test_a_damaged_repository_does_not_hide_the_others(root: Path) -> None:
    import httpx2

    with LocalHub(root) as hub:
        hf_api(hub).create_repo("lrat/sound")
        (root / "repos/models/lrat/r.git/refs/heads/main").write_text("nonsense")
        assert [model.id for model in hf_api(hub).list_models()] == ["lrat/sound"]
        assert "lrat/sound" in httpx2.get(hub.endpoint, timeout=60).text
    assert "models/lrat/r: " in "\n".join(verify(root).problems)
