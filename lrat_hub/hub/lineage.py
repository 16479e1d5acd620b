"""Lineage: what an artifact was made from, published beside it as `lineage.json`."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef

LINEAGE_FILE = "lineage.json"
RECORDED_PACKAGES = (
    "lrat-hub", "bm25s", "datasets", "faiss-cpu", "huggingface_hub", "sentence-transformers", "torch", "transformers"
)  # fmt: skip


@dataclass(frozen=True)
class Lineage:
    """Where one artifact came from. It holds no time and no machine: the same work gives the same bytes.

    Args:
        stage: The `lrat` command that made it.
        inputs: Name of each input option to its pin (as text), in the order they were read.
        recipe: The resolved arguments.
        counts: Ledgers and other figures of the run.
        versions: Python and the packages that shape results.
    """

    stage: str
    inputs: dict[str, str]
    recipe: dict[str, Any]
    counts: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=lambda: package_versions())

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Lineage:
        """Reads `lineage.json`. Raises KeyError, TypeError or ValueError when it is something else."""
        fields = json.loads(text)
        lineage = cls(**{name: fields[name] for name in ("stage", "inputs", "recipe", "counts", "versions")})
        if not all(isinstance(text, str) for text in [lineage.stage, *lineage.inputs.values()]):
            raise TypeError("The stage and the inputs of a lineage are strings.")
        return lineage


def package_versions() -> dict[str, str]:
    """Versions of Python and of the recorded packages that are installed."""
    versions = {"python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def read_lineage(ref: HubRef) -> Lineage | None:
    """The lineage published at a pin, or None where there is none: the artifact came from outside this project.

    Raises:
        LratError: The repository can't be read, or its `lineage.json` is not a lineage.
    """
    from lrat_hub.hub.inputs import fetch_file

    if (path := fetch_file(ref, LINEAGE_FILE)) is None:
        return None
    try:
        return Lineage.from_json(path.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LratError(f"{ref}: its {LINEAGE_FILE} can't be read as a lineage.") from error


@dataclass(frozen=True)
class Ancestor:
    """One artifact on the way back from another.

    Args:
        path: Names of the input options that lead to it from the first artifact; empty for that one.
        source: Its pin, or the text recorded for a source outside the Hub.
        lineage: None where it has none.
        seen: It was listed before, and its own inputs are not listed again.
    """

    path: tuple[str, ...]
    source: HubRef | str
    lineage: Lineage | None
    seen: bool = False


def trace(ref: HubRef) -> Iterator[Ancestor]:
    """An artifact and everything it was made from, depth first, back to what has no lineage."""
    visited: dict[tuple[str, str, str], Lineage | None] = {}

    def visit(path: tuple[str, ...], source: HubRef | str) -> Iterator[Ancestor]:
        if isinstance(source, str):
            yield Ancestor(path, source, None)
            return
        key = (source.repo_type, source.repo_id, source.revision)
        seen = key in visited
        if not seen:
            visited[key] = read_lineage(source)
        lineage = visited[key]
        yield Ancestor(path, source, lineage, seen)
        if lineage is not None and not seen:
            for name, text in lineage.inputs.items():
                yield from visit((*path, name), _recorded_source(text))

    yield from visit((), ref.pin())


def _recorded_source(text: str) -> HubRef | str:
    try:
        ref = HubRef.parse(text)
    except LratError:
        return text
    return ref if ref.is_pinned else text
