"""Lineage: what an artifact was made from, published beside it as `lineage.json`."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
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
        files: Name of each file that was published with it to its sha256; that of the card leaves out results, which
            evaluations write into it later. Empty for what was published before LRAT-Hub recorded them.
    """

    stage: str
    inputs: dict[str, str]
    recipe: dict[str, Any]
    counts: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=lambda: package_versions())
    files: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @property
    def digest(self) -> str:
        """sha256 over everything but the files, in hex. It stands in the card, which is one of the files."""
        said = {name: value for name, value in asdict(self).items() if name != "files"}
        return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> Lineage:
        """Reads `lineage.json`. Raises KeyError, TypeError or ValueError when it is something else."""
        fields = json.loads(text)
        lineage = cls(
            **{name: fields[name] for name in ("stage", "inputs", "recipe", "counts", "versions")},
            files=fields.get("files", {}),
        )
        texts = [lineage.stage, *lineage.inputs.values(), *lineage.versions.values(), *lineage.files.values()]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("The stage, the inputs, the versions and the hashes of a lineage are strings.")
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
        problem: Why its lineage can't be read; "" where it can, or where there is none.
    """

    path: tuple[str, ...]
    source: HubRef | str
    lineage: Lineage | None
    seen: bool = False
    problem: str = ""


def trace(ref: HubRef) -> Iterator[Ancestor]:
    """An artifact and everything it was made from, depth first, back to what has no lineage.

    An input that is gone, or may not be seen, ends its branch and is no error: the others can still be followed.

    Raises:
        LratError: The artifact itself can't be read.
    """
    pin = ref.pin()
    lineage = read_lineage(pin)
    yield Ancestor((), pin, lineage)
    if lineage is not None:
        yield from trace_inputs(lineage, visited={_key(pin): Ancestor((), pin, lineage)})


def trace_inputs(
    lineage: Lineage, *, visited: dict[tuple[str, str, str], Ancestor] | None = None, path: tuple[str, ...] = ()
) -> Iterator[Ancestor]:
    """Everything that something with this lineage was made from, as for `trace`."""
    visited = {} if visited is None else visited
    for name, text in lineage.inputs.items():
        source = recorded_source(text)
        there = (*path, name)
        if isinstance(source, str):
            yield Ancestor(there, source, None)
            continue
        if known := visited.get(_key(source)):
            yield replace(known, path=there, source=source, seen=True)
            continue
        try:
            found = Ancestor(there, source, read_lineage(source))
        except LratError as error:
            found = Ancestor(there, source, None, problem=str(error))
        visited[_key(source)] = found
        yield found
        if found.lineage is not None:
            yield from trace_inputs(found.lineage, visited=visited, path=there)


def _key(source: HubRef) -> tuple[str, str, str]:
    """One repository at one commit, whichever of its configs is read."""
    return source.repo_type, source.repo_id, source.revision


def recorded_source(text: str) -> HubRef | str:
    """An input as a lineage records it: a pin, or the text itself for what is not on the Hub."""
    try:
        ref = HubRef.parse(text)
    except LratError:
        return text
    return ref if ref.is_pinned else text
