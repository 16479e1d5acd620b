"""The metadata of a repository: the YAML front matter of its README."""

from __future__ import annotations

import datetime
import math
import re
from functools import lru_cache
from typing import Any

import yaml

_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(?P<yaml>.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
# The parser in C is ten times faster, where PyYAML was built with it.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class CardError(ValueError):
    """Front matter that is not a YAML mapping."""


def parse_card(readme: str) -> dict[str, Any] | None:
    """The metadata of a README, as JSON can express it; None if it has no front matter.

    Raises:
        CardError: the front matter is not a YAML mapping.
    """
    match = _FRONT_MATTER.search(readme)
    if match is None:
        return None
    try:
        data = yaml.load(match["yaml"], Loader=_Loader)
    except yaml.YAMLError as error:
        raise CardError(f"invalid YAML: {error}") from None
    if data is None:
        return None
    if not isinstance(data, dict):
        raise CardError(f"expected a mapping, found {type(data).__name__}")
    return _jsonable(data)


def without_front_matter(readme: str) -> str:
    """The text of a README that people read."""
    return _FRONT_MATTER.sub("", readme, count=1)


@lru_cache(maxsize=1024)
def card_data(readme: bytes) -> dict[str, Any] | None:
    """The metadata of a committed README; None if it has none that can be read. Not to be changed by callers."""
    try:
        return parse_card(readme.decode(errors="replace"))
    except CardError:
        return None


def _jsonable(value: Any) -> Any:
    """YAML has dates, infinities and keys that are no text; JSON has not."""
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool | None) else str(value)
