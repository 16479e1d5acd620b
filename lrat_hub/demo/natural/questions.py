"""What a natural question asks: the names it mentions, and the relations to follow from them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lrat_hub.demo.natural.relations import Language, Relation

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

    for place, token in enumerate(tokens):
        goes_on = place + 1 < len(tokens) and tokens[place + 1].is_capital
        lower = re.sub(r"['’]s$|['’]$", "", token.text.strip(_LEADING + _TRAILING).lower())
        is_opener = place == 0 and (
            lower in language.openers or (lower in language.openers_before_lower and not goes_on)
        )
        is_description = not run and _is_description(tokens[place:], language)
        if token.is_capital and not is_opener and not is_description:
            run.append(token.text)
            if token.is_possessive and not goes_on:
                close()
        elif run and token.text in language.connectors and _reaches_capital(tokens[place + 1 :], language):
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
    for place, (word, is_before) in enumerate(words):
        side = words[place - 1][0] if place else ""
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
