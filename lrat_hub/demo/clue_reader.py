"""A deterministic agent for the clue questions of `lrat_hub.demo`: rules in the place of a language model.

It gets the question string only. What a model would bring along, it takes from two sources without labels: a
thesaurus, and how rare a word is in the corpus. The questions were written with the same thesaurus, so it is by
construction a good reader of them, and its traces are templates: it shows that the loop works, not how well a language
model does.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lrat_hub.agents.environment import Observation
from lrat_hub.agents.runner import Answer, Browse, Call, Search
from lrat_hub.demo.clues import BLANK, Thesaurus, read_question
from lrat_hub.documents import Documents
from lrat_hub.schema import Candidate, Document, Sampling
from lrat_hub.text import Word, split_sentences, split_words, stop_words

MAX_BROWSES = 3
"""Documents opened from one result list."""

MIN_SNIPPET_SCORE = 0.22
"""Share of a clue that a snippet must show for its document to be opened; if none does, the best one is."""

SAME_TITLE_BONUS = 0.15
"""Added to that share for the article of the first clue: the question says that both are of one article."""

SUPPORTS, PARTLY = 0.62, 0.34
"""Shares of a clue that a sentence must have to support it, or a part of it."""

_NAME = re.compile(r"[^\W\d_a-z][\w.'’-]*(?: (?:(?:of|the|de|la|von|van) )?[^\W\d_a-z][\w.'’-]*)*")


@dataclass(frozen=True)
class _Reading:
    """What an opened document says about a clue, in the sentence that has most of it.

    Args:
        found: For each clue word that is there, the word of the sentence that stands for it.
        share: Their part of the clue, by weight.
    """

    document: Document
    sentence: str
    matches: dict[str, Word]
    share: float


class ClueReader:
    """Looks for the passage of each clue in turn, then reads the answer off the second one.

    Args:
        documents: The corpus, read once for how rare its words are.
        thesaurus: Synonyms it knows; the list that ships with this package if None.
    """

    name = "clue-reader"
    revision: str | None = None
    sampling = Sampling()

    def __init__(self, documents: Iterable[Document], thesaurus: Thesaurus | None = None) -> None:
        self._thesaurus = thesaurus or Thesaurus.load()
        counts: Counter[str] = Counter()
        self._num_documents = 0
        for document in documents:
            self._num_documents += 1
            counts.update({word.lower for word in split_words(document.content)})
        self._counts = counts

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "max_browses": MAX_BROWSES,
            "min_snippet_score": MIN_SNIPPET_SCORE,
            "same_title_bonus": SAME_TITLE_BONUS,
            "supports": SUPPORTS,
            "partly": PARTLY,
        }

    def start(self, question: str) -> _ReaderEpisode:
        return _ReaderEpisode(self, question)

    def weight(self, word: str) -> float:
        """How much a word says: its inverse document frequency."""
        count = self._counts[word]
        return math.log(1 + (self._num_documents - count + 0.5) / (count + 0.5))

    def find(self, clue: Sequence[str], text: str) -> tuple[dict[str, Word], float]:
        """The words of a text that stand for words of a clue, and the share of the clue that is there."""
        present: dict[str, Word] = {}
        for written in split_words(text):
            present.setdefault(written.lower, written)
        matches = {}
        for word in clue:
            # The word itself goes before its synonyms, and those in the order of the text.
            meant = [present[other] for other in self._thesaurus.related(word.lower()) if other in present]
            if meant:
                matches[word] = min(meant, key=lambda other: (other.lower != word.lower(), other.start))
        total = sum(self.weight(word.lower()) for word in clue)
        return matches, sum(self.weight(word.lower()) for word in matches) / total if total else 0.0

    def read(self, clue: Sequence[str], document: Document) -> _Reading:
        """Reads all of a document for the sentence that has most of a clue."""
        readings = [
            _Reading(document, sentence, *self.find(clue, sentence)) for sentence in split_sentences(document.text)
        ]
        return max(readings, key=lambda reading: reading.share, default=_Reading(document, "", {}, 0.0))

    def queries(self, clue: Sequence[str], title: str | None) -> list[tuple[str, str]]:
        """What to search for a clue, in order, and how to say it; the article's title goes in front once known."""
        rarest = sorted(clue, key=lambda word: -self.weight(word.lower()))
        wordings = {
            "with the words of the clue": clue,
            "with its rarest words": [word for word in clue if word in rarest[:4]],
            "without its two rarest words": [word for word in clue if word not in rarest[:2]],
            "with commoner words for it": [self._common_synonym(word) for word in clue],
        }
        queries: dict[str, str] = {}
        for why, words in wordings.items():
            queries.setdefault(" ".join([title, *words] if title else words), why)
        return list(queries.items())

    def _common_synonym(self, word: str) -> str:
        others = sorted(self._thesaurus.related(word.lower()) - {word.lower()})
        return max(others, key=lambda other: self._counts[other], default=word)


def open_reader(documents: Documents) -> ClueReader:
    """The reader over a corpus; as a plug-in it is `lrat_hub.demo.clue_reader:open_reader`."""
    return ClueReader(documents.in_order())


