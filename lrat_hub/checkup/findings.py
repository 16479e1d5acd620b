"""What a look at an installation finds, in one line each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

Outcome = Literal["ok", "note", "warning", "failed"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        about: What it is, such as "FAISS".
        outcome: "ok"; "note" for what limits the work but may be meant; "warning" for what should be fixed; "failed"
            for what stops the work.
        found: What was found, in a line.
        remedy: What to do about it, in a line; empty where nothing is to be done.
    """

    about: str
    outcome: Outcome
    found: str
    remedy: str = ""


def check() -> Iterator[Finding]:
    """Looks at Python and packages, then at this machine, its disks, and the Hub. Changes nothing.

    Takes some seconds: PyTorch and FAISS are imported, and the Hub is asked.
    """
    from lrat_hub.checkup.installation import check_installation

    yield from map(without_passwords, check_installation())
    try:
        from lrat_hub.checkup.surroundings import check_surroundings
    except ImportError as error:
        yield Finding(
            "machine and Hub",
            "failed",
            f"they can't be looked at without the package {error.name}",
            "Install what is missing above, and look again.",
        )
    else:
        yield from map(without_passwords, check_surroundings())


def without_passwords(finding: Finding) -> Finding:
    """A finding in which addresses have no user and password."""
    return replace(finding, found=_anonymous(finding.found), remedy=_anonymous(finding.remedy))


def _anonymous(text: str) -> str:
    return re.sub(r"(?<=://)[^/\s]*@", "", text)
