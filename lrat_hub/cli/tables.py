"""Tables of results for the person at the terminal, as wide as it; elsewhere they are Markdown, whole and plain."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from lrat_hub.cli.stage import is_first, say
from lrat_hub.hub.cards import markdown_table

Rows = Sequence[Mapping[str, Any]]


def show_table(rows: Rows) -> None:
    """Prints rows with the same keys; floats with three digits. Nothing is cut off: narrow cells are folded."""
    if not sys.stdout.isatty():
        say(markdown_table(rows))
    elif rows and is_first():
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for number, name in enumerate(rows[0]):
            table.add_column(
                Text(name), overflow="fold", justify="right" if number and _is_number(rows, name) else "left"
            )
        for row in rows:
            # Text and not markup: brackets in a name are its own. What is bold in Markdown is bold here.
            parts = (re.split(r"(\*\*.+?\*\*)", _cell(value)) for value in row.values())
            table.add_row(*(Text.assemble(*map(_styled, cell)) for cell in parts))
        Console(highlight=False).print(table)


def transposed(rows: Rows, *, name: str) -> list[dict[str, Any]]:
    """A row for each key and a column for each row: for few systems with many metrics.

    Args:
        name: The key whose values are the names of the columns; it is the first one.
    """
    return [
        {"metric": key, **{str(row[name]): row[key] for row in rows}}
        for key in (rows[0] if rows else ())
        if key != name
    ]


def _styled(text: str) -> tuple[str, str]:
    return (text[2:-2], "bold") if len(text) > 4 and text.startswith("**") and text.endswith("**") else (text, "")


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "" if value is None else str(value)


def _is_number(rows: Rows, name: str) -> bool:
    return all(isinstance(row[name], (int, float)) or row[name] is None for row in rows)
