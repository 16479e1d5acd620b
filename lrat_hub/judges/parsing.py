"""Verdicts out of what models write: JSON, one bold word, a line at the end, with or without thinking before it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

THINKING_ENDS = ("</think>", "</thinking>", "</seed:think>", "[/THINK]", "<|channel|>final<|message|>")
"""What stands between a model's thinking and its reply, where the server does not separate them."""

THINKING_STARTS = ("<think>", "<thinking>", "<seed:think>", "[THINK]", "<|channel|>analysis<|message|>")


def after_thinking(text: str) -> str | None:
    """What a model said after it thought; None when it was cut off while thinking.

    The opening tag is often missing, as chat templates put it into the prompt.
    """
    end = max((text.rfind(tag) + len(tag) for tag in THINKING_ENDS if tag in text), default=0)
    rest = text[end:]
    return None if any(tag in rest for tag in THINKING_STARTS) else rest


def read_verdict(text: str, labels: Mapping[str, tuple[str, ...]], field: str) -> str | None:
    """The verdict in a reply, or None when there is none, or more than one.

    In this order: the named field of a JSON object; the field's name, a colon and a verdict; a line that is nothing
    but a verdict. Case, Markdown, quotes and the full stop don't matter. A verdict in the middle of a sentence is not
    read: "not quite irrelevant" can't be.

    Args:
        labels: Each verdict with the words that mean it, in lower case.
        field: Name of the JSON property that holds it.
    """
    said = after_thinking(text)
    if said is None:
        return None
    by_word = {word: label for label, words in labels.items() for word in words}
    found = [by_word.get(_bare(value[field])) for value in _objects(said) if field in value]
    if not found:
        lines = [_bare(line) for line in said.splitlines()]
        named = [line.partition(":") for line in lines]
        found = [by_word.get(value.strip()) for name, _, value in named if name.strip().endswith(field.lower())]
        if not found:
            found = [by_word[line] for line in lines if line in by_word]
    return found[0] if len(set(found)) == 1 else None


def _bare(value: Any) -> str:
    """Lower case and one blank between words, without Markdown, quotes and punctuation around or behind."""
    text = re.sub(r"[*_`#>\"'“”‘’]|^\s*[-•]\s+", "", str(value)).lower()
    return " ".join(text.strip(" \t\r\n.!()[]{}").split())


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder, place = json.JSONDecoder(), 0
    while (place := text.find("{", place)) >= 0:
        try:
            value, place = decoder.raw_decode(text, place)
        except (json.JSONDecodeError, RecursionError):
            place += 1
        else:
            yield value
