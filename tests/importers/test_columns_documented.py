"""docs/importing.md describes every column of trajectories, and none that there isn't."""

import re
from pathlib import Path

import pytest

from lrat_hub.schema import trajectory_features

PAGE = (Path(__file__).parents[2] / "docs" / "importing.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Columns of trajectories\n")[2].partition("\n## ")[0]

FEATURES = trajectory_features()
STEP = FEATURES["steps"].feature
COLUMNS = {"column": FEATURES, "column of `steps`": STEP, "column of `results`": STEP["results"].feature}


def described(head):
    """The names in the first cells of a table."""
    rows = re.search(rf"(?m)^\| {re.escape(head)} \|.*\n\|.*\n((?:\|.*\n)+)", SECTION)
    assert rows is not None
    return [name for row in rows[1].splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]


@pytest.mark.parametrize("head", COLUMNS)
def test_a_table_has_each_column_once(head):
    assert sorted(described(head)) == sorted(COLUMNS[head])


def test_the_sampling_parameters_are_named():
    (row,) = [line for line in SECTION.splitlines() if line.startswith("| `sampling` ")]
    assert set(re.findall(r"`(\w+)`", row)) == {"sampling", *FEATURES["sampling"]}
