"""Reading values of unknown type: what logs hold where an id, a text, a number or an object is expected."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from lrat_hub.schema import Sampling


class UnreadableRecord(Exception):
    """A record is no trajectory of its format. The message is the reason in the ledger."""


INT64 = range(-(2**63), 2**63)

# Looking for it twice with `in` takes as long as parsing.
_ESCAPED_SURROGATE = re.compile(r"\\u[dD]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def load_json(text: str) -> Any:
    """The value of a JSON text, storable.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
    """
    value = json.loads(text)
    return storable(value) if _ESCAPED_SURROGATE.search(text) else value


def json_or_none(text: str) -> Any:
    """The value of a JSON text, storable, or None for a text that is not JSON or is nested too deeply."""
    try:
        return load_json(text)
    except (ValueError, RecursionError):
        return None


def storable(value: Any) -> Any:
    r"""The value without lone surrogates, which literals can write as \ud800 and no UTF-8 column can hold."""
    if isinstance(value, str):
        try:
            value.encode()  # a fraction of the time of looking for them
        except UnicodeEncodeError:
            return _SURROGATES.sub("\ufffd", value)
        return value
    if isinstance(value, list):
        return [storable(part) for part in value]
    if isinstance(value, dict):
        return {storable(key): storable(part) for key, part in value.items()}
    return value


def text_of(value: Any) -> str:
    """A value as text: lists of strings a line each, other lists and objects as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "\n".join(value)
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def response_text(response: str) -> str:
    """What a tool showed, out of the object that Hermes' protocol puts around it: `{"name": ..., "content": ...}`."""
    text = response.strip()
    if text.startswith("{") and '"content"' in text and '"name"' in text:
        value = object_of(json_or_none(text))
        if "content" in value and isinstance(value.get("name"), str) and value.keys() <= _RESPONSE:
            return text_of(value["content"])
    return text


def responses_in(text: str, opening: str, closing: str, *, alone: bool) -> list[str]:
    """What stands in the tags around what tools showed, which may hold such tags itself; none where there are none.

    Args:
        alone: Whether nothing may stand around the tags: a page that mentions them is none in them.
    """
    start = 0 if text.lstrip().startswith(opening) else text.find(f"\n{opening}")
    if start < 0 or (alone and text[:start].strip()) or start > AROUND:
        return []
    start = text.index(opening, start) + len(opening)
    end = text.rfind(closing, start)
    after = text[end + len(closing) :].strip() if end >= 0 else ""
    if (alone and after) or len(after) > AROUND:
        return []
    inner = text[start : end if end >= 0 else len(text)]
    return re.split(rf"{re.escape(closing)}\s*{re.escape(opening)}", inner) if closing in inner else [inner]


AROUND = 2000
"""Characters of words that may stand before or behind the tags of a response, such as how many calls are left."""

_RESPONSE = {"name", "content", "tool_call_id", "id", "role"}


def join_texts(*texts: str) -> str:
    """The texts that say something, a line each."""
    return "\n".join(filter(None, texts))


def identifier_of(value: Any) -> str | None:
    """An id as a string: numbers without a fraction as integers; None for what can't be an id."""
    if type(value) is str:
        return value.strip() or None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    return str(value).strip() or None


def docid_of(value: Any) -> str | None:
    """A document's id without the prefix that listings put before it."""
    identifier = identifier_of(value)
    if identifier is not None and identifier.startswith("DocID:"):
        return identifier.removeprefix("DocID:").lstrip() or None
    return identifier


def number_of(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    # JSON has neither NaN nor infinity, and what is read here is published as JSON, too.
    return number if math.isfinite(number) else None


def integer_of(value: Any, within: range = INT64) -> int | None:
    """An integer in a range, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value in within else None


def listed(value: Any) -> list[Any]:
    """A value as a list: itself, nothing for None, or the one it is."""
    return value if isinstance(value, list) else [] if value is None else [value]


def object_of(value: Any) -> Mapping[str, Any]:
    """A JSON object, empty for anything else."""
    return value if isinstance(value, dict) else {}


def model_name(value: Any) -> str:
    """A model's name: the last part of what is often a path of the machine it ran on."""
    return _last_part(text_of(value))


# The runs of a source have few models, and paths take long.
@lru_cache(maxsize=32)
def _last_part(path: str) -> str:
    return PurePosixPath(path).name


def sampling_of(settings: Mapping[str, Any]) -> Sampling:
    """The sampling parameters among settings."""
    return Sampling(
        temperature=number_of(settings.get("temperature")),
        top_p=number_of(settings.get("top_p")),
        presence_penalty=number_of(settings.get("presence_penalty")),
        seed=integer_of(settings.get("seed")),
    )


_METADATA = json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=str, allow_nan=False)


def metadata_of(format_name: str, values: Mapping[str, Any]) -> str:
    """What a source says beyond the columns, as the JSON text of a trajectory's `metadata`."""
    metadata = {"format": format_name, **values}
    try:
        return _METADATA.encode(metadata)
    except ValueError:
        return json.dumps(_finite(metadata), ensure_ascii=False, sort_keys=True, default=str)


def _finite(value: Any) -> Any:
    """The value with texts in place of the numbers that JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return {key: _finite(part) for key, part in value.items()} if isinstance(value, dict) else value


PART_TEXTS = ("text", "content", "refusal", "value")
"""Keys of a part's text; the last is LLaMA-Factory's, which also has calls under it, as JSON."""

_OF_ROWS = ("docid", "doc_id", "document_id", "id", "url", "link")


def is_row(value: Any) -> bool:
    """Whether an element of a tool's content is of what the tool returned, such as a row of a list, and no part."""
    if not isinstance(value, dict) or value.get("type") is not None:
        return False
    texts, ids = (any(value.get(key) is not None for key in keys) for keys in (PART_TEXTS, _OF_ROWS))
    return (ids or not texts) and bool(value.keys() - {"type"})
