"""Figures show what the tables say, with names on their axes, n and intervals."""

import numpy as np
import pytest

from lrat_hub.analysis import analyze_runs, figures, human_curve, measure_runs
from tests.analysis.test_tables import opened_at
from tests.builders import answer, browse, search, trajectory


@pytest.fixture(scope="module")
def tables():
    random = np.random.default_rng(0)
    runs, evidence = [], {}
    for place in range(40):
        docids = [f"d{place}-{rank}" for rank in range(5)]
        words = " ".join(f"w{word}" for word in random.integers(0, 6, 4))
        opened = docids[: random.integers(0, 4)]
        steps = [search(words, *docids), *(browse(docid) for docid in opened), search("w1 w2 w3", docids[0])]
        runs.append(
            trajectory(
                *steps,
                answer("w " * int(random.integers(5, 90))),
                name=f"q{place}",
                correct=bool(random.random() < 0.5),
            )
        )
        evidence[f"q{place}"] = set(docids[:2])
    return analyze_runs(list(measure_runs(runs, qrels=evidence)), human=human_curve())


def drawn(tables):
    return {
        "transitions": figures.draw_transitions(tables["transitions"]),
        "accuracy": figures.draw_accuracy(tables["accuracy"]),
        "positions": figures.draw_positions(tables["positions"]),
        "lengths": figures.draw_lengths(tables["lengths"], "words"),
        "half_life": figures.draw_half_life(tables["histogram"], tables["half_lives"], "words"),
        "steps": figures.draw_steps(tables["steps"]),
        "distances": figures.draw_distances(tables["distances"]),
        "agents": figures.draw_agents(tables["agents"]),
    }


def texts_of(figure):
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text)]


@pytest.mark.slow
def test_every_figure_names_its_axes_and_is_a_picture_of_a_readable_size(tables):
    for name, figure in drawn(tables).items():
        for axes in figure.axes:
            if axes.axison:
                assert axes.get_xlabel(), name
        assert any(axes.get_ylabel() for axes in figure.axes) or name in ("lengths", "agents"), name
        content = figures.png(figure)
        assert content.startswith(b"\x89PNG"), name
        width, height = (int.from_bytes(content[start : start + 4], "big") for start in (16, 20))
        assert 500 <= width <= 2_000, name
        assert 200 <= height <= 1_500, name


def test_every_figure_of_shares_says_how_many_and_how_certain(tables):
    for name, figure in drawn(tables).items():
        shown = "\n".join(texts_of(figure))
        assert "n = " in shown, name
        assert "95 %" in shown or name == "half_life", name


def test_bars_and_points_have_the_values_of_the_rows(tables):
    (axes,) = figures.draw_positions(tables["positions"]).axes
    assert [bar.get_height() for bar in axes.patches] == [row["value"] for row in tables["positions"]]
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert lines["people's clicks"] == [row["human"] for row in tables["positions"]]
    (axes,) = figures.draw_accuracy(tables["accuracy"]).axes
    assert list(axes.lines[0].get_ydata()) == [row["value"] for row in tables["accuracy"]]
    histogram, _ = figures.draw_half_life(tables["histogram"], tables["half_lives"], "words").axes
    assert [bar.get_height() for bar in histogram.patches] == [row["browses"] for row in tables["histogram"]]
    row = next(row for row in tables["transitions"] if (row["outcome"], row["after"], row["next"])
               == ("correct", "search", "browse"))  # fmt: skip
    assert f"{row['value']:.2f}\n[{row['low']:.2f}, {row['high']:.2f}]" in texts_of(
        figures.draw_transitions(tables["transitions"])
    )


@pytest.mark.slow
def test_outcomes_that_do_not_occur_are_not_shown_and_one_run_is_enough_for_every_figure():
    run = opened_at(2, 3)
    tables = analyze_runs(list(measure_runs([run], qrels={"t": {"t2"}})), human=human_curve())
    for draw, rows in (
        (figures.draw_transitions, tables["transitions"]),
        (figures.draw_positions, tables["positions"]),
        (figures.draw_steps, tables["steps"]),
        (figures.draw_agents, tables["agents"]),
    ):
        figure = draw(rows)
        assert figures.png(figure)
        assert not any("wrong answer" in text for text in texts_of(figure))
    assert figures.png(figures.draw_lengths(tables["lengths"], "words"))
    assert figures.png(figures.draw_half_life(tables["histogram"], tables["half_lives"], "words"))
