"""The exceptions that users of the library and of the `lrat` command are meant to see: `LratError` and its kind."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LratError(Exception):
    """An error that the user can fix: bad input, a missing repository, artifacts that don't fit together.

    The message is one line that says what failed, what was expected and found, and what to do; the `lrat`
    command prints it and exits with 1. Anything else that is raised is a defect of this library.
    """


class Unavailable(LratError):
    """Something that is needed gives no answer now; the same may succeed after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def did_you_mean(word: object, known: Iterable[str], *, mark: str = "") -> str:
    """The end of a message about a name that is not known: "; did you mean NAME?", or "" where none is near.

    Args:
        word: What was given.
        known: The names there are.
        mark: Stands before the name, such as "--".
    """
    names = {name.lower().replace("-", "_"): name for name in known}
    near = difflib.get_close_matches(str(word).lower().replace("-", "_"), names, n=1)
    return f"; did you mean {mark}{names[near[0]]}?" if near else ""
