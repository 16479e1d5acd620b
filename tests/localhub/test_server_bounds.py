"""Each request has an end: what would take long, much memory, or for ever is refused, and others don't wait for it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from requests_by_hand import commit, put

from lrat_hub.errors import LratError
from lrat_hub.localhub import LocalHub
from lrat_hub.localhub.cards import METADATA_MAX_CHARS, CardError, parse_card, render_card
from lrat_hub.localhub.root import Accounts, create_token, prepare_root, read_token
from tests.waiting import HANGS_AFTER_SECONDS, wait_until

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
)


@pytest.mark.parametrize(
    "yaml",
    [
        BOMB,
        "a: [" + "1," * 200_000 + "]",
        "x" * (METADATA_MAX_CHARS + 1),
        "a: " + "[" * 200_000,
        "a: 1" + ":1" * 99_999,
    ],
    ids=["aliases", "values", "characters", "levels", "sexagesimal"],
)
def test_metadata_beyond_all_limits_are_refused_before_they_are_made(http: httpx2.Client, yaml: str) -> None:
    checked = http.post("/api/validate-yaml", json={"content": f"---\n{yaml}\n---\n"}, headers={"Authorization": ""})
    assert checked.status_code == 400
    with pytest.raises(CardError):
        parse_card(f"---\n{yaml}\n---\n")


def test_metadata_within_the_limits_are_read(http: httpx2.Client) -> None:
    configs = "".join(f"- config_name: c{n}\n  data_files: [{{split: train, path: c{n}/*}}]\n" for n in range(1000))
    assert len(parse_card(f"---\nconfigs:\n{configs}---\n")["configs"]) == 1000


ENDLESS = {
    "comments": "<!--" * 20_000,
    "comments in blocks": "<!-- \n\n" * 20_000,
    "brackets": "[" * 50_000,
    "pictures": "![" * 60_000,
    "stars": "*a " * 50_000,
    "quotes": ">" * 50_000,
    "ticks": "".join("`" * n + "a" for n in range(700)),
    "a wide table": "|a" * 2000 + "\n" + "|-" * 2000 + "\n" + "|b\n" * 2000,
    "references": "".join(f"[a{n}]: b\n" for n in range(20_000)),
    "tags": "<a " * 60_000,
    "links": "[a](<b" * 20_000,
}


@pytest.mark.parametrize("card", ENDLESS.values(), ids=list(ENDLESS))
def test_a_card_that_takes_long_to_show_is_shown_as_it_is_written(card: str) -> None:
    """In a process of its own, whose end says that it came to one; how fast depends on the machine."""
    code = "import sys; from lrat_hub.localhub.cards import *; render_card(sys.stdin.read(), '', '')"
    done = subprocess.run(
        [sys.executable, "-c", code], input=card, capture_output=True, text=True, timeout=HANGS_AFTER_SECONDS
    )
    assert done.returncode == 0, done.stderr


def test_a_card_whose_time_is_over_shows_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    from lrat_hub.localhub import cards

    monkeypatch.setattr(cards, "RENDER_SECONDS", -1.0)
    assert render_card("# Title <b> over", "/lrat/r", "0" * 40) == "<pre># Title &lt;b&gt; over</pre>"


@pytest.mark.parametrize("kind", ["metadata", "card", "ignore", "attributes"])
def test_others_are_answered_while_something_long_is_read(
    hub: LocalHub, http: httpx2.Client, repo: str, kind: str
) -> None:
    import httpx2

    honest = "x:\n" + "".join(f"- k{n}: v\n" for n in range(20_000))
    rules = "\n".join(f"**/a*{n}*b*c/**/*.x{n}" for n in range(4000))
    files = [{"path": f"a/b/c/{'a' * 200}{n}", "size": 1, "sample": ""} for n in range(250)]
    asks: dict[str, Callable[[httpx2.Client], Any]] = {
        "metadata": lambda client: client.post("/api/validate-yaml", json={"content": f"---\n{honest}---\n"}),
        "card": lambda client: client.get(f"/{repo}"),
        "ignore": lambda client: client.post(
            f"/api/models/{repo}/preupload/main", json={"files": files, "gitIgnore": rules}
        ),
        "attributes": lambda client: client.post(
            f"/api/models/{repo}/preupload/main",
            json={"files": files, "gitAttributes": rules.replace("\n", " filter=lfs\n")},
        ),
    }
    commit(http, repo, put("README.md", b"![" * 60_000)).raise_for_status()

    def ask(answers: list[int]) -> None:
        with httpx2.Client(base_url=hub.endpoint, headers=http.headers, timeout=HANGS_AFTER_SECONDS) as client:
            answers.append(asks[kind](client).status_code)

    # A server that answers nobody meanwhile does so every time; one that does may be too quick to be seen.
    for _ in range(20):
        answers: list[int] = []
        askers = [threading.Thread(target=ask, args=(answers,)) for _ in range(2)]
        for asker in askers:
            asker.start()
        meanwhile = 0
        while any(asker.is_alive() for asker in askers):
            assert http.get("/api/whoami-v2").status_code == 200
            meanwhile += not answers
        for asker in askers:
            asker.join()
        assert all(status < 500 for status in answers)
        if meanwhile:
            break
    # At least one whole exchange while they were being answered.
    assert meanwhile >= 1


def served_with(seconds: float, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, int]:
    """A server in this process, whose connections have little patience."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from lrat_hub.localhub import wire
    from lrat_hub.localhub.app import _hub_error
    from lrat_hub.localhub.connections import Connection
    from lrat_hub.localhub.protocol import HubError

    async def echo(request: Request) -> JSONResponse:
        return JSONResponse({"length": len(await wire.read_body(request))})

    monkeypatch.setattr(wire, "BODY_SECONDS", seconds)
    monkeypatch.setattr(Connection, "header_seconds", seconds)
    handlers: dict[Any, Any] = {HubError: _hub_error}
    app = Starlette(routes=[Route("/", echo, methods=["POST"])], exception_handlers=handlers)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http=Connection, lifespan="off", log_level="warning"))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    return server, listener.getsockname()[1]


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"", b""),
        (b"POST / HT", b""),
        (b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: ", b""),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", b"HTTP/1.1 408"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nfullPOST / HT", b"HTTP/1.1 200"),
    ],
    ids=["nothing", "half a line", "half the headers", "half a body", "half a second request"],
)
def test_half_a_request_does_not_stay(sent: bytes, answered: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    server, port = served_with(0.5, monkeypatch)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=HANGS_AFTER_SECONDS) as connection:
            connection.sendall(sent)
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        assert received.startswith(answered)
        assert bool(received) == bool(answered)
    finally:
        server.should_exit = True


