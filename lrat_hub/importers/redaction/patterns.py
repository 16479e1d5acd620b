"""How a kind of secret is found: marks that one scan looks for, and what stands around a mark when it is a secret."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

REDACTED = "[redacted: "
"""What a replacement begins with: nothing that does is redacted again."""


class Span(NamedTuple):
    """What is replaced in a text.

    Args:
        start, end: The characters from start up to end.
        quote: Written around the replacement, for a number in JSON.
    """

    start: int
    end: int
    quote: str = ""


class Finding(NamedTuple):
    """What stands at a mark.

    Args:
        spans: The secrets.
        resume: Marks of this pattern before that index are no secrets; this keeps the work linear.
    """

    spans: tuple[Span, ...] = ()
    resume: int = 0


NOTHING = Finding()


@dataclass(frozen=True)
class Pattern:
    """One kind of secret.

    Args:
        name: What it is, for the ledger and in its place.
        marks: Texts of which one stands in every secret of this kind or before it; upper and lower case matter.
        find: From a text and the start and end of a mark in it, the secrets there. Its work is bounded by a constant,
            or by the length of the secrets.
    """

    name: str
    marks: tuple[str, ...]
    find: Callable[[str, int, int], Finding]


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())
