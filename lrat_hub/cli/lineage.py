"""Shows what an artifact was made from, back to the corpus and to inputs from outside the Hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lrat_hub.cli.parser import CommandParser
from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import Ancestor, trace
from lrat_hub.hub.refs import HubRef


def main(argv: list[str]) -> None:
    parser = CommandParser(prog="lrat lineage", description=__doc__)
    parser.add_argument(
        "ref",
        help="Artifact as namespace/name[@revision]: a model, or a dataset if there is no model of that name. With "
        "datasets/ in front it is a dataset.",
    )
    args = parser.parse_args(argv)
    for text in tree(list(trace(artifact_of(args.ref)))):
        print(text)


def artifact_of(text: str) -> HubRef:
    """The pin of the model, or else the dataset, that a reference names."""
    try:
        return HubRef.parse(text).pin()
    except LratError:
        try:
            return HubRef.parse(text, repo_type="dataset").pin()
        except LratError:
            # The first error says more about a Hub that can't be reached.
            pass
        raise


def tree(ancestors: Sequence[Ancestor]) -> Iterator[str]:
    """A line for each artifact, with the branches that lead to it; what is used again has its inputs once."""
    for number, ancestor in enumerate(ancestors):
        branches = ""
        for depth in range(1, len(ancestor.path) + 1):
            # Whether another input of the same artifact comes below.
            below = (len(other.path) for other in ancestors[number + 1 :])
            goes_on = next((length for length in below if length <= depth), 0) == depth
            if depth < len(ancestor.path):
                branches += "│  " if goes_on else "   "
            else:
                branches += "├─ " if goes_on else "└─ "
        yield branches + line(ancestor)


def line(ancestor: Ancestor) -> str:
    """One artifact as a line: how it is an input, its pin, and the stage that made it."""
    if ancestor.seen:
        made = "(see above)"
    elif ancestor.problem:
        made = f"(can't be read: {ancestor.problem})"
    elif ancestor.lineage is None:
        made = "(from outside)"
    else:
        made = f"<- lrat {ancestor.lineage.stage}"
    name = f"{ancestor.path[-1]}: " if ancestor.path else ""
    return f"{name}{ancestor.source} {made}"
