"""Times as logs write them, in seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from lrat_hub.importers.values import number_of


def seconds_of(value: Any) -> float | None:
    """A time in seconds since 1970: ISO 8601, a datetime, or a number of seconds or of milli, micro or nanoseconds."""
    if isinstance(value, datetime):
        return _timestamp(value)
    if isinstance(value, str):
        text = value.strip()
        if text.isdecimal():
            return seconds_of(int(text)) if len(text) < 30 else None
        try:
            return _timestamp(datetime.fromisoformat(text.replace("Z", "+00:00").replace(" UTC", "+00:00")))
        except ValueError:
            return None
    number = number_of(value)
    if number is None or not 0 <= number < 1e20:
        return None
    for unit in (1e9, 1e6, 1e3):
        if number > 1e8 * unit:
            return number / unit
    return number


def _timestamp(value: datetime) -> float | None:
    try:
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError, OSError):
        return None
