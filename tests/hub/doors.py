"""Doors before the Hub: what stands between it and its clients, and loses or answers requests itself."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit


class Door:
    """Takes connections for the Hub; `serve` is given each of them in a thread of its own."""

    def __init__(self, endpoint: str) -> None:
        address = urlsplit(endpoint)
        self.hub = (address.hostname, address.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        raise NotImplementedError

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def close(self) -> None:
        self._listener.close()
