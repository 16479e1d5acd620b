"""Two-hop clue questions on Wikipedia articles, with known evidence and answers.

A question describes two passages of one article by a *clue* each: a few content words of one sentence, most of them
replaced by synonyms, so that words alone do not always find the passage. The second sentence has a blank in the
place of a linked name: the answer. The clues without the blank are retrieval queries of their own, each with one
gold passage.

A question is one string, and everything that an agent knows of it:

    Two passages of one article are described below, in other words. Passage 1: <clue>. Passage 2: <clue with ____>.
    Which name belongs in the blank?

Synonyms are WordNet 3.1's, cut down to the words of this corpus: `lrat_hub/demo/synonyms.json.gz`, with WordNet's
licence beside it in `WORDNET_LICENSE.txt`; `dataset_builders/build_synonyms.py` makes it.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from lrat_hub.demo.wikipedia import Article, Passage, read_articles
from lrat_hub.errors import LratError
from lrat_hub.schema import Document
from lrat_hub.text import Word, is_content_word, split_words

SPLITS = ("train", "dev", "test")

MIN_PASSAGES, MAX_PASSAGES = 4, 18
"""Passages of an article in the corpus: short articles are left out, of long ones a sample is taken."""

MIN_PASSAGES_ASKED = 8
"""Passages of an article that questions are asked about; the others are only there to be confused with."""

NUM_ARTICLES = {"test": 30, "dev": 12}
"""Articles that are held out, in the order in which they are drawn. Questions are asked on all others in train."""

MAX_QUESTIONS = {"train": 12, "dev": 8, "test": 8}
"""Questions on one article, so that no article outweighs the others."""

MIN_CLUE_WORDS, MAX_CLUE_WORDS = 5, 7
MAX_ANSWER_WORDS = 4

BLANK = "____"
"""Stands in a clue where its sentence has the name that is asked for."""

_QUESTION = re.compile(
    r"Two passages of one article are described below, in other words\. "
    r"Passage 1: (?P<first>.+)\. Passage 2: (?P<second>.+)\. Which name belongs in the blank\?"
)


@dataclass(frozen=True)
class Clue:
    """A retrieval query and the docid of the passage that it describes."""

    query_id: str
    query: str
    docid: str


@dataclass(frozen=True)
class ClueQuestion:
    """A question: `question` is what an agent gets; the answer and the clues' docids are for its judges."""

    question_id: str
    question: str
    answer: str
    clues: tuple[Clue, Clue]


@dataclass(frozen=True)
class ClueCollection:
    """A corpus and questions on it; the articles that two splits ask about are never the same.

    Args:
        held_out: Docids of all passages of the articles of dev and test, which must not be trained on.
    """

    documents: tuple[Document, ...]
    questions: dict[str, tuple[ClueQuestion, ...]]
    held_out: tuple[str, ...]

    def clues(self, split: str) -> list[Clue]:
        """The retrieval queries of a split, in the order of its questions."""
        return [clue for question in self.questions[split] for clue in question.clues]

    def qrels(self, split: str) -> dict[str, dict[str, int]]:
        """The relevance judgements of `clues(split)`: query_id -> docid -> 1."""
        return {clue.query_id: {clue.docid: 1} for clue in self.clues(split)}


def build_clue_collection(seed: int = 0, *, articles: Sequence[Article] | None = None) -> ClueCollection:
    """Builds the quickstart's corpus and questions; the same seed and articles give the same collection.

    Args:
        seed: Decides which passages are kept, which articles are held out and what is asked.
        articles: What to build from; the articles of the dump in the gensim distribution if None.

    Raises:
        LratError: If that dump is not installed.
    """
    articles = read_articles() if articles is None else articles
    kept = [_sample(article, seed) for article in articles if len(article.passages) >= MIN_PASSAGES]
    asked = [article for article in kept if len(article.passages) >= MIN_PASSAGES_ASKED]
    random.Random(f"{seed}:split").shuffle(asked)

    thesaurus = Thesaurus.load()
    questions = {}
    held_out: list[str] = []
    for split, count in [*NUM_ARTICLES.items(), ("train", len(asked))]:
        drawn, asked = asked[:count], asked[count:]
        if split != "train":
            held_out += [passage.docid for article in drawn for passage in article.passages]
        questions[split] = tuple(
            question
            for article in drawn
            for question in _ask(article, split, thesaurus, random.Random(f"{seed}:{article.page_id}"))
        )
    documents = tuple(passage.document for article in kept for passage in article.passages)
    return ClueCollection(documents, {split: questions[split] for split in SPLITS}, tuple(sorted(held_out)))


def _sample(article: Article, seed: int) -> Article:
    """Keeps at most MAX_PASSAGES passages of an article, in their order."""
    if len(article.passages) <= MAX_PASSAGES:
        return article
    places = random.Random(f"{seed}:sample:{article.page_id}").sample(range(len(article.passages)), MAX_PASSAGES)
    return Article(article.page_id, article.title, tuple(article.passages[index] for index in sorted(places)))


