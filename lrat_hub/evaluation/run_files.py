"""Run files in TREC's format, `query_id Q0 docid rank score system` a line, written and read.

The format separates its fields by blanks. Ids that hold some, as the titles that 2WikiMultihopQA and HotpotQA use for
ids do, are written with percent-encoded blanks ("New%20York"), and read back as they were.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from lrat_hub.corpora.rows import fields_of, read_lines
from lrat_hub.errors import LratError
from lrat_hub.evaluation.metrics import Run
from lrat_hub.ledger import Ledger
from lrat_hub.retrieval import Hit

NAMES_FILE = "escaped_ids.jsonl"
"""The table of ids that are written otherwise in run files, in the folder of these: a line `written, id` each."""

_TO_ESCAPE = re.compile(r"[\s\x00-\x20\x7f\ufeff]|%(?=[0-9A-Fa-f]{2})")
_ESCAPED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


def escaped_id(identifier: str) -> str:
    """An id without blanks: each is percent-encoded, and so is a percent sign that would be read as such a code.

    Ids without either stay as they are.
    """
    return _TO_ESCAPE.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), identifier)


def unescaped_id(written: str) -> str:
    """The id that `escaped_id` has written so; codes of no character stay as they are."""

    def decoded(match: re.Match[str]) -> str:
        try:
            return bytes.fromhex(match[0].replace("%", "")).decode()
        except UnicodeDecodeError:
            return match[0]

    return _ESCAPED.sub(decoded, written)


def escaped_names(ids: Iterable[str]) -> str:
    """The text of `NAMES_FILE` for these ids: a line for each that is written otherwise; "" when none is."""
    rows = ({"written": escaped_id(key), "id": key} for key in dict.fromkeys(ids) if escaped_id(key) != key)
    return "".join(json.dumps(row) + "\n" for row in rows)


def trec_run(run: Run, system: str) -> str:
    """A run as text, `query_id Q0 docid rank score system` a line, which trec_eval scores exactly as `score_run` does.

    trec_eval goes by the scores, which it keeps in single precision, and orders equal ones by docid. Where scores tie,
    or would, the later hit's is written a bit lower. Blanks in ids are escaped: see `escaped_id`.
    """
    system = re.sub(r"\s+", "_", system)
    lines = []
    for query_id, hits in run.items():
        before, written = np.float32(np.inf), escaped_id(query_id)
        for hit in hits:
            score = min(np.float32(hit.score), np.nextafter(before, np.float32(-np.inf)))
            lines.append(f"{written} Q0 {escaped_id(hit.docid)} {hit.rank} {score:.9g} {system}\n")
            before = score
    return "".join(lines)


def read_run(path: Path, *, on_contradiction: Callable[[int], object] | None = None) -> tuple[str, Run]:
    """A run file's system, by its last column, and its hits in the order that trec_eval takes them in.

    That is by score, in single precision, with equal ones by docid backwards; the column of ranks does not count. A
    byte order mark, line ends of any system and compression (.gz, .bz2) make no difference. Ids come as they are
    written, unless `NAMES_FILE` lies beside the file: then they are those that were escaped. For files without it see
    `with_known_ids`.

    Args:
        on_contradiction: Is told for how many queries ranks and scores contradict each other, where any do: scores may
            be distances, of which the least is the best.

    Raises:
        LratError: It is not there, a line is none of this format, lines are of several systems, or a document comes
            twice for a query.
    """
    ranks: dict[str, list[tuple[int, float]]] = {}
    scores: dict[str, dict[str, np.float32]] = {}
    system = ""
    ledger = Ledger("lines")
    if not path.is_file():
        raise LratError(f"{path}: expected a run file in TREC format, found no file. Check the path.")
    for number, line in enumerate(read_lines(path, ledger), start=1):
        if ledger.num_dropped:
            break
        if not line.strip():
            continue
        query_id, docid, rank, value, of_line = _parsed(path, number, line)
        if system and of_line != system:
            raise LratError(
                f"{path}:{number}: expected lines of one system, found {of_line} after {system}. "
                "Write a file for each system."
            )
        system = of_line
        if rank is not None:
            ranks.setdefault(query_id, []).append((rank, -float(value)))
        of_query = scores.setdefault(query_id, {})
        if docid in of_query:
            raise LratError(f"{path}:{number}: expected a document once for a query, found {docid} again. Remove it.")
        of_query[docid] = value
    if ledger.num_dropped:
        reason = ", ".join(ledger.dropped)
        raise LratError(f"{path}: expected a run file in TREC format, found a line with {reason}. Check the path.")
    if not scores:
        raise LratError(f"{path}: expected a run file in TREC format, found no line. Check the path.")
    contradictions = sum(map(_contradict, ranks.values()))
    if contradictions and on_contradiction is not None:
        on_contradiction(contradictions)
    run = {query_id: _ordered(of_query) for query_id, of_query in scores.items()}
    return system, unescaped_run(run) if (path.parent / NAMES_FILE).is_file() else run


def unescaped_run(run: Run) -> Run:
    """A run with the ids that `escaped_id` has written."""
    return {
        unescaped_id(query_id): [Hit(unescaped_id(hit.docid), hit.score, hit.rank) for hit in hits]
        for query_id, hits in run.items()
    }


def with_known_ids(run: Run, queries: Collection[str], documents: Collection[str]) -> Run:
    """A run whose ids may be escaped, with the ids that queries and documents have.

    The whole run is read as escaped when more of its ids are known so.
    """
    unescaped = unescaped_run(run)
    if run.keys() == unescaped.keys() and all(
        hit.docid == other.docid
        for query_id, hits in run.items()
        for hit, other in zip(hits, unescaped[query_id], strict=True)
    ):
        return run
    return unescaped if _known(unescaped, queries, documents) > _known(run, queries, documents) else run


def _known(run: Run, queries: Collection[str], documents: Collection[str]) -> int:
    docids = {hit.docid for hits in run.values() for hit in hits if "%" in hit.docid or " " in hit.docid}
    return sum(query_id in queries for query_id in run) + sum(docid in documents for docid in docids)


def _contradict(ranked: Iterable[tuple[int, float]]) -> bool:
    """Whether a hit of a better rank has a worse score; by (rank, -score) of each hit. Equal ranks say nothing."""
    ordered = sorted(ranked)
    return any(rank < next_rank and worse > next_worse for (rank, worse), (next_rank, next_worse) in pairwise(ordered))


def _parsed(path: Path, number: int, line: str) -> tuple[str, str, int | None, np.float32, str]:
    try:
        query_id, _, docid, rank, score, system = fields_of(line)
        if np.isfinite(value := np.float32(score)):
            return query_id, docid, int(rank) if re.fullmatch(r"\d{1,9}", rank) else None, value, system
    except ValueError:
        pass
    raise LratError(
        f"{path}:{number}: expected `query_id Q0 docid rank score system` with a finite score, "
        f"found {line.strip()[:80]!r}. Correct or remove the line."
    )


def _ordered(scores: Mapping[str, np.float32]) -> list[Hit]:
    best = sorted(scores, key=lambda docid: (scores[docid], docid), reverse=True)
    return [Hit(docid, float(scores[docid]), rank) for rank, docid in enumerate(best, start=1)]
