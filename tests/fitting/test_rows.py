"""What the trainer is given: rows joined by id, draws of negatives, what goes to the loss, and what is refused."""

from dataclasses import replace

import pytest
from datasets import Dataset

from lrat_hub.errors import LratError
from lrat_hub.fitting import PairCollator, TrainingRows, fit_retriever, split_questions
from lrat_hub.fitting.rows import content_number
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.mining.tables import document_table, pair_table, triplet_table
from lrat_hub.queries import QueryState, render_query
from lrat_hub.schema import Document

from .small import DOCUMENTS, pair, rows_of


def test_rows_have_texts_the_weight_and_the_ids_in_column_order():
    rows = rows_of(pair("one", "a", "bcd", 0.5), pair("two", "b", "", None), pair("three", "c", "d", 1.5))
    assert len(rows) == 2  # without a weight a pair is not trained on
    row = rows.view()[0]
    assert list(row) == [
        "anchor", "positive", "negative_1", "negative_2", "label", "document_ids", "negative_weights"
    ]  # fmt: skip
    assert (row["anchor"], row["positive"], row["label"]) == ("one", "A\ntext of a", 0.5)
    texts = [row["positive"], row["negative_1"], row["negative_2"]]
    assert row["document_ids"] == [text[-1] for text in texts]


def test_negatives_are_drawn_anew_each_epoch_by_seed_epoch_and_row():
    pairs = [pair("one", "a", "bcdef"), pair("two", "b", "acdef")]

    def draws(epoch, **settings):
        rows = rows_of(*pairs, **settings)
        rows.epoch = epoch
        return [row["document_ids"][1:] for row in rows.view()]

    assert draws(0) == draws(0)
    assert draws(0)[1] == rows_of(pairs[1]).view()[0]["document_ids"][1:]  # a row's draw is its own
    drawn = {tuple(draws(epoch)[0]) for epoch in range(20)}
    assert len(drawn) > 10
    assert {docid for ids in drawn for docid in ids} == set("bcdef")
    assert all(len(set(ids)) == 2 for ids in drawn)
    assert draws(0, seed=1) != draws(0)


def test_places_that_a_small_pool_leaves_empty_count_for_nothing(model):
    view = rows_of(pair("one", "a", "b"), pair("two", "c", "")).view()
    assert [row["negative_weights"] for row in view] == [[1.0, 0.0], [0.0, 0.0]]
    batch = PairCollator(preprocess_fn=model.preprocess)([view[0], view[1]])
    assert batch["negative_1_negative_weights"].tolist() == [1.0, 0.0]
    assert batch["positive_document_ids"].tolist() == [content_number(DOCUMENTS[name].content) for name in "ac"]
    assert batch["label"].tolist() == [1.0, 1.0]


# huggingface/sentence-transformers#3189: identical texts in a batch; #2818: one text several times in a corpus.
def test_a_copy_of_the_positive_under_another_id_is_no_negative(model):
    import torch

    from lrat_hub.losses.labels import BatchLabels, excluded_documents

    copies = {**DOCUMENTS, "b": Document("b", DOCUMENTS["a"].title, DOCUMENTS["a"].text)}
    pairs = pair_table([pair("one", "a", "bc"), pair("two", "d", "be")])
    rows = TrainingRows(pairs, copies, FitSettings(num_negatives=2, batch_size=2))
    view = rows.view()
    batch = PairCollator(preprocess_fn=model.preprocess)([view[0], view[1]])
    ids = torch.stack([batch[f"{column}_document_ids"] for column in rows.columns])
    excluded = excluded_documents(BatchLabels(torch.ones(2), ids), torch.arange(2))
    texts = [[view[row][column] for row in range(2)] for column in rows.columns]
    own = view[0]["positive"]
    assert sum(text == own for column in texts for text in column) == 3
    shown = excluded.reshape(2, 3, 2)
    for column, both in enumerate(texts):
        for row, text in enumerate(both):
            if text == own:
                assert bool(shown[0, column, row]) is ((column, row) != (0, 0))
    # The other query has the text once as its negative, by whichever id.
    assert sum(not shown[1, c, r] for c, both in enumerate(texts) for r, text in enumerate(both) if text == own) == 1


def test_kinds_of_negatives_weigh_by_their_tier():
    tiered = replace(pair("one", "a", "bcd"), negative_kinds=("redundant", "weak", "list"))
    row = rows_of(tiered, num_negatives=3, weak_weight=0.5).view()[0]
    weights = dict(zip(row["document_ids"][1:], row["negative_weights"], strict=True))
    assert weights == {"b": 3.0, "c": 0.5, "d": 1.0}


def test_queries_are_rendered_in_the_style_of_the_settings():
    seen = replace(pair("one", "a", "b"), previous_queries=("zero",))
    row = rows_of(seen, query_style="history").view()[0]
    assert row["anchor"] == render_query(QueryState("one", "Q?", ("zero",)), "history")
    assert "zero" in row["anchor"]


