"""Runs the whole loop on an embedded Hub: trajectories, mined pairs, a trained retriever and its evaluation."""

from __future__ import annotations

import argparse
import os
import shlex
import time
from pathlib import Path

from lrat_hub.cli.stage import say
from lrat_hub.localhub import DEFAULT_PORT, LocalHub


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="lrat quickstart", description=__doc__)
    parser.add_argument("--base", choices=("minilm", "static"), default="minilm", help="base model (default: minilm)")
    parser.add_argument("--root", type=Path, default=Path("quickstart"), help="folder for the Hub and the report")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port of the Hub, 0 for a free one")
    args = parser.parse_args(argv)

    started = time.monotonic()
    root = args.root.resolve()
    with LocalHub(root / "hub", port=args.port) as hub:
        # Hugging Face libraries read these when they are imported, which has not happened yet. The cache is the
        # quickstart's own: it must not mix with repositories of the same name on another Hub.
        exports = {**hub.env, "HF_HOME": str(root / "cache")}
        os.environ |= exports
        # Everything here is small; bars are left to encoding and training.
        os.environ |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}

        from lrat_hub.cli.loop import run_loop
        from lrat_hub.demo.report import (
            caveats,
            read_findings,
            result_rows,
            write_consumer,
            write_env,
            write_report,
        )
        from lrat_hub.evaluation.tables import agent_rows
        from lrat_hub.hub.cards import markdown_table

        made = run_loop(args.base)
        found = read_findings(made)
        report = write_report(root, args.base, made, found)
        port = int(hub.endpoint.rpartition(":")[2])
        serve = f"lrat hub serve --root {shlex.quote(str(root / 'hub'))} --port {port}"
        env, consumer = write_env(root, made, exports, serve), write_consumer(root)

    queries = len(found.retrieval.clusters)
    say(f"\n{queries} queries about held-out articles, {args.base} before and after training on mined pairs:\n")
    say(markdown_table(result_rows(found)))
    say("\nRetrievers inside the agent, in percent of the held-out questions, with the gain over the base:\n")
    say(markdown_table(agent_rows(found.evaluations.cells, found.evaluations.comparisons())))
    say("\nWhat this does not show:")
    for line in caveats(found):
        say(f"- {line}")
    say("\nPublished, by pin:")
    for name, ref in made.refs().items():
        say(f"  {name:<13} {ref}")
    here = Path.cwd()

    def shown(path: Path) -> str:
        return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)

    say(f"\nReport with pictures: {shown(report)}")
    say("To use the artifacts with plain datasets and sentence-transformers, serve their Hub in one shell:")
    say(f"  .venv/bin/lrat hub serve --root {shown(root / 'hub')} --port {port}")
    say("and in another:")
    say(f"  . {shown(env)}")
    say(f"  .venv/bin/python {shown(consumer)}")
    say("or, in Python:")
    say(f'  load_dataset("{made.pairs.repo_id}", split="train", revision="{made.pairs.revision}")')
    say(f'  SentenceTransformer("{made.model.repo_id}", revision="{made.model.revision}")')
    say(f"\nDone in {time.monotonic() - started:.0f} s.")
