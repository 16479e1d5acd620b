"""What a natural question asks, and the way from each name in it: what is looked for, what fits, how to ask for it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lrat_hub.demo.natural.language import (
    MOST_WORDS,
    Language,
    Relation,
    are_spelt_alike,
    fold,
    title_match,
)
from lrat_hub.schema import Candidate

ROLE_BONUS, TOPIC_BONUS = 0.6, 0.2
"""Added to how well a title fits a name: its brackets, or its passage's beginning, say what is looked for."""

BEGINNING = 200
"""Characters of a snippet that say what a passage is about."""

MIN_SNIPPET_SHARE = 0.6
"""Share of the wanted words in a snippet for its passage to be opened, if snippets decide."""


_LEADING = "\"'“‘«([{¿¡"
_TRAILING = ',;:?!."”»'


@dataclass(frozen=True)
class ParsedQuestion:
    """A question as the reader understands it.

    Args:
        mentions: Names in the question, in order.
        chains: Hops to follow from every mention, one after the other; several if kinship can mean several. A
            question without hops has one empty chain.
        attributes: What is asked of the last thing of the chain; empty if the thing itself is asked for.
        topic: The words left, such as "film", in order.
    """

    mentions: tuple[str, ...]
    chains: tuple[tuple[Relation, ...], ...]
    attributes: tuple[Relation, ...]
    topic: tuple[str, ...]


@dataclass(frozen=True)
class _Token:
    text: str
    is_capital: bool
    is_possessive: bool


def parse_question(question: str, language: Language) -> ParsedQuestion:
    """Splits a question into mentions, chains of hops, attributes and topic words."""
    mentions, words = _split(question, language)
    chains = _chains(words, language, several=len(mentions) > 1)
    attributes, topic = [], []
    for word, _ in words:
        if (attribute := language.attributes.get(word)) is not None:
            attributes.append(attribute)
        elif not _is_hop(word, language) and word not in language.stop and word[0].isalnum():
            topic.append(word)
    return ParsedQuestion(
        tuple(dict.fromkeys(mentions)), chains, tuple(dict.fromkeys(attributes)), tuple(dict.fromkeys(topic))
    )


def _split(question: str, language: Language) -> tuple[list[str], list[tuple[str, bool]]]:
    """The mentions, and the other words in lower case, each with whether it stands before the first mention."""
    tokens = [_read_token(text) for text in question.split()]
    mentions: list[str] = []
    words: list[tuple[str, bool]] = []
    run: list[str] = []

    def close() -> None:
        if run:
            mentions.append(_clean(" ".join(run)))
            run.clear()

    for index, token in enumerate(tokens):
        goes_on = index + 1 < len(tokens) and tokens[index + 1].is_capital
        lower = re.sub(r"['’]s$|['’]$", "", token.text.strip(_LEADING + _TRAILING).lower())
        is_opener = index == 0 and (
            lower in language.openers or (lower in language.openers_before_lower and not goes_on)
        )
        is_description = not run and _is_description(tokens[index:], language)
        if token.is_capital and not is_opener and not is_description:
            run.append(token.text)
            if token.is_possessive and not goes_on:
                close()
        elif run and token.text in language.connectors and _reaches_capital(tokens[index + 1 :], language):
            run.append(token.text)
        else:
            close()
            if lower:
                words.append((lower, not mentions))
    close()
    return [mention for mention in mentions if mention], words


def _read_token(text: str) -> _Token:
    bare = text.lstrip(_LEADING)
    possessive = bool(re.search(r"['’]s?$", bare.rstrip(_TRAILING)))
    return _Token(text, bare[:1].isupper() or bare[:1].isdigit(), possessive)


def _is_description(tokens: Sequence[_Token], language: Language) -> bool:
    """Whether the first token is a year or nationality of something in lower case: "the 1917 American film X"."""
    for token in tokens:
        if not (token.text in language.demonyms or token.text.isdigit()):
            return token is not tokens[0] and not token.is_capital and token.text.isalpha() and token.text != "or"
    return False


def _reaches_capital(tokens: Sequence[_Token], language: Language) -> bool:
    for token in tokens:
        if token.is_capital:
            return True
        if token.text not in language.connectors:
            return False
    return False


def _clean(mention: str) -> str:
    """A mention without what surrounds it; brackets that belong together stay."""
    mention = re.sub(r"['’]s$|(?<=s)['’]$", "", mention.strip(_TRAILING + "\"“«‘'").strip())
    if mention.count("(") < mention.count(")"):
        mention = mention.rstrip(")")
    return mention.strip()


def _is_hop(word: str, language: Language) -> bool:
    return word in language.hops or word in language.kin or word in ("paternal", "maternal")