def test_headers_that_come_byte_by_byte_have_an_end_too(monkeypatch: pytest.MonkeyPatch) -> None:
    server, port = served_with(0.5, monkeypatch)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=HANGS_AFTER_SECONDS) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nX-Slow: ")

            def is_closed() -> bool:
                try:
                    connection.sendall(b"x")
                except ConnectionError:
                    return True
                return False

            wait_until(is_closed, pause=0.05)
    finally:
        server.should_exit = True


def test_a_body_with_two_lengths_is_refused(hub: LocalHub) -> None:
    address = urlsplit(hub.endpoint)
    with socket.create_connection((address.hostname, address.port), timeout=HANGS_AFTER_SECONDS) as connection:
        connection.sendall(
            b"POST /api/validate-yaml HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        )
        assert connection.recv(65536).startswith(b"HTTP/1.1 400")


def test_a_repository_that_is_deleted_during_a_commit_is_not_found(
    hub: LocalHub, http: httpx2.Client, repo: str
) -> None:
    """The body of the commit is half there when the repository goes."""
    address = urlsplit(hub.endpoint)
    line = b'{"key":"header","value":{"summary":"x"}}\n'
    rest = b'{"key":"file","value":{"path":"x","content":"eA==","encoding":"base64"}}\n'
    head = (
        f"POST /api/models/{repo}/commit/main HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {hub.token}\r\n"
        f"Content-Length: {len(line) + len(rest)}\r\n\r\n"
    ).encode()
    with socket.create_connection((address.hostname, address.port), timeout=HANGS_AFTER_SECONDS) as connection:
        connection.sendall(head + line)
        http.request("DELETE", "/api/repos/delete", json={"name": repo.partition("/")[2]}).raise_for_status()
        connection.sendall(rest)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 404")
    assert b"RepoNotFound" in answer


def test_folders_and_files_with_tokens_are_private_before_a_hub_is_served(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir(mode=0o755)
    root.chmod(0o755)
    prepare_root(root)
    assert root.stat().st_mode & 0o777 == 0o700
    read_token(root)
    create_token(root, "alice", "read")
    (root / "tokens.json").chmod(0o644)
    with pytest.raises(LratError, match="0644"):
        Accounts(root, "lrat")
    with pytest.raises(LratError, match="0644"):
        LocalHub(root).start()
    # A folder that holds other things stays as it is.
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(0o755)
    (tmp_path / "home" / "notes.txt").touch()
    prepare_root(tmp_path / "home")
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o755


def test_private_files_stay_out_of_caches(api: HfApi, http: httpx2.Client, repo: str) -> None:
    api.upload_file(repo_id=repo, path_in_repo="a.bin", path_or_fileobj=b"x" * 100)
    for private, expected in ((True, "private, no-store"), (False, "no-cache")):
        api.update_repo_settings(repo, private=private)
        for path in ("a.bin", ".gitattributes"):
            headers = http.get(f"/{repo}/resolve/main/{path}").headers
            assert (headers["Cache-Control"], headers["Vary"]) == (expected, "Authorization")


def test_an_outdated_commit_is_refused_with_the_words_that_clients_look_for(http: httpx2.Client, repo: str) -> None:
    start = http.get(f"/api/models/{repo}").json()["sha"]
    commit(http, repo, put("a")).raise_for_status()
    refused = commit(http, repo, put("b"), parentCommit=start)
    assert refused.status_code == 412
    assert "Please refresh and try again." in refused.text
    assert "A commit has happened since" in refused.text


def test_rows_are_refused_to_more_than_may_wait_for_them(tmp_path: Path) -> None:
    """Each who waits holds a thread of the server."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from lrat_hub.localhub import parquet
    from lrat_hub.localhub.protocol import HubError

    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with contextlib.ExitStack() as taken:
        for _ in range(parquet.PLACES):
            taken.enter_context(parquet._places)
        with pytest.raises(HubError, match="Too many") as refused:
            parquet.read_rows([path], 0, 1)
        assert refused.value.status == 503
    assert parquet.read_rows([path], 0, 1)["total"] == 1
