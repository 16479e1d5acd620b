"""What the judge and the weights contribute to the quickstart, at equal steps and over several seeds.

Serve the Hub of a finished quickstart and load its pins first, then run::

    . quickstart/env.sh
    python benchmarks/quickstart_ablation.py --base static --seeds 3

Variants are those of the paper's Figure 7, added one at a time, and weights without the filter.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from statistics import mean, pstdev

import yaml

from lrat_hub.benchmark import Benchmark
from lrat_hub.documents import Documents
from lrat_hub.fitting import TrainingRows, fit_retriever
from lrat_hub.hub.cards import markdown_table
from lrat_hub.hub.inputs import load_model, load_table, resolve
from lrat_hub.importers import load_trajectories
from lrat_hub.judges import RuleJudge
from lrat_hub.mining import mine_pairs
from lrat_hub.settings import FitSettings
from lrat_hub.stage import recipe_path
from lrat_hub.tables import pair_table

VARIANTS = {
    "naive": {"judge": None, "use_weights": False},
    "+ filter": {"judge": RuleJudge(), "use_weights": False},
    "+ filter + reweight": {"judge": RuleJudge(), "use_weights": True},
    "naive + reweight": {"judge": None, "use_weights": True},
}
METRICS = ("recall@10", "ndcg@10")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", choices=("minilm", "static"), default="static")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trajectories", default=os.environ.get("TRAJECTORIES"))
    args = parser.parse_args()

    def source(view: str = ""):
        return resolve(f"{os.environ['CORPUS']}{view}", repo_type="dataset")

    splits = {
        split: Benchmark.load(source(), source(f"#clue_queries:{split}"), source(f"#clue_qrels:{split}"))
        for split in ("dev", "test")
    }
    documents = Documents(load_table(source(), "corpus", config="corpus"))
    held_out = load_table(source("#held_out"), "document_ids")["docid"]
    table = load_table(resolve(args.trajectories, repo_type="dataset"), "trajectories")
    base = resolve(os.environ["BASE"], repo_type="model")
    recipe = yaml.safe_load(recipe_path(f"training/quickstart_{args.base}").read_text())

    rows = [
        row("base", 0, {split: [benchmark.score_model(load_model(base)).means] for split, benchmark in splits.items()})
    ]
    for name, variant in VARIANTS.items():
        pairs = mine_pairs(load_trajectories(table), profile="paper", judge=variant["judge"], held_out=held_out)
        scores: dict[str, list[dict[str, float]]] = {split: [] for split in splits}
        for seed in range(args.seeds):
            settings = replace(FitSettings(**recipe), seed=seed, use_weights=variant["use_weights"])
            model = load_model(base)
            fit_retriever(model, TrainingRows(pair_table(pairs.pairs), documents, settings), settings)
            for split, benchmark in splits.items():
                scores[split].append(benchmark.score_model(model).means)
        rows.append(row(name, len(pairs.trained), scores))
    print(markdown_table(rows))


def row(name: str, pairs: int, scores: dict[str, list[dict[str, float]]]) -> dict[str, object]:
    """One line of the table: means over seeds, with their standard deviation."""
    cells: dict[str, object] = {"variant": name, "pairs": pairs}
    for split, runs in scores.items():
        for metric in METRICS:
            values = [run[metric] for run in runs]
            cells[f"{split} {metric}"] = f"{mean(values):.3f} ± {pstdev(values):.3f}"
    return cells


if __name__ == "__main__":
    main()
