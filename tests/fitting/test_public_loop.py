"""The loop from trajectories to scores in Python, by public names alone, with a model that has no transformer."""

import pytest

from tests.builders import answer, browse, search, trajectory


@pytest.mark.slow
def test_trajectories_become_a_retriever_by_public_names(model):
    from lrat_hub import (
        DenseRetriever,
        Document,
        FitSettings,
        TrainingRows,
        evaluate_retrieval,
        fit_retriever,
        mine_pairs,
        pair_table,
    )

    documents = {name: Document(name, name.upper(), f"text of {name}") for name in "abcdef"}
    runs = [
        trajectory(search("one", "a", "b"), browse("a"), answer("It is what one asks for."), name="q1"),
        trajectory(search("two", "c", "d"), browse("d"), answer("It is what two asks for."), name="q2"),
    ]
    pairs = mine_pairs(runs, tokenizer=model.tokenizer).pairs
    settings = FitSettings(epochs=100, batch_size=2, num_negatives=1, learning_rate=0.1)
    rows = TrainingRows(pair_table(pairs), documents, settings)
    queries, qrels = {"1": "one", "2": "two"}, {"1": {"a": 1}, "2": {"d": 1}}
    fitted = fit_retriever(model, rows, settings)
    scores = evaluate_retrieval(DenseRetriever(fitted.model, documents.values()), queries, qrels)
    assert scores.mean("recall@1") == 1
    assert str(scores).count("\n") < 20
