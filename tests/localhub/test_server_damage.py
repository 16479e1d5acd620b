"""Damage on the disk: found by content, told where it is, kept from everything else, repaired by publishing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from requests_by_hand import commit, connect, put

from lrat_hub.cli import main
from lrat_hub.localhub import LocalHub
from lrat_hub.localhub.maintenance import verify
from lrat_hub.localhub.objects import Pointer
from lrat_hub.localhub.root import create_token
from lrat_hub.localhub.store import open_stores

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi

LARGE = b"some large content " * 1000


@pytest.fixture
def own(tmp_path: Path) -> Iterator[LocalHub]:
    """A Hub that other tests don't use, as what is damaged here is in lists of all repositories."""
    with LocalHub(tmp_path / "root") as hub:
        yield hub


@pytest.fixture
def client(own: LocalHub) -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(own.endpoint, token=own.token)


@pytest.fixture
def web(own: LocalHub) -> Iterator[httpx2.Client]:
    with connect(own.endpoint, own.token) as http:
        yield http


def object_of(root: Path, content: bytes, namespace: str = "lrat") -> Path:
    oid = hashlib.sha256(content).hexdigest()
    return root / "objects" / namespace / oid[:2] / oid[2:4] / oid


def flip_a_bit(path: Path) -> None:
    """As a disk does it: the size stays, and the file system tells of no change but one of the inode."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def published(client: HfApi, repo: str, content: bytes = LARGE) -> str:
    client.create_repo(repo, exist_ok=True)
    return client.upload_file(repo_id=repo, path_in_repo="x.bin", path_or_fileobj=content).oid


def restarted(own: LocalHub, client: HfApi, web: httpx2.Client) -> None:
    """What a server has checked it remembers while it runs; a disk may change afterwards."""
    own.stop()
    own.start()
    client.endpoint = own.endpoint
    web.base_url = own.endpoint


def test_a_large_file_with_a_flipped_bit_is_not_served_and_publishing_it_again_repairs_it(
    own: LocalHub, client: HfApi, web: httpx2.Client
) -> None:
    sha = published(client, "lrat/r")
    flip_a_bit(object_of(own.root, LARGE))
    restarted(own, client, web)
    for _ in range(2):
        answer = web.get(f"/lrat/r/resolve/{sha}/x.bin")
        assert (answer.status_code, "is damaged" in answer.text, "x.bin" in answer.text) == (500, True, True)
    assert web.get(f"/lrat/r/resolve/{sha}/x.bin", headers={"Range": "bytes=0-9"}).status_code == 500
    assert len(list((own.root / "damaged").iterdir())) == 1
    client.upload_file(repo_id="lrat/r", path_in_repo="again.bin", path_or_fileobj=LARGE)
    assert web.get(f"/lrat/r/resolve/{sha}/x.bin").content == LARGE
    assert verify(own.root).problems == []


def test_publishing_again_repairs_what_nobody_has_read_yet(own: LocalHub, client: HfApi, web: httpx2.Client) -> None:
    sha = published(client, "lrat/r")
    flip_a_bit(object_of(own.root, LARGE))
    restarted(own, client, web)
    client.upload_file(repo_id="lrat/r", path_in_repo="again.bin", path_or_fileobj=LARGE)
    assert web.get(f"/lrat/r/resolve/{sha}/x.bin").content == LARGE


def test_a_file_too_long_to_be_read_first_ends_early_when_it_is_damaged(
    own: LocalHub, client: HfApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lrat_hub.localhub import objects

    published(client, "lrat/r")
    path = object_of(own.root, LARGE)
    flip_a_bit(path)
    monkeypatch.setattr(objects, "CHECKED_FIRST_BYTES", 10)
    _, store = open_stores(own.root)
    pointer, received = Pointer(path.name, len(LARGE)), []
    with store.of("lrat").open(pointer) as content, pytest.raises(OSError, match="damaged"):
        received.extend(iter(lambda: content.read(1000), b""))
    assert sum(map(len, received)) < len(LARGE)
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        store.of("lrat").open(pointer)


def test_a_file_in_git_with_a_flipped_bit_is_told_and_publishing_it_again_repairs_it(
    own: LocalHub, client: HfApi, web: httpx2.Client
) -> None:
    client.create_repo("lrat/r")
    content = b"regular content"
    sha = client.upload_file(repo_id="lrat/r", path_in_repo="a.txt", path_or_fileobj=content).oid
    oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    loose = own.root / f"repos/models/lrat/r.git/objects/{oid[:2]}/{oid[2:]}"
    loose.chmod(0o600)
    loose.write_bytes(zlib.compress(b"blob %d\0" % len(content) + content[:-1] + b"?"))
    restarted(own, client, web)
    answer = web.get(f"/lrat/r/resolve/{sha}/a.txt")
    assert (answer.status_code, "damaged" in answer.text) == (500, True)
    # What lies beside it is there.
    assert web.get(f"/lrat/r/resolve/{sha}/.gitattributes").status_code == 200
    assert client.list_repo_files("lrat/r") == [".gitattributes", "a.txt"]
    assert [model.id for model in client.list_models(full=True)] == ["lrat/r"]
    assert any(oid in problem for problem in verify(own.root).problems)
    commit(web, "lrat/r", put("b.txt", content)).raise_for_status()
    assert web.get(f"/lrat/r/resolve/{sha}/a.txt").content == content
    assert verify(own.root).problems == []


def cut(path: Path) -> None:
    """At its end, while the size stays."""
    size = path.stat().st_size
    os.truncate(path, size - 6)
    os.truncate(path, size)


def unreadable(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def too_large(path: Path) -> None:
    path.write_bytes(zlib.compress(b"blob %d\0" % 10**15))


def unlike_its_name(path: Path) -> None:
    path.write_bytes(zlib.compress(b"blob 5\0other"))


def of_no_type(path: Path) -> None:
    path.write_bytes(zlib.compress(b"blub 5\0other"))


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


@pytest.mark.parametrize("broken", [cut, unreadable, too_large, unlike_its_name, of_no_type, longer, Path.unlink])
@pytest.mark.parametrize("kind", ["blob", "tree"])
def test_an_object_that_breaks_while_it_is_served_is_told_and_publishing_it_again_repairs_it(
    own: LocalHub, client: HfApi, web: httpx2.Client, broken: Callable[[Path], None], kind: str
) -> None:
    import pygit2

    client.create_repo("lrat/r")
    content = b"some content " * 10
    commit(web, "lrat/r", put("d/a.txt", content), put("b.txt", b"b")).raise_for_status()
    assert web.get("/lrat/r/resolve/main/d/a.txt").content == content
    git = pygit2.Repository(str(own.root / "repos/models/lrat/r.git"))
    folder = git.head.peel(pygit2.Commit).tree["d"]
    oid = str(folder.id if kind == "tree" else folder["a.txt"].id)
    loose = own.root / f"repos/models/lrat/r.git/objects/{oid[:2]}/{oid[2:]}"
    loose.chmod(0o600)
    broken(loose)
    # Whether or not it is still remembered as it was, it holds nobody up.
    answer = web.get("/lrat/r/resolve/main/d/a.txt")
    assert answer.status_code == 500 or answer.content == content
    assert any(oid in problem for problem in verify(own.root).problems)
    restarted(own, client, web)
    answer = web.get("/lrat/r/resolve/main/d/a.txt")
    assert (answer.status_code, "is damaged" in answer.text) == (500, True)
    assert web.get("/lrat/r/resolve/main/b.txt").content == b"b"
    commit(web, "lrat/r", put("e/a.txt", content)).raise_for_status()
    for path in ("d/a.txt", "e/a.txt"):
        assert web.get(f"/lrat/r/resolve/main/{path}").content == content
        assert web.head(f"/lrat/r/resolve/main/{path}").headers["Content-Length"] == str(len(content))
    assert verify(own.root).problems == []


def damage(root: Path, content: bytes, kind: bytes = b"blob") -> Path:
    """Cut the object of git that has this content in two, in repository `lrat/r`."""
    oid = hashlib.sha1(b"%b %d\0" % (kind, len(content)) + content).hexdigest()
    loose = root / f"repos/models/lrat/r.git/objects/{oid[:2]}/{oid[2:]}"
    loose.chmod(0o600)
    loose.write_bytes(loose.read_bytes()[:3])
    return loose


@pytest.mark.parametrize("path", ["a.txt", "d/a.txt", "README.md", "config.json"])
def test_a_damaged_file_costs_itself_alone(own: LocalHub, client: HfApi, web: httpx2.Client, path: str) -> None:
    client.create_repo("lrat/r")
    content = b"# what is damaged"
    commit(web, "lrat/r", put(path, content), put("b.txt", b"b"), put("d/c.txt", b"c")).raise_for_status()
    damage(own.root, content)
    restarted(own, client, web)
    # Commits beside it, in its folder and elsewhere, by the client with all its questions.
    for name in ("new.txt", "d/new.txt", "b.txt"):
        client.upload_file(repo_id="lrat/r", path_in_repo=name, path_or_fileobj=b"new content")
    client.delete_file("d/c.txt", "lrat/r")
    assert sorted(client.list_repo_files("lrat/r")) == sorted(
        [".gitattributes", path, "b.txt", "d/new.txt", "new.txt"]
    )
    assert [model.id for model in client.list_models(full=True)] == ["lrat/r"]
    assert client.model_info("lrat/r").id == "lrat/r"
    assert f"Damaged: {path}" in web.get("/lrat/r").text
    for page in ("", "/commits/main", "/commit/main", "/tree/main", "/blob/main/b.txt"):
        assert web.get(f"/lrat/r{page}").status_code == 200, page
    first = client.list_repo_commits("lrat/r")[-2].commit_id
    assert "damaged" in web.get(f"/lrat/r/commit/{first}").text
    # Whoever needs its content is told which file it is.
    for address in (f"/lrat/r/resolve/main/{path}", f"/lrat/r/blob/main/{path}", f"/lrat/r/raw/main/{path}"):
        answer = web.get(address)
        assert (answer.status_code, f"{path} is damaged" in answer.text) == (500, True), address
    copied = web.post("/api/models/lrat/r/duplicate", json={"repository": "lrat/copy"})
    assert (copied.status_code, f"{path} is damaged" in copied.text) == (500, True)
    # It may be replaced, deleted, and published again, after which its history is whole.
    commit(web, "lrat/r", put(path, b"other")).raise_for_status()
    commit(web, "lrat/r", ("deletedFile", {"path": path})).raise_for_status()
    commit(web, "lrat/r", put("again", content)).raise_for_status()
    assert web.get(f"/lrat/r/resolve/{first}/{path}").content == content
    assert verify(own.root).problems == []


def test_a_damaged_folder_costs_itself_alone(own: LocalHub, client: HfApi, web: httpx2.Client) -> None:
    import pygit2

    client.create_repo("lrat/r")
    commit(web, "lrat/r", put("bad/a.txt"), put("good/b.txt")).raise_for_status()
    git = pygit2.Repository(str(own.root / "repos/models/lrat/r.git"))
    damage(own.root, git[git.head.peel(pygit2.Commit).tree["bad"].id].read_raw(), b"tree")
    restarted(own, client, web)
    commit(web, "lrat/r", put("good/new.txt"), put("new.txt")).raise_for_status()
    refused = commit(web, "lrat/r", put("bad/new.txt"))
    assert (refused.status_code, "bad is damaged" in refused.text) == (500, True)
    assert web.get("/lrat/r/resolve/main/good/new.txt").content == b"content"
    commit(web, "lrat/r", put("else/a.txt")).raise_for_status()
    # The same folder elsewhere has repaired it.
    assert web.get("/lrat/r/resolve/main/bad/a.txt").content == b"content"


def test_damaged_rules_are_named_and_can_be_published_again(own: LocalHub, client: HfApi, web: httpx2.Client) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    client.create_repo("lrat/r")
    rules = web.get("/lrat/r/resolve/main/.gitattributes").content
    damage(own.root, rules)
    restarted(own, client, web)
    with pytest.raises(HfHubHTTPError, match=r"\.gitattributes is damaged"):
        client.upload_file(repo_id="lrat/r", path_in_repo="x.txt", path_or_fileobj=b"x")
    client.upload_file(repo_id="lrat/r", path_in_repo=".gitattributes", path_or_fileobj=rules)
    client.upload_file(repo_id="lrat/r", path_in_repo="x.txt", path_or_fileobj=b"x")
    assert verify(own.root).problems == []


def test_a_pull_request_that_needs_a_damaged_file_is_told_which(
    own: LocalHub, client: HfApi, web: httpx2.Client
) -> None:
    client.create_repo("lrat/r")
    lines = [b"%d" % n for n in range(50)]
    commit(web, "lrat/r", put("a.txt", b"\n".join(lines)), put("b.txt", b"b")).raise_for_status()
    pulls = {}
    for path, content in {"a.txt": b"\n".join([*lines, b"theirs"]), "b.txt": b"theirs"}.items():
        pulls[path] = client.upload_file(
            repo_id="lrat/r", path_in_repo=path, path_or_fileobj=content, create_pr=True
        ).pr_num
    commit(web, "lrat/r", put("a.txt", b"\n".join([b"ours", *lines]))).raise_for_status()
    damage(own.root, b"\n".join(lines))
    restarted(own, client, web)
    merged = web.post(f"/api/models/lrat/r/discussions/{pulls['b.txt']}/merge", json={})
    assert merged.status_code == 200
    refused = web.post(f"/api/models/lrat/r/discussions/{pulls['a.txt']}/merge", json={})
    assert (refused.status_code, "a.txt" in refused.text) == (500, True)


def test_verify_puts_damaged_objects_aside_and_takes_good_ones_from_other_namespaces(
    own: LocalHub, client: HfApi, capsys: pytest.CaptureFixture[str]
) -> None:
    other = LARGE + b"that only one has"
    for repo in ("lrat/r", "lab/r"):
        published(client, repo)
    published(client, "lrat/only", other)
    own.stop()
    for content in (LARGE, other):
        flip_a_bit(object_of(own.root, content))
    assert main(["hub", "verify", "--root", str(own.root)]) == 1
    assert object_of(own.root, LARGE).exists()
    assert main(["hub", "verify", "--root", str(own.root), "--repair"]) == 1
    shown = capsys.readouterr().out
    assert f"repaired {object_of(own.root, LARGE).name}" in shown
    assert f"models/lrat/only: large file {object_of(own.root, other).name} is missing" in shown
    assert object_of(own.root, LARGE).read_bytes() == LARGE
    assert not object_of(own.root, other).exists()
    own.start()
    client.endpoint = own.endpoint
    published(client, "lrat/only", other)
    assert main(["hub", "verify", "--root", str(own.root), "--repair"]) == 0


def damaged_pack(own: LocalHub, client: HfApi, web: httpx2.Client, content: bytes) -> str:
    """Let `lrat/r` have a long content in a.txt and a short one in b.txt, in a pack where the long one is damaged."""
    client.create_repo("lrat/r")
    commit(web, "lrat/r", put("a.txt", content), put("b.txt", b"another file")).raise_for_status()
    sha = client.model_info("lrat/r").sha
    own.stop()
    assert main(["hub", "gc", "--root", str(own.root), "--keep-hours", "0"]) == 0
    pack = next(own.root.glob("repos/models/lrat/r.git/objects/pack/*.pack"))
    packed = bytearray(pack.read_bytes())
    # The largest object by far: its middle is in the middle of the pack.
    packed[len(packed) // 2] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(packed)
    return sha


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_what_was_published_again_is_not_taken_for_what_is_damaged_in_a_pack(
    own: LocalHub, client: HfApi, web: httpx2.Client
) -> None:
    content = os.urandom(3000).hex().encode()
    sha = damaged_pack(own, client, web, content)
    own.start()
    web.base_url = own.endpoint
    assert web.get(f"/lrat/r/resolve/{sha}/a.txt").status_code == 500
    commit(web, "lrat/r", put("again.txt", content)).raise_for_status()
    assert main(["hub", "verify", "--root", str(own.root), "--repair"]) == 0
    restarted(own, client, web)
    for path, expected in (("a.txt", content), ("again.txt", content), ("b.txt", b"another file")):
        assert web.get(f"/lrat/r/resolve/main/{path}").content == expected


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_what_is_sound_in_a_damaged_pack_is_kept_and_the_rest_can_be_published_again(
    own: LocalHub, client: HfApi, web: httpx2.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    content, other = os.urandom(3000).hex().encode(), b"another file"
    sha = damaged_pack(own, client, web, content)
    file = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    assert main(["hub", "verify", "--root", str(own.root)]) == 1
    assert file in capsys.readouterr().out
    assert main(["hub", "verify", "--root", str(own.root), "--repair"]) == 1
    own.start()
    web.base_url = own.endpoint
    assert web.get(f"/lrat/r/resolve/{sha}/b.txt").content == other
    commit(web, "lrat/r", put("again.txt", content)).raise_for_status()
    assert web.get(f"/lrat/r/resolve/{sha}/a.txt").content == content
    assert verify(own.root).problems == []


def test_garbage_is_not_collected_while_nobody_knows_what_is_referred_to(
    own: LocalHub, client: HfApi, web: httpx2.Client
) -> None:
    """The pointer to a large file is damaged: that file must not be taken for one that nothing refers to."""
    from lrat_hub.errors import LratError
    from lrat_hub.localhub.maintenance import collect

    published(client, "lrat/r")
    client.upload_file(repo_id="lrat/r", path_in_repo="other.bin", path_or_fileobj=LARGE + b"2")
    content = Pointer(object_of(own.root, LARGE).name, len(LARGE)).dump()
    oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    loose = own.root / f"repos/models/lrat/r.git/objects/{oid[:2]}/{oid[2:]}"
    loose.chmod(0o600)
    loose.write_bytes(b"damaged")
    restarted(own, client, web)
    # Others of the repository are given out as before.
    assert web.get("/lrat/r/resolve/main/other.bin").content == LARGE + b"2"
    assert web.get("/lrat/r/resolve/main/x.bin").status_code == 500
    own.stop()
    with pytest.raises(LratError, match="nothing was removed"):
        collect(own.root, keep_seconds=0)
    assert object_of(own.root, LARGE).exists()
    own.start()
    client.endpoint, web.base_url = own.endpoint, own.endpoint
    client.upload_file(repo_id="lrat/r", path_in_repo="again.bin", path_or_fileobj=LARGE)
    assert web.get("/lrat/r/resolve/main/x.bin").content == LARGE
    assert verify(own.root).problems == []


def test_the_server_looks_for_damage_while_it_serves(own: LocalHub, client: HfApi) -> None:
    from lrat_hub.localhub.maintenance import Scrub

    published(client, "lrat/r")
    published(client, "lrat/r", LARGE + b"2")
    flip_a_bit(object_of(own.root, LARGE))
    store, objects = open_stores(own.root)
    scrub = Scrub(store, objects)
    assert scrub.round() == [f"objects/lrat: content of {object_of(own.root, LARGE).name} has another sha256"]
    assert not object_of(own.root, LARGE).exists()
    assert object_of(own.root, LARGE + b"2").exists()
    assert scrub.round() == []


@pytest.mark.parametrize(("name", "text"), [("HEAD", None), ("config", "[core\n")])
def test_a_repository_that_cannot_be_opened_is_named_and_keeps_no_other_from_repair(
    own: LocalHub, client: HfApi, web: httpx2.Client, capsys: pytest.CaptureFixture[str], name: str, text: str | None
) -> None:
    from lrat_hub.localhub.maintenance import Scrub

    content = b"in two repositories"
    for repo in ("lrat/a-bad", "lrat/good", "lrat/other"):
        client.create_repo(repo)
    for repo in ("lrat/good", "lrat/other"):
        commit(web, repo, put("a.txt", content)).raise_for_status()
    own.stop()
    models = own.root / "repos/models/lrat"
    (models / "a-bad.git" / name).unlink() if text is None else (models / "a-bad.git" / name).write_text(text)
    oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    flip_a_bit(models / f"good.git/objects/{oid[:2]}/{oid[2:]}")
    found = Scrub(*open_stores(own.root)).round()
    assert [problem.partition(":")[0] for problem in found] == ["models/lrat/a-bad", "models/lrat/good"]
    assert main(["hub", "verify", "--root", str(own.root), "--repair"]) == 1
    shown = capsys.readouterr().out
    assert (f"repaired {oid}" in shown, "models/lrat/a-bad: " in shown) == (True, True)
    assert [problem.partition(":")[0] for problem in verify(own.root).problems] == ["models/lrat/a-bad"]


def test_a_large_file_that_cannot_be_read_is_named_with_all_others(
    own: LocalHub, client: HfApi, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder in the place of one: like a broken disk, it can't be read."""
    from lrat_hub.localhub.maintenance import Scrub

    contents = [LARGE, LARGE + b"2"]
    for content in contents:
        published(client, "lrat/r", content)
    own.stop()
    unreadable, damaged = sorted(object_of(own.root, content) for content in contents)
    unreadable.unlink()
    unreadable.mkdir()
    flip_a_bit(damaged)
    assert main(["hub", "verify", "--root", str(own.root)]) == 1
    shown = capsys.readouterr().out
    assert (f"{unreadable.name} can't be read" in shown, f"{damaged.name} has another sha256" in shown) == (True, True)
    found = " ".join(Scrub(*open_stores(own.root)).round())
    assert (unreadable.name in found, damaged.name in found, damaged.exists()) == (True, True, False)


