"""What the reader knows of English: relation words, read from `relations.yaml`, and names in running text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import yaml

IDENTICAL, SAME_BUT_BRACKETS, OTHER_BRACKETS, SAME_BUT_RANKS, MOST_WORDS, CONTAINED = 3.0, 2.5, 2.0, 1.8, 1.5, 1.2
"""How well a name fits a title, from `title_match`. From `MOST_WORDS` on both are taken to mean the same."""

_BRACKETS = re.compile(r"\s*\([^()]*\)\s*$")
_TOKEN = re.compile(r"[^\s,;:()\[\]\"“”]+")
_ARTICLES = frozenset(("the", "a", "an", "of", "and"))
_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th)", re.IGNORECASE)
_ABBREVIATION = re.compile(r"(?:[^\W\d_]\.)+|(?:Dr|Mr|Mrs|St|Jr|Sr|Lt|Col)\.")
_MOST, _ALIKE = 0.74, 0.85


@dataclass(frozen=True)
class Relation:
    """Something a question asks of a thing: either a hop, which leads to another thing, or an attribute.

    Args:
        name: "director", or "born".
        query: What a query for it says.
        say: How reasoning names it, after "the" for a hop.
        cue: Finds it in a sentence of the thing's own passage.
        weak: Finds it there where the cue does not, less surely.
        inverse: Finds a hop in the passage of what it leads to.
        role: Finds what a hop leads to in a title or in the beginning of a passage.
    """

    name: str
    query: str
    say: str
    cue: re.Pattern[str]
    inverse: re.Pattern[str]
    weak: re.Pattern[str] | None = None
    role: re.Pattern[str] | None = None


@dataclass(frozen=True)
class Language:
    """All that the reader knows of English. Words are in lower case, but for those that are told by their capitals.

    Args:
        hops, attributes: Relations by the words that name them in questions.
        verbs: Hops by the verbs that name them in questions of who did it.
        kin: Chains of hops by the words for kinship; several where it is one of them.
        detours: Chains of hops that lead to the same as a hop, by its name.
        stop: Words of questions that say nothing about what to look for.
        connectors: Words that may stand in lower case inside of a name.
        openers: First words of questions that are no part of a name.
        openers_before_lower: The same, if the word after them has no capital letter.
        no_names: Capitalised words that name nobody.
        female, male: Words that tell whether a name is a woman's or a man's.
        ranks: Those of them that are a part of names, such as "Queen".
        demonyms: "American" and others.
    """

    hops: Mapping[str, Relation]
    attributes: Mapping[str, Relation]
    verbs: Mapping[str, Relation]
    kin: Mapping[str, tuple[tuple[Relation, ...], ...]]
    detours: Mapping[str, tuple[Relation, ...]]
    stop: frozenset[str]
    connectors: frozenset[str]
    openers: frozenset[str]
    openers_before_lower: frozenset[str]
    no_names: frozenset[str]
    female: frozenset[str]
    male: frozenset[str]
    ranks: frozenset[str]
    demonyms: frozenset[str]


@cache
def english() -> Language:
    """The language of `relations.yaml`, read once."""
    data = yaml.safe_load(files("lrat_hub.demo.natural").joinpath("relations.yaml").read_text(encoding="utf-8"))
    demonyms = frozenset(data["demonyms"].split())
    hops = {name: _relation(name, entry, demonyms) for name, entry in data["hops"].items()}
    attributes = {name: _relation(name, entry, demonyms) for name, entry in data["attributes"].items()}
    words = {
        name: frozenset(data[name].split())
        for name in ("stop", "connectors", "openers", "openers_before_lower", "no_names", "female", "male")
    }
    return Language(
        hops={word: hops[name] for name, entry in data["hops"].items() for word in entry["words"]},
        attributes={word: attributes[name] for name, entry in data["attributes"].items() for word in entry["words"]},
        verbs={word: hops[name] for name, entry in data["hops"].items() for word in entry.get("verbs", ())},
        kin={
            word: tuple(tuple(hops[name] for name in chain) for chain in chains)
            for word, chains in data["kin"].items()
        },
        detours={name: tuple(hops[hop] for hop in chain) for name, chain in data["detours"].items()},
        ranks=frozenset(word for word in words["female"] | words["male"] if word[0].isupper()),
        demonyms=demonyms,
        **words,
    )


def _relation(name: str, entry: Mapping[str, Any], demonyms: frozenset[str]) -> Relation:
    entry = {**entry, "cue": entry["cue"].replace("@demonym", rf"\b(?-i:{'|'.join(sorted(demonyms))})\b")}

    def pattern(key: str) -> re.Pattern[str] | None:
        return re.compile(entry[key], re.IGNORECASE) if key in entry else None

    return Relation(
        name,
        entry.get("query", entry["words"][0]),
        entry.get("say", name),
        cue=re.compile(entry["cue"], re.IGNORECASE),
        inverse=re.compile(entry.get("inverse", entry["cue"]), re.IGNORECASE),
        weak=pattern("weak"),
        role=pattern("role"),
    )


@dataclass(frozen=True)
class Span:
    """A name in a text, with its position there."""

    text: str
    start: int
    end: int

    @property
    def is_one_word(self) -> bool:
        return " " not in self.text


@lru_cache(65_536)
def fold(text: str) -> str:
    """Lower case without accents and punctuation, words between single spaces: for comparison."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(char))
    return " ".join(re.sub(r"['’]", "", plain).replace("_", " ").translate(_PUNCTUATION).split())


