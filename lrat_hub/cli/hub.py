"""`lrat hub`: serve the embedded Hub, point a shell at it, give tokens to others, and look after its folder."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

from lrat_hub.cli.parser import CommandParser
from lrat_hub.errors import LratError
from lrat_hub.localhub import DEFAULT_PORT, hub_env, serve, served_port

START_SECONDS = 5.0
"""How long `lrat hub env` waits for a server that is being started."""


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    args.run(args)
    return 0


def _parser() -> CommandParser:
    parser = CommandParser(prog="lrat hub", description="A Hugging Face Hub on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    root = CommandParser(add_help=False)
    root.add_argument("--root", type=Path, required=True, metavar="DIR", help="Folder that holds the Hub.")
    port = CommandParser(add_help=False)
    port.add_argument(
        "--port", type=int, default=DEFAULT_PORT, metavar="N", help="Port of the Hub; default: %(default)s."
    )

    command = commands.add_parser("serve", parents=[root, port], help="serve until Ctrl-C", description=_serve.__doc__)
    command.add_argument(
        "--host", default="127.0.0.1", metavar="H", help="Address to listen on; default: %(default)s."
    )
    command.set_defaults(run=_serve)

    command = commands.add_parser("env", parents=[root], help="print the environment", description=_env.__doc__)
    command.add_argument(
        "--port", type=int, default=None, metavar="N", help="Port of the Hub; default: the one it is served on now."
    )
    command.set_defaults(run=_env)

    text = "tokens for others than the owner"
    command = commands.add_parser(
        "token", help=text, description="Create, list and revoke tokens for users other than the owner."
    )
    tokens = command.add_subparsers(required=True, metavar="COMMAND")
    command = tokens.add_parser("create", parents=[root], help="create a token", description=_create.__doc__)
    command.add_argument(
        "--user", required=True, metavar="NAME", help="User of the token, and the namespace that they write in."
    )
    command.add_argument(
        "--role", choices=("read", "write"), default="read", help="What the token allows; default: %(default)s."
    )
    command.add_argument(
        "--namespace",
        action="append",
        default=[],
        metavar="NS",
        help="Further namespace that the token is for; can be repeated.",
    )
    command.set_defaults(run=_create)
    command = tokens.add_parser("list", parents=[root], help="list the tokens", description=_list.__doc__)
    command.set_defaults(run=_list)
    command = tokens.add_parser("revoke", parents=[root], help="revoke a token", description=_revoke.__doc__)
    command.add_argument(
        "--id", required=True, metavar="ID", help="Id of the token, as `lrat hub token list` shows it."
    )
    command.set_defaults(run=_revoke)

    command = commands.add_parser("gc", parents=[root], help="remove unused objects", description=_gc.__doc__)
    command.add_argument(
        "--keep-hours",
        type=float,
        default=24,
        metavar="N",
        help="Keep unused objects that are younger than this many hours; default: 24.",
    )
    command.add_argument("--dry-run", action="store_true", help="Show what would be removed, and remove nothing.")
    command.set_defaults(run=_gc)

    command = commands.add_parser("verify", parents=[root], help="check everything", description=_verify.__doc__)
    command.add_argument(
        "--quick", action="store_true", help="Check large files by their size only, not by their content."
    )
    command.add_argument(
        "--repair",
        action="store_true",
        help="Put damaged objects aside, so that publishing them again repairs them, and copy those that the Hub has "
        "elsewhere.",
    )
    command.set_defaults(run=_verify)
    return parser


def _serve(args: argparse.Namespace) -> None:
    """Serve the Hub in a folder, which is made if it is missing, until Ctrl-C."""

    def announce(port: int) -> None:
        root = shlex.quote(str(args.root))
        print(
            f'Hub at http://{args.host}:{port}; to use it from a shell: eval "$(lrat hub env --root {root})"',
            flush=True,
        )

    serve(args.root, host=args.host, port=args.port, on_ready=announce)


def _env(args: argparse.Namespace) -> None:
    """Print the shell commands that point Hugging Face clients at the Hub of a folder."""
    port = args.port or served_port(args.root)
    # The line before may have started the server in the background.
    end = time.monotonic() + START_SECONDS
    while port is None and time.monotonic() < end:
        time.sleep(0.1)
        port = served_port(args.root)
    if port is None:
        port = DEFAULT_PORT
        print(f"The Hub at {args.root} is not served now; port {port} is where it would be.", file=sys.stderr)
    for name, value in hub_env(args.root, port).items():
        print(f"export {name}={shlex.quote(value)}")


def _create(args: argparse.Namespace) -> None:
    """Make a token for somebody who is not the owner. It is printed once; the Hub keeps only a hash of it."""
    from lrat_hub.localhub.root import create_token, existing_root

    print(create_token(existing_root(args.root), args.user, args.role, args.namespace))
    where = ", ".join(dict.fromkeys((args.user, *args.namespace)))
    may = "read and write" if args.role == "write" else "read"
    print(f"{args.user} may {may} in {where}; give it to them as HF_TOKEN. It is not shown again.", file=sys.stderr)


def _list(args: argparse.Namespace) -> None:
    """List the tokens of others than the owner."""
    from lrat_hub.localhub.root import existing_root, list_tokens

    for token in list_tokens(existing_root(args.root)):
        print(f"{token.id}  {token.role:<5}  {token.user}  {', '.join(token.namespaces)}  {token.created_at}")


def _revoke(args: argparse.Namespace) -> None:
    """Revoke a token; it is refused from now on."""
    from lrat_hub.localhub.root import existing_root, revoke_token

    revoke_token(existing_root(args.root), args.id)


def _gc(args: argparse.Namespace) -> None:
    """Remove objects that no commit refers to, and pack the repositories. Stop the server of the folder first."""
    from lrat_hub.localhub.maintenance import collect

    done = collect(args.root, keep_seconds=args.keep_hours * 3600, dry_run=args.dry_run)
    verb = "would remove" if args.dry_run else "removed"
    print(f"{verb} {done.large_files} large files of {done.large_bytes:,} bytes; left {done.kept} younger ones")
    if not args.dry_run:
        print(f"packed {done.packed} repositories" if done.packed else "packed none: git is not installed")


def _verify(args: argparse.Namespace) -> None:
    """Check every repository and object of a Hub. The Hub may be served at the same time."""
    from lrat_hub.localhub.maintenance import verify

    report = verify(args.root, hashes=not args.quick, repair=args.repair)
    for name in report.repaired:
        print(f"repaired {name}")
    for problem in report.problems:
        print(problem)
    print(
        f"{report.repositories} repositories with {report.git_objects} git objects; {report.large_files} large files "
        f"of {report.large_bytes:,} bytes, {report.unreferenced} of them in no commit"
    )
    if report.problems:
        raise LratError(
            f"{args.root}: expected a sound Hub, found {len(report.problems)} problems, listed above; "
            "restore what they name from a copy, or publish it again"
        )
