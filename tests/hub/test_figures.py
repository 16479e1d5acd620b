"""Figures as they are published."""

from __future__ import annotations

import io

from matplotlib import image

from lrat_hub.hub.figures import as_png, new_figure


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels() if label.get_text()]


def test_numbers_of_a_logarithmic_axis_are_digits_and_names_are_no_formulas():
    figure = new_figure(4, 3)
    axes = figure.subplots()
    axes.plot([0.01, 1, 10_000], [1, 2, 3])
    axes.set_xscale("log")
    axes.set_title("costs $5 to $10")
    content = as_png(figure)
    assert {"0.01", "1", "100", "10,000"} <= set(labels(axes.xaxis))
    assert "1" in {label.rstrip("0").rstrip(".") for label in labels(axes.yaxis)}
    assert axes.get_title() == "costs $5 to $10"
    assert image.imread(io.BytesIO(content)).shape[:2] == (390, 520)


def test_a_logarithmic_axis_of_one_decade_has_more_numbers_than_its_power_of_ten():
    figure = new_figure(5, 3)
    axes = figure.subplots()
    axes.plot([0.8, 9], [1, 2])
    axes.set_xscale("log")
    as_png(figure)
    numbers = [label.get_text() for label in axes.xaxis.get_ticklabels(which="both") if label.get_text()]
    assert "1" in numbers
    assert len(numbers) >= 3
    # Some versions of matplotlib also number decades outside the axis.
    assert all(number.replace(",", "").replace(".", "").isdecimal() for number in numbers)
