"""Two artifacts compared: inputs, recipes, versions, counts, files, rows by key, and results by paired tests."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lrat_hub.artifacts.verification import GIT_FILES, listed_files, table_files
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import fetch_file, fetch_folder
from lrat_hub.hub.lineage import LINEAGE_FILE, Lineage, read_lineage
from lrat_hub.hub.outputs import CARD_FILE
from lrat_hub.hub.refs import HubRef
from lrat_hub.significance import compare

KEYS: tuple[tuple[str, ...], ...] = (
    ("pair_id",),
    ("trajectory_id",),
    ("task", "system", "metric", "measured_on"),
    ("benchmark", "agent", "retriever", "k", "query_id"),
    ("system", "query_id"),
    ("query_id", "docid"),
    ("docid",),
    ("query_id",),
)
"""What tells the rows of a table apart, by its columns; the first that a table has all of. Others are whole rows."""

NAMES = ("system", "benchmark", "agent", "retriever", "k")
"""Columns of config `per_query` that name what was evaluated; columns of numbers are its metrics."""

EXAMPLES = 3
BATCH_ROWS = 1_000


@dataclass(frozen=True)
class Change:
    """A field of the lineage, or a file, that two artifacts have different values of; None where one has none."""

    part: str
    name: str
    first: Any
    second: Any


@dataclass(frozen=True)
class RowChanges:
    """How the rows of a split differ. A changed row has the same key and other values.

    Args:
        examples: The keys of the first rows that were added, removed or changed, by these words.
    """

    config: str
    split: str
    same: int
    added: int
    removed: int
    changed: int
    examples: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class ArtifactDiff:
    """Everything in which two artifacts differ.

    Args:
        results: A row for each metric of each system that both evaluated on the same queries.
        notes: What could not be compared, and why.
    """

    changes: list[Change]
    rows: list[RowChanges]
    results: list[dict[str, Any]]
    notes: list[str]

    @property
    def same_content(self) -> bool:
        """Whether all rows, and all files that hold no rows, are the same; cards and lineages aside."""
        rows = not any(one.added or one.removed or one.changed for one in self.rows)
        return rows and not any(change.part == "files" for change in self.changes)


def diff(first: HubRef, second: HubRef) -> ArtifactDiff:
    """Compares two artifacts of one kind.

    Raises:
        LratError: One can't be read, or they are a model and a dataset.
    """
    first, second = first.pin(), second.pin()
    if first.repo_type != second.repo_type:
        raise LratError(f"Diff: expected two of a kind, found the {first.repo_type} {first} and {second}.")
    made, remade = read_lineage(first), read_lineage(second)
    changes = list(lineage_changes(made, remade)) if made and remade else []
    notes = [f"{ref} has no lineage" for ref, lineage in ((first, made), (second, remade)) if lineage is None]
    tables = [table_files(fetch_folder(ref)) if ref.repo_type == "dataset" else {} for ref in (first, second)]
    # Parquet files are compared by their rows.
    digests = [
        {name: listed.digest for name, listed in listed_files(ref).items() if not name.endswith(".parquet")}
        for ref in (first, second)
    ]
    changes += [
        Change("files", name, *values)
        for name, *values in _paired(*digests)
        if values[0] != values[1] and name not in (CARD_FILE, LINEAGE_FILE, *GIT_FILES)
    ]
    rows = [
        row_changes(config, split, *(table.get((config, split), []) for table in tables))
        for config, split in dict.fromkeys([*tables[0], *tables[1]])
    ]
    results, more = compare_results(first, second)
    return ArtifactDiff(changes, rows, results, notes + more)


def lineage_changes(first: Lineage, second: Lineage) -> Iterator[Change]:
    """The fields of two lineages that differ, those of nested counts by their path."""
    if first.stage != second.stage:
        yield Change("stage", "stage", first.stage, second.stage)
    for part in ("inputs", "recipe", "versions", "counts"):
        for name, one, other in _paired(_flat(getattr(first, part)), _flat(getattr(second, part))):
            # Tuples and lists are the same in a file.
            if json.dumps(one) != json.dumps(other):
                yield Change(part, name, one, other)


def _paired(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys([*first, *second]):
        yield name, first.get(name), second.get(name)


def _flat(fields: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        flat |= _flat(value, f"{path}{name}.") if isinstance(value, Mapping) else {f"{path}{name}": value}
    return flat


def row_changes(config: str, split: str, first: Iterable[Path], second: Iterable[Path]) -> RowChanges:
    """Compares two tables, of any size: their keys and hashes are in a database on the disk.

    Args:
        first, second: Parquet files.
    """
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(Path(folder) / "rows.sqlite")
        try:
            database.execute("CREATE TABLE side (key TEXT, hash BLOB, second INTEGER)")
            for number, files in enumerate((first, second)):
                database.executemany(f"INSERT INTO side VALUES (?, ?, {number})", _keyed(files))
            database.executescript(
                """
                CREATE TABLE surplus AS SELECT key, MIN(SUM(second), COUNT(*) - SUM(second)) AS same,
                    MAX(2 * SUM(second) - COUNT(*), 0) AS added, MAX(COUNT(*) - 2 * SUM(second), 0) AS removed
                    FROM side GROUP BY key, hash;
                CREATE TABLE change AS SELECT key, SUM(same) AS same, MIN(SUM(added), SUM(removed)) AS changed,
                    MAX(SUM(added) - SUM(removed), 0) AS added, MAX(SUM(removed) - SUM(added), 0) AS removed
                    FROM surplus GROUP BY key;
                """
            )
            words = ("same", "added", "removed", "changed")
            counts = database.execute(f"SELECT {', '.join(f'SUM({word})' for word in words)} FROM change").fetchone()
            examples = {
                word: [key for (key,) in database.execute(
                    f"SELECT key FROM change WHERE {word} > 0 ORDER BY key LIMIT {EXAMPLES}")]
                for word in words[1:]
            }  # fmt: skip
        finally:
            database.close()
    numbers = dict(zip(words, (count or 0 for count in counts), strict=True))
    return RowChanges(config, split, **numbers, examples={word: keys for word, keys in examples.items() if keys})


def _keyed(files: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """Key and hash of each row of Parquet files."""
    import pyarrow.parquet as pq

    for file in files:
        with pq.ParquetFile(file) as parquet:
            columns = parquet.schema_arrow.names
            key = next((names for names in KEYS if set(names) <= set(columns)), None)
            for batch in parquet.iter_batches(BATCH_ROWS):
                for row in batch.to_pylist():
                    text = json.dumps(row, ensure_ascii=False, default=str)
                    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16)
                    yield " ".join(str(row[name]) for name in key) if key else digest.hexdigest(), digest.digest()


Results = dict[str, dict[str, dict[str, float]]]
"""System to metric to query id to value."""


def compare_results(first: HubRef, second: HubRef) -> tuple[list[dict[str, Any]], list[str]]:
    """Paired tests of every metric that both artifacts have for the same queries, and what can't be compared.

    Evaluations are compared system by system, models by the evaluations that their cards name.
    """
    found = [evaluated(ref) for ref in (first, second)]
    if not all(found):
        return [], []
    (queries, ours, clusters), (others_queries, theirs, _) = (one for one in found if one)
    if queries != others_queries:
        return [], [f"results are of other queries: {queries} and {others_queries}"]
    pairs = _matched(ours, theirs)
    named = [
        (name, metric, other[metric], one[metric]) for name, one, other in pairs for metric in one if metric in other
    ]
    compared = compare([(new, old) for _, _, new, old in named], clusters)
    rows = [
        {
            "system": name, "metric": metric, "first": one.reference, "second": one.value,
            "difference": f"{one.difference}", "p": one.p_value, "p (Holm)": one.corrected,
        }
        for (name, metric, _, _), one in zip(named, compared, strict=True)
        if one is not None
    ]  # fmt: skip
    return rows, []


def _matched(first: Results, second: Results) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Systems of both by name, without commits; a lone system of each is one pair whatever it is called."""
    if len(first) == len(second) == 1:
        (name, one), (other_name, other) = *first.items(), *second.items()
        return [(name if name == other_name else f"{name}, {other_name}", one, other)]

    def plain(results: Results) -> dict[str, dict[str, Any]]:
        names = [re.sub(r"@[0-9a-f]{7,40}\b", "", name) for name in results]
        return {
            short if names.count(short) == 1 else name: values
            for short, (name, values) in zip(names, results.items(), strict=True)
        }

    ours, theirs = plain(first), plain(second)
    return [(name, values, theirs[name]) for name, values in ours.items() if name in theirs]


