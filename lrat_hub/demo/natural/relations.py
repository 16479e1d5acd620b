"""Relation words and how passages express them, read from `relations.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml


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
    data = yaml.safe_load(files(__package__).joinpath("relations.yaml").read_text(encoding="utf-8"))
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
