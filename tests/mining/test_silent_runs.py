"""Runs in which nobody reasoned: their pairs weigh 1, and those of others weigh what they would without them."""

import math

import pytest

from lrat_hub import mine_pairs
from lrat_hub.mining.bulk import mine_tables
from lrat_hub.mining.pipeline import SILENT, WEIGHTLESS
from lrat_hub.mining.settings import MiningSettings
from lrat_hub.mining.weights import LengthMeasure, Weighting
from lrat_hub.storage import trajectory_table
from tests.builders import browse, search, trajectory

SILENT_RUN = trajectory(search("q", "d1", "d2", reasoning=""), browse("d2", reasoning=""), name="silent")
TALKERS = [
    trajectory(search("q", "d1", "d2"), browse("d1"), search("r", "d3", reasoning="so " * length), name=f"t{length}")
    for length in (4, 8, 20)
]
EMPTY_AFTER = trajectory(search("q", "d1", "d2"), browse("d1"), search("r", "d3", reasoning=""), name="empty")


@pytest.mark.parametrize("scheme", ["saturation", "uniform", "linear", "log", "rank"])
def test_a_silent_run_weighs_one_and_moves_no_other_weight(scheme):
    alone = mine_pairs(TALKERS, weighting=Weighting(scheme))
    both = mine_pairs([SILENT_RUN, *TALKERS], weighting=Weighting(scheme))
    assert [pair.weight for pair in both.pairs] == [1.0, *(pair.weight for pair in alone.pairs)]
    assert both.fits["all"].half_life == alone.fits["all"].half_life
    assert math.isclose(sum(pair.weight for pair in both.pairs) / 4, 1.0)
    assert both.ledger["pairs"].notes[SILENT] == 1


def test_runs_that_are_all_silent_are_mined_without_a_fit():
    result = mine_pairs([SILENT_RUN])
    assert ([pair.weight for pair in result.pairs], result.fits) == ([1.0], {})


def test_an_agent_that_reasons_and_says_nothing_after_a_browse_gives_it_no_weight():
    result = mine_pairs([EMPTY_AFTER, *TALKERS])
    assert result.pairs[0].weight == 0.0
    assert SILENT not in result.ledger["pairs"].notes
    assert result.ledger["pairs"].notes[WEIGHTLESS] == 1
    alike = mine_pairs([EMPTY_AFTER, *TALKERS], weighting=Weighting("uniform"))
    assert WEIGHTLESS not in alike.ledger["pairs"].notes


def test_tables_weigh_silent_runs_as_memory_does(tmp_path):
    table = trajectory_table([SILENT_RUN, *TALKERS, EMPTY_AFTER])
    mined = mine_tables([table], tmp_path, settings=MiningSettings(), measure=LengthMeasure(None))
    assert [pair.weight for pair in mined.pairs()] == [
        pair.weight for pair in mine_pairs([SILENT_RUN, *TALKERS, EMPTY_AFTER]).pairs
    ]
