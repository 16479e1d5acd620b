"""The command that usually follows a stage, with the pins that are known by then filled in."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lrat_hub.hub.refs import HubRef

_LAST: list[str] = []
"""The commands that follow the last stage of this process that published."""


def note(stage: str, published: HubRef, inputs: Mapping[str, str]) -> None:
    """Keeps what follows a stage, for `take`."""
    _LAST[:] = next_commands(stage, published, inputs)


def take() -> list[str]:
    """What was noted last, once."""
    last, _LAST[:] = list(_LAST), []
    return last


def next_commands(stage: str, published: HubRef, inputs: Mapping[str, str]) -> list[str]:
    """The commands that follow a stage; what has to be chosen stands in capitals.

    Args:
        published: The pin of what the stage has published.
        inputs: The pins of what it has read, by the names of its options.
    """
    name = published.repo_id

    def command(stage: str, to: str = "", **options: str) -> str:
        words = [f"--{option} {value}" for option, value in options.items()]
        return " ".join(["lrat", stage, *words, *([f"--to {shlex.quote(name + to)}"] if to else [])])

    def known(option: str, otherwise: str = "") -> str:
        # What came from this machine is recorded with its hash behind, and can't be given so.
        given = inputs.get(option, "")
        return shlex.quote(given) if given and " (" not in given else otherwise or option.upper()

    pin = shlex.quote(str(published))
    corpus = known("corpus")
    if stage == "corpus" and inputs.keys() & {"queries", "beir", "wikipedia"}:
        agent = "clue-reader" if "wikipedia" in inputs else "reader"
        return [command("rollout", "-runs", agent=agent, corpus=pin, queries=pin)]
    if stage == "corpus" and "documents" not in inputs:
        # Queries or judgements alone: there is nothing to search.
        return [f"lrat lineage {pin}"]
    if stage == "corpus":
        return [command("index", "-bm25", bm25="true", corpus=pin)]
    if stage in ("import", "rollout"):
        return [command("mine", "-pairs", trajectories=pin, corpus=corpus)]
    if stage == "mine" and ("corpus" in inputs or "trajectories" not in inputs):
        return [command("train", "-model", pairs=pin, model=known("tokenizer", "MODEL"))]
    if stage == "mine":
        # Without their documents, pairs can't be trained on.
        return [command("mine", "", trajectories=known("trajectories"), corpus=corpus) + f" --to {shlex.quote(name)}"]
    if stage == "train":
        # The queries that a training was watched by are no test of it.
        systems = f"{known('model')} {pin}"
        return [
            command("eval retrieval", "-results", models=systems, corpus=corpus, queries="QUERIES", qrels="QRELS"),
            command("index", "-index", model=pin, corpus=corpus),
        ]
    if stage == "index":
        return [
            command("rollout", "-runs", index=pin, corpus=corpus, queries="QUERIES"),
            command("eval retrieval", "-results", index=pin, corpus=corpus, queries="QUERIES", qrels="QRELS"),
        ]
    if stage == "adopt":
        return [command("train", "-trained", model=pin, pairs="PAIRS")]
    if stage in ("eval retrieval", "eval agents"):
        return [command("eval report", "-report", evaluations=pin)]
    if stage == "sweep":
        return [command("train", "-model", model=known("model"), pairs=known("pairs_1", "PAIRS"))]
    if stage == "analyze":
        given = sorted(option for option in inputs if option.startswith("trajectories_")) or ["trajectories_1"]
        return [command("mine", f"-pairs-{number}" if len(given) > 1 else "-pairs", trajectories=known(option),
                        corpus=corpus) for number, option in enumerate(given, start=1)]  # fmt: skip
    return [f"lrat lineage {pin}"]
