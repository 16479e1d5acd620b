"""Time and memory of an analysis of many trajectories: given ones, repeated with ids of their own.

    python benchmarks/analysis_scale.py --trajectories runs --number 26482

The paper's collection has 26,482 right trajectories. Outcomes and evidence are made up, so that every figure has work.
Seconds are of one core, whatever else the machine does.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

from lrat_hub.analysis import analyze_runs, human_curve, measure_runs
from lrat_hub.analysis.report import ReportContext, write_report
from lrat_hub.importers import load_trajectories
from lrat_hub.schema import Trajectory
from lrat_hub.storage import write_trajectories


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trajectories", type=Path, required=True, metavar="PATH", help="what `lrat import` reads")
    parser.add_argument("--number", type=int, default=26_482)
    args = parser.parse_args()
    originals = list(load_trajectories(args.trajectories))
    opened = {step.docid for run in originals for step in run.steps if step.action == "browse" and step.docid}
    with tempfile.TemporaryDirectory() as folder:
        table = write_trajectories(repeated(originals, args.number), Path(folder, "runs.arrow"))
        began = time.process_time()
        qrels = {f"q{place}": opened for place in range(args.number)}
        runs = list(measure_runs(load_trajectories(table), qrels=qrels))
        measured = time.process_time()
        tables = analyze_runs(runs, human=human_curve())
        analyzed = time.process_time()
        write_report(tables, ReportContext("words", "", {}))
        drawn = time.process_time()
    print(f"{len(runs)} trajectories, {sum(len(run.actions) for run in runs)} searches and browses")
    print(f"measured in {measured - began:.0f} s: {len(runs) / (measured - began):.0f} a second")
    print(f"tables in {analyzed - measured:.1f} s, figures in {drawn - analyzed:.1f} s")
    anonymous = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    print(f"anonymous memory {int(anonymous.split()[1]) // 1024} MB, ", end="")
    print(f"with memory-mapped pages at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


def repeated(originals: list[Trajectory], number: int) -> Iterator[Trajectory]:
    for place, run in enumerate(islice(cycle(originals), number)):
        yield replace(run, trajectory_id=f"{run.trajectory_id}-{place}", query_id=f"q{place}", correct=place % 5 > 0)


if __name__ == "__main__":
    main()
