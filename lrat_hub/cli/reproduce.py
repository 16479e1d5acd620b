"""Makes an artifact again from its lineage, by the stage that made it, in a scratch repository, and compares the two.

Corpora, imports, mined pairs, indexes, and evaluations are expected to be identical, row by row and file by file; the
weights of a trained model may differ by a relative distance of 0.001. Steps that can't be repeated, such as the
replies of a language model, are reported before anything runs. The exit status is 1 if something differs. Options
after `--` are passed to the stage: those that say where the work is done, such as the address of a server.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from lrat_hub.cli.parser import CommandParser
from lrat_hub.cli.stage import assignments, say
from lrat_hub.cli.stage_runs import run_stage
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef


def main(argv: list[str]) -> HubRef:
    end = argv.index("--") if "--" in argv else len(argv)
    args = _parser().parse_args(argv[:end])

    from lrat_hub.artifacts.reproduction import compare_again, plan_again
    from lrat_hub.cli.lineage import artifact_of
    from lrat_hub.hub.lineage import read_lineage
    from lrat_hub.hub.publish import is_private

    ref = artifact_of(args.ref)
    if (lineage := read_lineage(ref)) is None:
        raise LratError(f"{ref}: expected an artifact with a lineage, found none. It came from outside LRAT-Hub.")
    plan = plan_again(lineage, assignments("given", args.given))
    for note in plan.notes:
        say(f"note: {note}")
    if plan.obstacles:
        obstacles = "; ".join(plan.obstacles).replace("`given`", "--given")
        raise LratError(f"{ref} can't be made again: {obstacles}.")
    target = HubRef.parse(args.to or f"{ref.repo_id}-reproduced", repo_type=ref.repo_type)
    if target.repo_id == ref.repo_id:
        raise LratError(f"--to {args.to}: expected another repository than the artifact's own.")
    private = {"private": True} if is_private(ref) else {}
    again = _run(plan.stage, plan.options | private, target, argv[end + 1 :])
    found, problems = compare_again(ref, again, plan)
    for change in found.changes:
        if change.part == "recipe" and change.first is None:
            say(f"note: option {change.name} was added later and is {change.second}")
        if change.part == "versions":
            say(f"note: {change.name} was {change.first}, and is {change.second}")
    same = sum(one.same for one in found.rows)
    if problems:
        for problem in problems:
            say(f"differs: {problem}")
        raise LratError(f"{ref}: what was made again differs in what is listed above. It is in {again}")
    say(f"{ref} was made again{f', with the same {same} rows' if found.rows else ''}: {again}")
    return again


def _run(stage: str, options: dict, target: HubRef, words: list[str]) -> HubRef:
    """Runs the stage, without what it has kept of earlier runs."""
    if stage == "quickstart":
        from lrat_hub.demo.bases import publish_base

        return publish_base(options["base"], target.repo_id)
    with tempfile.TemporaryDirectory() as folder:
        if stage in ("rollout", "eval agents"):
            options = options | {"journal": str(Path(folder) / "journal")}
        return run_stage(stage, options, replace(target, revision="main"), *words)


def _parser() -> CommandParser:
    parser = CommandParser(prog="lrat reproduce", description=__doc__)
    parser.add_argument("ref", help="Artifact as namespace/name[@revision], with datasets/ in front for a dataset.")
    parser.add_argument(
        "--to", default="", metavar="REF", help="Scratch repository; default: the artifact's name with -reproduced."
    )
    parser.add_argument(
        "--given",
        nargs="+",
        default=[],
        metavar="NAME=PATH",
        help="Inputs that were files on a machine, by their names in the lineage; refused unless their hashes match.",
    )
    return parser
