"""The answer to a natural question, from the passages that the reader has come to for each name in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lrat_hub.demo.natural.names import find_names
from lrat_hub.demo.natural.questions import ParsedQuestion
from lrat_hub.demo.natural.reading import tidy_sentences
from lrat_hub.demo.natural.relations import Language, Relation

_LEAST = re.compile(r"\b(?:first|earlier|earliest|older|oldest|before)\b")
_MOST = re.compile(r"\b(?:later|latest|last|more recently|most recently|younger|youngest|longer|longest)\b")
_WHERE = re.compile(r"\b(?:where|place|city|town|birthplace)\b")
_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})"
_DATE = re.compile(
    rf"(?:(?P<day>\d{{1,2}})(?:st|nd|rd|th)? {_MONTH},? (?P<year>\d{{3,4}})|"
    rf"{_MONTH.replace('month', 'month2')} (?:(?P<day2>\d{{1,2}}),? )?(?P<year2>\d{{3,4}})|(?P<year3>\b\d{{3,4}}\b))",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\(([^()]*\d{3}[^()]*)\)")
_PREPOSITION = re.compile(r"\b(?:in|at|near|for|from|of) (?:the )?(?=[A-Z])")
_RANGE = re.compile(r"\s[-–—]\s?|(?<=\d)[-–—](?=\d)|\s?[–—]\s?")


@dataclass(frozen=True)
class Finding:
    """Where one name of the question has led to.

    Args:
        mention: The name in the question.
        names: What the last hop led to, if the question asks for that, likeliest first.
        text: Else the passage that was read for what is asked.
    """

    mention: str
    names: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, order=True)
class Date:
    """A date, ordered by time, and as it was written. What is not known of it counts as 0."""

    year: int
    month: int = 0
    day: int = 0
    written: str = field(default="", compare=False)


def find_answer(question: str, parsed: ParsedQuestion, findings: Sequence[Finding], language: Language) -> str | None:
    """The answer, if the passages give one: a name, a date, a place, a country, one of the mentions, or yes or no."""
    lower = question.lower()
    if not findings or len(findings) < len(parsed.mentions):
        return None
    if len(findings) > 1:
        return _compare(lower, parsed.attributes, findings, language)
    (finding,) = findings
    if finding.names:
        return finding.names[0]
    for attribute in parsed.attributes:
        if attribute.name in ("born", "died") and not _WHERE.search(lower):
            date = (_birth if attribute.name == "born" else _death)(finding.text)
            return date.written if date else None
        if attribute.name == "nationality":
            return next(iter(_countries(finding.text, language)), None)
        return _place(finding.text, attribute, language)
    return None


def _compare(
    question: str, attributes: Sequence[Relation], findings: Sequence[Finding], language: Language
) -> str | None:
    names = {attribute.name for attribute in attributes}
    if names & {"nationality", "located"}:
        countries = [set(_countries(finding.text, language)) for finding in findings]
        return None if not all(countries) else "yes" if set.intersection(*countries) else "no"
    measure: Callable[[str], Date | float | None] = _first_date
    for name, special in {"lived": _years_of_life, "died": _death, "born": _birth}.items():
        if name in names:
            measure = special
            break
    measured = [(measure(finding.text), finding.mention) for finding in findings]
    if any(value is None for value, _ in measured):
        return None
    if _MOST.search(question):
        return max(measured)[1]
    return min(measured)[1] if _LEAST.search(question) else None


def find_dates(text: str) -> list[Date]:
    """The dates in a text, in order."""
    dates = []
    for match in _DATE.finditer(text):
        month = (match["month"] or match["month2"] or "").lower()
        dates.append(
            Date(
                int(match["year"] or match["year2"] or match["year3"]),
                _MONTHS.index(month) + 1 if month else 0,
                int(match["day"] or match["day2"] or 0),
                match.group(),
            )
        )
    return dates


def _first_date(text: str) -> Date | None:
    return next(iter(find_dates(text)), None)


def _life(text: str) -> tuple[Date | None, Date | None]:
    """Birth and death, from the first brackets with a year, or else from sentences that say so."""
    tidy = " ".join(tidy_sentences(text))
    born = died = None
    if (brackets := _BRACKETS.search(tidy)) is not None:
        before, *after = _RANGE.split(brackets[1], maxsplit=1)
        if after:
            born, died = _first_date(before), _first_date(after[0])
        elif re.search(r"\b(?:died|d\.)", before):
            died = _first_date(before)
        else:
            born = _first_date(before)
    return born or _date_of(tidy, r"\bborn\b"), died or _date_of(tidy, r"\b(?:died|death|killed|executed)\b")


def _date_of(text: str, event: str) -> Date | None:
    said = re.search(rf"{event}[^.;]*", text, re.IGNORECASE)
    return _first_date(said.group()) if said else None


def _birth(text: str) -> Date | None:
    return _life(text)[0]


def _death(text: str) -> Date | None:
    return _life(text)[1]


def _years_of_life(text: str) -> float | None:
    born, died = _life(text)
    if born is None or died is None:
        return None
    return died.year - born.year + (died.month - born.month) / 12 + (died.day - born.day) / 365


def _countries(text: str, language: Language) -> list[str]:
    """Nationalities in the first sentence that has any, in order."""
    for sentence in tidy_sentences(text):
        found = [word for word in re.findall(r"\w+", sentence) if word in language.demonyms]
        if found:
            return list(dict.fromkeys(found))
    return []


def _place(text: str, attribute: Relation, language: Language) -> str | None:
    """The first name after a place's preposition, where a sentence tells of an attribute."""
    for sentence in tidy_sentences(text):
        for cue in attribute.cue.finditer(sentence):
            told = sentence[cue.start() :]
            if told.startswith("("):
                # Brackets of a life: birth before the dash, death after it.
                before, *after = _RANGE.split(cue.group(), maxsplit=1)
                told = before if attribute.name == "born" else "".join(after)
            if (where := _PREPOSITION.search(told)) is not None:
                spans = find_names(told[where.end() :], language)
                if spans and spans[0].start == 0:
                    return spans[0].text
    return None
