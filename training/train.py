"""Trains a retriever on mined pairs with the weighted loss (sections 5.2.2 and 6.1.4 of the LRAT paper).

Publishes a complete SentenceTransformer repository. The defaults are the paper's settings; recipes for other sizes
lie beside this script.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.settings import FitSettings
from lrat_hub.stage import Stage, StageArguments, parse, say


@dataclass(kw_only=True)
class Arguments(StageArguments):
    pairs: str = field(metadata={"help": "Mined pairs, with configs `pairs` and `documents`."})
    model: str = field(metadata={"help": "The SentenceTransformer to start from."})
    corpus: str = field(default="", metadata={"help": "Corpus to evaluate on, before and after."})
    queries: str = field(default="", metadata={"help": "Development queries for that; never those of the test."})
    qrels: str = field(default="", metadata={"help": "Their relevance judgements."})


def main(argv: list[str] | None = None) -> HubRef:
    args, settings = parse(argv, "train", __doc__, Arguments, FitSettings)
    if len({bool(args.corpus), bool(args.queries), bool(args.qrels)}) > 1:
        raise LratError("lrat train: --corpus, --queries and --qrels go together, or are all left out.")

    from lrat_hub.benchmark import Benchmark
    from lrat_hub.documents import Documents
    from lrat_hub.fitting import fit_retriever, training_view
    from lrat_hub.hub.cards import model_metadata, render_card
    from lrat_hub.hub.inputs import load_model, load_table
    from lrat_hub.metrics import METRICS

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise LratError("lrat train: expected one process, found several. Training on several devices comes later.")
    stage = Stage("train", args, settings, publishes="model")
    pairs_source = stage.input("pairs", args.pairs)
    model_source = stage.input("model", args.model, repo_type="model")
    pairs = load_table(pairs_source, "pairs", config="pairs")
    documents = Documents(load_table(pairs_source, "documents", config="documents"))
    view = training_view(
        pairs, documents, num_negatives=settings.num_negatives, use_weights=settings.use_weights, seed=settings.seed
    )
    benchmark = None
    if args.queries:
        benchmark = Benchmark.load(
            stage.input("corpus", args.corpus), stage.input("queries", args.queries), stage.input("qrels", args.qrels)
        )

    model = load_model(model_source)
    weights = view.with_format(None)["weight"]
    say(
        f"pairs: {len(view)} of {len(pairs)} are trained on; weights mean {sum(weights) / len(weights):.3f}, "
        f"min {min(weights):.3f}, max {max(weights):.3f}"
    )
    before = benchmark.score_model(model) if benchmark else None
    log = fit_retriever(model, view, settings)
    results = []
    if benchmark:
        after = benchmark.score_model(model)
        results = [
            {
                "metric": metric,
                "base": before.mean(metric),
                "trained": after.mean(metric),
                "difference": str(benchmark.difference(after, before, metric)),
            }
            for metric in METRICS
        ]
        for row in results:
            say("  {metric}: base {base:.3f}, trained {trained:.3f}, {difference}".format(**row))

    counts = {"pairs": len(pairs), "trained_pairs": len(view), "final_loss": log[-1]["loss"], "development": results}
    lineage = stage.lineage(counts)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder, create_model_card=False)
        card = render_card(
            "model",
            lineage,
            repo_id=stage.target.repo_id,
            metadata=model_metadata(base_model=model_source, dataset=pairs_source),
            max_length=model.max_seq_length if model.max_seq_length != float("inf") else None,
            dimension=model.get_embedding_dimension(),
            prompts={name: prompt for name, prompt in model.prompts.items() if prompt},
            results=results,
        )
        return stage.publish_model(Path(folder), card=card, lineage=lineage)


if __name__ == "__main__":
    sys.exit(cli.main(["train", *sys.argv[1:]]))
