"""Texts that must not stand in plain where a crawler reads them: the questions of BrowseComp and BrowseComp-Plus.

Their authors publish them obfuscated, beside the canary that is the key. Here such texts are plain in memory alone: by
these functions questions are read (`lrat_hub.hub.inputs.load_table`), and runs on them stored
(`lrat_hub.schema.Trajectory.to_dict`). This keeps texts out of training corpora; it keeps no secret.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

Row = dict[str, Any]

OBFUSCATED_WITH = "obfuscated_with"
"""The key in a run's metadata with the canary of its question, where that is published obfuscated."""

_OF_QUESTION = ("query", "answer")


def obfuscate(text: str, canary: str) -> str:
    """What `deobfuscate` makes the text of again."""
    return base64.b64encode(_xor(text.encode(errors="surrogatepass"), canary)).decode()


def deobfuscate(text: str, canary: str) -> str:
    """The plain text: base64, then exclusive or with the SHA-256 of the canary, repeated.

    The same as `decrypt` in OpenAI's simple-evals and in the `decrypt_dataset.py` of BrowseComp-Plus.

    Raises:
        ValueError: The text was not obfuscated, or with another canary.
    """
    return _xor(base64.b64decode(text, validate=True), canary).decode(errors="surrogatepass")


def plain_question(row: Row) -> Row:
    """The row of a question with its texts in plain, if it has a `canary`.

    Raises:
        ValueError: They are not obfuscated with it.
    """
    return _converted(row, _OF_QUESTION, deobfuscate, row["canary"]) if row["canary"] else row


def stored_question(row: Row) -> Row:
    """The plain row of a question as it is stored: with its texts obfuscated, if it has a `canary`."""
    return _converted(row, _OF_QUESTION, obfuscate, row["canary"]) if row["canary"] else row


def canary_of_run(metadata: str | None) -> str | None:
    """The canary in the metadata of a run, plain or as stored; None where the run is stored in plain."""
    # Next to no run has one, and reading all metadata takes long.
    if not metadata or f'"{OBFUSCATED_WITH}"' not in metadata:
        return None
    known = json.loads(metadata)
    canary = known.get(OBFUSCATED_WITH) if isinstance(known, dict) else None
    return canary if isinstance(canary, str) else None


def stored_run(row: Row) -> Row:
    """The row of a run as it is stored: obfuscated, if its question is."""
    if (canary := canary_of_run(row["metadata"])) is None:
        return row
    kept = {OBFUSCATED_WITH: canary, "obfuscated": obfuscate(row["metadata"], canary)}
    return {**_converted_run(row, obfuscate, canary), "metadata": json.dumps(kept)}


def plain_run(row: Row) -> Row:
    """The row of a run with its texts in plain, out of that which is stored."""
    if (canary := canary_of_run(row.get("metadata"))) is None:
        return row
    kept = json.loads(row["metadata"])
    return {**_converted_run(row, deobfuscate, canary), "metadata": deobfuscate(kept["obfuscated"], canary)}


def _converted_run(row: Row, convert: Callable[[str, str], str], canary: str) -> Row:
    """Every text is converted that can quote the question. Documents are published in plain."""
    steps = [
        {
            **_converted(step, ("reasoning", "observation", "error"), convert, canary),
            "queries": tuple(convert(query, canary) for query in step["queries"]),
        }
        for step in row["steps"]
    ]
    return {**_converted(row, ("question", "gold_answer", "final_answer"), convert, canary), "steps": steps}


def _converted(row: Row, columns: Sequence[str], convert: Callable[[str, str], str], canary: str) -> Row:
    return row | {name: convert(row[name], canary) for name in columns if row[name] is not None}


def _xor(data: bytes, canary: str) -> bytes:
    key = hashlib.sha256(canary.encode()).digest()
    pad = (key * (len(data) // len(key) + 1))[: len(data)]
    return (int.from_bytes(data) ^ int.from_bytes(pad)).to_bytes(len(data))
