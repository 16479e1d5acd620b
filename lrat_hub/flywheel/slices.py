"""Slices of a set of questions: drawn by a seed, without overlap, and apart from the questions that are held out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.evaluation.seen import text_key
from lrat_hub.ledger import Ledger

Questions = Mapping[str, tuple[str, str | None]]
"""Query id to question and answer."""


def draw_slice(
    questions: Questions, held_out: Iterable[Questions], *, number: int, count: int, seed: int
) -> tuple[list[dict[str, Any]], Ledger]:
    """One slice of the questions, as rows, and the account of all of them.

    The order is by a hash of seed and id, so that a question that is added or held out later moves no other one to
    another place than the next. Questions with the same words count as one, and are held out together.

    Args:
        held_out: Sets of questions that no slice may have any of, by their ids and by their texts.
        number: Which slice, from 1.
        count: Questions of each slice.

    Raises:
        LratError: There are too few questions.
    """
    ledger = Ledger("questions")
    sets = list(held_out)
    ids = {query_id for held in sets for query_id in held}
    texts = {text_key(text) for held in sets for text, _ in held.values()}
    seen: set[str] = set()
    pool: list[str] = []
    for query_id, (text, _) in questions.items():
        key = text_key(text)
        if query_id in ids or key in texts:
            ledger.drop("held out")
        elif key in seen:
            ledger.drop("the text of another question")
        else:
            seen.add(key)
            pool.append(query_id)
    if number < 1 or count < 1 or number * count > len(pool):
        raise LratError(
            f"Questions: expected {count} for slice {number}, found {len(pool)} of {len(questions)} that are not held "
            f"out, enough for {len(pool) // count if count > 0 else 0} slices. Give more questions, or smaller slices."
        )
    pool.sort(key=lambda query_id: hashlib.sha256(f"{seed}\0{query_id}".encode()).digest())
    ledger.drop("in other slices, or in none", len(pool) - count)
    ledger.keep(count)
    rows = [
        {"query_id": query_id, "query": text, "answer": answer, "question_id": query_id}
        for query_id in pool[(number - 1) * count : number * count]
        for text, answer in [questions[query_id]]
    ]
    return rows, ledger