def _ask(article: Article, split: str, thesaurus: Thesaurus, rng: random.Random) -> Iterator[ClueQuestion]:
    """Questions on an article. No passage is gold twice for the same place in a question."""
    title_words = {word.lower for word in split_words(article.title)}
    seconds = rng.sample(article.passages, len(article.passages))
    firsts = rng.sample(article.passages, len(article.passages))
    number = 0
    for second in seconds:
        blanked = _blanked_clue(second, title_words, thesaurus, rng)
        if blanked is None:
            continue
        second_clue, answer = blanked
        hidden = title_words | {word.lower for word in split_words(answer)}
        for first in firsts:
            if first is not second and (first_clue := _plain_clue(first, hidden, thesaurus, rng)) is not None:
                break
        else:
            continue
        firsts.remove(first)
        question_id = f"{split}-{article.page_id}-{number}"
        yield ClueQuestion(
            question_id,
            write_question(first_clue, second_clue),
            answer,
            (
                Clue(f"{question_id}-1", first_clue, first.docid),
                Clue(f"{question_id}-2", " ".join(second_clue.replace(BLANK, " ").split()), second.docid),
            ),
        )
        number += 1
        if number == MAX_QUESTIONS[split]:
            return


def _plain_clue(passage: Passage, hidden: set[str], thesaurus: Thesaurus, rng: random.Random) -> str | None:
    for sentence in rng.sample(passage.sentences, len(passage.sentences)):
        words = _reworded(split_words(sentence.text), hidden, thesaurus, rng)
        if words is not None:
            return " ".join(text for _, text in words)
    return None


def _blanked_clue(
    passage: Passage, title_words: set[str], thesaurus: Thesaurus, rng: random.Random
) -> tuple[str, str] | None:
    """A clue with a blank, and the name that belongs there."""
    links = [(sentence.text, anchor) for sentence in passage.sentences for anchor in sentence.anchors]
    for text, anchor in rng.sample(links, len(links)):
        answer_words = {word.lower for word in split_words(anchor)}
        if not _is_answer(anchor) or answer_words & title_words or text.count(anchor) > 1:
            continue
        words = _reworded(split_words(text), title_words | answer_words, thesaurus, rng)
        if words is not None:
            offset = text.index(anchor)
            before = [word for start, word in words if start < offset]
            after = [word for start, word in words if start > offset]
            return " ".join([*before, BLANK, *after]), anchor
    return None


def _is_answer(anchor: str) -> bool:
    """Whether a link's anchor is a name that can be asked for: every content word of it is capitalised."""
    words = split_words(anchor)
    content = [word.text for word in words if is_content_word(word.lower)]
    return bool(content) and len(words) <= MAX_ANSWER_WORDS and all(word[0].isupper() for word in content)


def _reworded(
    words: Sequence[Word], hidden: set[str], thesaurus: Thesaurus, rng: random.Random
) -> list[tuple[int, str]] | None:
    """Picks words of a sentence for a clue, in order, with synonyms for all that have one.

    At most one proper word or number is kept: more of them make a clue that every retriever finds.

    Args:
        words: The words of the sentence.
        hidden: Lower-case words that the clue must not have.

    Returns:
        Pairs of the place in the sentence and the word to write, or None if the sentence has too few words.
    """
    usable: dict[str, Word] = {}
    for word in words:
        if is_content_word(word.lower) and word.lower not in hidden:
            usable.setdefault(word.lower, word)
    # Every sentence starts with a capital letter: whether its first word is a proper word cannot be told.
    names = [word for word in usable.values() if word.is_name_like and word is not words[0]]
    others = [word for word in usable.values() if not word.is_name_like]
    kept = rng.sample(names, min(1, len(names)))
    kept += rng.sample(others, min(rng.randint(MIN_CLUE_WORDS, MAX_CLUE_WORDS) - len(kept), len(others)))
    if len(kept) < MIN_CLUE_WORDS:
        return None
    avoided = hidden | {word.lower for word in words}
    written = []
    for word in sorted(kept, key=lambda word: word.start):
        synonyms = [synonym for synonym in thesaurus.synonyms(word.text) if synonym not in avoided]
        text = rng.choice(synonyms) if synonyms else word.text
        avoided.add(text)
        written.append((word.start, text))
    return written


def write_question(first_clue: str, second_clue: str) -> str:
    """The question for two clues, of which the second has the blank."""
    return (
        "Two passages of one article are described below, in other words. "
        f"Passage 1: {first_clue}. Passage 2: {second_clue}. Which name belongs in the blank?"
    )


def read_question(question: str) -> tuple[str, str]:
    """Gives the two clues of a question.

    Raises:
        LratError: If the question is worded in another way.
    """
    match = _QUESTION.fullmatch(question)
    if match is None:
        raise LratError(
            f"Reading a clue question failed: expected {write_question('<clue>', f'<clue with {BLANK}>')!r}, "
            f"found {question!r}. Ask another agent."
        )
    return match["first"], match["second"]


class Thesaurus:
    """Synonyms of lower-case English words.

    Args:
        synonyms: For each word its synonyms, those of its commonest sense first. Inflected words may be keys;
            their synonyms are base forms.
    """

    def __init__(self, synonyms: Mapping[str, Sequence[str]]) -> None:
        self._synonyms = {word: tuple(others) for word, others in synonyms.items()}
        related: dict[str, set[str]] = {}
        for word, others in self._synonyms.items():
            for other in others:
                related.setdefault(word, {word}).add(other)
                related.setdefault(other, {other}).add(word)
        self._related = {word: frozenset(others) for word, others in related.items()}

    @classmethod
    def load(cls) -> Thesaurus:
        """The list that ships with this package."""
        data = files("lrat_hub.demo").joinpath("synonyms.json.gz").read_bytes()
        return cls(json.loads(gzip.decompress(data)))

    def synonyms(self, word: str) -> tuple[str, ...]:
        """What can be written for `word`; nothing for a word that is not in the list."""
        return self._synonyms.get(word, ())

    def related(self, word: str) -> frozenset[str]:
        """What may be meant by `word`: itself, its synonyms and the words that it is a synonym of."""
        return self._related.get(word) or frozenset((word,))
