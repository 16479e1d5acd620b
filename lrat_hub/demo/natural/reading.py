"""Passages read for what a question asks: sentences, names, dates and places, and the answer that they give."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lrat_hub.demo.natural.language import Language, Relation, Span, find_names, fold
from lrat_hub.demo.natural.questions import Finding, ParsedQuestion
from lrat_hub.text import split_sentences

MAX_NAMES = 3
"""Names taken from a passage for one relation."""

_BEFORE, _RANK, _ONE_WORD, _SENTENCE, _OTHER_PARENT, _ASIDE = 40, 8, 40, 25, 50, 30
"""Added to a name's distance from the cue: it stands before it, after other names, is one word, in a later sentence,
in the other parent's place, or is not what the cue's own words lead to."""

_NEAR = 30
"""Characters between a name and the words that tell of it: twice as many if the name comes second."""

_PREPOSITION = re.compile(r"\b(?:by|with|against|in|at|on|from|during|after|before)\b")

_PARENTAGE = re.compile(
    r"\b(?:sons?|daughters?|child|children|offspring)\b[^.]{0,25}? (?:of|to|by)\b|\bborn (?:\w+ ){0,6}?to\b",
    re.IGNORECASE,
)

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
_LIFE_BRACKETS = re.compile(r"\(([^()]*\d{3}[^()]*)\)")
_BEFORE_PLACE = re.compile(r"\b(?:in|at|near|for|from|of) (?:the )?(?=[A-Z])")
_RANGE = re.compile(r"\s[-–—]\s?|(?<=\d)[-–—](?=\d)|\s?[–—]\s?")


@dataclass(frozen=True)
class Reading:
    """What a passage says about a relation.

    Args:
        sentences: The sentences that say it, as quotable text.
        names: For a hop, whom or what it leads to, likeliest first.
        missing: Attributes that were asked for and are not there.
    """

    sentences: tuple[str, ...]
    names: tuple[str, ...] = ()
    missing: tuple[Relation, ...] = ()


def tidy_sentences(text: str) -> list[str]:
    """The sentences of a passage, with the blanks that tokenisers left removed, and with plain quotation marks."""
    text = re.sub(r"(?<=[\w.])\(", " (", text)
    text = re.sub(r"(?<=[(\[]) +", "", text)
    text = re.sub(r"(?<=\w)- (?=\w)", "-", text)
    return split_sentences(re.sub("[“”]", '"', text))


def read_hop(text: str, subjects: Sequence[str], hop: Relation, language: Language) -> Reading:
    """Reads the passage about a thing for what a hop leads to.

    Args:
        subjects: The thing's name and the passage's title, which are no result.
    """
    sentences = tidy_sentences(text)
    known = [set(fold(subject).split()) for subject in subjects]
    for cue in filter(None, (hop.cue, hop.weak)):
        best: dict[str, tuple[float, str, str]] = {}
        telling_before = 0
        for sentence in sentences:
            if not (cues := list(cue.finditer(sentence))):
                continue
            spans = find_names(sentence, language)
            own = [span for span in spans if any(set(fold(span.text).split()) <= words for words in known)]
            others = [span for span in spans if span not in own]
            for name, score in _score(sentence, others, own, cues, hop, language):
                score += telling_before * _SENTENCE
                key = fold(name)
                if key not in best or score < best[key][0]:
                    best[key] = (score, name, sentence)
            telling_before += bool(others)
        if best:
            ranked = sorted(best.values(), key=lambda entry: entry[0])[:MAX_NAMES]
            telling = dict.fromkeys(sentence for _, _, sentence in ranked)
            return Reading(tuple(telling), tuple(name for _, name, _ in ranked))
    return Reading(())


def _score(
    sentence: str,
    spans: Sequence[Span],
    own: Sequence[Span],
    cues: Sequence[re.Match[str]],
    hop: Relation,
    language: Language,
) -> list[tuple[str, float]]:
    """Each span that can be meant, with its distance from a cue and what speaks against it.

    Args:
        own: Spans that name the passage's own subject.
    """
    scores = []
    is_kin = hop.name in ("father", "mother", "parent")
    parentage = _PARENTAGE.search(sentence) if is_kin else None
    parents = [span for span in spans if parentage and span.start >= parentage.end()][:2]
    for span in spans:
        distances = []
        for cue in cues:
            if span.start >= cue.end():
                rank = sum(cue.end() <= other.start < span.start for other in spans)
                aside = is_kin and _PREPOSITION.search(sentence, cue.end(), span.start)
                distances.append(span.start - cue.end() + _RANK * rank + (_ASIDE if aside else 0))
            elif span.end <= cue.start():
                rank = sum(span.start < other.start and other.end <= cue.start() for other in spans)
                # "Ismail married Tajlu", in the passage on Tajlu.
                turned = any(0 <= other.start - cue.end() <= 2 for other in own)
                distances.append((0 if turned else _BEFORE) + cue.start() - span.end + _RANK * rank)
        # A cue inside of a name, as in "Directors Guild", tells nothing of it.
        if not distances:
            continue
        score = min(distances) + (_ONE_WORD if span.is_one_word else 0)
        if hop.name in ("father", "mother"):
            if _is_other_parent(sentence, span, hop.name, language):
                continue
            score += _parent_penalty(sentence, span, parents, hop.name)
        scores.append((span.text, float(score)))
    return scores


def _is_other_parent(sentence: str, span: Span, parent: str, language: Language) -> bool:
    """Whether a rank or a word of kinship says that a name is the other parent's."""
    before = sentence[: span.start].replace(",", " ").split()[-2:]
    words = [*(before if "of" not in before else ()), *span.text.split()]
    is_female = any(word in language.female for word in words)
    is_male = any(word in language.male for word in words)
    return is_female != is_male and is_female == (parent == "father")


