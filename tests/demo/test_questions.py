from __future__ import annotations

import itertools

import pytest

from lrat_hub.demo.clues import BLANK, MAX_PASSAGES, SPLITS, ClueCollection, build_clue_collection, read_question
from lrat_hub.demo.wikipedia import Article, installed_dump, read_articles
from lrat_hub.errors import LratError
from lrat_hub.text import split_words


@pytest.fixture(scope="module")
def articles() -> list[Article]:
    try:
        installed_dump()
    except LratError as error:
        pytest.skip(str(error))
    return read_articles()


@pytest.fixture(scope="module")
def collection(articles: list[Article]) -> ClueCollection:
    return build_clue_collection(0, articles=articles)


def lower_words(text: str) -> set[str]:
    return {word.lower for word in split_words(text)}


def test_the_collection_is_large_enough_to_train_and_to_test_on(collection):
    assert len(collection.documents) == len({document.docid for document in collection.documents}) > 1_400
    assert len(collection.questions["train"]) >= 280
    assert len(collection.questions["dev"]) >= 60
    assert len(collection.questions["test"]) >= 160


def test_the_same_seed_gives_the_same_collection_and_another_seed_another(articles, collection):
    assert build_clue_collection(0, articles=articles) == collection
    assert build_clue_collection(1, articles=articles) != collection


def test_splits_share_neither_articles_nor_questions_nor_gold_passages(collection):
    documents = {document.docid: document for document in collection.documents}
    seen = {}
    for split in SPLITS:
        gold = [documents[clue.docid] for clue in collection.clues(split)]
        seen[split] = (
            {document.title for document in gold},
            {document.text for document in gold},
            {question.question for question in collection.questions[split]},
            {clue.query for clue in collection.clues(split)},
        )
    for one, other in itertools.combinations(SPLITS, 2):
        assert all(mine.isdisjoint(theirs) for mine, theirs in zip(seen[one], seen[other], strict=True))


def test_a_question_tells_neither_its_article_nor_its_answer(collection):
    documents = {document.docid: document for document in collection.documents}
    for question in itertools.chain(*collection.questions.values()):
        first, second = read_question(question.question)
        told = lower_words(first) | lower_words(second.replace(BLANK, " "))
        gold = [documents[clue.docid] for clue in question.clues]
        assert gold[0].title == gold[1].title
        assert gold[0] != gold[1]
        assert told.isdisjoint(lower_words(gold[0].title) | lower_words(question.answer))
        assert question.answer in gold[1].text


def test_clues_are_short_reworded_and_have_one_proper_word_at_most(collection):
    documents = {document.docid: document for document in collection.documents}
    shares = []
    for clue in collection.clues("test"):
        words = split_words(clue.query)
        assert 5 <= len(words) <= 7
        assert BLANK not in clue.query
        assert sum(word.is_name_like for word in words) <= 1
        shares.append(len(lower_words(clue.query) & lower_words(documents[clue.docid].text)) / len(words))
    # Exact words alone must not be enough to find the passage.
    assert sum(shares) / len(shares) < 0.5


def test_qrels_name_a_document_of_the_corpus_for_every_clue(collection):
    docids = {document.docid for document in collection.documents}
    qrels = collection.qrels("dev")
    assert list(qrels) == [clue.query_id for clue in collection.clues("dev")]
    assert all(len(judged) == 1 and docids.issuperset(judged) for judged in qrels.values())


def test_long_articles_are_sampled(articles, collection):
    longest = max(articles, key=lambda article: len(article.passages))
    kept = [document for document in collection.documents if document.title == longest.title]
    assert len(kept) == MAX_PASSAGES < len(longest.passages)
