"""`lrat serve`: a retriever as a service for agents, by HTTP."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lrat_hub.cli import serve_options, sharding, speaking
from lrat_hub.cli.ending import leaving_on_sigterm
from lrat_hub.cli.parser import CommandParser
from lrat_hub.errors import LratError
from lrat_hub.llm.processes import visible_devices
from lrat_hub.localhub.process import KEEP_ALIVE_SECONDS, listen
from lrat_hub.serving.batching import BatchSettings

if TYPE_CHECKING:
    import socket

    from starlette.applications import Starlette
    from starlette.types import ASGIApp

    from lrat_hub.hub.inputs import Inputs
    from lrat_hub.hub.refs import RepoType
    from lrat_hub.retrieval.sharded import ShardedRetriever
    from lrat_hub.serving.metrics import ServiceMetrics
    from lrat_hub.serving.service import Backend

STOP_SECONDS = 5
"""Seconds that a server which is stopped waits for requests to end; a client may never end its own."""


def main(argv: list[str]) -> int:
    """Serve a retriever to agents until Ctrl-C. docs/serving.md describes the HTTP routes and MCP tools."""
    if argv[:1] == ["forget"]:
        return speaking.forget(argv[1:])
    parser = _parser()
    args = parser.parse_args(argv)
    # Before torch and FAISS look for them.
    os.environ |= visible_devices(args.devices)
    serve_options.check(args, parser.given(argv))

    from lrat_hub.hub.inputs import Inputs

    inputs = Inputs(require_pinned=args.require_pinned)
    if args.shard:
        return _serve(args, inputs, sharding.shard_application(args, inputs), f"shard {args.shard} of ")
    shards = sharding.shards_of(args.shards) if args.shards else []
    if not isinstance(shards, int):
        args.shard_urls, args.shard_token = shards, None
        return _serve_whole(args, inputs)
    _pin(args, inputs)
    with leaving_on_sigterm(0), sharding.local_shards(args, shards) as (args.shard_urls, args.shard_token):
        return _serve_whole(args, inputs)


def _serve_whole(args: argparse.Namespace, inputs: Inputs) -> int:
    """Serves all that is searched: with streams, replicas, or one process."""
    if args.mcp == "stdio":
        return speaking.serve_streams(args, lambda: _application(args, inputs))
    if args.replicas > 1:
        return _serve_replicas(args, inputs)
    return _serve(args, inputs, speaking.traced(_application(args, inputs)))


def _serve(args: argparse.Namespace, inputs: Inputs, app: ASGIApp, part: str = "") -> int:
    import uvicorn

    # Taken after the index is ready: who can connect is answered.
    with listen(args.host, args.port, name="lrat serve") as listener:
        _announce(part + _served(inputs), args.host, listener)
        config = uvicorn.Config(
            app,
            ws="none",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=STOP_SECONDS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def _serve_replicas(args: argparse.Namespace, inputs: Inputs) -> int:
    from lrat_hub.serving.replicas import serve_replicas

    _pin(args, inputs)
    with listen(args.host, args.port, name="lrat serve") as listener:
        _announce(_served(inputs) if not args.follow else args.index, args.host, listener)
        serve_replicas(partial(_replica, args), listener, args.replicas, KEEP_ALIVE_SECONDS)
    return 0


def _pin(args: argparse.Namespace, inputs: Inputs) -> None:
    """Names the commits of what is served, which all processes serve then; a tag is followed by each."""
    args.corpus = _pinned(args.corpus, "corpus", "dataset", inputs)
    if args.model:
        args.model = _pinned(args.model, "model", "model", inputs)
    if args.retriever:
        args.retriever = _pinned_retriever(args.retriever, "retriever", inputs)
    elif not args.follow:
        args.index = _pinned(args.index, "index", "model", inputs)
    if args.shadow:
        args.shadow = _pinned_retriever(args.shadow, "shadow", inputs)


def _replica(args: argparse.Namespace) -> ASGIApp:
    """The application of one of several processes."""
    from lrat_hub.hub.inputs import Inputs
    from lrat_hub.serving.replicas import STARTUP_FAILURE, join_replicas

    join_replicas()
    try:
        return speaking.traced(_application(args, Inputs()))
    except LratError as error:
        # uvicorn ends all replicas when one of them can't start, as the others can't, either.
        print(f"lrat serve: {error}", file=sys.stderr, flush=True)
        raise SystemExit(STARTUP_FAILURE) from error


def _pinned(text: str, name: str, repo_type: RepoType, inputs: Inputs) -> str:
    """A reference at its commit; a path stays as it is."""
    from lrat_hub.hub.refs import HubRef

    source = inputs.resolve(name, text, repo_type=repo_type)
    return str(source) if isinstance(source, HubRef) else text


def _pinned_retriever(text: str, name: str, inputs: Inputs) -> str:
    """A retriever's name, each repository in it at its commit."""
    from lrat_hub.retrieval.opening import RetrieverName

    def pinned(part: RetrieverName) -> str:
        label = f"{name}_{len(inputs.pins)}"
        return _pinned(part.text, label, "model", inputs) if part.is_repository else part.text

    return RetrieverName.parse(text).renamed(pinned)


