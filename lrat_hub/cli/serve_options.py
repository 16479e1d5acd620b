"""What `lrat serve` can be told, and which of it can't be meant together."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path

from lrat_hub.cli import sharding, speaking
from lrat_hub.cli.parser import CommandParser
from lrat_hub.errors import LratError
from lrat_hub.serving.batching import BatchSettings
from lrat_hub.serving.limits import Limits

DEFAULT_PORT = 8971

OF_HTTP = ("host", "port", "replicas", "tokens", "open", "hosts", "max-body", "max-queries", "max-documents", "rate")
"""Options of what comes by HTTP: over streams there is one client, who started the server, and one query a call."""


OF_WHOLE = (
    "retriever", "shards", "replicas", "follow", "shadow", "mcp", "document-url", "collect", "collect-share",
    "max-batch", "max-wait", "max-queue", "max-documents",
)  # fmt: skip
"""Options of what agents are served: a shard serves the server of the whole index alone."""


def check(args: argparse.Namespace, given: Collection[str]) -> None:
    """Refuses what can't be served, and options that would do nothing, before anything is loaded.

    Args:
        given: Names of the options that the command line has.
    """
    from lrat_hub.hub.refs import HubRef
    from lrat_hub.retrieval.opening import RetrieverName, index_name
    from lrat_hub.serving.gate import is_loopback

    if args.index and RetrieverName.parse(index_name(args.index)).kind != "index":
        raise LratError(
            f"lrat serve: expected one index, as namespace/name or a folder; found {args.index}. Other retrievers are "
            "given by --retriever."
        )
    if args.model and args.retriever and RetrieverName.parse(args.retriever).kind == "url":
        raise LratError("lrat serve: expected no --model for a server, which has its own.")
    if args.shard:
        sharding.shard_of(args.shard)
        if found := [name for name in OF_WHOLE if name in given]:
            raise LratError(f"lrat serve: expected no --{found[0]} for --shard, which serves a part of one index.")
    if args.shards:
        sharding.shards_of(args.shards)
        if not args.index or args.follow:
            raise LratError("lrat serve: expected --index for --shards, and no --follow: shards stay as they are.")
    if args.mcp == "stdio" and (found := [name for name in OF_HTTP if name in given]):
        raise LratError(
            f"lrat serve: expected no --{found[0]} for --mcp stdio, whose only client is who started it, and asks for "
            "one thing a call."
        )
    if not is_loopback(args.host) and not args.tokens and not args.open:
        raise LratError(
            f"lrat serve: expected --tokens for an address that other machines reach, found {args.host} without "
            "them. Give a file of tokens, or allow searches without a token with --open."
        )
    if args.tokens and args.open:
        raise LratError("lrat serve: expected --tokens or --open, found both.")
    if "collect-share" in given and not args.collect:
        raise LratError("lrat serve: expected --collect for --collect-share, found none: nothing is collected.")
    if "document-url" in given and not speaking.speaks_mcp(args):
        raise LratError("lrat serve: expected MCP for --document-url, found none: other protocols give no addresses.")
    if args.document_url and "{docid}" not in args.document_url:
        raise LratError(f"lrat serve: expected {{docid}} in --document-url, found {args.document_url}.")
    if args.replicas < 1:
        raise LratError(f"lrat serve: expected --replicas of 1 or more, found {args.replicas}.")
    if args.follow and (not args.index or args.require_pinned):
        raise LratError("lrat serve: expected --index at a tag for --follow, and no --require-pinned.")
    if args.follow and HubRef.parse(args.index).is_pinned:
        raise LratError(f"lrat serve: expected --index at a tag for --follow, found {args.index}, which never moves.")


def parser_of(description: str | None) -> CommandParser:
    """The parser of the command."""
    parser = CommandParser(prog="lrat serve", description=description)
    served = parser.add_mutually_exclusive_group(required=True)
    served.add_argument("--index", metavar="REF", help="Index to serve: namespace/name, or a folder.")
    served.add_argument(
        "--retriever",
        metavar="NAME",
        help="Retriever to serve: bm25, a model, an index, a+b for a fusion, a>r for a reranked one (a>20:r for "
        "its first 20 results), or a URL.",
    )
    parser.add_argument(
        "--corpus", required=True, metavar="REF", help="Corpus that is searched; an index of another one is refused."
    )
    parser.add_argument("--model", metavar="REF", help="Model that the index was made with, if it is not on the Hub.")
    parser.add_argument(
        "--devices",
        default="",
        metavar="GPUS",
        help="GPUs that share the index, such as 6,7; the first one also encodes queries. cpu uses no GPU; all GPUs "
        "are used if empty.",
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="H", help="Address to listen on; default: %(default)s.")
    parser.add_port(DEFAULT_PORT)
    parser.add_argument(
        "--require-pinned", action="store_true", help="Refuse references that are not a full commit sha."
    )
    speaking.add_options(parser)
    parser.add_argument(
        "--replicas",
        type=int,
        default=1,
        metavar="N",
        help="Number of processes that serve at this address, each with its own copy of the retriever; default: "
        "%(default)s.",
    )
    parts = parser.add_argument_group("shards")
    parts.add_argument(
        "--shards",
        default="",
        metavar="N",
        help="Number of local processes that each search a part of the index, or the URLs of servers of all parts, "
        "joined by commas; the results are the same as without shards.",
    )
    parts.add_argument(
        "--shard",
        default="",
        metavar="I/N",
        help="Part of the index, such as 2/4, to serve to a server with --shards; this server does not serve agents.",
    )
    champion = parser.add_argument_group("champion and challenger")
    champion.add_argument(
        "--follow",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="Seconds between two checks of the index's branch or tag; when it moves, the new index replaces the old "
        "one.",
    )
    champion.add_argument(
        "--shadow",
        metavar="NAME",
        help="Second retriever that gets the same queries after they are answered, to compare the two.",
    )
    access = parser.add_argument_group("access")
    access.add_argument(
        "--tokens",
        type=Path,
        metavar="FILE",
        help="File with one line, subject:token, for each client that may search.",
    )
    access.add_argument(
        "--open",
        action="store_true",
        help="Allow searches without a token, even if other machines can reach the address.",
    )
    access.add_argument(
        "--hosts",
        default="",
        metavar="NAMES",
        help="Host names that clients may use for the server, joined by commas.",
    )
    _add_limits(parser)
    return parser


def _add_limits(parser: CommandParser) -> None:
    limits = parser.add_argument_group("batches and limits")
    for name, default, text in (
        (
            "max-batch",
            BatchSettings.max_batch,
            "Maximum number of queries of concurrent requests that are searched together.",
        ),
        (
            "max-wait",
            1000 * BatchSettings.max_wait,
            "Milliseconds that an incomplete batch waits for further queries.",
        ),
        (
            "max-queue",
            BatchSettings.max_queue,
            "Maximum number of waiting queries per replica; further ones get status 503.",
        ),
        ("max-body", Limits.body, "Maximum size of a request in bytes."),
        ("max-queries", Limits.queries, "Maximum number of queries per request."),
        ("max-query-length", Limits.query_length, "Maximum number of characters per query."),
        ("max-k", Limits.k, "Maximum number of documents per result list."),
        ("max-documents", Limits.documents, "Maximum number of documents that one request opens."),
        (
            "rate",
            Limits.rate,
            "Maximum number of requests per second and subject or address, over all replicas; 0 for no limit.",
        ),
    ):
        limits.add_argument(
            f"--{name}", type=type(default), default=default, metavar="N", help=f"{text[:-1]}; default: %(default)s."
        )
