"""Patterns of mapping files: anybody writes them, and some would search a text for years."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import regex

from lrat_hub.errors import LratError

SECONDS = 10.0
"""How long a pattern may search one text. Usual ones take milliseconds for a text of a megabyte."""


class TextPattern(Protocol):
    """What is asked of a pattern that a mapping has, which `re.compile` gives, too."""

    @property
    def groupindex(self) -> Mapping[str, int]: ...

    def finditer(self, string: str, /) -> Iterator[Any]: ...

    def search(self, string: str, /) -> Any: ...


@dataclass(frozen=True)
class BoundedPattern:
    """A pattern whose searches end.

    Args:
        where: Its mapping file and section.
    """

    text: str
    where: str

    @cached_property
    def _compiled(self) -> Any:
        return regex.compile(self.text, regex.MULTILINE)

    @property
    def groupindex(self) -> Mapping[str, int]:
        return self._compiled.groupindex

    def finditer(self, string: str, /) -> Iterator[Any]:
        return iter(self._bounded(lambda: list(self._compiled.finditer(string, timeout=SECONDS)), string))

    def search(self, string: str, /) -> Any:
        return self._bounded(lambda: self._compiled.search(string, timeout=SECONDS), string)

    def _bounded(self, search: Callable[[], Any], string: str) -> Any:
        """What a search finds.

        Raises:
            LratError: It takes too long.
        """
        try:
            return search()
        except TimeoutError as error:
            raise LratError(
                f"Mapping {self.where}: expected a pattern that searches a text of {len(string):,} characters within "
                f"{SECONDS:g} seconds, found {self.text!r}. Avoid a repetition within a repetition."
            ) from error
