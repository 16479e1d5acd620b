"""The simulation of the gate, in small: equal challengers, better ones, and better ones that have forgotten."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

CERTAIN = 1e-6
"""Chance that a rate is outside its bound although all is well; the draws are seeded, so that it is outside or not."""

PATH = Path(__file__).parents[2] / "benchmarks" / "flywheel_gate.py"


@pytest.fixture(scope="module")
def simulation():
    spec = importlib.util.spec_from_file_location("flywheel_gate", PATH)
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look their module up.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        yield module


def test_two_equal_retrievers_differ_as_often_as_they_are_meant_to(simulation):
    for share in simulation.DISCORDANCES.values():
        agent = simulation.ScriptedAgent(simulation.Cell(20_000, share), np.random.default_rng(18))
        one, other = (np.array(list(agent.measure().figures["success"].values())) for _ in range(2))
        for found, wanted in [((one != other).mean(), share), (one.mean(), simulation.SUCCESS)]:
            assert binom.ppf(CERTAIN, 20_000, wanted) <= found * 20_000 <= binom.isf(CERTAIN, 20_000, wanted)


def test_the_gate_keeps_its_level_and_finds_what_there_is_to_find(simulation):
    cell = simulation.Cell(300, 0.20, planned=1, flywheels=150)
    promoted = {gain: sum(simulation.promotions(replace(cell, gain=gain))) for gain in (0.0, 0.05, 0.15)}
    # One planned round has the whole level: 5 %.
    assert promoted[0.0] <= binom.isf(CERTAIN, 150, 0.05)
    assert promoted[0.0] < promoted[0.05] < promoted[0.15]
    assert promoted[0.15] > 0.8 * 150
    # However much better it answers, a challenger that has forgotten what the limit allows is stopped as often.
    forgetful = sum(simulation.promotions(replace(cell, gain=0.15, loss=0.03)))
    assert forgetful <= binom.isf(CERTAIN, 150, 0.05)


def test_equal_challengers_over_all_rounds(simulation):
    """The level is that of a whole run, also where one champion meets all challengers."""
    cell = simulation.Cell(100, 0.20, planned=10, played=10, flywheels=40)
    assert sum(count > 0 for count in simulation.promotions(cell)) <= binom.isf(CERTAIN, 40, 0.05)


def test_the_level_that_a_promotion_hands_on_promotes_no_equal_one_more_often(simulation):
    """A first challenger that is far better, and then such as are equal to it."""
    rng, settings = np.random.default_rng(18), simulation.GateSettings(rounds=4)
    right = wrong = 0
    for _ in range(40):
        agent = simulation.ScriptedAgent(simulation.Cell(300, 0.20), rng)
        start, better = agent.measure(), agent.measure(gain=0.15)
        earlier = [simulation.decide(settings, start, better)]
        right += earlier[0].promoted
        for _ in range(3):
            if earlier[0].promoted:
                earlier.append(simulation.decide(settings, better, agent.measure(gain=0.15), earlier=earlier))
        wrong += any(decision.promoted for decision in earlier[1:])
    assert right > 20
    assert wrong <= binom.isf(CERTAIN, 40, 0.05)
