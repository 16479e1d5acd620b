"""Cells and their comparisons: whole groups, honest tests, and nothing that per-query rows alone can't give again."""

import dataclasses

import pytest

from lrat_hub import evaluate_agents
from lrat_hub.errors import LratError
from lrat_hub.evaluation.systems import (
    AgentSystem,
    clear_winners,
    compare_retrievers,
    identity_of,
    model_of,
    models_of,
    per_query_rows,
    require_distinct,
    summary_rows,
    systems_of,
)
from lrat_hub.retrieval.fusion import FusionRetriever, RerankedRetriever
from tests.evaluation.runs import run

IDS = [str(number) for number in range(60)]


def cell(retriever, rights, *, agent="agent", steps=2, k=10, missing=()):
    """A cell where the first `rights` questions are answered rightly, in so many searches each."""
    runs = [
        run(query_id, *[("a",)] * steps, correct=place < rights)
        for place, query_id in enumerate(IDS)
        if query_id not in missing
    ]
    return AgentSystem(
        "bench", agent, retriever, k, evaluate_agents(runs, IDS, {query_id: {"a": 1, "b": 1} for query_id in IDS})
    )


def test_a_retriever_is_compared_with_its_own_baseline_over_all_questions():
    cells = [
        cell("base", 20),
        cell("base + LRAT", 35),
        cell("e5", 30),
        cell("e5 + LRAT", 30),
        cell("base", 5, agent="other"),
    ]
    found = compare_retrievers(cells, {"base + LRAT": "base", "e5 + LRAT": "e5"}, metrics=["success"])
    assert [(one.agent, one.retriever, one.baseline) for one in found] == [
        ("agent", "base + LRAT", "base"), ("agent", "e5", "base"), ("agent", "e5 + LRAT", "e5"),
    ]  # fmt: skip
    gained, e5, tie = found
    # 15 questions of which only one system has each: McNemar's exact p is 2 / 2^15, and Holm multiplies it by three.
    assert gained.p_value == pytest.approx(2 / 2**15)
    assert gained.corrected == pytest.approx(3 * 2 / 2**15)
    assert (gained.gain, gained.difference.mean) == (pytest.approx(0.75), 0.25)
    assert e5.corrected == pytest.approx(2 * 2 / 2**10)
    assert (tie.p_value, tie.gain) == (1.0, 0.0)


def test_bold_is_only_for_what_beats_every_other_in_its_group():
    best, second = cell("x", 40), cell("y", 20)
    assert clear_winners([second, best], "success") == [best]
    assert clear_winners([second, best, cell("z", 39)], "success") == []
    assert clear_winners([best, cell("z", 40)], "success") == []
    # Fewer steps are better.
    quick = cell("q", 20, steps=1)
    assert clear_winners([second, quick], "steps") == [quick]
    assert clear_winners([best], "success") == []


def test_what_a_run_took_is_compared_where_both_have_a_run():
    (steps,) = compare_retrievers([cell("x", 0, missing={"0", "1"}), cell("y", 0, missing={"2"})], metrics=["steps"])
    assert steps.difference.clusters == 57


def test_cells_come_back_from_their_rows():
    cells = [cell("x", 10, missing={"3"}), cell("y", 30, k=None)]
    cells[0] = dataclasses.replace(cells[0], scores=dataclasses.replace(cells[0].scores, foreign_runs=4))
    rows, summary = per_query_rows(cells), summary_rows(cells)
    assert systems_of(rows, summary) == cells
    assert (summary[0]["missing"], summary[0]["strangers"], summary[0]["success"]) == (1, 4, pytest.approx(9 / 60))
    assert summary[0]["success_low"] < 9 / 60 < summary[0]["success_high"]
    with pytest.raises(LratError, match="found 1 and 2"):
        systems_of(rows, summary[:1])


def test_runs_of_several_retrievers_are_no_cell():
    runs = [run("1", retriever="bm25"), run("2", retriever="dense", retriever_revision="0123456789" * 4)]
    assert identity_of(runs[1:]) == ("agent", "dense@0123456", None)
    with pytest.raises(LratError, match="agent with bm25, k = None; agent with dense@0123456"):
        identity_of(runs)
    with pytest.raises(LratError, match="found no runs"):
        identity_of([])
    with pytest.raises(LratError, match="twice"):
        require_distinct([cell("x", 1), cell("x", 2)])


def test_the_parts_of_fused_and_reranked_retrievers_have_their_own_revisions():
    """Recorded by the retrievers themselves, as runs have them."""

    class Named:
        def __init__(self, name, revision):
            self.name, self.revision = name, revision

        def search(self, queries, k):
            return [[] for _ in queries]

        def score(self, query, documents):
            return []

    corpus, model, reranker, last = (digit * 40 for digit in "abcd")
    fused = FusionRetriever([Named("bm25", corpus), Named("me/model", model)], int)
    stages = RerankedRetriever(fused, Named("", None), {}, name="me/reranker", revision=reranker, depth=20)
    both = RerankedRetriever(stages, Named("", None), {}, name="me/last", revision=last)
    served = RerankedRetriever(fused, Named("", None), {}, name="me/served")
    for retriever, label, pins in (
        (fused, f"bm25+me/model@{model[:7]}", [f"me/model@{model}"]),
        (both, f"bm25+me/model@{model[:7]}>20:me/reranker@{reranker[:7]}>me/last@{last[:7]}",
         [f"me/model@{model}", f"me/reranker@{reranker}", f"me/last@{last}"]),
        (served, "bm25+me/model>me/served", []),
        (Named("me/model", model), f"me/model@{model[:7]}", [f"me/model@{model}"]),
    ):  # fmt: skip
        runs = [run("1", retriever=retriever.name, retriever_revision=retriever.revision)]
        assert identity_of(runs)[1] == label
        assert [str(pin) for pin in models_of(runs)] == pins
        # A model gets the results of what it finds alone.
        alone = model_of(runs)
        assert (str(alone) if alone else None) == (pins[0] if retriever.name == "me/model" else None)
