"""Cloning over git: with git itself, and with git-lfs where it is installed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from lrat_hub.localhub import LocalHub

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
]


def git(*words: object, cwd: Path, ok: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    command = ["git", *map(str, words)]
    done = subprocess.run(command, cwd=cwd, env=os.environ | settings | environment, capture_output=True, text=True)
    assert (done.returncode == 0) is ok, done.stderr
    return done


def with_token(url: str, token: str) -> str:
    return url.replace("http://", f"http://anybody:{token}@")


def test_a_clone_has_every_commit_and_fetches_later_ones(hub: LocalHub, api: HfApi, tmp_path: Path) -> None:
    repo = api.create_repo("lrat/cloned", repo_type="dataset").repo_id
    # Enough to make git compress what it asks for later.
    for n in range(3):
        api.upload_file(repo_id=repo, repo_type="dataset", path_in_repo=f"{n}.txt", path_or_fileobj=f"{n}".encode())
    for name, url in (("a", f"{hub.endpoint}/datasets/{repo}"), ("b", f"{hub.endpoint}/datasets/{repo}.git")):
        git("clone", "--quiet", url, name, cwd=tmp_path)
        assert (tmp_path / name / "2.txt").read_text() == "2"
    newer = api.upload_file(repo_id=repo, repo_type="dataset", path_in_repo="2.txt", path_or_fileobj=b"new").oid
    for version in "012":
        git("-c", f"protocol.version={version}", "pull", "--quiet", cwd=tmp_path / "a")
    assert git("rev-parse", "HEAD", cwd=tmp_path / "a").stdout.strip() == newer
    assert git("log", "--format=%H", cwd=tmp_path / "a").stdout.split() == [
        commit.commit_id for commit in api.list_repo_commits(repo, repo_type="dataset")
    ]


def test_a_private_repository_is_cloned_with_a_token_only(hub: LocalHub, api: HfApi, tmp_path: Path) -> None:
    repo = api.create_repo("lrat/cloned-private", private=True).repo_id
    url = f"{hub.endpoint}/{repo}"
    git("clone", "--quiet", with_token(url, hub.token), "mine", cwd=tmp_path)
    for wrong in (url, with_token(url, "hf_wrong")):
        assert (
            "could not read" in git("clone", wrong, "other", cwd=tmp_path, ok=False).stderr.lower()
            or not (tmp_path / "other").exists()
        )
    missing = git("clone", f"{hub.endpoint}/no/where", "other", cwd=tmp_path, ok=False).stderr
    private = git("clone", url, "other", cwd=tmp_path, ok=False).stderr
    assert private.replace(repo, "no/where") == missing


def test_pushes_are_refused_with_a_reason(hub: LocalHub, api: HfApi, http: httpx2.Client, tmp_path: Path) -> None:
    repo = api.create_repo("lrat/unpushed").repo_id
    git("clone", "--quiet", with_token(f"{hub.endpoint}/{repo}", hub.token), "work", cwd=tmp_path)
    (tmp_path / "work" / "x").touch()
    git("add", "x", cwd=tmp_path / "work")
    git("-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "-m", "x", cwd=tmp_path / "work")
    assert "403" in git("push", cwd=tmp_path / "work", ok=False).stderr
    assert http.post(f"/{repo}.git/git-receive-pack", content=b"0000").status_code == 403
    assert http.get(f"/{repo}.git/info/refs").status_code == 403
    assert len(api.list_repo_commits(repo)) == 1


def test_large_files_are_given_to_those_who_may_read_the_repository(
    hub: LocalHub, api: HfApi, http: httpx2.Client, tmp_path: Path
) -> None:
    import httpx2

    public = api.create_repo("lrat/large-public").repo_id
    private = api.create_repo("lrat/large-private", private=True).repo_id
    content = {public: os.urandom(3000), private: os.urandom(4000)}
    for repo, data in content.items():
        api.upload_file(repo_id=repo, path_in_repo="x.bin", path_or_fileobj=data)

    def ask(repo: str, data: bytes, **headers: str) -> httpx2.Response:
        large = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}
        batch = {"operation": "download", "objects": [large]}
        return http.post(f"/{repo}.git/info/lfs/objects/batch", json=batch, headers=headers)

    link = ask(public, content[public], Authorization="").json()["objects"][0]["actions"]["download"]["href"]
    assert httpx2.get(link, timeout=60).content == content[public]
    assert httpx2.get(link, headers={"Range": "bytes=1-2"}, timeout=60).content == content[public][1:3]
    assert httpx2.put(link, content=content[public], timeout=60).status_code == 403
    assert httpx2.get(link.replace("size=3000", "size=3001"), timeout=60).status_code == 403
    assert ask(private, content[private], Authorization="").status_code == 401
    # In the same namespace, but not in the repository that anybody may read.
    for headers in ({"Authorization": ""}, {}):
        assert "actions" not in ask(public, content[private], **headers).json()["objects"][0]

    if shutil.which("git-lfs"):
        git("lfs", "install", cwd=tmp_path, HOME=str(tmp_path), GIT_CONFIG_GLOBAL=str(tmp_path / ".gitconfig"))
        for repo, data in content.items():
            git(
                *("clone", "--quiet", with_token(f"{hub.endpoint}/{repo}", hub.token), urlsplit(repo).path[5:]),
                cwd=tmp_path,
                HOME=str(tmp_path),
                GIT_CONFIG_GLOBAL=str(tmp_path / ".gitconfig"),
            )
            assert (tmp_path / urlsplit(repo).path[5:] / "x.bin").read_bytes() == data


def test_a_clone_can_leave_the_content_of_files_for_later(hub: LocalHub, api: HfApi, tmp_path: Path) -> None:
    repo = api.create_repo("lrat/cloned-in-parts").repo_id
    for text in ("first", "second"):
        api.upload_file(repo_id=repo, path_in_repo="a.txt", path_or_fileobj=text.encode())
    done = git("clone", "--filter=blob:none", "--no-checkout", f"{hub.endpoint}/{repo}", "part", cwd=tmp_path)
    assert "not recognized" not in done.stderr
    missing = git("rev-list", "--objects", "--all", "--missing=print", cwd=tmp_path / "part").stdout
    assert len([line for line in missing.splitlines() if line.startswith("?")]) >= 2
    git("checkout", "--quiet", "main", cwd=tmp_path / "part")
    assert (tmp_path / "part" / "a.txt").read_text() == "second"


def test_a_push_is_refused_with_a_reason_that_git_shows(hub: LocalHub, api: HfApi, tmp_path: Path) -> None:
    repo = api.create_repo("lrat/pushed-to").repo_id
    git("clone", "--quiet", with_token(f"{hub.endpoint}/{repo}", hub.token), "mine", cwd=tmp_path)
    refused = git("push", "origin", "main", cwd=tmp_path / "mine", ok=False)
    assert "takes no pushes over git" in refused.stderr
