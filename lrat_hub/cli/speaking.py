"""What `lrat serve` speaks besides plain HTTP, and what it keeps of its calls: MCP, a journal, traces."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.cli.parser import CommandParser
from lrat_hub.errors import LratError
from lrat_hub.localhub.process import LOOPBACK
from lrat_hub.serving import DOCUMENT_URL, OTLP_ENDPOINTS
from lrat_hub.serving.limits import Limits

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer
    from starlette.applications import Starlette
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

    from lrat_hub.serving.metrics import ServiceMetrics
    from lrat_hub.serving.service import SearchService


def add_options(parser: CommandParser) -> None:
    """Adds the options of this module to those of `lrat serve`."""
    parser.add_argument(
        "--mcp",
        choices=("http", "stdio", "none"),
        help="How agents are served by MCP: 'http' at /mcp, beside the other routes; 'stdio' over this process's own "
        "input and output, and nothing else; 'none' not at all. Default: http, where the package mcp is installed.",
    )
    parser.add_argument(
        "--document-url",
        default=DOCUMENT_URL,
        metavar="URL",
        help="Address of a document in answers of MCP, with {docid} in it; ids that are addresses stay as they are. "
        "Default: %(default)s.",
    )
    parser.add_argument(
        "--collect",
        type=Path,
        metavar="FOLDER",
        help="Folder where searches, fetches and feedback are collected by session, for lrat import; lrat serve "
        "forget deletes a session. Without it, nothing of a request is written.",
    )
    parser.add_argument(
        "--collect-share",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="Share of the sessions that are collected, each as a whole; default: all.",
    )


@dataclass
class Spoken:
    """What an application is made with for what the options ask for."""

    routes: list[BaseRoute] = field(default_factory=list)
    details: dict[str, Callable[[], Any]] = field(default_factory=dict)
    during: list[Callable[[], AbstractAsyncContextManager[object]]] = field(default_factory=list)
    problems: list[Callable[[], str | None]] = field(default_factory=list)


def speaks_mcp(args: argparse.Namespace) -> bool:
    """Whether agents are served by MCP."""
    return args.mcp in ("http", "stdio") or (args.mcp is None and importlib.util.find_spec("mcp") is not None)


def speak(args: argparse.Namespace, service: SearchService, metrics: ServiceMetrics) -> Spoken:
    """Adds what keeps calls to a service, and gives what speaks further protocols.

    Raises:
        LratError: The folder can't be written, or a package is missing.
    """
    # Replicas are processes of their own, which collect in the same folder.
    spoken, writers = Spoken(), args.replicas
    if args.collect:
        from prometheus_client import Counter

        from lrat_hub.serving.collecting import Collector
        from lrat_hub.serving.journal import open_journal

        calls = Counter("lrat_calls", "Calls by what told their session.", ["told_by"], registry=metrics.registry)
        journal = open_journal(args.collect, writers=writers)
        collector = Collector(journal, share=args.collect_share, on_call=lambda told: calls.labels(told).inc())
        service.observers = (*service.observers, collector)
        spoken.details["collecting"] = collector.describe
        spoken.problems.append(lambda: journal.failure)
        spoken.during.append(lambda: _closing(journal.close))
    if _is_traced():
        _require("opentelemetry.sdk", "traces, as an endpoint of OTLP is set")
        from lrat_hub.serving.tracing import Tracing

        tracing = Tracing(service)
        service.observers = (*service.observers, tracing)
        spoken.during.append(lambda: _closing(tracing.close))
    if speaks_mcp(args) and args.mcp != "stdio":
        _require("mcp", "--mcp http")
        from lrat_hub.serving.tools import mcp_routes

        server = _mcp(args, service)
        # With several processes, the next request of a session may come to another one.
        spoken.routes += mcp_routes(server, limits=limits_of(args), stateless=writers > 1)
        spoken.during.append(server.session_manager.run)
    return spoken


def traced(app: ASGIApp) -> ASGIApp:
    """The application, whose requests go on with their clients' traces where spans are made."""
    if not _is_traced():
        return app
    from lrat_hub.serving.tracing import TracedRequests

    return TracedRequests(app)


def serve_streams(args: argparse.Namespace, load: Callable[[], Starlette]) -> int:
    """Serves MCP over this process's own input and output, until its input ends.

    Args:
        load: Makes the application, whose service is served.
    """
    _require("mcp", "--mcp stdio")
    import anyio

    # The output is the client's: nothing else may be in it.
    with contextlib.redirect_stdout(sys.stderr):
        app = load()

    async def serve() -> None:
        async with app.router.lifespan_context(app):
            await _mcp(args, app.state.service).run_stdio_async()

    anyio.run(serve)
    return 0


def limits_of(args: argparse.Namespace) -> Limits:
    """The most that one request may ask for, by every protocol."""
    return Limits(args.max_body, args.max_queries, args.max_query_length, args.max_k, args.max_documents, args.rate)


def hosts_of(args: argparse.Namespace) -> tuple[str, ...]:
    """Names by which clients may call the server."""
    if args.hosts:
        return tuple(args.hosts.split(","))
    return LOOPBACK if args.host in LOOPBACK else ("*",)


def _mcp(args: argparse.Namespace, service: SearchService) -> MCPServer:
    from lrat_hub.serving.tools import create_mcp

    return create_mcp(service, document_url=args.document_url, limits=limits_of(args))


def forget(argv: Sequence[str]) -> int:
    """Delete what was collected of a session, or of a token's subject, also while a server collects."""
    parser = CommandParser(prog="lrat serve forget", description=forget.__doc__)
    parser.add_argument("session", help="Name of the session, or subject of the token.")
    parser.add_argument("--collect", type=Path, required=True, metavar="FOLDER", help="Folder of the collected calls.")
    args = parser.parse_args(argv)

    from lrat_hub.serving.journal import forget_session

    forgotten = forget_session(args.collect, args.session)
    print(f"{args.session}: {forgotten.records} records deleted, {forgotten.files} files written again without them")
    if forgotten.mentions:
        raise LratError(
            f"lrat serve forget: expected no other mention of the name in {args.collect}, found it in "
            f"{forgotten.mentions} "
            "other records, such as in a query. Delete the sessions of these, too, if they are about it."
        )
    return 0


def _is_traced() -> bool:
    return any(os.environ.get(name) for name in OTLP_ENDPOINTS)


def _require(package: str, what: str) -> None:
    try:
        found = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise LratError(f"lrat serve: expected the package {package} for {what}, found none. Install lrat-hub[serve].")


@asynccontextmanager
async def _closing(close: Callable[[], object]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        close()