def test_the_question_stands_in_the_place_of_some_queries_which_change_from_epoch_to_epoch():
    pairs = [replace(pair(f"query {number}", "a", "b"), question=f"question {number}") for number in range(40)]

    def anchors(epoch, share):
        rows = rows_of(*pairs, question_share=share)
        rows.epoch = epoch
        return [row["anchor"].split()[0] for row in rows.view()]

    assert set(anchors(0, 0.0)) == {"query"}
    assert set(anchors(0, 1.0)) == {"question"}
    assert 8 <= anchors(0, 0.5).count("question") <= 32
    assert anchors(0, 0.5) == anchors(0, 0.5) != anchors(1, 0.5)


def test_training_pulls_queries_to_their_positives(model):
    def margin():
        texts = [DOCUMENTS[name].content for name in "ab"]
        scores = model.similarity(model.encode(["one"]), model.encode(texts))[0]
        return float(scores[0] - scores[1])

    before = margin()
    settings = FitSettings(max_steps=20, batch_size=2, num_negatives=2, learning_rate=0.05)
    rows = TrainingRows(pair_table([pair("one", "a", "bc"), pair("two", "d", "ef")]), DOCUMENTS, settings)
    fitted = fit_retriever(model, rows, settings)
    assert margin() > before + 0.2
    assert fitted.final_loss < fitted.log[0]["loss"]


def test_validation_shares_neither_questions_nor_queries_with_training():
    pairs = [
        replace(pair(f"query {number % 110}", "a", "b"), question=f"Question  {number % 60}?") for number in range(120)
    ]
    trained, kept = split_questions(pair_table(pairs), 0.25)
    for column in ("question", "query"):
        assert not set(trained[column]) & set(kept[column])
    assert 5 <= len(set(kept["question"])) <= 25
    fewer = split_questions(pair_table(pairs[:60]), 0.25)[0]
    assert set(fewer["question"]) == set(trained["question"])  # where a question goes is its own, too


@pytest.mark.parametrize(
    ("weights", "message"),
    [([None, None], "expected some with a weight"), ([0.0, 0.0], "not all 0"), ([-1.0, 1.0], "0 or more"),
     ([float("nan"), 1.0], "finite"), ([float("inf"), 1.0], "finite")],
)  # fmt: skip
def test_weights_that_mean_nothing_are_refused(weights, message):
    with pytest.raises(LratError, match=message):
        rows_of(pair("one", "a", "b", weights[0]), pair("two", "c", "d", weights[1]))


@pytest.mark.parametrize(
    "change",
    [{"query": None}, {"positive_id": None}, {"negative_ids": None}, {"negative_ids": [None, "c"]},
     {"negative_kinds": ["list"]}],
)  # fmt: skip
def test_pairs_that_lack_something_are_refused_by_their_number(change):
    table = pair_table([pair("one", "a", "bc"), pair("two", "b", "cd")])
    rows = Dataset.from_list([table[0], table[1] | change], features=table.features)
    with pytest.raises(LratError, match=r"found others in 1 of 2 pairs, first in \{'pair_id': 'two-b'"):
        TrainingRows(rows, DOCUMENTS, FitSettings())
    texts = Dataset.from_list([row | {"weight": "1.0"} for row in table])
    with pytest.raises(LratError, match="a number as weight"):
        TrainingRows(texts, DOCUMENTS, FitSettings())


@pytest.mark.parametrize("name", ["epochs", "learning_rate", "temperature", "document_anchor", "weight_decay"])
@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1.0])
def test_settings_are_finite_numbers(name, value):
    with pytest.raises(LratError, match=f"expected a finite {name}"):
        FitSettings(**{name: value})


def test_a_corpus_without_the_pairs_documents_is_refused():
    with pytest.raises(LratError, match=r"expected the 3 documents of the pairs, found 1; missing are x, y"):
        rows_of(pair("one", "a", ["x", "y"]))


def test_triplets_are_rows_for_the_plain_trainer_and_documents_stand_once():
    pairs = [pair("one", "a", "bcd", 0.5), pair("two", "b", "", 1.5), pair("three", "c", "d", 1.0)]
    triplets = triplet_table(pairs, DOCUMENTS, num_negatives=2)
    assert triplets.column_names == ["anchor", "positive", "negative_1", "negative_2", "label"]
    assert triplets["anchor"] == ["one", "three"]  # a pair without a negative would need one invented
    assert triplets[1]["negative_1"] == triplets[1]["negative_2"] == "D\ntext of d"
    assert triplets["label"] == [0.5, 1.0]
    assert document_table(pairs, DOCUMENTS)["docid"] == ["a", "b", "c", "d"]