def evaluated(ref: HubRef) -> tuple[str, Results, dict[str, str]] | None:
    """The queries of an artifact's evaluation, its results and the question of each query; None where it has none."""
    evaluation, system = (ref, "") if ref.repo_type == "dataset" else (_evaluation_of(ref), f"{ref.repo_id}@")
    lineage = read_lineage(evaluation) if evaluation else None
    if evaluation is None or lineage is None:
        return None
    files = [file for (config, _), those in table_files(fetch_folder(evaluation)).items()
             if config == "per_query" for file in those]  # fmt: skip
    results: Results = {}
    clusters: dict[str, str] = {}
    for row in _rows(files):
        name = " ".join(str(row[column]) for column in NAMES if row.get(column) is not None)
        if not name.startswith(system):
            continue
        clusters[row["query_id"]] = row.get("question_id") or row["query_id"]
        for metric, value in row.items():
            if isinstance(value, (float, bool)) and metric not in NAMES:
                results.setdefault(name, {}).setdefault(metric, {})[row["query_id"]] = float(value)
    asked = (lineage.inputs[name] for name in ("queries", "pairs", "trajectories") if name in lineage.inputs)
    return (next(asked, ""), results, clusters) if results else None


def _rows(files: Iterable[Path]) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    for file in files:
        yield from pq.read_table(file).to_pylist()


def _evaluation_of(model: HubRef) -> HubRef | None:
    """The evaluation of retrieval that a model's card names."""
    from huggingface_hub import RepoCard

    if (path := fetch_file(model, CARD_FILE)) is None:
        return None
    data = RepoCard.load(path, ignore_metadata_errors=True).data.to_dict()
    for entry in data.get("model-index") or ():
        for result in entry.get("results") or ():
            source = result.get("source") or {}
            where = re.search(r"/datasets/([^/]+/[^/]+)/tree/([0-9a-f]{40})", str(source.get("url")))
            if where and source.get("name") == "lrat eval retrieval":
                return HubRef(where[1], "dataset", where[2])
    return None
