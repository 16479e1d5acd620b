"""`lrat serve`: a published index as an HTTP service, for agents on other machines."""

from __future__ import annotations

import socket

from lrat_hub.cli.parser import CommandParser
from lrat_hub.errors import LratError
from lrat_hub.localhub.process import LOOPBACK

DEFAULT_PORT = 8971


def main(argv: list[str]) -> int:
    """Serve an index until Ctrl-C; the protocol is described in lrat_hub.retrieval.serving."""
    args = _parser().parse_args(argv)

    import uvicorn

    from lrat_hub.hub.inputs import Inputs
    from lrat_hub.retrieval.opening import RetrieverName, index_name, open_retriever
    from lrat_hub.retrieval.serving import create_app

    name = index_name(args.index)
    if RetrieverName.parse(name).kind != "index":
        raise LratError(f"lrat serve: expected one index, as namespace/name or a folder; found {args.index}.")
    inputs = Inputs(require_pinned=args.require_pinned)
    model = inputs.resolve("model", args.model, repo_type="model") if args.model else None
    retriever = open_retriever(name, args.corpus, model=model, inputs=inputs, input_name="index")
    # Taken after the index is ready: who can connect is answered.
    with _listen(args.host, args.port) as listener:
        hosts = LOOPBACK if args.host in LOOPBACK else ("*",)
        print(f"{inputs.pins['index']} at http://{args.host}:{listener.getsockname()[1]}", flush=True)
        app = create_app(retriever, corpus=getattr(retriever, "corpus", None), hosts=hosts)
        uvicorn.Server(uvicorn.Config(app, lifespan="off", ws="none", log_level="warning")).run(sockets=[listener])
    return 0


def _parser() -> CommandParser:
    parser = CommandParser(prog="lrat serve", description=main.__doc__)
    parser.add_argument("--index", required=True, metavar="REF", help="Index to serve: namespace/name, or a folder.")
    parser.add_argument(
        "--corpus", required=True, metavar="REF", help="Corpus that the index was made of; another one is refused."
    )
    parser.add_argument("--model", metavar="REF", help="Model that the index was made with, if it is not on the Hub.")
    parser.add_argument("--host", default="127.0.0.1", metavar="H", help="Address to listen on; default: %(default)s.")
    parser.add_argument(
        "--port",
        type=int,
        default=DEFAULT_PORT,
        metavar="N",
        help="Port to listen on; 0 picks a free one; default: %(default)s.",
    )
    parser.add_argument(
        "--require-pinned", action="store_true", help="Refuse references that are not a full commit sha."
    )
    return parser


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=512)
    except (OSError, OverflowError) as error:
        raise LratError(
            f"lrat serve: expected {host}:{port} to be free, found {error}. Take another --port."
        ) from error
