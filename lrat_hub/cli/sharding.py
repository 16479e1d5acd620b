"""`lrat serve` of an index in shards: a shard as a server of its own, and processes for all shards of this machine."""

from __future__ import annotations

import argparse
import os
import re
import secrets
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lrat_hub.cli import speaking
from lrat_hub.errors import LratError
from lrat_hub.llm.processes import ServerProcess, free_port
from lrat_hub.llm.settings import ServerSettings
from lrat_hub.serving.limits import Limits

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from lrat_hub.hub.inputs import Inputs

LOOK_SECONDS = 0.5
"""Seconds between two looks at whether a shard's process has ended."""


def shard_of(text: str) -> tuple[int, int]:
    """Number of a shard and of all, out of "2/4"."""
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    number, count = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= count:
        raise LratError(f"lrat serve: expected --shard as number/count, such as 2/4, found {text[:80]!r}.")
    return number, count


def shards_of(text: str) -> int | list[str]:
    """How many shards to serve with processes of this machine, or where the servers of all are."""
    from lrat_hub.retrieval.remote import is_url

    if re.fullmatch(r"[0-9]{1,6}", text) and int(text) > 0:
        return int(text)
    urls = [url.strip() for url in text.split(",")]
    if not all(map(is_url, urls)):
        raise LratError(
            f"lrat serve: expected --shards as a number of processes, or as URLs joined by commas, found "
            f"{text[:80]!r}."
        )
    return urls


def shard_application(args: argparse.Namespace, inputs: Inputs) -> Starlette:
    """The service of one shard."""
    from lrat_hub.retrieval.sharded import load_shard
    from lrat_hub.serving.gate import Tokens
    from lrat_hub.serving.shards import create_shard_app

    # What costs nothing to refuse is refused before anything is loaded.
    tokens = Tokens.read(args.tokens) if args.tokens else None
    limits = speaking.limits_of(args)
    index = inputs.resolve("index", args.index, repo_type="model")
    corpus = inputs.resolve("corpus", args.corpus)
    model = inputs.resolve("model", args.model, repo_type="model") if args.model else None
    shard, searched = load_shard(index, corpus, *shard_of(args.shard), model=model)
    return create_shard_app(shard, searched, hosts=speaking.hosts_of(args), tokens=tokens, limits=limits)


@contextmanager
def local_shards(args: argparse.Namespace, count: int) -> Iterator[tuple[list[str], str]]:
    """Serves all shards of an index with processes of this machine: gives their URLs and the token that they ask for.

    Args:
        args: Whose references are pinned.
    """
    from lrat_hub.hub.inputs import resolve
    from lrat_hub.retrieval.sharded import shardable
    from lrat_hub.serving.replicas import server_folder

    index, corpus = resolve(args.index, repo_type="model"), resolve(args.corpus, repo_type="dataset")
    shardable(index, corpus, count, model=resolve(args.model, repo_type="model") if args.model else None)
    with server_folder("lrat-shards-") as folder:
        token = secrets.token_urlsafe(32)
        tokens = folder / "tokens"
        tokens.touch(0o600)
        tokens.write_text(f"front:{token}\n")
        words = ["--index", args.index, "--corpus", args.corpus, "--tokens", str(tokens)]
        words += [f"--max-k={args.max_k}", f"--max-query-length={args.max_query_length}"]
        # The longest query that is let in has to reach them, at most twelve bytes a character.
        words.append(f"--max-body={max(Limits.body, 12 * args.max_query_length + 1_024)}")
        words += ["--model", args.model] if args.model else []
        devices = args.devices.split(",")
        cores = max(1, (os.cpu_count() or 1) // count)
        processes, urls = [], []
        for number in range(1, count + 1):
            port = free_port()
            urls.append(f"http://127.0.0.1:{port}")
            own = ["--shard", f"{number}/{count}", "--port", str(port)]
            processes.append(
                ServerProcess(
                    f"lrat serve --shard {number}/{count}",
                    [sys.executable, "lrat_hub.cli", "serve", *words, *own],
                    f"{urls[-1]}/health",
                    log=folder / f"shard-{number}.log",
                    timeout=ServerSettings().server_timeout,
                    devices=devices[(number - 1) % len(devices)],
                    environment={} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(cores)},
                )
            )
        with kept(processes):
            yield urls, token


@contextmanager
def kept(processes: Sequence[ServerProcess]) -> Iterator[None]:
    """Processes that run while inside, and are started again when they end."""
    ready, end = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    # The kernel ends a process with the thread that has started it, so that one thread starts them all, and stays.
    def keep() -> None:
        started: list[ServerProcess] = []
        try:
            for process in processes:
                process.start()
                started.append(process)
            for process in processes:
                process.wait(end.is_set)
            ready.set()
            while not end.wait(LOOK_SECONDS):
                for process in processes:
                    if process.has_ended:
                        print(f"{process.name}: it has ended, and is started again", file=sys.stderr, flush=True)
                        try:
                            process.stop()
                            process.start()
                        # There may be memory, or space for its log, at the next look.
                        except OSError as error:
                            print(f"{process.name}: it could not be started; {error}", file=sys.stderr, flush=True)
        except BaseException as error:
            failures.append(error)
        finally:
            for process in started:
                process.stop()
            ready.set()

    keeper = threading.Thread(target=keep, name="shards")
    keeper.start()
    try:
        ready.wait()
        if failures:
            raise failures[0]
        yield
    finally:
        end.set()
        keeper.join()
