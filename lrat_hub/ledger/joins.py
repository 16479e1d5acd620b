"""Joins of two tables by id: how many met, which strayed, and what keeps the others apart.

Wherever two tables meet by their ids (queries and judgements, run files and queries, trajectories and questions, pairs
and a corpus), `match_ids` counts. A join in which nothing matched is an error, never a table of zeros.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lrat_hub.errors import LratError

EXAMPLES = 3


@dataclass(frozen=True)
class Join:
    """What came of matching two sets of ids.

    Args:
        wanted, given: What the ids are of, in the plural: "judged queries", "queries of the run file".
        num_wanted, num_given, num_matched: Counts of distinct ids.
        wanted_strays, given_strays: The first ids of each side that the other lacks.
        hint: By what the strays differ, where that is one of the usual things; "" otherwise.
        is_lookup: Whether the given side is only looked up in, as a corpus is: what nobody wants of it is no stray.
    """

    wanted: str
    given: str
    num_wanted: int
    num_given: int
    num_matched: int
    wanted_strays: tuple[str, ...] = ()
    given_strays: tuple[str, ...] = ()
    hint: str = ""
    is_lookup: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether every id that was wanted was given."""
        return self.num_matched == self.num_wanted

    def to_dict(self) -> dict[str, Any]:
        """For lineage and cards."""
        return {
            "wanted": self.wanted,
            "given": self.given,
            "matched": self.num_matched,
            "of": self.num_wanted,
            "given_count": self.num_given,
            "wanted_strays": list(self.wanted_strays),
            "given_strays": list(self.given_strays),
        } | ({"hint": self.hint} if self.hint else {})

    def __str__(self) -> str:
        text = f"matched {self.num_matched} of {self.num_wanted} {self.wanted} with {self.given}"
        strays = [
            f"{name} without a match: {count} (such as {', '.join(map(repr, examples))})"
            for name, count, examples in (
                (self.wanted, self.num_wanted - self.num_matched, self.wanted_strays),
                (self.given, 0 if self.is_lookup else self.num_given - self.num_matched, self.given_strays),
            )
            if count
        ]
        return "; ".join([text, *strays, *([self.hint] if self.hint else [])])


def match_ids(
    wanted: Iterable[str],
    given: Iterable[str],
    *,
    wanted_name: str,
    given_name: str,
    what: str,
    require: bool = True,
    cure: str = "They don't belong together.",
) -> Join:
    """Matches the ids that are wanted with those that are given.

    Args:
        wanted_name, given_name: What the ids are of, in the plural, for the message.
        what: What is joined, the start of an error: "Run file bm25.trec".
        require: Whether to raise when nothing matched.
        cure: What to do then, the end of the message, unless a usual difference keeps the ids apart.

    Raises:
        LratError: Both sides have ids, and not one of them matched; or one side has none at all.
    """
    mine, theirs = dict.fromkeys(wanted), dict.fromkeys(given)
    matched = mine.keys() & theirs.keys()
    mine_left = [key for key in mine if key not in matched]
    theirs_left = [key for key in theirs if key not in matched]
    join = Join(
        wanted_name,
        given_name,
        len(mine),
        len(theirs),
        len(matched),
        tuple(mine_left[:EXAMPLES]),
        tuple(theirs_left[:EXAMPLES]),
        near_miss(mine_left, theirs_left),
    )
    return require_match(join, what=what, cure=cure) if require else join


def require_match(join: Join, *, what: str, cure: str = "They don't belong together.") -> Join:
    """The join, when anything matched.

    Raises:
        LratError: Nothing did. It has examples of both sides and, where one is known, what keeps them apart.
    """
    if not join.num_matched:
        left, right = (", ".join(map(repr, strays)) or "none" for strays in (join.wanted_strays, join.given_strays))
        sides = f"found {join.wanted} such as {left} and {join.given} such as {right}"
        cure = f"{join.hint[0].upper()}{join.hint[1:]}." if join.hint else cure
        raise LratError(
            f"{what}: expected ids that match, and 0 of {join.num_wanted} {join.wanted} are among the "
            f"{join.num_given} {join.given}; {sides}. {cure}"
        )
    return join


def require_once(ids: Iterable[str], *, what: str, name: str) -> None:
    """Refuses ids that occur twice: the one rule for repeats, wherever an id names a row.

    Raises:
        LratError: One of them does.
    """
    if repeated := [key for key, count in Counter(ids).items() if count > 1]:
        raise LratError(
            f"{what}: expected every {name} once, found {len(repeated)} repeated: "
            f"{', '.join(map(repr, repeated[:EXAMPLES]))}{' ...' if len(repeated) > EXAMPLES else ''}."
        )


def near_miss(wanted: Iterable[str], given: Iterable[str]) -> str:
    """By what ids differ that would match otherwise, with an example; "" where no usual difference brings half of them
    together. Short numbers match by chance once their prefixes are gone, which is why the example is there."""
    mine, theirs = sorted(set(wanted)), sorted(set(given))
    if not mine or not theirs:
        return ""
    for difference, plain in DIFFERENCES.items():
        ours, others = {plain(key): key for key in mine}, {plain(key): key for key in theirs}
        # Where it makes many ids one, as a prefix of chunks does that are numbered in each document, it explains none.
        keeps_apart = 2 * len(ours) > len(mine) and 2 * len(others) > len(theirs)
        if keeps_apart and 2 * len(common := ours.keys() & others.keys()) >= min(len(mine), len(theirs)):
            example = min(common)
            return (
                f"{len(common)} of them would match but for {difference}, such as {ours[example]!r} and "
                f"{others[example]!r}"
            )
    return ""


def _without_prefix(key: str) -> str:
    """The part of an id that begins with its last run of digits or, without any, what follows the last separator."""
    return re.sub(r"^.*?(\d[\w.-]*)$", r"\1", key) if re.search(r"\d", key) else re.split(r"[:/_#-]", key)[-1]


def _number(key: str) -> str:
    return re.sub(r"^(-?\d+)\.0+$", r"\1", key)


def _plainest(key: str) -> str:
    plain = _without_prefix(re.sub(r"[\s\ufeff\"']", "", key)).casefold()
    return _number(plain).lstrip("0") or "0"


DIFFERENCES: Mapping[str, Callable[[str], str]] = {
    "a byte order mark": lambda key: key.replace("\ufeff", ""),
    "blanks around them": lambda key: key.strip(" \t\r\n\xa0\ufeff"),
    "quotes around them": lambda key: key.strip(" \"'"),
    "upper and lower case": str.casefold,
    "'.0' at the end, which whole numbers get in tables with gaps": _number,
    "leading zeros": lambda key: key.lstrip("0") or "0",
    "blanks that are written in other ways (+, %20, _)": lambda key: re.sub(r"%20|\+|_|\s+", " ", key),
    "a prefix": _without_prefix,
    "a prefix, case, blanks, quotes and zeros together": _plainest,
}
"""What keeps ids apart that mean the same, the simplest first, and how they look without it."""