SETTINGS = {
    "empty": "",
    "cut": '{"private": tr',
    "a list": "[]",
    "older": "{}",
    "of another type": '{"private": "yes", "created_at": "2026-01-01T00:00:00.000Z"}',
    "deep": "[" * 100_000,
    "missing": None,
}


@pytest.mark.parametrize("text", SETTINGS.values(), ids=list(SETTINGS))
def test_damaged_settings_are_told_to_those_who_may_read_there_and_hide_nothing_else(
    own: LocalHub, client: HfApi, web: httpx2.Client, text: str | None
) -> None:
    for name in ("bad", "good"):
        client.create_repo(f"lrat/{name}", private=True)
    path = own.root / "repos/models/lrat/bad.git/hub.json"
    path.unlink() if text is None else path.write_text(text)
    assert [model.id for model in client.list_models()] == ["lrat/good"]
    assert [repo["id"] for repo in web.get("/api/settings/repositories").json()] == ["lrat/good"]
    assert web.get("/").status_code == 200
    for path in ("/api/models/lrat/bad", "/lrat/bad", "/lrat/bad/resolve/main/.gitattributes"):
        answer = web.get(path)
        assert (answer.status_code, "damaged" in answer.text) == (500, True)
        # Nobody knows whether it is private: for others it is.
        token = create_token(own.root, "guest", "write")
        for header in ("", f"Bearer {token}"):
            assert web.get(path, headers={"Authorization": header}).status_code == 404
    assert any("bad" in problem for problem in verify(own.root).problems)
    assert client.create_repo("lrat/bad", exist_ok=True).repo_id == "lrat/bad"
    client.delete_repo("lrat/bad")
    client.create_repo("lrat/bad")
    assert client.repo_exists("lrat/bad")


