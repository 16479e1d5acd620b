"""Replies of models that were asked before, by the content of the request, in a file that survives being killed."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.llm.chat import Reply, ToolCall


def default_cache() -> Path:
    """Where replies to judges are kept when nobody says otherwise: in the cache of the Hugging Face libraries."""
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME) / "lrat" / "replies.sqlite"


def request_key(**request: Any) -> str:
    """sha256 over everything that a reply depends on; whatever order it is named in."""
    return hashlib.sha256(json.dumps(request, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class ReplyCache:
    """Replies by key, in an SQLite file with a write-ahead log: what `put` has returned from is kept.

    Several processes may share the file.

    Args:
        path: The file; it and its folder are made when they are missing.

    Raises:
        LratError: There is something else at that path.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT NOT NULL)")
        except (sqlite3.Error, OSError) as error:
            raise LratError(f"Judge's cache {self.path}: expected a cache file or none yet; {error}.") from error

    def get(self, key: str) -> Reply | None:
        with closing(self._connection.execute("SELECT reply FROM replies WHERE key = ?", (key,))) as rows:
            row = rows.fetchone()
        return _reply(json.loads(row[0])) if row else None

    def put(self, key: str, reply: Reply) -> None:
        text = json.dumps(asdict(reply), ensure_ascii=False)
        self._connection.execute("INSERT OR REPLACE INTO replies VALUES (?, ?)", (key, text))

    def __len__(self) -> int:
        with closing(self._connection.execute("SELECT COUNT(*) FROM replies")) as rows:
            return rows.fetchone()[0]

    def close(self) -> None:
        self._connection.close()


def _reply(row: Mapping[str, Any]) -> Reply:
    # What another version wrote may have other fields.
    known = {item.name: row[item.name] for item in fields(Reply) if item.name in row}
    return Reply(**{**known, "tool_calls": tuple(ToolCall(**call) for call in row["tool_calls"])})
