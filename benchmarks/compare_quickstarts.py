"""Compares what two quickstarts published: every dataset row by row, and the tables of their reports.

    python benchmarks/compare_quickstarts.py before/quickstart after/quickstart

For changes that must not show in results. Commit shas are compared as shas, not by their value: a new version of the
package is part of every lineage, and so of every commit. Exits with 1 when anything else differs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from lrat_hub import LocalHub

# Whole commit shas, and their first characters in the names of systems: "lrat/static@7e7e5eb".
SHA = re.compile(r"(?<![0-9a-f])[0-9a-f]{40}(?![0-9a-f])|(?<=[@-])[0-9a-f]{7}(?![0-9a-f-])")

# Run by a process for each Hub: clients read its address once, when they are imported.
READ = """
import json, sys
import datasets
from huggingface_hub import HfApi
datasets.disable_progress_bars()
tables = {}
for repo in HfApi().list_datasets():
    for config in datasets.get_dataset_config_names(repo.id):
        for split, table in datasets.load_dataset(repo.id, config).items():
            tables[f"{repo.id}#{config}:{split}"] = [json.dumps(row, sort_keys=True, default=str) for row in table]
json.dump(tables, open(sys.argv[1], "w"))
"""


def published(root: Path) -> dict[str, list[str]]:
    """Every row of every split of every dataset on a Hub, as JSON without shas."""
    with LocalHub(root / "hub") as hub, tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "tables.json"
        environment = os.environ | hub.env | {"HF_HOME": folder}
        subprocess.run([sys.executable, "-c", READ, str(out)], env=environment, check=True)
        tables: dict[str, list[str]] = json.loads(out.read_text(encoding="utf-8"))
    return {SHA.sub("<sha>", name): [SHA.sub("<sha>", row) for row in rows] for name, rows in tables.items()}


def report_tables(root: Path) -> list[str]:
    """The lines of the report's tables, without shas and without the seconds that stages took."""
    text = (root / "report.md").read_text(encoding="utf-8")
    lines = re.sub(r"\n\|[^\n]*\bseconds\b[^\n]*(\n\|[^\n]*)+", "", text).splitlines()
    return [SHA.sub("<sha>", line) for line in lines if line.startswith("|")]


def main(argv: list[str]) -> int:
    before, after = map(Path, argv)
    differing = 0
    tables: list[dict[str, Any]] = [published(before), published(after)]
    for name in sorted(set(tables[0]) | set(tables[1])):
        rows = [table.get(name) for table in tables]
        if rows[0] == rows[1]:
            print(f"same  {len(rows[0] or ()):>6} rows  {name}")
            continue
        differing += 1
        counts = " and ".join("none" if one is None else str(len(one)) for one in rows)
        print(f"DIFFERS: {name}: {counts} rows")
        if None not in rows:
            pairs = zip(rows[0] or (), rows[1] or (), strict=False)
            for row in next(((a, b) for a, b in pairs if a != b), ()):
                print(f"    {row[:300]}")
    reports = [report_tables(root) for root in (before, after)]
    same = reports[0] == reports[1]
    print(f"{'same' if same else 'DIFFERS:'}  {len(reports[0])} lines of tables in report.md")
    for one, other in zip(*reports, strict=False):
        if one != other:
            print(f"    {one}\n    {other}")
    return int(bool(differing) or not same)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