def _parent_penalty(sentence: str, span: Span, parents: Sequence[Span], parent: str) -> float:
    """What the place in "son of A and B" says of a name: A is the father then, and B the mother."""
    if len(parents) < 2 or not re.search(r"\b(?:and|by|with|&)\b", sentence[parents[0].end : parents[1].start]):
        return float(_OTHER_PARENT if parent == "mother" and span in parents[:1] else 0)
    meant = parents[0] if parent == "father" else parents[1]
    # What the distance takes from the mother, her place gives back.
    return -float(meant.start - parents[0].start) if span == meant else float(_OTHER_PARENT)


def read_inverse(text: str, name: str, hop: Relation) -> Reading:
    """Reads the passage of something else for a sentence that has the name close to the relation's other side."""
    wanted = re.compile(re.escape(name), re.IGNORECASE)
    for sentence in tidy_sentences(text):
        names, cues = list(wanted.finditer(sentence)), list(hop.inverse.finditer(sentence))
        if any(-_NEAR < match.start() - cue.start() < 2 * _NEAR for match in names for cue in cues):
            return Reading((sentence,))
    return Reading(())


def read_attributes(text: str, attributes: Sequence[Relation]) -> Reading:
    """Reads a passage for attributes: the first sentence for each, and those that have none."""
    sentences = tidy_sentences(text)
    told, missing = [], []
    for attribute in attributes:
        sentence = next((sentence for sentence in sentences if attribute.cue.search(sentence)), None)
        if sentence is None:
            missing.append(attribute)
        else:
            told.append(sentence)
    return Reading(tuple(dict.fromkeys(told)), missing=tuple(missing))


def read_topic(text: str, words: Sequence[str]) -> Reading:
    """Reads a passage for the sentence with most of some words; the first one if there are no words."""
    sentences = tidy_sentences(text)
    shared = [len({fold(word) for word in words} & set(fold(sentence).split())) for sentence in sentences]
    if not sentences or (words and not max(shared)):
        return Reading(())
    return Reading((sentences[shared.index(max(shared))],))


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
    if (brackets := _LIFE_BRACKETS.search(tidy)) is not None:
        before, *after = _RANGE.split(brackets[1], maxsplit=1)
        if after:
            born, died = _first_date(before), _first_date(after[0])
        elif re.search(r"\b(?:died|d\.)", before):
            died = _first_date(before)
        else:
            born = _first_date(before)
    return born or _date_of(tidy, r"\bborn\b"), died or _date_of(tidy, r"\b(?:died|death|killed|executed)\b")


def _date_of(text: str, event: str) -> Date | None:
    event_text = re.search(rf"{event}[^.;]*", text, re.IGNORECASE)
    return _first_date(event_text.group()) if event_text else None


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
        countries = [word for word in re.findall(r"\w+", sentence) if word in language.demonyms]
        if countries:
            return list(dict.fromkeys(countries))
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
            if (where := _BEFORE_PLACE.search(told)) is not None:
                spans = find_names(told[where.end() :], language)
                if spans and spans[0].start == 0:
                    return spans[0].text
    return None
