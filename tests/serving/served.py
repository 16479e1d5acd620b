"""`lrat serve` as a process, and a small corpus for it on the tests' Hub."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from tests.serving.conftest import CORPUS


def published_corpus(folder) -> str:
    """The pin of the corpus of `tests.serving.conftest`."""
    from lrat_hub import cli

    path = folder / "documents.jsonl"
    rows = [{"docid": document.docid, "title": document.title, "text": document.text} for document in CORPUS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(cli.run(["corpus", f"--documents={path}", "--to", "lrat/served-corpus"]))


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "lrat_hub.cli", "serve", *words]


def bm25(corpus: str) -> tuple[str, ...]:
    """What is served, as words of the command."""
    return ("--retriever", "bm25", "--corpus", corpus)


@contextmanager
def serving(*words: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """The process and its URL."""
    port = () if "--port" in words else ("--port", "0")
    process = subprocess.Popen(command(*words, *port), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, re.search(r" at (http://\S+)\n", process.stdout.readline())[1]
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextmanager
def listening(app) -> Iterator[str]:
    """The URL of an application that this process serves."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def ask(url: str, path: str, question=None, **headers: str):
    data = None if question is None else json.dumps(question).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with urllib.request.urlopen(urllib.request.Request(url + path, data, named), timeout=60) as response:
        return json.loads(response.read())
