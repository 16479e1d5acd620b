"""The HTTP API of Hugging Face Jobs in front of an embedded Hub: jobs are processes that see none of the files here.

Requests come from the real client, and what a job runs is its real command, but for `uv`, which installs nothing: it
runs the command in this environment. Each job has a mount namespace of its own, in which hidden folders are empty.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

UV = """#!/bin/bash
# uv run --with PACKAGE ... --python VERSION COMMAND ...
shift
while [[ $1 == --* ]]; do shift 2; done
exec "$@"
"""


class JobsApi:
    """A Hub with jobs, inside `with`.

    Args:
        endpoint: The Hub behind it.
        hidden: Folders that are empty for jobs.
        folder: Where `uv` and the jobs' own folders go.
        killed: Number of the first jobs that are killed as they start.
    """

    def __init__(self, endpoint: str, hidden: Sequence[Path], folder: Path, *, killed: int = 0) -> None:
        self.specs: list[dict[str, Any]] = []
        self._endpoint, self._hidden, self._folder, self._killed = endpoint, hidden, folder, killed
        self._jobs: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "uv").write_text(UV)
        (folder / "bin" / "uv").chmod(0o755)
        api = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.path.startswith("/api/jobs/"):
                    self.reply(200, json.dumps(api.answer(self.path, body)).encode(), {})
                    return
                headers = {name: value for name, value in self.headers.items() if name not in ("Host", "Connection")}
                request = urllib.request.Request(api._endpoint + self.path, body or None, headers, method=self.command)
                try:
                    with NOT_FOLLOWING.open(request) as response:
                        self.reply(response.status, response.read(), dict(response.headers))
                except urllib.error.HTTPError as error:
                    self.reply(error.code, error.read(), dict(error.headers))

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any

            def reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                length = headers.get("content-length", str(len(body))) if self.command == "HEAD" else str(len(body))
                dropped = ("content-length", "transfer-encoding", "connection", "date", "server")
                for name, value in headers.items():
                    if name.lower() not in dropped:
                        self.send_header(name, value)
                self.send_header("Content-Length", length)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> JobsApi:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for job in self._jobs:
            job.kill()
            job.wait()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, body: bytes) -> dict[str, Any]:
        name, _, number = path.removeprefix("/api/jobs/").partition("/")
        if not number:
            with self._lock:
                number = str(len(self._jobs))
                self.specs.append(json.loads(body))
                self._jobs.append(self._start(int(number), self.specs[-1]))
        code = self._jobs[int(number)].poll()
        stage = "RUNNING" if code is None else "COMPLETED" if code == 0 else "ERROR"
        return {
            "id": number,
            "status": {"stage": stage, "message": None},
            "owner": {"id": "1", "name": name, "type": "user"},
        }

    def logs(self) -> str:
        """What the jobs have said."""
        return "\n".join(log.read_text()[-3000:] for log in sorted(self._folder.glob("job-*/log")))

    def _start(self, number: int, spec: dict[str, Any]) -> subprocess.Popen[bytes]:
        home = self._folder / f"job-{number}"
        home.mkdir()
        kept = {name: os.environ[name] for name in ("LANG", "OMP_NUM_THREADS", "TMPDIR") if name in os.environ}
        path = f"{self._folder / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin"
        environment = kept | spec["environment"] | spec["secrets"] | {"PATH": path, "HF_HOME": str(home)}
        hide = "; ".join(f"mount -t tmpfs none '{folder}'" for folder in self._hidden)
        command = ["unshare", "--mount", "--map-root-user", "bash", "-c", f'{hide}; exec "$@"', "_", *spec["command"]]
        if number < self._killed:
            command = ["bash", "-c", "kill -9 $$"]
        with (home / "log").open("wb") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)


class _NotFollowing(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


NOT_FOLLOWING = urllib.request.build_opener(_NotFollowing)
