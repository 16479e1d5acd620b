"""A server that speaks OpenAI's chat completions over HTTP and says what a test tells it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any]], "str | int | dict[str, Any]"]
"""From a request to the content of a reply, an HTTP status that refuses it, or a whole choice."""


class ChatServer:
    """Answers `POST /v1/chat/completions`, as the model "m"; `requests` holds what was asked. A context manager."""

    def __init__(self, answer: Answer) -> None:
        self.requests: list[dict[str, Any]] = []
        self.highest = 0
        lock, under_way = threading.Lock(), 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = b'{"object": "list", "data": [{"id": "m", "object": "model"}]}'
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                nonlocal under_way
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    outer.requests.append(request)
                    under_way += 1
                    outer.highest = max(outer.highest, under_way)
                said = answer(request)
                with lock:
                    under_way -= 1
                if isinstance(said, int):
                    self.send_response(said)
                    body = b'{"error": {"message": "refused"}}'
                else:
                    self.send_response(200)
                    choice = said if isinstance(said, dict) else {"message": {"role": "assistant", "content": said}}
                    body = json.dumps(
                        {
                            "id": "x", "object": "chat.completion", "created": 0, "model": "m",
                            "choices": [{"index": 0, "finish_reason": "stop"} | choice],
                        }
                    ).encode()  # fmt: skip
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> ChatServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
