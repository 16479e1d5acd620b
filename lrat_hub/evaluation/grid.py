"""Agents with retrievers on benchmarks, cell by cell: what the cells of a table are, and who makes which of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lrat_hub.errors import LratError, did_you_mean

LONGEST_NAME = 96
"""Characters of a repository's name, as the Hub allows them."""


@dataclass(frozen=True)
class Cell:
    """The runs of one agent with one retriever on one benchmark.

    Args:
        agent: A recipe of `lrat rollout`, or the name of an agent that needs none.
        benchmark, retriever: Their names in tables.
        k: Results of a search.
        made_by: What opens the retriever; see `RetrieverName`.
    """

    agent: str
    benchmark: str
    retriever: str
    k: int
    made_by: str

    def __str__(self) -> str:
        return f"{plain_agent(self.agent)} with {self.retriever} on {self.benchmark}, k = {self.k}"

    @property
    def name(self) -> str:
        return repository_name(plain_agent(self.agent), self.benchmark, self.retriever, f"k{self.k}")


def plain_agent(agent: str) -> str:
    """An agent's name without the folder and the ending of its recipe."""
    return agent.rpartition("/")[2].removesuffix(".yaml").removesuffix(".yml").removeprefix("rollout_")


def repository_name(*parts: str) -> str:
    """Parts as one name that a repository may have."""
    return re.sub(r"[-.]{2,}", "-", "-".join(re.sub(r"[^A-Za-z0-9._]+", "-", part).strip("-.") for part in parts))


def fitting_name(base: str, name: str) -> str:
    """`base-name`, with a hash in the place of what would make it longer than the Hub allows.

    Args:
        base: A repository, as namespace/name.
    """
    namespace, _, whole = f"{base}-{name}".partition("/")
    if len(whole) > LONGEST_NAME:
        digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
        whole = f"{whole[: LONGEST_NAME - 9].rstrip('-.')}-{digest}"
    return f"{namespace}/{whole}"


def retrievers_of(texts: Sequence[str], benchmarks: Iterable[str]) -> dict[str, dict[str, str]]:
    """The retrievers of each benchmark by their names, in the order given.

    Args:
        texts: `NAME=RETRIEVER` for all benchmarks, and `BENCHMARK/NAME=RETRIEVER` for one, which wins.
        benchmarks: Their names.

    Raises:
        LratError: A text has another form, or a name comes twice.
    """
    found: dict[str, dict[str, str]] = {name: {} for name in benchmarks}
    own: set[tuple[str, str]] = set()
    for text in texts:
        left, equals, retriever = (part.strip() for part in text.partition("="))
        if not equals or not left or not retriever:
            raise LratError(f"Retriever {text!r}: expected NAME=RETRIEVER, or BENCHMARK/NAME=RETRIEVER.")
        benchmark = next((name for name in found if left.startswith(f"{name}/")), "")
        name = left.removeprefix(f"{benchmark}/") if benchmark else left
        if (benchmark, name) in own:
            raise LratError(f"Retriever {name!r}: expected each name once, found it twice.")
        own.add((benchmark, name))
        for each in [benchmark] if benchmark else found:
            if benchmark or (each, name) not in own:
                found[each][name] = retriever
    return found


def of_benchmarks(option: str, texts: Sequence[str], benchmarks: Sequence[str]) -> dict[str, str]:
    """What an option gives to each benchmark: `BENCHMARK=VALUE`, or one value where there is one benchmark.

    Raises:
        LratError: There is no such benchmark, or it comes twice.
    """
    if len(benchmarks) == 1 and len(texts) == 1 and not texts[0].startswith(f"{benchmarks[0]}="):
        return {benchmarks[0]: texts[0]}
    values: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in benchmarks or name in values or not value:
            end = did_you_mean(name, benchmarks) or "."
            raise LratError(
                f"`{option}` {text!r}: expected BENCHMARK=REF once for each of {', '.join(benchmarks)}{end}"
            )
        values[name] = value
    return values


def grid_cells(
    agents: Sequence[str], retrievers: Mapping[str, Mapping[str, str]], ks: Mapping[str, Sequence[int]]
) -> list[Cell]:
    """All cells: agent by agent, so that each needs its server once, and retriever by retriever in it.

    Args:
        retrievers: By benchmark and name.
        ks: Numbers of results of a search, by benchmark.

    Raises:
        LratError: Two of them would be published under one name.
    """
    cells = [
        Cell(agent, benchmark, name, k, made_by)
        for agent in agents
        for benchmark, named in retrievers.items()
        for name, made_by in named.items()
        for k in ks[benchmark]
    ]
    names: dict[str, Cell] = {}
    for cell in cells:
        if (other := names.setdefault(cell.name, cell)) is not cell:
            raise LratError(f"Grid: {other} and {cell} would have one name, {cell.name}. Give them others.")
    return cells


def share_of(cells: Sequence[Cell], index: int, count: int) -> list[Cell]:
    """One machine's share: neighbours, so that few machines need the server of one agent.

    Args:
        index: Number of the share, from 1 to `count`.
    """
    return list(cells[len(cells) * (index - 1) // count : len(cells) * index // count])
