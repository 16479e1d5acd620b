"""Tables of results: Markdown where they are piped, and whole at a terminal of any width."""

from __future__ import annotations

import io
import re
import sys

import pytest

from lrat_hub.cli.tables import show_table, transposed

ROWS = [
    {"system": "bm25", "recall@10": 0.51239, "documents": 12, "note": None},
    {
        "system": "me/a-model-with-a-long-name@1234567",
        "recall@10": 0.75,
        "documents": 7,
        "note": "[b]one[/b] | two",
    },
]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_piped_it_is_markdown(capsys):
    show_table(ROWS)
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| bm25 | 0.512 | 12 |  |",
        "| me/a-model-with-a-long-name@1234567 | 0.750 | 7 | [b]one[/b] \\| two |",
    ]


@pytest.mark.parametrize("columns", [24, 40, 200])
def test_at_a_terminal_it_is_as_wide_as_that_and_nothing_is_cut_off(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    show_table(ROWS)
    lines = re.sub(r"\x1b\[[\d;]*m", "", terminal.getvalue()).splitlines()
    assert max(map(len, lines)) <= columns
    letters = "".join(sorted("".join(lines).replace(" ", "").replace("\u2500", "")))
    cells = [*ROWS[0], "bm25", "0.512", "12", ROWS[1]["system"], "0.750", "7", ROWS[1]["note"]]
    assert letters == "".join(sorted("".join(map(str, cells)).replace(" ", "")))


def test_what_is_bold_in_markdown_is_bold_at_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    show_table([{"retriever": "a", "success": "**45.2** (+3.1%)"}])
    assert "\x1b[1m45.2\x1b[0m (+3.1%)" in terminal.getvalue()


def test_a_few_systems_with_many_metrics_are_shown_with_a_row_for_each_metric():
    rows = transposed([{"system": "a", "x": 1.0, "y": 2.0}, {"system": "b", "x": 3.0, "y": 4.0}], name="system")
    assert rows == [{"metric": "x", "a": 1.0, "b": 3.0}, {"metric": "y", "a": 2.0, "b": 4.0}]
    assert transposed([], name="system") == []
