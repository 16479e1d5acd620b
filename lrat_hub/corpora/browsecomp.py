"""The obfuscation in which BrowseComp and BrowseComp-Plus publish their questions, undone.

Their authors ask that the plain text never reaches a training corpus. Questions are de-obfuscated in memory, and
published only to repositories that are private: `lrat_hub.hub.visibility`.
"""

from __future__ import annotations

import base64
import hashlib
from itertools import cycle

from lrat_hub.corpora.rows import Row
from lrat_hub.errors import LratError
from lrat_hub.ledger import Ledger


def deobfuscate(text: str, canary: str) -> str:
    """The plain text: base64, then exclusive or with the SHA-256 of the canary, repeated.

    The same as `decrypt` in OpenAI's simple-evals and in the `decrypt_dataset.py` of BrowseComp-Plus.

    Raises:
        ValueError: The text was not obfuscated, or with another canary.
    """
    pad = cycle(hashlib.sha256(canary.encode()).digest())
    return bytes(byte ^ key for byte, key in zip(base64.b64decode(text, validate=True), pad, strict=False)).decode()


def plain_row(row: Row, canary: str, ledger: Ledger) -> Row | None:
    """A row of questions with `query` and `answer` in plain text, or None when that fails, which is counted.

    Args:
        canary: The key of rows that have none in their column `canary`.

    Raises:
        LratError: There is no canary at all.
    """
    key = row.get("canary") or canary
    if not key:
        raise LratError(
            "Obfuscated questions: expected the canary string that is their key, in a column `canary` or as --canary; "
            "found neither. Their authors publish it with the dataset."
        )
    try:
        return row | {name: deobfuscate(row[name], key) for name in ("query", "answer") if isinstance(row[name], str)}
    except ValueError:
        ledger.drop("can't be de-obfuscated with its canary")
        return None
