"""`lrat export`: mined pairs as JSONL rows for the trainers of other projects."""

from __future__ import annotations

from pathlib import Path

from lrat_hub.cli.parser import CommandParser
from lrat_hub.errors import LratError
from lrat_hub.queries import STYLES


def main(argv: list[str]) -> int:
    """Write the pairs to train on, with the texts of their documents, in the format of LRAT-Train, FlagEmbedding or
    Tevatron."""
    args = _parser().parse_args(argv)

    from lrat_hub.hub.inputs import resolve
    from lrat_hub.mining.formats import export_pairs
    from lrat_hub.mining.rejudging import load_pairs
    from lrat_hub.mining.tables import table_pairs

    source = resolve(args.pairs, repo_type="dataset", require_pinned=args.require_pinned)
    print(f"  pairs: {source}")
    tables, documents = load_pairs(source)
    if documents is None:
        raise LratError(f"{source}: expected pairs with their documents, found none. Mine them with --corpus.")
    split = source.split or "train"
    if split not in tables:
        raise LratError(f"{source}: expected a split {split!r}, found {', '.join(tables)}.")
    ledger = export_pairs(
        table_pairs(tables[split]), documents, Path(args.output), args.format, style=args.query_style
    )
    print(ledger)
    print(f"  written: {args.output}")
    return 0


def _parser() -> CommandParser:
    parser = CommandParser(prog="lrat export", description=main.__doc__)
    parser.add_argument("--pairs", required=True, metavar="REF", help="Mined pairs, as ref or ref#pairs:split.")
    parser.add_argument(
        "--format",
        required=True,
        choices=["released", "flagembedding", "tevatron"],
        help="Format of the rows: LRAT-Train as released, FlagEmbedding, or Tevatron.",
    )
    parser.add_argument("--output", required=True, metavar="FILE", help="Path of the JSONL file to write.")
    parser.add_argument(
        "--query-style", default="plain", choices=STYLES, help="How queries are rendered; default: %(default)s."
    )
    parser.add_argument(
        "--require-pinned", action="store_true", help="Refuse references that are not a full commit sha."
    )
    return parser
