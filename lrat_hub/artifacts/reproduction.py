"""What it takes to make an artifact again from its lineage, and whether what came out is the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrat_hub.artifacts.comparison import ArtifactDiff, Change, diff
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import fetch_folder, resolve
from lrat_hub.hub.lineage import Lineage, package_versions, recorded_source
from lrat_hub.hub.picture import PICTURE_FILE
from lrat_hub.hub.refs import HubRef

LISTS: Mapping[str, Mapping[str, str]] = {
    "mine": {"trajectories": "trajectories"},
    "corpus": {"trajectories": "trajectories"},
    "rollout": {"index": "index"},
    "questions": {"held_out": "held_out"},
    "sweep": {"pairs": "pairs"},
    "train-agent": {"trajectories": "trajectories"},
    "analyze": {"trajectories": "trajectories"},
    "eval retrieval": {"model": "models", "index": "index", "run": "runs"},
    "eval agents": {"trajectories": "trajectories"},
    "eval report": {"evaluation": "evaluations"},
}
"""For a stage, the options that take several inputs, by the names of these in the lineage, without their number."""

TRAINED = ("train", "train-agent")
TOLERANCE = 1e-3
"""Largest relative distance between the weights of a model and of the one that was trained again."""

TIMES = re.compile(r"costs\..+\.(milliseconds|device)")
"""Counts that say how long the searches of an evaluation took, and on what."""

DERIVED = ("loss_curve.png",)
"""Files that draw what a training measured, which its tolerance allows to differ."""


@dataclass(frozen=True)
class Plan:
    """How an artifact is made again.

    Args:
        options: What the stage is given.
        obstacles: Why it can't be made again; empty where it can.
        notes: What may make a difference.
    """

    stage: str
    options: dict[str, Any]
    obstacles: list[str]
    notes: list[str]


def plan_again(lineage: Lineage, given: Mapping[str, str]) -> Plan:
    """The options that make an artifact again.

    Args:
        given: Paths of inputs that are not on the Hub, by their names in the lineage.

    Raises:
        LratError: A path is given for an input that there is not or that is code, or holds something else than what
            was read.
    """
    # Results were written into cards of models then; this is no evaluation of them.
    options: dict[str, Any] = {name: value for name, value in lineage.recipe.items() if name != "results_into"}
    obstacles, notes = [], list(_notes(lineage))
    if unknown := sorted(given.keys() - lineage.inputs.keys()):
        raise LratError(f"Input {unknown[0]}: expected one of {', '.join(lineage.inputs)}.")
    if lineage.stage == "flywheel":
        obstacles.append(
            "it records what was decided; make the evaluations that it was decided by again, which it names"
        )
    if lineage.stage == "view":
        obstacles.append("it is a page and no data; give its inputs to lrat view, which writes it again")
    if lineage.recipe.get("rollouts"):
        obstacles.append("its runs were made on the way by recipes of rollouts, which the lineage doesn't hold")
    for name, text in lineage.inputs.items():
        source: HubRef | str = recorded_source(text)
        if name in given and "(plug-in" in text:
            raise LratError(
                f"Input {name}: expected none, found {given[name]}. It is code, which is imported as "
                f"{text.partition(' ')[0]} from the current directory or PYTHONPATH. Leave it out."
            )
        if name in given:
            source = _checked(name, given[name], text)
        elif isinstance(source, str):
            if obstacle := _obstacle(name, text):
                obstacles.append(obstacle)
            elif name in ("agent", "judge", "reader", "answer_judge"):
                options[name] = text.partition(" ")[0]
            continue
        if name in ("agent", "judge") and isinstance(source, HubRef):
            # The name of the input is the option's that says it is a language model.
            options[name] = "llm"
            options["model" if name == "agent" else f"{name}_model"] = str(source)
            if name == "agent":
                obstacles.append(f"the answers of the agent {source} are sampled")
            else:
                notes.append(f"verdicts of {source} that are not in the cache of this machine are asked for again")
            continue
        _put(options, lineage.stage, name, source, recorded=text)
    return Plan(lineage.stage, options, obstacles, notes)


def _notes(lineage: Lineage) -> Iterator[str]:
    now = package_versions()
    for name, version in lineage.versions.items():
        if now.get(name) != version:
            yield f"{name} {now.get(name, 'is not installed')} is here, and it was made with {version}"


def _obstacle(name: str, text: str) -> str:
    """Why an input that is no pin stands in the way; "" if it comes with a package, or is code of a plug-in."""
    if " (served" in text:
        return f"{name} {text} may answer differently, if it is still there"
    if "(unpinned" in text:
        return f"{name} {text} was read from someone's machine: give it as {name}=PATH in `given`"
    return ""


def _checked(name: str, path: str, recorded: str) -> str:
    """The path, when it holds what was read."""
    # A name alone could be a reference.
    found = str(resolve(str(Path(path).expanduser().resolve()), repo_type="dataset"))
    digests = [re.search(r"sha256:([0-9a-f]{64})", text) for text in (recorded, found)]
    if not digests[0] or not digests[1] or digests[0][1] != digests[1][1]:
        raise LratError(f"{name}={path}: expected {recorded}, found {found}.")
    return str(Path(path).expanduser().resolve())


def _put(options: dict[str, Any], stage: str, name: str, source: HubRef | str, *, recorded: str) -> None:
    """Sets the option that an input of this name came from.

    Args:
        source: The pin, or the path of what was on a machine.
        recorded: What the lineage has of it: of a folder its name, with the hash behind it.
    """
    # Parts of what is composed are numbered within their retriever: retriever_2_1.
    base = re.sub(r"(_\d+)+$", "", name)
    lists = LISTS.get(stage, {})
    if base in lists:
        options[lists[base]] = [*options.get(lists[base], []), str(source)] if base != name else [str(source)]
    elif base == "retriever":
        # One option names several, with BM25 and parts of others among them: each mention becomes the pin or path.
        folder = re.escape(recorded.partition(" (")[0])
        mention = re.compile(rf"(?<![^>+:\s])[/.~](?:[^>+:]*/)?{folder}/?(?=\s*(?:[>+]|$))")
        if isinstance(source, HubRef):
            mention = re.compile(rf"(?<![\w/.-]){re.escape(source.repo_id)}(?![\w/.-])(@[\w.-]+)?")
        for option in ("retriever", "retrievers"):
            if isinstance(texts := options.get(option), list):
                options[option] = [mention.sub(lambda _: str(source), text) for text in texts]
            elif texts is not None:
                options[option] = mention.sub(lambda _: str(source), texts)
        if "retriever" not in options and "retrievers" not in options:
            options["retriever"] = str(source)
    else:
        options[name] = str(source)


def compare_again(first: HubRef, again: HubRef, plan: Plan) -> tuple[ArtifactDiff, list[str]]:
    """The artifact and what was made again by a plan: everything that differs, and what of it should not."""
    found = diff(first, again)
    trained = plan.stage in TRAINED
    problems = []
    for change in found.changes:
        if change.part == "files" and trained and change.name.endswith(".safetensors"):
            distance = weight_distance(fetch_folder(first) / change.name, fetch_folder(again) / change.name)
            if distance > TOLERANCE:
                problems.append(f"{change.name}: relative distance {distance:.2g}, more than {TOLERANCE:g}")
        elif not _may_differ(change, plan):
            problems.append(f"{change.part}, {change.name}: expected {change.first}, found {change.second}")
    for one in found.rows:
        if one.added or one.removed or one.changed:
            problems.append(
                f"{one.config}, {one.split}: {one.added} rows added, {one.removed} removed, {one.changed} changed"
            )
    return found, problems


def _may_differ(change: Change, plan: Plan) -> bool:
    """Whether a difference is none of the content: in versions, results in cards, or what a training measured."""
    if change.part == "counts":
        return plan.stage in TRAINED or TIMES.fullmatch(change.name) is not None
    if change.part == "files":
        return change.name == PICTURE_FILE or (plan.stage in TRAINED and change.name in DERIVED)
    # An option that the stage did not have then has its default now; others were given, some with pins in the place of
    # names.
    given = change.first is None or change.name == "results_into" or change.second == plan.options.get(change.name)
    return change.part == "versions" or (change.part == "recipe" and given)


def weight_distance(first: Path, second: Path) -> float:
    """The distance of two models' weights as a share of the length of the first; infinite if their shapes differ."""
    from safetensors import safe_open

    squares = lengths = 0.0
    with safe_open(first, framework="pt") as one, safe_open(second, framework="pt") as other:
        if set(one.keys()) != set(other.keys()):
            return float("inf")
        for name in one.keys():  # noqa: SIM118  (it is no mapping)
            ours, theirs = one.get_tensor(name).double(), other.get_tensor(name).double()
            if ours.shape != theirs.shape:
                return float("inf")
            squares += float(((ours - theirs) ** 2).sum())
            lengths += float((ours**2).sum())
    return (squares / lengths) ** 0.5 if lengths else 0.0