def test_settings_of_a_later_version_are_read_and_stay(own: LocalHub, client: HfApi, web: httpx2.Client) -> None:
    client.create_repo("lrat/r")
    path = own.root / "repos/models/lrat/r.git/hub.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "of_later": {"x": 1}}))
    assert client.model_info("lrat/r").id == "lrat/r"
    client.update_repo_settings("lrat/r", private=True)
    kept = json.loads(path.read_text())
    assert (kept["of_later"], kept["private"]) == ({"x": 1}, True)


def test_a_repository_without_its_branch_is_apart_from_the_others(
    own: LocalHub, client: HfApi, web: httpx2.Client
) -> None:
    for name in ("bad", "good"):
        client.create_repo(f"lrat/{name}")
    (own.root / "repos/models/lrat/bad.git/refs/heads/main").write_text("f" * 40)
    assert [model.id for model in client.list_models()] == ["lrat/good"]
    assert web.get("/").status_code == 200
    assert web.get("/api/models/lrat/bad").status_code in (404, 500)


def test_a_path_of_a_thousand_folders_that_an_early_version_took_breaks_no_list(
    own: LocalHub, client: HfApi, web: httpx2.Client
) -> None:
    import pygit2

    client.create_repo("lrat/deep")
    git = pygit2.Repository(str(own.root / "repos/models/lrat/deep.git"))
    tree = git.create_blob(b"at the end")
    mode = pygit2.enums.FileMode.BLOB
    for _ in range(1100):
        builder = git.TreeBuilder()
        builder.insert("d", tree, mode)
        tree, mode = builder.write(), pygit2.enums.FileMode.TREE
    who = pygit2.Signature("lrat", "lrat@localhost")
    git.create_commit("refs/heads/main", who, who, "deep", tree, [git.head.target])
    path = "/".join(["d"] * 1100)
    assert [model.id for model in client.list_models(full=True)] == ["lrat/deep"]
    assert client.list_repo_files("lrat/deep") == [path]
    assert web.get("/").status_code == web.get("/lrat/deep").status_code == 200
    assert web.get("/api/settings/repositories").json()[0]["storage"] == len(b"at the end")
    assert verify(own.root).problems == []
    # New ones don't become that deep.
    assert commit(web, "lrat/deep", put("/".join(["e"] * 200))).status_code == 422
