"""The one exception that users of the library and of the `lrat` command are meant to see."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LratError(Exception):
    """Something the user can mend: bad input, a missing repository, artifacts that don't fit together.

    The message is one line that says what failed, what was expected and found, and what to do; the `lrat`
    command prints it and exits with 1. Anything else that is raised is a defect of this library.
    """


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
