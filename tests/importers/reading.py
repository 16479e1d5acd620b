"""Reading records in tests: what comes out of a source, and the accounts of its records and files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.importers.sources.records import Limits, read_records
from lrat_hub.ledger import Ledger


@dataclass
class Read:
    """What was read: values by the names of their records, the two accounts, and the message of a refusal."""

    values: dict[str, Any]
    records: Ledger
    files: Ledger
    refusal: str = ""


def is_message(value: Any) -> bool:
    return isinstance(value, dict) and "role" in value


def read(path: Path, **limits: int) -> Read:
    """Reads a source, and checks that names are unique and that the accounts add up."""
    result = Read({}, Ledger("records"), Ledger("files"))
    try:
        for record in read_records(path, result.records, is_message, result.files, Limits(**limits)):
            assert record.name not in result.values, record.name
            result.values[record.name] = record.value
            result.records.keep()
    except LratError as error:
        result.refusal = str(error)
    for ledger in (result.records, result.files):
        ledger.to_dict()
    return result
