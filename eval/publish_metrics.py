"""Publishes the metric modules of this project as Spaces, for `evaluate.load("namespace/evidence_recall")`."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from lrat_hub import cli
from lrat_hub.cli.stage import parse, say
from lrat_hub.errors import LratError
from lrat_hub.option import option

METRICS = Path(__file__).parent / "metrics"


@dataclass(kw_only=True)
class Arguments:
    to: str = option(help="The namespace (user or organisation) to publish in.", group="inputs")
    metrics: list[str] = option(help="Names of the metric modules; all by default.", factory=list, group="inputs")
    private: bool = option(False, "Publish to private Spaces only.", group="inputs")


def main(argv: list[str] | None = None) -> dict[str, str]:
    """Returns each Space's name and the commit it is at."""
    (args,) = parse(argv, "eval publish-metrics", __doc__, Arguments)
    known = {path.name: path / f"{path.name}.py" for path in sorted(METRICS.iterdir()) if path.is_dir()}
    if unknown := [name for name in args.metrics if name not in known]:
        raise LratError(f"--metrics {unknown[0]}: expected some of {', '.join(known)}.")
    if not re.fullmatch(r"[\w.-]+", args.to):
        raise LratError(f"--to {args.to}: expected a namespace alone, such as your user name.")

    from lrat_hub.evaluation.cards import publish_metric

    published = {}
    for name in args.metrics or known:
        published[f"{args.to}/{name}"] = commit = publish_metric(known[name], args.to, private=args.private)
        say(f"  published: spaces/{args.to}/{name}@{commit}")
    return published


if __name__ == "__main__":
    sys.exit(cli.main(["eval", "publish-metrics", *sys.argv[1:]]))
