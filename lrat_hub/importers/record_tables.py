"""Tables in one JSON object, as their rows: what pandas, wandb and `Dataset.to_dict` write.

Read are `{"columns": [...], "data": [[...], ...]}`, `{column: [value, ...]}` and `{column: {"0": value, ...}}`.
"""

from __future__ import annotations

from typing import Any


def rows_of_table(value: Any) -> list[tuple[str, dict[str, Any]]]:
    """The rows of a table with their numbers or index; empty for a value that is none."""
    if not isinstance(value, dict) or not value:
        return []
    names, data = value.get("columns"), value.get("data")
    if isinstance(names, list) and isinstance(data, list) and names and all(isinstance(name, str) for name in names):
        if all(isinstance(row, list) and len(row) == len(names) for row in data):
            return [(str(number), dict(zip(names, row, strict=True))) for number, row in enumerate(data, start=1)]
        return []
    columns = list(value.values())
    if len(columns) > 1 and all(isinstance(column, list) for column in columns):
        if len(set(map(len, columns))) > 1:
            return []
        rows = zip(*columns, strict=True)
        return [(str(number), dict(zip(value, row, strict=True))) for number, row in enumerate(rows, start=1)]
    first = columns[0]
    if not isinstance(first, dict) or not all(isinstance(key, str) and key.isdecimal() for key in first):
        return []
    if not all(isinstance(column, dict) and column.keys() == first.keys() for column in columns):
        return []
    return [(key, {name: column[key] for name, column in value.items()}) for key in first]