class _Punctuation(dict[int, str]):
    """Everything but letters and digits is a blank; looked up once a character."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        self[code] = char if char.isalnum() else " "
        return self[code]


_PUNCTUATION = _Punctuation()


def title_match(name: str, title: str, language: Language) -> float:
    """How well a name fits a title: one of the constants above, or 0."""
    wanted, other = fold(name), fold(title)
    if not wanted:
        return 0.0
    if wanted == other:
        return IDENTICAL
    bare_name, bare_title = fold(_BRACKETS.sub("", name)), fold(_BRACKETS.sub("", title))
    if bare_name == bare_title:
        both = bool(_BRACKETS.search(name)) and bool(_BRACKETS.search(title))
        return OTHER_BRACKETS if both else SAME_BUT_BRACKETS
    first, second = bare_name.split(), bare_title.split()
    ranks = language.ranks
    plain = [word for word in first if word.title() not in ranks]
    if plain and plain == [word for word in second if word.title() not in ranks]:
        return SAME_BUT_RANKS
    words, others = set(first) - _ARTICLES, set(second) - _ARTICLES
    shared = words & others
    if shared and len(shared) >= _MOST * len(words | others):
        return MOST_WORDS
    return CONTAINED if len(shared) >= 2 and shared in (words, others) else 0.0


def are_spelt_alike(name: str, title: str) -> bool:
    """Whether a name and a title may be two spellings of the same: "Bahram Bayzai" and "Bahram Beyzai"."""
    return SequenceMatcher(None, fold(name), fold(_BRACKETS.sub("", title))).ratio() >= _ALIKE


def find_names(sentence: str, language: Language) -> list[Span]:
    """Spans of capitalised words that can name somebody or something, in order.

    A span goes on over a comma if a rank follows ("William, Duke of Saxe-Weimar"), and over connectors in lower case.
    """
    tokens = [(match.group(), match.start(), match.end()) for match in _TOKEN.finditer(sentence)]
    spans: list[Span] = []
    run: list[tuple[str, int, int]] = []

    def close() -> None:
        while run and not _is_capital(run[-1][0]):
            run.pop()
        while run and _is_empty(run[0][0], language):
            run.pop(0)
        if run:
            text = re.sub(r"['’]s?$", "", sentence[run[0][1] : run[-1][2]])
            if not re.search(r"(?:\b[A-Z]|\b(?:Jr|Sr|St))\.$", text):
                text = text.rstrip(".!?")
            if any(char.isalpha() for char in text) and not all(word in language.ranks for word in text.split()):
                spans.append(Span(text, run[0][1], run[0][1] + len(text)))
        run.clear()

    for token, start, end in tokens:
        between = sentence[run[-1][2] : start] if run else ""
        if (
            run
            and between.strip()
            and not (between.strip() == "," and (token in language.ranks or _ORDINAL.fullmatch(token)))
        ):
            close()
        if _is_capital(token) or (run and token in language.connectors):
            run.append((token, start, end))
        else:
            close()
        if run and (_ends_sentence(token) or re.search(r"['’]s$", token)):
            close()
    close()
    return spans


def _is_capital(token: str) -> bool:
    bare = token.lstrip("'‘’")
    return bare[:1].isupper() or bool(_ORDINAL.fullmatch(bare))


def _is_empty(token: str, language: Language) -> bool:
    bare = token.rstrip(".'’")
    if bare in language.no_names or token in language.connectors or bare.isdigit():
        return True
    return all(part in language.demonyms for part in bare.split("-"))


def _ends_sentence(token: str) -> bool:
    return token.endswith((".", "!", "?")) and not _ABBREVIATION.fullmatch(token)
