"""The paper's ladder (Figure 7) on a language model's runs: naive pairs, the judge's filter, the weights.

Mines the quickstart's training runs with the recorded verdicts, and trains with the settings of `lrat quickstart` on
each step of the ladder with several seeds. Every model is evaluated on the test questions and by the content check.
Take it niced, since it needs hours; the same command goes on where it was stopped::

    nice -n 10 python benchmarks/recorded_ladder.py --base minilm --work work
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from lrat_hub import LocalHub, cli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", choices=("minilm", "static"), default="minilm")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="keeps the Hub with all models")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--judge", default="lrat_hub.demo.recorded:RecordedJudge", help="a judge of `lrat mine`")
    args = parser.parse_args()
    root = args.work.resolve() / args.base
    with LocalHub(root / "hub") as hub:
        os.environ |= hub.env | {"HF_HOME": str(root / "cache")}

        from lrat_hub.demo.bases import publish_base
        from lrat_hub.demo.recorded import write_logs

        corpus = cli.run(["corpus", "--recorded", "--to", "lrat/wikipedia"])
        base = str(publish_base(args.base, f"lrat/{args.base}"))
        write_logs(root / "logs")
        runs = str(cli.run(["import", str(root / "logs" / "train"), "--to", "lrat/train-runs"]))
        pairs = cli.run([
            "mine", "--trajectories", runs, "--corpus", str(corpus), "--held_out", f"{corpus}#held_out",
            "--qrels", f"{corpus}#qrels_evidence:train", "--judge", args.judge, "--tokenizer", base,
            "--to", "lrat/pairs",
        ])  # fmt: skip
        cli.run([
            "sweep", "--config", f"training/quickstart_{args.base}", "--vary", "ladder", "--seeds", str(args.seeds),
            "--pairs", str(pairs), "--model", base, "--corpus", str(corpus),
            "--queries", f"{corpus}#queries:test", "--qrels", f"{corpus}#qrels_evidence:test", "--to", "lrat/ladder",
        ])  # fmt: skip


if __name__ == "__main__":
    main()
