"""Publishes the finished output of a stage from the folder where it was kept because the Hub did not accept it.

The folder is checked first: it must have a card, a lineage and all files. It is not removed afterwards.
"""

from __future__ import annotations

from pathlib import Path

from lrat_hub.cli.parser import CommandParser
from lrat_hub.cli.stage import say
from lrat_hub.hub.refs import HubRef


def main(argv: list[str]) -> HubRef:
    parser = CommandParser(prog="lrat publish", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="Folder that a stage said it had kept.")
    parser.add_argument(
        "--to",
        required=True,
        metavar="REF",
        help="Repository to publish to: namespace/name, or namespace/name@branch.",
    )
    args = parser.parse_args(argv)

    from lrat_hub.hub.outputs import check_output, files_of, kind_of
    from lrat_hub.hub.preflight import in_words, look_at_target
    from lrat_hub.hub.publish import publish_output

    folder = args.folder.expanduser()
    lineage = check_output(folder)
    target = HubRef.parse(args.to, repo_type=kind_of(folder))
    looked = look_at_target(target)
    files = files_of(folder)
    size = in_words(sum(path.stat().st_size for path in files.values()))
    say(f"lrat publish: {len(files)} files of lrat {lineage.stage}, {size}, to {looked}")
    pin = publish_output(folder, target)
    say(f"  published: {pin}")
    return pin
