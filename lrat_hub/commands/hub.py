"""`lrat hub`: serve the embedded Hub, and point a shell at it."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from lrat_hub.hub.server import DEFAULT_PORT, hub_env, serve


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    args.run(args)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lrat hub", description="A Hugging Face Hub on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--root", type=Path, required=True, metavar="DIR", help="the folder that holds the Hub")
    common.add_argument("--port", type=int, default=DEFAULT_PORT, metavar="N", help="default: %(default)s")

    command = commands.add_parser("serve", parents=[common], help="serve until Ctrl-C", description=_serve.__doc__)
    command.add_argument("--host", default="127.0.0.1", metavar="H", help="address to listen on; default: %(default)s")
    command.set_defaults(run=_serve)

    command = commands.add_parser("env", parents=[common], help="print the environment", description=_env.__doc__)
    command.set_defaults(run=_env)
    return parser


def _serve(args: argparse.Namespace) -> None:
    """Serve the Hub in a folder, which is made if it is missing, until Ctrl-C."""

    def announce(port: int) -> None:
        root = shlex.quote(str(args.root))
        print(
            f"Hub at http://{args.host}:{port}; to use it from a shell: "
            f'eval "$(lrat hub env --root {root} --port {port})"',
            flush=True,
        )

    serve(args.root, host=args.host, port=args.port, on_ready=announce)


def _env(args: argparse.Namespace) -> None:
    """Print the shell commands that point Hugging Face clients at the Hub of a folder."""
    for name, value in hub_env(args.root, args.port).items():
        print(f"export {name}={shlex.quote(value)}")