def _chains(
    words: Sequence[tuple[str, bool]], language: Language, *, several: bool
) -> tuple[tuple[Relation, ...], ...]:
    """Hops in the order in which they are followed from a mention.

    Those before the mention are nearest to it last ("the mother of the director of X"), those after it first ("X's
    director's mother").
    """
    asks_who = any(word in ("who", "whom") for word, _ in words)
    before: list[tuple[tuple[Relation, ...], ...]] = []
    after: list[tuple[tuple[Relation, ...], ...]] = []
    for index, (word, is_before) in enumerate(words):
        side = words[index - 1][0] if index else ""
        if (kin := language.kin.get(f"{side} {word}") or language.kin.get(word)) is not None:
            meanings = kin
        elif (hop := language.hops.get(word) or (language.verbs.get(word) if asks_who else None)) is not None:
            meanings = ((hop,),)
        else:
            continue
        (before if is_before else after).append(meanings)
    ordered = [*reversed(before), *after]
    if several:
        # One chain serves all mentions: "the director of X and the director of Y".
        ordered = list(dict.fromkeys(ordered))
    chains: list[tuple[Relation, ...]] = [()]
    for meanings in ordered:
        chains = [(*chain, *meaning) for chain in chains for meaning in meanings]
    return tuple(chains)


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


@dataclass
class Thread:
    """One mention of the question and the way from it: what is looked for now, and what remains to be followed.

    Args:
        mention: The name in the question.
        meanings: Chains of hops to try from the mention, one after the other, until one has led to its end.
        name: Whose passage is looked for now.
        others: Whom else the last passage may have meant, likeliest first.
        relation: The hop that led to the name; None for the mention itself.
        hops: Relations that remain to be followed.
        found_by_name: Documents listed by the searches for this name.
        rejected: Documents that turned out not to help with it.
        queries: Searches for it that are left.
        finding: What everything that was to be read has led to.
    """

    mention: str
    question: ParsedQuestion
    language: Language
    meanings: deque[tuple[Relation, ...]]
    name: str = ""
    others: deque[str] = field(default_factory=deque)
    relation: Relation | None = None
    hops: tuple[Relation, ...] = ()
    found_by_name: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    queries: deque[str] = field(default_factory=deque)
    finding: Finding | None = None

    @property
    def is_done(self) -> bool:
        return self.finding is not None

    @property
    def asked(self) -> tuple[Relation, ...]:
        """What is to be read in the passage about the name."""
        return self.hops[:1] or self.question.attributes

    @property
    def aim(self) -> str:
        """The same in words."""
        asked = f"the {self.hops[0].say}" if self.hops else listing(self.question.attributes) or "more"
        return f"{asked} of “{self.name}”"

    def wordings(self) -> list[str]:
        """Queries for the name, in the order in which they are tried."""
        relation = " ".join(dict.fromkeys(word for wanted in self.asked for word in wanted.query.split()))
        topic = " ".join(self.question.topic[:2]) if self.relation is None else ""
        wordings = [f"{self.name} {topic} {relation}", f"{self.name} {topic}", self.name]
        return list(dict.fromkeys(" ".join(wording.split()) for wording in wordings))

    def title_fit(self, candidate: Candidate) -> float:
        """How well a candidate's title fits the name; 0 if the passage is hardly about it."""
        match = title_match(self.name, candidate.title, self.language)
        # A title that only resembles the name is as likely another's, unless it was found by the name.
        resembles = candidate.docid in self.found_by_name and (match or are_spelt_alike(self.name, candidate.title))
        return match + 1 + self._role_bonus(candidate) if match >= MOST_WORDS or resembles else 0.0

    def snippet_fit(self, candidate: Candidate) -> float:
        """The share of the words of the name, and of what is asked of it, that a snippet shows; 0 if it is small."""
        wanted = set(fold(" ".join([self.name, *(relation.query for relation in self.asked)])).split())
        share = len(wanted & set(fold(candidate.snippet).split())) / len(wanted)
        return share if share >= MIN_SNIPPET_SHARE else 0.0

    def _role_bonus(self, candidate: Candidate) -> float:
        """What speaks for one namesake among several: it is what the relation leads to, or what the question says."""
        brackets, beginning = candidate.title.partition("(")[2], candidate.snippet[:BEGINNING]
        if self.relation is None:
            words = [word.rstrip("s") for word in self.question.topic]
            in_brackets = any(word in brackets.lower() for word in words)
            in_text = any(word in beginning.lower() for word in words)
        elif self.relation.role is not None:
            in_brackets = bool(self.relation.role.search(brackets))
            in_text = bool(self.relation.role.search(beginning))
        else:
            return 0.0
        return ROLE_BONUS if in_brackets else TOPIC_BONUS if in_text else 0.0


def quoted(texts: Iterable[str]) -> str:
    return ", ".join(f"“{text}”" for text in texts)


def listing(relations: Iterable[Relation]) -> str:
    return " and ".join(dict.fromkeys(relation.say for relation in relations))
