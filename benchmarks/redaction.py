"""Speed of redaction on trajectories, and how its time grows on each pattern's own worst input.

    python benchmarks/redaction.py SRC

SRC is anything that `lrat import` reads. A pattern whose time grows faster than its input would show a ratio near 4
when the input doubles, rather than near 2.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from lrat_hub.importers import EMAIL, SECRETS, Accounts, Redactor, read_trajectories
from lrat_hub.ledger import Ledger


def seconds(work: Callable[[], object], rounds: int = 5) -> float:
    """The shortest of several times, of this process alone."""
    times: list[float] = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path)
    args = parser.parse_args()
    redactor = Redactor((*SECRETS, EMAIL))
    runs = list(read_trajectories(args.source, Accounts()))
    size = sum(len(str(run)) for run in runs)
    taken = seconds(lambda: [redactor.redact(run, Ledger("texts")) for run in runs], rounds=20)
    print(f"{len(runs)} runs: {taken / len(runs) * 1e3:.2f} ms a run, {size / taken / 1e6:.0f} MB/s")
    growth: list[tuple[float, float, str]] = []
    for pattern in redactor.patterns:
        unit = "-" + pattern.marks[0]
        texts = [unit * (length // len(unit)) for length in (10_000, 20_000)]
        short, long = (seconds(lambda text=text: redactor.text(text, Ledger("texts"))) for text in texts)
        growth.append((long / short, long, f"{pattern.name}, {unit!r}"))
    for ratio, longer, name in sorted(growth, reverse=True)[:10]:
        print(f"  time of 20 kB / 10 kB of its worst input: {ratio:.1f} ({longer * 1e3:.0f} ms) {name}")


if __name__ == "__main__":
    main()