class _ReaderEpisode:
    """The reader at work. Its course is a generator: it yields calls, and an observation is what a call comes to."""

    def __init__(self, reader: ClueReader, question: str) -> None:
        self._reader = reader
        self.notes: dict[str, Any] = {}
        self._thoughts: list[str] = []
        self._opened: set[str] = set()
        self._must_answer = False
        self._course = self._work(question)

    async def act(self, observation: Observation | None) -> Call:
        # The first send starts the course and has to be None, as the first observation is.
        return self._course.send(observation)  # type: ignore[arg-type]

    def _work(self, question: str) -> Generator[Call, Observation, None]:
        first, second = read_question(question)
        blanked = second.split()
        self._thoughts.append("Both passages belong to one article, so I begin with the first.")
        begun = yield from self._look_for(1, first.split(), None)
        title = begun.document.title if begun else None
        reading = None
        if not self._must_answer:
            reading = yield from self._look_for(2, [word for word in blanked if word != BLANK], title)
        answer = _read_answer(reading, blanked) if reading else None
        if answer is None:
            self._thoughts.append("I have read no name that belongs in the blank.")
        else:
            self._thoughts.append(f"In the place of the blank I read {answer!r}.")
        yield Answer(self._reasoning(), answer or "unknown")

    def _look_for(
        self, number: int, clue: Sequence[str], title: str | None
    ) -> Generator[Call, Observation, _Reading | None]:
        """Searches and opens documents until one supports a clue; else the one that has most of it, if any."""
        best: _Reading | None = None
        for query, why in self._reader.queries(clue, title):
            self._thoughts.append(f"For passage {number} I search {why}.")
            observation = yield Search(self._reasoning(), (query,))
            for candidate, share in self._worth_opening(observation.results, clue, title):
                if observation.is_last:
                    break
                self._thoughts.append(
                    f"I open {candidate.title!r}, DocID {candidate.docid}: it shows {share:.0%} of it."
                )
                observation = yield Browse(self._reasoning(), candidate.docid)
                self._opened.add(candidate.docid)
                if observation.document is None:
                    continue
                reading = self._reader.read(clue, observation.document)
                self._thoughts += _argue(number, clue, reading)
                if reading.share >= PARTLY and (best is None or reading.share > best.share):
                    best = reading
                if reading.share >= SUPPORTS:
                    break
            if observation.is_last:
                self._must_answer = True
                break
            if best is not None and best.share >= SUPPORTS:
                break
        return best

    def _worth_opening(
        self, results: Iterable[Candidate], clue: Sequence[str], title: str | None
    ) -> list[tuple[Candidate, float]]:
        """The candidates to open, best first, with the share of the clue that their snippets show."""
        scored = []
        for candidate in results:
            if candidate.docid not in self._opened:
                share = self._reader.find(clue, candidate.snippet)[1]
                scored.append((share + (SAME_TITLE_BONUS if candidate.title == title else 0.0), share, candidate))
        scored.sort(key=lambda entry: (-entry[0], entry[2].rank))
        good = [entry for entry in scored[:MAX_BROWSES] if entry[0] >= MIN_SNIPPET_SCORE]
        return [(candidate, share) for _, share, candidate in good or scored[:1]]

    def _reasoning(self) -> str:
        """What was thought since the last call, as one text."""
        text = " ".join(self._thoughts)
        self._thoughts.clear()
        return text


def _argue(number: int, clue: Sequence[str], reading: _Reading) -> list[str]:
    """Says in plain words whether a document helped, with one sentence for each confirmed word of the clue."""
    missing = ", ".join(repr(word) for word in clue if word not in reading.matches)
    opened = f"I have read {reading.document.title!r}, DocID {reading.document.docid}."
    if reading.share < PARTLY:
        return [opened, f"It does not help with passage {number}: I find nothing for {missing}."]
    verdict = "supports" if reading.share >= SUPPORTS else "partly supports"
    thoughts = [opened, f"It {verdict} passage {number}, since it says: “{reading.sentence}”"]
    for word, standing in reading.matches.items():
        if standing.lower == word.lower():
            thoughts.append(f"The clue's word {word!r} stands in this sentence just as it is.")
        else:
            thoughts.append(
                f"Where the clue has {word!r}, this sentence has {standing.text!r}, which can mean the same."
            )
    thoughts.append(f"What I do not find is {missing}." if missing else "So nothing of the clue is left open.")
    return thoughts


def _read_answer(reading: _Reading, blanked: Sequence[str]) -> str | None:
    """The name that stands in the sentence where the clue has its blank.

    Clues keep the order of their sentence, so the words on both sides of the blank enclose the answer.
    """
    blank = blanked.index(BLANK)
    left = [reading.matches[word].end for word in blanked[:blank] if word in reading.matches]
    right = [reading.matches[word].start for word in blanked[blank + 1 :] if word in reading.matches]
    start, end = max(left, default=0), min(right, default=len(reading.sentence))
    known = {word.lower for word in split_words(reading.document.title)} | {word.lower() for word in blanked}
    names = []
    for match in _NAME.finditer(reading.sentence):
        words = split_words(match.group())
        while words and _is_no_name(words[-1], known):
            words.pop()
        while words and _is_no_name(words[0], known):
            words.pop(0)
        if words:
            name = match.group()[words[0].start : words[-1].end]
            offset = match.start() + words[0].start
            # How far the name is outside of the place of the blank.
            distance = max(start - offset, offset + len(name) - end, 0)
            # Among names in the same place a long one is likelier to be linked, and a sentence's first word hardly
            # a name: any word would be capitalised there.
            names.append((distance, offset == 0 and len(words) == 1, -len(name), offset, name))
    return min(names)[-1] if names else None


def _is_no_name(word: Word, known: set[str]) -> bool:
    """Whether a name cannot begin or end with a word; an initial, as in "D. H. Lawrence", is no stop word."""
    return word.lower in known or (word.lower in stop_words() and len(word.text) > 1)
