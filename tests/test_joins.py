"""A join says how many ids met; one in which none did is an error that says what keeps them apart."""

import pytest

from lrat_hub.errors import LratError
from lrat_hub.ledger.joins import match_ids, near_miss, require_once

NAMES = {"wanted_name": "judged queries", "given_name": "queries of the run", "what": "Run file x.trec"}


def test_a_join_counts_what_met_and_names_what_strayed():
    join = match_ids(["1", "2", "3", "3"], ["3", "2", "9"], **NAMES)
    assert (join.num_matched, join.num_wanted, join.num_given) == (2, 3, 3)
    assert (join.wanted_strays, join.given_strays) == (("1",), ("9",))
    assert not join.is_complete
    assert str(join).startswith(
        "matched 2 of 3 judged queries with queries of the run; judged queries without a match: 1"
    )
    assert join.to_dict()["matched"] == 2


def test_a_join_in_which_nothing_matched_is_an_error_unless_that_is_fine():
    with pytest.raises(
        LratError, match=r"Run file x.trec: .* 0 of 2 judged queries .*'a', 'b'.*don't belong together"
    ):
        match_ids(["a", "b"], ["x", "y"], **NAMES)
    assert match_ids(["a", "b"], ["x"], require=False, **NAMES).num_matched == 0
    with pytest.raises(LratError, match="none"):
        match_ids(["a"], [], **NAMES)


@pytest.mark.parametrize(
    ("wanted", "given", "difference"),
    [
        (["q1", "q2"], ["Q1", "Q2"], "upper and lower case"),
        (["\ufeff1"], ["1"], "byte order mark"),
        (["1 ", "2"], ["1", "2 "], "blanks around"),
        (['"1"', '"2"'], ["1", "2"], "quotes"),
        (["1", "2"], ["1.0", "2.0"], r"\.0"),
        (["007", "012"], ["7", "12"], "leading zeros"),
        (["New York"], ["New%20York"], "blanks that are written"),
        (["q1", "q2"], ["1", "2"], "a prefix"),
        (["query-12", "query-13"], ["topic:12", "topic:13"], "a prefix"),
        (["Q001 ", "Q002"], ["1", "2"], "together"),
    ],
)
def test_usual_differences_are_named(wanted, given, difference):
    with pytest.raises(LratError, match=rf"would match but for .*{difference}"):
        match_ids(wanted, given, **NAMES)


def test_ids_of_other_data_get_no_hint():
    assert near_miss(["a1", "b2"], ["zebra", "lion"]) == ""
    assert near_miss([], ["1"]) == ""
    assert near_miss(["a-0", "a-1", "b-0", "b-1", "c-0"], ["x-0", "x-1", "y-0", "y-1"]) == ""


def test_an_id_that_comes_twice_is_refused():
    require_once(["1", "2"], what="Queries", name="query id")
    with pytest.raises(LratError, match="expected every query id once, found 1 repeated: '1'"):
        require_once(["1", "2", "1"], what="Queries", name="query id")
