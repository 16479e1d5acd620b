"""Compares two artifacts: inputs, recipes, versions, counts, files, rows, and results on the same queries.

Rows are compared by the key of their kind (`docid`, `pair_id`, `trajectory_id`, ...), whatever their order. Results
are compared where both were evaluated on the same queries: evaluations system by system, and models by the
evaluations that their cards name, with paired 95 % intervals and p-values of the paired randomisation test.
"""

from __future__ import annotations

from lrat_hub.cli.parser import CommandParser
from lrat_hub.cli.stage import say


def main(argv: list[str]) -> None:
    args = _parser().parse_args(argv)

    from lrat_hub.artifacts.comparison import diff
    from lrat_hub.cli.lineage import artifact_of
    from lrat_hub.cli.tables import show_table

    found = diff(artifact_of(args.first), artifact_of(args.second))
    if found.changes:
        show_table([vars(change) for change in found.changes])
    for one in found.rows:
        say(f"{one.config}, {one.split}: {one.same} rows are the same, {one.added} added, {one.removed} removed, "
            f"{one.changed} changed")  # fmt: skip
        for word, keys in one.examples.items():
            say(f"  {word}: {', '.join(keys)}{', ...' if len(keys) < getattr(one, word) else ''}")
    if found.results:
        show_table(found.results)
    for note in found.notes:
        say(f"note: {note}")
    say("The content is the same." if found.same_content else "The content differs.")


def _parser() -> CommandParser:
    parser = CommandParser(prog="lrat diff", description=__doc__)
    for name in ("first", "second"):
        parser.add_argument(name, help="Artifact as namespace/name[@revision], with datasets/ in front for a dataset.")
    return parser