def _application(args: argparse.Namespace, inputs: Inputs) -> Starlette:
    """The service with all that the options ask for."""
    from lrat_hub.hub.inputs import Inputs, resolve
    from lrat_hub.serving.application import create_app
    from lrat_hub.serving.champions import ChampionFollower, Shadow
    from lrat_hub.serving.gate import Tokens
    from lrat_hub.serving.memory import settled
    from lrat_hub.serving.metrics import ServiceMetrics
    from lrat_hub.serving.replicas import SHARED_FOLDER
    from lrat_hub.serving.service import SearchService
    from lrat_hub.serving.shards import watching

    # What costs nothing to refuse is refused before anything is loaded.
    batches = BatchSettings(args.max_batch, args.max_wait / 1000, args.max_queue)
    limits = speaking.limits_of(args)
    tokens = Tokens.read(args.tokens) if args.tokens else None
    metrics = ServiceMetrics()
    backend = _sharded(args, inputs, metrics) if args.shard_urls else _backend(args, inputs)
    service = SearchService(backend, batches=batches, batch_observer=metrics)
    spoken = speaking.speak(args, service, metrics)
    spoken.during.append(settled)
    if args.shard_urls:
        sharded = cast("ShardedRetriever", backend.retriever)
        spoken.problems.append(lambda: " ".join(sharded.problems.values()) or None)
        spoken.during.append(lambda: watching(sharded))
    if args.shadow:
        service.shadow = shadow = Shadow(_backend(args, inputs, shadow=True), service, metrics, batches)
        spoken.problems.append(lambda: shadow.problem)
    if args.follow:
        follower = ChampionFollower(
            service,
            lambda: str(resolve(args.index, repo_type="model")),
            lambda pin: _backend(argparse.Namespace(**vars(args) | {"index": pin}), Inputs()),
            pinned=inputs.pins["index"],
            seconds=args.follow,
            metrics=metrics,
        )
        spoken.problems.append(lambda: follower.problem)
        spoken.during.append(follower.following)
    app = create_app(
        service,
        metrics=metrics,
        hosts=speaking.hosts_of(args),
        tokens=tokens,
        limits=limits,
        shared=Path(os.environ[SHARED_FOLDER]) if args.replicas > 1 else None,
        problems=lambda: [problem for say in spoken.problems if (problem := say())],
        details=spoken.details,
        routes=spoken.routes,
        during=spoken.during,
    )
    app.state.service = service
    return app


def _backend(args: argparse.Namespace, inputs: Inputs, *, shadow: bool = False) -> Backend:
    """What is served, or its shadow, at its pin, loaded."""
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.retrieval.indexes import CORPUS_CONFIG, corpus_pin
    from lrat_hub.retrieval.opening import RetrieverOpener, index_name
    from lrat_hub.serving.service import Backend

    name, label = (index_name(args.index), "index") if args.index else (args.retriever, "retriever")
    if shadow:
        name, label = args.shadow, "shadow"
    model = inputs.resolve("model", args.model, repo_type="model") if args.model and not shadow else None
    corpus = inputs.resolve("corpus", args.corpus)
    opener = RetrieverOpener(corpus, inputs=inputs)
    retriever = opener.open(name, input_name=label, model=model)
    pin = getattr(retriever, "corpus", None)
    if pin is None:
        # No index says which split it is of, and all but an index has needed the documents.
        table = load_table(corpus, "corpus", config=CORPUS_CONFIG)
        pin = corpus_pin(corpus, str(table.split))
    return Backend(retriever, pin, lambda: opener.documents, inputs.pins.get("index") if label == "index" else None)


def _sharded(args: argparse.Namespace, inputs: Inputs, metrics: ServiceMetrics) -> Backend:
    """An index whose shards are served elsewhere."""
    from lrat_hub.documents import Documents
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.retrieval.indexes import CORPUS_CONFIG
    from lrat_hub.retrieval.sharded import ShardedRetriever
    from lrat_hub.serving.service import Backend

    model = inputs.resolve("model", args.model, repo_type="model") if args.model else None
    corpus = inputs.resolve("corpus", args.corpus)
    index = inputs.resolve("index", args.index, repo_type="model")
    retriever = ShardedRetriever(
        index, corpus, args.shard_urls, model=model, token=args.shard_token, on_answer=metrics.shard_answered
    )

    def documents() -> Documents:
        return Documents(load_table(corpus, "corpus", config=CORPUS_CONFIG))

    return Backend(retriever, retriever.corpus, documents, inputs.pins["index"])


def _served(inputs: Inputs) -> str:
    """The pins of what is served."""
    return " + ".join(pin for name, pin in inputs.pins.items() if name.startswith(("index", "retriever"))) or "bm25"


def _announce(served: str, host: str, listener: socket.socket) -> None:
    print(f"{served} at http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}", flush=True)


def _parser() -> CommandParser:
    return serve_options.parser_of(main.__doc__)
