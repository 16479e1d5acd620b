"""Agreement of judges with each other and with annotations, on tables worked by hand."""

import math

import pytest

from lrat_hub.judges.agreement import agreement, evidence_of, qrel_agreement


def test_raw_agreement_and_kappa_of_a_table_worked_by_hand():
    verdicts = [
        *[("relevant", "relevant")] * 20, *[("relevant", "irrelevant")] * 5,
        *[("irrelevant", "relevant")] * 10, *[("irrelevant", "irrelevant")] * 15,
        *[("unjudged", "relevant")] * 7,
    ]  # fmt: skip
    found = agreement(verdicts)
    assert (found.judged, found.unjudged) == (50, 7)
    assert found.raw == pytest.approx(0.7)
    assert found.kappa == pytest.approx(0.4)  # chance is 0.5 * 0.6 + 0.5 * 0.4
    assert found.to_dict()["counts"]["unjudged, relevant"] == 7


def test_where_there_is_nothing_to_compare_no_figure_is_made_up():
    assert math.isnan(agreement([("unjudged", "relevant")]).raw)
    always = agreement([("relevant", "relevant")] * 3)
    assert always.raw == 1.0
    assert math.isnan(always.kappa)
    assert always.to_dict()["kappa"] is None
    lines = [str(agreement([("unjudged", "relevant")])), str(always), str(qrel_agreement([], {}))]
    assert not any("nan" in line for line in lines)
    assert lines[0] == "no pairs that both judged, 1 not compared"


def test_a_judge_against_qrels_is_the_papers_table():
    evidence = evidence_of([("q1", "a", 1), ("q1", "b", 0), ("q2", "c", 2)])
    judged = [
        *[("q1", "a", "relevant")] * 9, ("q1", "a", "irrelevant"), ("q1", "a", "unjudged"),
        *[("q1", "b", "relevant")] * 3, ("q2", "a", "irrelevant"), ("q3", "a", "relevant"),
    ]  # fmt: skip
    found = qrel_agreement(judged, evidence)
    assert (found.evidence.relevant, found.evidence.judged) == (9, 10)
    assert (found.other.relevant, found.other.judged) == (3, 4)
    assert found.unannotated == 1
    # Wilson's interval of 9 of 10.
    assert (found.evidence.low, found.evidence.high) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert found.between.raw == pytest.approx(10 / 14)
