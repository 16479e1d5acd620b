"""`lrat view`: runs of agents as a page to look at, on this machine, in a folder, or as a static Space."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub.cli.ending import leaving_on_sigterm
from lrat_hub.cli.parser import CommandParser, UsageError
from lrat_hub.cli.stage import Stage, StageArguments, say
from lrat_hub.localhub.process import GRACE_SECONDS, KEEP_ALIVE_SECONDS, listen

if TYPE_CHECKING:
    import argparse
    import socket
    from collections.abc import Iterator

    from lrat_hub.hub.inputs import Inputs, Source
    from lrat_hub.hub.refs import HubRef
    from lrat_hub.schema import Trajectory
    from lrat_hub.viewer import Bundle, Notes

DEFAULT_PORT = 8972


def main(argv: list[str]) -> HubRef | None:
    """Read runs in a browser: list and filter them, read one step by step, or compare two runs of one question.

    Serves the page on this machine until Ctrl-C, unless it is written to a folder or published.
    """
    parser = _parser()
    args, given = parser.parse_args(argv), parser.given(argv)
    if args.bundle and args.to:
        raise UsageError("lrat view: expected --bundle or --to, found both.")
    if args.private and not args.to:
        raise UsageError("lrat view: expected --to for --private, found none: nothing is published.")
    if "port" in given and (args.bundle or args.to):
        raise UsageError("lrat view: expected no --port beside --bundle or --to, which need no server.")
    if args.runs < 0:
        raise UsageError(f"lrat view: expected --runs of 0 or more, found {args.runs}.")

    if args.to:
        return _publish(args)

    from lrat_hub.hub.inputs import Inputs

    inputs = Inputs(require_pinned=args.require_pinned, on_record=lambda name, pin: say(f"  {name}: {pin}"))
    if args.bundle:
        folder = Path(args.bundle).expanduser()
        with leaving_on_sigterm(128 + signal.SIGTERM):
            _build(args, inputs, folder)
        say(f"  written: {folder / 'index.html'}")
        return None
    # Taken before the page is written, which may take minutes.
    with (
        listen("127.0.0.1", args.port, name="lrat view") as listener,
        leaving_on_sigterm(0),
        tempfile.TemporaryDirectory(prefix="lrat-view-") as name,
    ):
        folder = Path(name) / "page"
        _build(args, inputs, folder)
        _serve(folder, listener)
    return None


def _build(args: argparse.Namespace, inputs: Inputs, folder: Path) -> Bundle:
    from lrat_hub.hub.inputs import LocalSource
    from lrat_hub.hub.preflight import in_words
    from lrat_hub.importers.redaction.redactor import Redactor
    from lrat_hub.importers.redaction.replacement import num_redacted
    from lrat_hub.ledger import Ledger
    from lrat_hub.viewer import build_bundle

    source = inputs.resolve("trajectories", args.trajectories)
    texts = Ledger("texts")
    runs = _runs(source)
    if isinstance(source, LocalSource) and (args.to or args.bundle):
        # What leaves this machine, or may; `lrat import` has redacted what is on the Hub.
        runs = (Redactor().redact(run, texts) for run in runs)
    bundle = build_bundle(
        runs,
        folder,
        title=_title(source),
        inputs=inputs.pins,
        notes=_notes(args, inputs),
        limit=args.runs,
    )
    said = [f"{bundle.runs} runs", in_words(bundle.bytes)]
    said += [f"{bundle.judged} with evidence"] if args.qrels else []
    said += [f"{bundle.pairs} pairs"] if args.pairs else []
    said += [f"{bundle.obfuscated} stored obfuscated"] if bundle.obfuscated else []
    said += [f"{redacted} secrets redacted"] if (redacted := num_redacted(texts)) else []
    say(f"  page: {', '.join(said)}")
    return bundle


def _runs(source: Source) -> Iterator[Trajectory]:
    """Runs of a dataset; a file or a folder here may also be a log."""
    from lrat_hub.hub.inputs import LocalSource, load_table
    from lrat_hub.importers import load_trajectories

    if isinstance(source, LocalSource) and not source.config:
        return load_trajectories(source.path)
    return load_trajectories(load_table(source, "trajectories"))


def _title(source: Source) -> str:
    from lrat_hub.hub.inputs import LocalSource

    name = source.path.name if isinstance(source, LocalSource) else source.repo_id
    return f"{name} {source.config}" if source.config else name


def _notes(args: argparse.Namespace, inputs: Inputs) -> Notes:
    from lrat_hub.corpora.loading import load_corpus, load_qrels
    from lrat_hub.mining.rejudging import load_pairs
    from lrat_hub.viewer import Notes, PairsOfRuns

    pairs, documents = load_pairs(inputs.resolve("pairs", args.pairs)) if args.pairs else ({}, None)
    return Notes(
        qrels=load_qrels(inputs.resolve("qrels", args.qrels)) if args.qrels else {},
        pairs=PairsOfRuns(pairs) if pairs else None,
        documents=load_corpus(inputs.resolve("corpus", args.corpus)) if args.corpus else documents,
    )


def _publish(args: argparse.Namespace) -> HubRef:
    from lrat_hub.viewer import publish_bundle

    options = StageArguments(to=args.to, private=args.private, require_pinned=args.require_pinned)
    stage = Stage("view", options, publishes="space")
    stage.choose(runs=args.runs)
    with stage.output() as folder:
        bundle = _build(args, stage.inputs, folder)
        lineage = stage.lineage(bundle.counts)
        return stage.done(publish_bundle(stage.target, folder, bundle, lineage, private=stage.private))


def _serve(folder: Path, listener: socket.socket) -> None:
    import uvicorn

    from lrat_hub.viewer import create_app

    say(f"lrat view: http://127.0.0.1:{listener.getsockname()[1]} until Ctrl-C")
    config = uvicorn.Config(
        create_app(folder),
        lifespan="off",
        ws="none",
        log_level="warning",
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        # uvicorn has shut down in good order, and then passed on the signal that made it do so.
        return


def _parser() -> CommandParser:
    parser = CommandParser(prog="lrat view", description=main.__doc__)
    parser.add_argument(
        "trajectories",
        metavar="REF",
        help="Runs to look at: trajectories as ref#config:split, or a file or folder that `lrat import` reads.",
    )
    parser.add_argument("--pairs", metavar="REF", help="Pairs mined from the runs, to show verdicts and weights.")
    parser.add_argument(
        "--qrels", metavar="REF", help="Evidence of the questions, as ref#config:split, to mark it where it is listed."
    )
    parser.add_argument(
        "--corpus",
        metavar="REF",
        help="Corpus with titles and texts of documents for which the runs have none; that of --pairs by default.",
    )
    parser.add_argument("--runs", type=int, default=0, metavar="N", help="Number of runs, from the first; 0 for all.")
    parser.add_argument(
        "--bundle", metavar="FOLDER", help="Folder to write the page to, in place of serving it; it needs no server."
    )
    parser.add_argument("--to", metavar="REF", help="Space to publish the page to, as namespace/name.")
    parser.add_argument(
        "--private", action="store_true", help="Publish to a private Space only, which is created if it is missing."
    )
    parser.add_port(DEFAULT_PORT)
    parser.add_argument(
        "--require-pinned", action="store_true", help="Refuse references that are not a full commit sha."
    )
    return parser
