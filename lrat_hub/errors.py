"""The one exception that users of the library and of the `lrat` command are meant to see."""

from __future__ import annotations


class LratError(Exception):
    """Something the user can mend: bad input, a missing repository, artifacts that don't fit together.

    The message is one line that says what failed, what was expected and found, and what to do; the `lrat`
    command prints it and exits with 1. Anything else that is raised is a defect of this library.
    """
