"""Who does the work of a stage; no heavy import, so that options can be read and shown quickly."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lrat_hub.errors import LratError, did_you_mean
from lrat_hub.option import option

Executor = Literal["none", "local", "slurm", "ray", "jobs"]

SHARDS_PER_WORKER = 4
"""Shards for each worker where nothing else is said: the last one is a quarter of a worker's work."""

_WITHOUT_GPUS = ("cpu", "sprx", "inf")
_SHARED = "shared"


@dataclass(frozen=True, kw_only=True)
class ExecutionSettings:
    """Who does the work of a stage that maps over items. What comes out does not depend on it."""

    executor: Executor = option(
        "none",
        "Who does the work: none (this process), local (processes of this machine), slurm or ray (a cluster that "
        "runs), or jobs (Hugging Face Jobs), by datatrove's executors.",
        recipe=False,
    )
    workers: int = option(1, "Number of shards that the executor works on at the same time.", recipe=False)
    shards: int = option(
        0,
        f"Number of tasks that the executor divides the work into; 0 for {SHARDS_PER_WORKER} per worker. A killed run "
        "resumes whatever the number was.",
        recipe=False,
    )
    executor_options: list[str] = option(
        factory=list,
        help="Further options of datatrove's executor as NAME=VALUE, such as partition=cpu time=10:00:00.",
        recipe=False,
    )

    def __post_init__(self) -> None:
        if self.workers < 1 or self.shards < 0:
            raise LratError(
                f"Executor: expected `workers` of 1 or more and `shards` of 0 or more, found {self.workers} and "
                f"{self.shards}."
            )
        if self.executor == "none" and (self.workers > 1 or self.shards or self.executor_options):
            raise LratError(
                "Executor: expected `executor` of local, slurm, ray or jobs with `workers`, `shards` or "
                "`executor_options`, found none."
            )

    @property
    def device(self) -> str:
        """Device that workers elsewhere compute on: "cuda", "cpu", or "" where they are on this machine."""
        if self.executor in ("none", "local"):
            return ""
        given = _assigned(self.executor_options)
        if self.executor == "jobs":
            return "cpu" if str(given.get("flavor", "cpu")).startswith(_WITHOUT_GPUS) else "cuda"
        return "cuda" if given.get("gpus_per_task", 0) else "cpu"

    @property
    def shared(self) -> str:
        """Where the files of Jobs go. Raises LratError where nobody says it."""
        address = _assigned(self.executor_options).get(_SHARED, "")
        if "://" not in str(address):
            raise LratError(
                f"Executor jobs: expected where files go among `executor_options`, as {_SHARED}=hf://buckets/me/work, "
                f"found {address or 'none'}."
            )
        return address

    def options(self, executor: type[Any], own: Collection[str]) -> dict[str, Any]:
        """`executor_options` by name, as YAML reads their values.

        Args:
            executor: The class that takes them.
            own: Those that are given by this library.

        Raises:
            LratError: The executor has no such option, or lacks one.
        """
        parameters = {
            name: parameter
            for name, parameter in inspect.signature(executor).parameters.items()
            if name not in own and name not in ("depends", "skip_completed")
        }
        given = _assigned(self.executor_options)
        if self.executor == "jobs":
            given.pop(_SHARED, None)
        if unknown := [name for name in given if name not in parameters]:
            end = did_you_mean(unknown[0], parameters) or f". It has {', '.join(parameters)}."
            raise LratError(
                f"Executor {self.executor}: expected `executor_options` that {executor.__name__} has, found "
                f"{unknown[0]}{end}"
            )
        needed = [name for name, each in parameters.items() if each.default is each.empty and name not in given]
        if needed:
            raise LratError(
                f"Executor {self.executor}: expected {' and '.join(needed)} among `executor_options`, as "
                f"{needed[0]}=VALUE, found {', '.join(given) or 'none'}."
            )
        return given

    @property
    def num_shards(self) -> int:
        """Tasks that the executor divides the work into."""
        return self.shards or SHARDS_PER_WORKER * self.workers


def _assigned(texts: Sequence[str]) -> dict[str, Any]:
    import yaml

    given = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise LratError(f"Executor: expected `executor_options` as NAME=VALUE, found {text!r}.")
        try:
            # YAML takes 10:00:00 for a number of seconds.
            given[name] = value if ":" in value and value[:1] not in ("{", "[") else yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise LratError(f"Executor: expected a value of {name} in YAML, found {value!r}.") from error
    return given
