"""Servers keep a connection longer than clients do: what is sent over one that is closed at that moment is lost."""

from __future__ import annotations

import time
from contextlib import ExitStack
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from lrat_hub.localhub import LocalHub
from tests.serving.served import bm25, published_corpus, serving
from tests.viewer.pages import run
from tests.viewer.test_view import published
from tests.viewer.test_view import serving as viewing

KEPT_BY_HTTPX = 5.0


def asked(connection: HTTPConnection, path: str) -> int:
    connection.request("GET", path)
    with connection.getresponse() as response:
        response.read()
        return response.status


@pytest.mark.slow
def test_no_server_is_the_first_to_close_a_connection(hub, tmp_path):
    corpus = bm25(published_corpus(tmp_path))
    with ExitStack() as stack:
        own = stack.enter_context(LocalHub(tmp_path / "hub"))
        one = stack.enter_context(serving(*corpus))[1]
        replicas = stack.enter_context(serving(*corpus, "--replicas", "2"))[1]
        page = stack.enter_context(viewing(published("lrat/runs-to-keep", [run(0)])))[1]
        urls = {own.endpoint: "/", one: "/health", replicas: "/health", page: "/"}
        connections = {HTTPConnection(urlsplit(url).netloc, timeout=60): path for url, path in urls.items()}
        sockets = {}
        for connection, path in connections.items():
            assert asked(connection, path) == 200
            sockets[connection] = connection.sock
        time.sleep(KEPT_BY_HTTPX + 1.5)
        for connection, path in connections.items():
            assert asked(connection, path) == 200
            assert connection.sock is sockets[connection]
            connection.close()
