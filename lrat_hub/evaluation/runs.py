"""Run files in TREC's format: `query_id Q0 docid rank score system`, a line a hit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lrat_hub.errors import LratError
from lrat_hub.evaluation.metrics import Run
from lrat_hub.retrieval import Hit


def trec_run(run: Run, system: str) -> str:
    """A run as text that trec_eval scores exactly as `score_run` does.

    trec_eval goes by the scores, which it keeps in single precision, and orders equal ones by docid. Where scores tie,
    or would, the later hit's is written a bit lower.

    Raises:
        LratError: An id holds blanks, which the format can't.
    """
    system = re.sub(r"\s+", "_", system)
    lines = []
    for query_id, hits in run.items():
        before = np.float32(np.inf)
        for hit in hits:
            score = min(np.float32(hit.score), np.nextafter(before, np.float32(-np.inf)))
            if any(character.isspace() for character in f"{query_id}{hit.docid}"):
                raise LratError(f"Run file: expected ids without blanks, found {query_id!r} and {hit.docid!r}.")
            lines.append(f"{query_id} Q0 {hit.docid} {hit.rank} {score:.9g} {system}\n")
            before = score
    return "".join(lines)


def read_run(path: Path) -> tuple[str, Run]:
    """A run file's system, by its last column, and its hits in the order that trec_eval takes them in.

    That is by score, in single precision, with equal ones by docid backwards; the column of ranks does not count.

    Raises:
        LratError: It is not there, a line is none of this format, or a document comes twice for a query.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LratError(f"{path}: expected a run file in TREC format, found {error}. Check the path.") from error
    scores: dict[str, dict[str, np.float32]] = {}
    system = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        fields = line.split()
        try:
            query_id, _, docid, _, score, system = fields
            value = np.float32(score)
        except ValueError:
            value = np.float32(np.nan)
        if not np.isfinite(value):
            raise LratError(
                f"{path}:{number}: expected `query_id Q0 docid rank score system` with a finite score, "
                f"found {line.strip()[:80]!r}. Mend or remove the line."
            )
        found = scores.setdefault(query_id, {})
        if docid in found:
            raise LratError(f"{path}:{number}: expected a document once for a query, found {docid} again. Remove it.")
        found[docid] = value
    if not scores:
        raise LratError(f"{path}: expected a run file in TREC format, found no line. Check the path.")
    return system, {query_id: _ordered(found) for query_id, found in scores.items()}


def _ordered(scores: Mapping[str, np.float32]) -> list[Hit]:
    best = sorted(scores, key=lambda docid: (scores[docid], docid), reverse=True)
    return [Hit(docid, float(scores[docid]), rank) for rank, docid in enumerate(best, start=1)]
