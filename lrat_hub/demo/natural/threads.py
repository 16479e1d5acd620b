"""One name of a question and the way from it: what is looked for, what fits it, and how to ask for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from lrat_hub.demo.natural.answers import Finding
from lrat_hub.demo.natural.names import MOST_WORDS, are_spelt_alike, fold, title_match
from lrat_hub.demo.natural.questions import ParsedQuestion
from lrat_hub.demo.natural.relations import Language, Relation
from lrat_hub.schema import Candidate

ROLE_BONUS, TOPIC_BONUS = 0.6, 0.2
"""Added to how well a title fits a name: its brackets, or its passage's beginning, say what is looked for."""

BEGINNING = 200
"""Characters of a snippet that say what a passage is about."""

MIN_SNIPPET_SHARE = 0.6
"""Share of the wanted words in a snippet for its passage to be opened, if snippets decide."""

Naming = Literal["name", "described"]


@dataclass
class Thread:
    """One mention of the question and the way from it: what is looked for now, and what remains to be followed.

    Args:
        mention: The name in the question.
        meanings: Chains of hops to try from the mention, one after the other, until one has led to its end.
        name: Whose passage is looked for now.
        others: Whom else the last passage may have meant, likeliest first.
        relation: The hop that led to the name; None for the mention itself.
        description: What the passage that led to it says, without the names in it.
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
    description: tuple[str, ...] = ()
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

    def wordings(self, naming: Naming) -> list[str]:
        """Queries for the name, in the order in which they are tried."""
        relation = " ".join(dict.fromkeys(word for wanted in self.asked for word in wanted.query.split()))
        name, topic = self.name, ""
        if self.relation is None:
            topic = " ".join(self.question.topic[:2])
        elif naming == "described":
            name = (fold(name) or name).split()[-1]
            topic = " ".join([self.relation.query, *self.description])
        wordings = [f"{name} {topic} {relation}", f"{name} {topic}", name]
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
