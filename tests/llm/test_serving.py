"""Starting and stopping a server, with a stand-in for vLLM's module; `vllm_stage.py` has the real one."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from lrat_hub.errors import LratError
from lrat_hub.llm.chat import NoServerError
from lrat_hub.llm.servers import ServerDescription, describe_server
from lrat_hub.llm.serving import VllmServer
from lrat_hub.llm.settings import ServerSettings

ROOT = Path(__file__).parents[2]

SERVER = """
import http.server, json, subprocess, sys, time
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
print("options", json.dumps(options), flush=True)
if options["--model"] == "broken":
    sys.exit("ValueError: no such architecture")
if options["--model"] == "silent":
    time.sleep(600)
# The real one starts processes of its own, too.
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        models = {"data": [{"id": options["--served-model-name"], "max_model_len": 4096}]}
        body = {"/v1/models": models, "/version": {"version": "9.9"}}.get(self.path, {})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer((options["--host"], int(options["--port"])), Handler).serve_forever()
"""


@pytest.fixture
def python(tmp_path) -> str:
    """An interpreter for which a `vllm` is installed."""
    module = tmp_path / "site" / "vllm" / "entrypoints" / "openai" / "api_server.py"
    module.parent.mkdir(parents=True)
    module.write_text(SERVER)
    (tmp_path / "site" / "vllm" / "__init__.py").touch()
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path / "site"} exec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    return str(wrapper)


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    return False


def answers(base_url: str) -> bool:
    try:
        urllib.request.urlopen(f"{base_url}/models", timeout=5)
    except (OSError, urllib.error.URLError):
        return False
    return True


@pytest.mark.slow
def test_a_server_is_up_inside_and_gone_after_with_all_it_started(python, tmp_path):
    log = tmp_path / "logs" / "vllm.log"
    settings = ServerSettings(
        vllm_python=python, tensor_parallel=2, data_parallel=3, vllm_args="--dtype float32", server_timeout=60
    )
    with VllmServer("folder", "me/model", settings, log) as server:
        assert describe_server(server.base_url, "me/model") == ServerDescription("9.9", 4096)
        with pytest.raises(LratError, match="expected a server of me/other"):
            describe_server(server.base_url, "me/other")
        child = int(log.read_text().partition("child ")[2])
        assert is_alive(child)
    assert not answers(server.base_url)
    assert not is_alive(child)
    options = log.read_text()
    for option in ('"--model": "folder"', '"--tensor-parallel-size": "2"', '"--data-parallel-size": "3"', '"--dtype"'):
        assert option in options


def test_llama_cpp_says_its_context_in_its_own_way():
    # What its server (2026-10) lists, without the fields on the model's origin.
    listed = {
        "models": [{"name": "m", "model": "m", "capabilities": ["completion"]}],
        "object": "list",
        "data": [{"id": "m", "owned_by": "llamacpp", "meta": {"n_vocab": 49152, "n_ctx": 512, "n_ctx_train": 8192}}],
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(listed if self.path == "/v1/models" else {"error": {"code": 404}}).encode()
            self.send_response(200 if self.path == "/v1/models" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        about = describe_server(f"http://127.0.0.1:{server.server_port}/v1", "m")
        server.shutdown()
    assert about == ServerDescription(context_tokens=512)


def answer(body: str | bytes, status: str = "200 OK") -> bytes:
    body = body if isinstance(body, bytes) else body.encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@contextlib.contextmanager
def answering(data: bytes, again: bytes = b"") -> Iterator[str]:
    """The URL of a server that sends these bytes, whatever it is asked, and then others for ever."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(65_536)
            with contextlib.suppress(OSError):
                self.request.sendall(data)
                while again:
                    time.sleep(0.05)
                    self.request.sendall(again)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "Remote end closed connection.*Start it, or correct the URL"),
        (b"SSH-2.0-OpenSSH_9\r\n", "SSH-2.0-OpenSSH_9"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"data": [', """'{"data": ."""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-A: a\r\n" * 200 + b"\r\n{}", "got more than 100 headers"),
        (answer("<html>Log in</html>"), "'<html>Log in</html>'"),
        (answer("[" * 100_000), r"'\[\["),
        (answer("[]"), r"'\[\]'"),
        (answer(b"\xff\xfe"), "'"),
        (answer("no", "401 Unauthorized"), r"status 401\. Set its key, OPENAI_API_KEY"),
        (answer("no", "404 Not Found"), r"status 404\. Correct the URL"),
    ],
)
def test_what_is_no_list_of_models_is_no_server(data, found):
    with answering(data) as url, pytest.raises(NoServerError, match=f"lists its models, found {found}"):
        describe_server(url, "m", timeout=60)


def test_a_url_without_its_end_is_told_from_a_server_that_is_not_there():
    with answering(answer("no", "404 Not Found")) as url, pytest.raises(NoServerError) as raised:
        describe_server(url.removesuffix("/v1"), "m", timeout=60)
    assert str(raised.value).endswith(f"found status 404. The URL goes up to and including /v1: is it {url}?")


@pytest.mark.parametrize(
    "listed",
    [
        {"data": None},
        {"data": "m"},
        {"data": [{"id": ["m"]}, 3, None, {}]},
        {"data": [{"id": "m", "meta": "large", "max_model_len": "4096", "root": 3}]},
    ],
)
def test_what_a_server_says_in_other_types_it_does_not_say(listed):
    with answering(answer(json.dumps({**listed, "version": 3}))) as url:
        assert describe_server(url, "m", timeout=60) == ServerDescription()


def test_an_answer_that_never_ends_is_none():
    """A time-out of a socket is that of each of its parts."""
    begin = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    with answering(begin, b" ") as url, pytest.raises(NoServerError, match="an answer without an end"):
        describe_server(url, "m", timeout=0.5)


@pytest.mark.parametrize("key", ["secret\n", "s\u00e9cret"])
def test_a_key_that_no_request_can_carry_is_refused_and_not_repeated(key, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(LratError, match="OPENAI_API_KEY: expected a key of") as raised:
        describe_server("http://127.0.0.1:9/v1", "m")
    assert "cret" not in str(raised.value)


@pytest.mark.slow
def test_a_server_that_ends_or_stays_silent_is_an_error_with_its_log(python, tmp_path):
    log = tmp_path / "vllm.log"
    with pytest.raises(LratError, match=r"ended with code 1: ValueError: no such architecture See .*vllm\.log"):
        VllmServer("broken", "m", ServerSettings(vllm_python=python, server_timeout=60), log).__enter__()
    with pytest.raises(LratError, match="expected an answer within 2 s"):
        VllmServer("silent", "m", ServerSettings(vllm_python=python, server_timeout=2), log).__enter__()


def test_without_vllm_or_an_interpreter_the_error_says_what_to_do(tmp_path):
    with pytest.raises(LratError, match="expected it to be installed for"):
        VllmServer("folder", "m", ServerSettings(vllm_python=sys.executable), tmp_path / "log").__enter__()
    with pytest.raises(LratError, match="expected an interpreter at /no/python"):
        VllmServer("folder", "m", ServerSettings(vllm_python="/no/python"), tmp_path / "log").__enter__()
    with pytest.raises(LratError, match="expected a server that lists its models"):
        describe_server("http://127.0.0.1:9/v1", "m")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends the server, which only Linux does")
def test_a_server_does_not_outlive_a_killed_stage(python, tmp_path):
    script = (
        "import time; from lrat_hub.llm.serving import VllmServer; from lrat_hub.llm.settings import ServerSettings\n"
        f"settings = ServerSettings(vllm_python={python!r}, server_timeout=60)\n"
        f"with VllmServer('folder', 'm', settings, {str(tmp_path / 'log')!r}) as server:\n"
        "    print(server.base_url, flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        base_url = process.stdout.readline().strip()
        assert answers(base_url)
        os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while answers(base_url):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(int((tmp_path / "log").read_text().partition("child ")[2]), signal.SIGKILL)
