"""`lrat export`: mined pairs as rows for the trainers of other projects, and runs as files for their viewers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub.cli.parser import CommandParser, UsageError
from lrat_hub.errors import LratError
from lrat_hub.queries import STYLES

if TYPE_CHECKING:
    from lrat_hub.hub.inputs import Source
    from lrat_hub.mining.formats import RowFormat
    from lrat_hub.queries import QueryStyle

OF_PAIRS = ("released", "flagembedding", "tevatron")
OF_RUNS = ("traces", "atif")


def main(argv: list[str]) -> int:
    """Write the pairs to train on, with the texts of their documents, in the format of LRAT-Train, FlagEmbedding or
    Tevatron; or runs, a file each, as session traces of the Hub or in ATIF."""
    args = _parser().parse_args(argv)
    if bool(args.pairs) == bool(args.trajectories):
        raise UsageError("lrat export: expected --pairs or --trajectories.")
    formats = OF_PAIRS if args.pairs else OF_RUNS
    if args.format not in formats:
        kind = "--pairs" if args.pairs else "--trajectories"
        raise UsageError(f"lrat export: expected --format {', '.join(formats)} for {kind}, found {args.format}.")

    from lrat_hub.hub.inputs import resolve

    source = resolve(args.pairs or args.trajectories, repo_type="dataset", require_pinned=args.require_pinned)
    print(f"  {'pairs' if args.pairs else 'trajectories'}: {source}")
    output = Path(args.output).expanduser()
    if args.pairs:
        _export_pairs(source, output, args.format, args.query_style)
    else:
        _export_runs(source, output, args.format)
    print(f"  written: {args.output}")
    return 0


def _export_pairs(source: Source, output: Path, format: RowFormat, style: QueryStyle) -> None:
    from lrat_hub.mining.formats import export_pairs
    from lrat_hub.mining.rejudging import load_pairs
    from lrat_hub.mining.tables import table_pairs

    tables, documents = load_pairs(source)
    if documents is None:
        raise LratError(f"{source}: expected pairs with their documents, found none. Mine them with --corpus.")
    split = source.split or "train"
    if split not in tables:
        raise LratError(f"{source}: expected a split {split!r}, found {', '.join(tables)}.")
    print(export_pairs(table_pairs(tables[split]), documents, output, format, style=style))


def _export_runs(source: Source, output: Path, format: str) -> None:
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.importers import trace_files
    from lrat_hub.importers.converters.atif import atif_text
    from lrat_hub.importers.traces import trace_text

    write, ending = {"traces": (trace_text, ".jsonl"), "atif": (atif_text, ".json")}[format]
    table = load_table(source, "trajectories")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise LratError(f"{output}: expected a new or empty folder, found something there. Name another --output.")
    output.mkdir(parents=True, exist_ok=True)
    files = trace_files(table, write=write)
    for name, text in files.items():
        (output / Path(name).with_suffix(ending).name).write_text(text, encoding="utf-8", errors="backslashreplace")
    left = len(table) - len(files)
    print(f"  {len(files)} runs{f'; {left} on questions that are published obfuscated are left out' if left else ''}")


def _parser() -> CommandParser:
    parser = CommandParser(prog="lrat export", description=main.__doc__)
    parser.add_argument("--pairs", metavar="REF", help="Mined pairs, as ref or ref#pairs:split.")
    parser.add_argument("--trajectories", metavar="REF", help="Runs, as ref#config:split.")
    parser.add_argument(
        "--format",
        required=True,
        choices=[*OF_PAIRS, *OF_RUNS],
        help="Format to write. Of pairs: LRAT-Train as released, FlagEmbedding, or Tevatron. Of runs: session traces, "
        "which the Hub's viewer shows, or ATIF, the Agent Trajectory Interchange Format.",
    )
    parser.add_argument(
        "--output", required=True, metavar="PATH", help="JSONL file of pairs, or folder with a file for each run."
    )
    parser.add_argument(
        "--query-style", default="plain", choices=STYLES, help="How queries are rendered; default: %(default)s."
    )
    parser.add_argument(
        "--require-pinned", action="store_true", help="Refuse references that are not a full commit sha."
    )
    return parser
