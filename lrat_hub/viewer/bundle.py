"""The page and its data as a folder that needs nothing else: no server, no network, no library.

    index.html, *.js, style.css    the page
    data/meta.js                   what the runs are from, and how many of each kind there are
    data/index/0.js, 1.js, ...     columns of the runs that lists are filtered by, `INDEX_RUNS` runs in a file
    data/runs/0.js, 1.js, ...      the runs themselves, about `RUNS_BYTES` in a file

A page that is opened from a file may load scripts, and nothing else. Each file of data is therefore a script of one
call with a name and a value; the value is JSON.

Runs on questions that are published obfuscated stay so in the files: the page makes them plain when it shows them.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.ledger.joins import match_ids
from lrat_hub.obfuscation import obfuscate
from lrat_hub.schema import Trajectory
from lrat_hub.viewer.notes import Notes
from lrat_hub.viewer.runs import index_row, run_row

INDEX_RUNS = 500
RUNS_BYTES = 1_000_000

META_FILE = "data/meta.js"

_DATA = re.compile(r"data/(meta|(index|runs)/\d+)\.js")

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))

_EXAMPLES = 1_000
"""Number of runs whose ids are kept, to say why those of judgements or pairs are others."""


@dataclass
class Bundle:
    """What was written.

    Args:
        runs: Number of runs.
        obfuscated: How many of them are on questions that are published obfuscated.
        judged: How many of them have evidence in the judgements that were given.
        pairs: Number of mined pairs that were found for them.
        bytes: Size of the data.
        facets: Values of each column that lists are filtered by, with the number of runs of each.
    """

    runs: int = 0
    obfuscated: int = 0
    judged: int = 0
    pairs: int = 0
    bytes: int = 0
    facets: dict[str, Counter[str]] = field(
        default_factory=lambda: {name: Counter() for name in ("outcome", "status", "agent", "retriever")}
    )

    @property
    def counts(self) -> dict[str, Any]:
        """For a lineage."""
        return {
            **{name: getattr(self, name) for name in ("runs", "obfuscated", "judged", "pairs")},
            "outcomes": dict(self.facets["outcome"]),
        }


def build_bundle(
    trajectories: Iterable[Trajectory],
    folder: Path,
    *,
    title: str,
    inputs: Mapping[str, str] | None = None,
    notes: Notes | None = None,
    limit: int = 0,
) -> Bundle:
    """Writes the page of some runs into a folder, one run at a time.

    Args:
        folder: A folder that is new, empty, or holds such a page and nothing else. That page is replaced once the
            new one is whole.
        title: What the runs are from, as the page says it.
        inputs: Name of each input to its pin, for the page to show.
        limit: Number of runs, from the first; 0 for all.

    Raises:
        LratError: The folder holds something else, there is no run, or judgements or pairs are of other runs.
    """
    folder = folder.resolve()
    _require_ours(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".lrat-view-", dir=folder.parent))
    earlier = made.with_name(f"{made.name}-earlier")
    try:
        bundle = _write(trajectories, made, title, dict(inputs or {}), notes or Notes(), limit)
        made.chmod(0o755)  # a temporary folder is for its owner alone
        # It is moved and not removed: whoever is stopped between the two still has one of them.
        with suppress(FileNotFoundError):
            folder.rename(earlier)
        made.rename(folder)
    except BaseException:
        if earlier.exists() and not folder.exists():
            earlier.rename(folder)
        shutil.rmtree(made, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(earlier, ignore_errors=True)
    return bundle


def page_files() -> dict[str, bytes]:
    """The page without any data, by the names of its files."""
    return {path.name: path.read_bytes() for path in files("lrat_hub.viewer").joinpath("static").iterdir()}


def _require_ours(folder: Path) -> None:
    """Raises LratError when a folder holds what `build_bundle` has not written: replacing the page would remove it."""
    expected = f"{folder}: expected a new folder, or one with an earlier page and nothing else"
    if not folder.exists():
        return
    if not folder.is_dir():
        raise LratError(f"{expected}, found a file.")
    if not any(folder.iterdir()):
        return
    meta = folder / META_FILE
    if not meta.is_file() or not meta.read_bytes().startswith(b'lrat.take("meta",'):
        raise LratError(f"{expected}, found something else. Give another folder.")
    page = page_files()
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not _is_folder(path))
    if others := [name for name in names if name not in page and not _DATA.fullmatch(name)]:
        raise LratError(f"{expected}, found {others[0]} too. Move it elsewhere, or give another folder.")


def _is_folder(path: Path) -> bool:
    """Whether it is a folder with something in it, and no link to one: an empty one, somebody has made."""
    return path.is_dir() and not path.is_symlink() and any(path.iterdir())


def _write(
    trajectories: Iterable[Trajectory], folder: Path, title: str, inputs: dict[str, str], notes: Notes, limit: int
) -> Bundle:
    for name, content in page_files().items():
        (folder / name).write_bytes(content)
    bundle = Bundle()
    index, runs = _Chunks(folder, "index"), _Chunks(folder, "runs")
    columns: dict[str, list[Any]] = {}
    numbers: dict[tuple[str, str], int] = {}
    examples: list[tuple[str, str]] = []

    def end_of_index() -> None:
        index.add(_ENCODER.encode(columns))
        index.end()
        columns.clear()

    for run in islice(trajectories, limit or None):
        page = run_row(run, notes)
        row = index_row(run, page)
        text = _ENCODER.encode(page)
        if run.canary is not None:
            bundle.obfuscated += 1
            text = _ENCODER.encode(_obfuscated(text, run.canary))
            row["question"] = _obfuscated(row["question"], run.canary)
        row["file"], row["place"] = runs.add(text)
        # Names are long, and few.
        for name, facet in bundle.facets.items():
            value = str(row[name]) if name in row else getattr(run, name)
            facet[value] += 1
            row[name] = numbers.setdefault((name, value), len(facet) - 1)
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
        bundle.runs += 1
        bundle.judged += row["evidence"] > 0
        bundle.pairs += row["pairs"]
        if len(examples) < _EXAMPLES:
            examples.append((run.trajectory_id, run.query_id))
        if bundle.runs % INDEX_RUNS == 0:
            end_of_index()
    if not bundle.runs:
        raise LratError(f"{title}: expected runs to show, found none.")
    if columns:
        end_of_index()
    runs.end()
    _require_matches(bundle, examples, notes)
    meta = {
        "title": title,
        "inputs": inputs,
        "version": metadata.version("lrat-hub"),
        "runs": bundle.runs,
        "chunk": INDEX_RUNS,
        "facets": {name: [list(pair) for pair in facet.items()] for name, facet in bundle.facets.items()},
        "evidence": bool(notes.qrels),
    }
    (folder / META_FILE).write_bytes(_script("meta", _ENCODER.encode(meta)))
    bundle.bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return bundle


def _require_matches(bundle: Bundle, examples: list[tuple[str, str]], notes: Notes) -> None:
    """Raises LratError when judgements or pairs were given, and none is of these runs.

    Args:
        examples: Ids of runs, each with that of its question.
    """
    if notes.qrels and not bundle.judged:
        match_ids(
            [query_id for _, query_id in examples],
            [query_id for query_id, grades in notes.qrels.items() if max(grades.values(), default=0) > 0],
            wanted_name="questions of the runs", given_name="questions with evidence", what="Judgements",
            cure="Leave the judgements (`qrels`) out, or give those of the questions of these runs.",
        )  # fmt: skip
    if notes.pairs is not None and not bundle.pairs:
        match_ids(
            [trajectory_id for trajectory_id, _ in examples], notes.pairs.trajectory_ids(),
            wanted_name="runs", given_name="runs that pairs were mined from", what="Pairs",
            cure="Leave the pairs out, or give those that were mined from these runs.",
        )  # fmt: skip


def _obfuscated(text: str, canary: str) -> dict[str, str]:
    """A text and what makes it plain again, by `lrat.plain` in the page."""
    return {"key": hashlib.sha256(canary.encode()).hexdigest(), "text": obfuscate(text, canary)}


class _Chunks:
    """Values in files of about `RUNS_BYTES`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder / "data" / name, name
        self._folder.mkdir(parents=True)
        self._texts: list[str] = []
        self._chars = self._file = 0

    def add(self, text: str) -> tuple[int, int]:
        """Takes a value as JSON, and gives the number of its file and its place there."""
        if self._texts and self._chars + len(text) > RUNS_BYTES:
            self.end()
        self._texts.append(text)
        self._chars += len(text)
        return self._file, len(self._texts) - 1

    def end(self) -> None:
        """Ends a file."""
        if self._texts:
            script = _script(f"{self._name}/{self._file}", f"[{','.join(self._texts)}]")
            (self._folder / f"{self._file}.js").write_bytes(script)
            self._file += 1
            self._texts, self._chars = [], 0


def _script(name: str, value: str) -> bytes:
    # Half a surrogate pair, which logs do have, is no UTF-8: it stays the escape that JSON has for it.
    return f"lrat.take({_ENCODER.encode(name)},{value})\n".encode(errors="backslashreplace")
