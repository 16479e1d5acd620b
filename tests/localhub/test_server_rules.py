"""`.gitignore` and `.gitattributes`: what nobody meant to publish stays out, what is large goes where that is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from requests_by_hand import commit, put

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi


def folder_of(tmp_path: Path, files: dict[str, str]) -> Path:
    folder = tmp_path / "folder"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


FILES = {"a.py": "1", "secret.env": "TOKEN=1", "build/x.o": "1", "deep/er/secret.env": "1", "keep/x.log": "1"}


def uploaded(api: HfApi, repo: str) -> set[str]:
    return set(api.list_repo_files(repo)) - {".gitattributes", ".gitignore"}


def test_a_folder_is_uploaded_without_what_its_repository_ignores(api: HfApi, repo: str, tmp_path: Path) -> None:
    rules = b"*.env\nbuild/\n# a remark\n!keep.env\n"
    api.upload_file(repo_id=repo, path_in_repo=".gitignore", path_or_fileobj=rules)
    api.upload_folder(repo_id=repo, folder_path=folder_of(tmp_path, {**FILES, "keep.env": "1"}))
    assert uploaded(api, repo) == {"a.py", "keep/x.log", "keep.env"}


def test_a_folder_is_uploaded_without_what_it_ignores_itself(api: HfApi, repo: str, tmp_path: Path) -> None:
    api.upload_folder(repo_id=repo, folder_path=folder_of(tmp_path, {**FILES, ".gitignore": "*.env\n/build\n"}))
    assert uploaded(api, repo) == {"a.py", "keep/x.log"}


def test_rules_of_folders_count_below_them(http: httpx2.Client, api: HfApi, repo: str, tmp_path: Path) -> None:
    commit(http, repo, put("keep/.gitignore", b"*.log\n"), put("deep/.gitattributes", b"*.env filter=lfs\n"))
    answer = asked(http, repo, ["keep/x.log", "x.log", "deep/er/secret.env", "secret.env"])
    assert {path: fields["shouldIgnore"] for path, fields in answer.items()} == {
        "keep/x.log": True,
        "x.log": False,
        "deep/er/secret.env": False,
        "secret.env": False,
    }
    assert [path for path, fields in answer.items() if fields["uploadMode"] == "lfs"] == ["deep/er/secret.env"]


def asked(http: httpx2.Client, repo: str, paths: list[str], **rules: str) -> dict[str, dict[str, Any]]:
    files = [{"path": path, "size": 1, "sample": ""} for path in paths]
    answer = http.post(f"/api/models/{repo}/preupload/main", json={"files": files, **rules}).raise_for_status()
    return {file["path"]: file for file in answer.json()["files"]}


def test_rules_that_are_about_to_be_committed_replace_those_that_are(http: httpx2.Client, repo: str) -> None:
    commit(http, repo, put(".gitignore", b"*.env\n"))
    assert asked(http, repo, ["a.env"])["a.env"]["shouldIgnore"]
    assert not asked(http, repo, ["a.env"], gitIgnore="*.log\n")["a.env"]["shouldIgnore"]
    assert asked(http, repo, ["a.log"], gitIgnore="*.log\n")["a.log"]["shouldIgnore"]
    assert asked(http, repo, ["a.xyz"], gitAttributes="*.xyz filter=lfs\n")["a.xyz"]["uploadMode"] == "lfs"
    assert asked(http, repo, ["a.bin"], gitAttributes="")["a.bin"]["uploadMode"] == "regular"
    assert asked(http, repo, ["a.bin"])["a.bin"]["uploadMode"] == "lfs"


def test_what_the_owner_of_the_machine_never_commits_is_not_ignored_for_others(tmp_path: Path) -> None:
    """Git reads rules of whoever runs it, and a server must not."""
    home = tmp_path / "home"
    for name, text in ((".config/git/ignore", "*.py\n"), (".config/git/attributes", "*.py filter=lfs\n")):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    code = """
import sys
from lrat_hub.localhub import LocalHub
import httpx2
with LocalHub(sys.argv[1]) as hub:
    http = httpx2.Client(base_url=hub.endpoint, headers={"Authorization": f"Bearer {hub.token}"}, timeout=60)
    http.post("/api/repos/create", json={"name": "r"}).raise_for_status()
    files = {"files": [{"path": "a.py", "size": 1, "sample": ""}]}
    print(http.post("/api/models/lrat/r/preupload/main", json=files).json()["files"])
"""
    environment = os.environ | {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}
    command = [sys.executable, "-c", code, str(tmp_path / "root")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "'uploadMode': 'regular', 'shouldIgnore': False" in done.stdout
