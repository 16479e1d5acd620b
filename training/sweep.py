"""Trains one model on variants of the pairs, with several seeds each, and compares them: the paper's ablations.

`--vary ladder` is Figure 7 (naive, + filter, + reweight), `--vary size` is Figure 8a, and `--vary pairs` compares
several datasets by the same number of pairs from each, as Table 3 does for correct and incorrect answers. Publishes a
table of all runs, and every model, for agents to search with (`lrat eval grid --sweep`). Models that are already
published are not trained again, so the same command resumes a stopped sweep.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from lrat_hub import cli
from lrat_hub.cli.expected import PlannedArguments
from lrat_hub.cli.planning import plan_training, show
from lrat_hub.cli.stage import ModelArguments, Stage, parse, say
from lrat_hub.errors import LratError
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.hub.refs import HubRef
from lrat_hub.option import option

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from lrat_hub.documents import Documents
    from lrat_hub.evaluation.training import TrainingEvaluation, VariantRun
    from lrat_hub.fitting.kept import KeptModels
    from lrat_hub.fitting.variants import Variant

NOT_KEPT = "none"
"""In the place of a repository for models."""


@dataclass(kw_only=True)
class Arguments(ModelArguments, PlannedArguments):
    pairs: list[str] = option(
        help="Mined pairs; with `vary` pairs, two datasets or more.", group="inputs", recipe=False
    )
    model: str = option(help="SentenceTransformer that every run starts from.", group="inputs")
    corpus: str = option(help="Corpus to evaluate on.", group="inputs")
    queries: str = option(help="Queries to evaluate on.", group="inputs")
    qrels: str = option(help="Relevance judgements of the queries.", group="inputs")
    vary: Literal["ladder", "size", "pairs"] = option(
        "ladder",
        "What to vary: `ladder` adds the judge's filter and then the weights to naive pairs, `size` "
        "trains on the pairs of growing numbers of trajectories, and `pairs` on each of several datasets.",
        group="essentials",
    )
    sizes: list[int] = option(
        help="Numbers of trajectories whose pairs to train on, with `vary` size (paper: 10000, 20000, 30000).",
        factory=lambda: [10_000, 20_000, 30_000],
        group="essentials",
    )
    names: list[str] = option(
        help="Names of the datasets of pairs in tables, in their order, with `vary` pairs.", factory=list
    )
    models_to: str = option(
        "",
        "Repository for the trained models, each a revision with a tag for its variant and seed; by "
        "default the name of --to followed by -models. `none` publishes no models.",
        recipe=False,
    )
    seeds: int = option(3, "Number of trainings of each variant, with the seeds 0, 1, ...", group="essentials")
    check_passages: int = option(
        500, "Passages of the forgetting check, which compares content retrieval; 0 skips it.", group="essentials"
    )
    allow_unchanged: bool = option(False, "Go on when a training has left the model as it was.", recipe=False)


OPTIONS = (Arguments, FitSettings)


def main(argv: list[str] | None = None) -> HubRef | None:
    args, settings = parse(argv, "sweep", __doc__, *OPTIONS)
    if args.dry_run:
        variants = {"ladder": 3, "size": len(args.sizes), "pairs": max(len(args.pairs), len(args.names))}[args.vary]
        return show(*plan_training("sweep", args, settings, args.seeds * variants))
    if args.seeds < 1:
        raise LratError(f"Sweep: expected `seeds` of 1 or more, found {args.seeds}.")
    if len(args.pairs) > 1 and args.vary != "pairs":
        raise LratError(f"Sweep: expected one dataset of pairs with `vary` {args.vary}, found {len(args.pairs)}.")

    # Before torch is imported, which takes long where many do it: what can't be published is told at once.
    keeps = args.models_to != NOT_KEPT
    stage = Stage("sweep", args, settings, configs=("summary", "runs", *(["models"] if keeps else [])))

    from datasets import Dataset

    from lrat_hub.cli.tables import show_table
    from lrat_hub.encoders import load_encoder
    from lrat_hub.evaluation.benchmark import Benchmark
    from lrat_hub.evaluation.tables import system_name
    from lrat_hub.evaluation.training import TrainingEvaluation, model_rows, run_rows, sweep_table
    from lrat_hub.fitting import choose_settings
    from lrat_hub.fitting.kept import KeptModels
    from lrat_hub.fitting.variants import ladder, sizes, sources
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.hub.publish import publication_target

    inputs = [stage.input(f"pairs_{number}", text) for number, text in enumerate(args.pairs, start=1)]
    model = stage.input("model", args.model, repo_type="model")
    benchmark = Benchmark.load(*(stage.input(name, getattr(args, name)) for name in ("corpus", "queries", "qrels")))
    if args.names and len(args.names) != len(inputs):
        raise LratError(f"Sweep: expected `names` for {len(inputs)} datasets of pairs, found {len(args.names)}.")
    names = args.names or [system_name(source) for source in inputs]
    tables = {name: load_table(source, "pairs", config="pairs") for name, source in zip(names, inputs, strict=True)}
    first = next(iter(tables.values()))
    variants = {
        "ladder": lambda: ladder(first, settings),
        "size": lambda: sizes(first, settings, args.sizes),
        "pairs": lambda: sources(tables, settings),
    }[args.vary]()

    evaluation = TrainingEvaluation.of(benchmark, benchmark.documents, passages=args.check_passages)
    if evaluation.left_out:
        say(f"  forgetting check skipped: {evaluation.left_out}")
    runs = []

    def load_base() -> SentenceTransformer:
        return load_encoder(model, trust_remote_code=args.trust_remote_code)

    for choice in choose_settings(load_base(), settings)[1]:
        stage.choose(**{choice.name: choice.value})
        say(f"  {choice}")
    kept = None
    if keeps:
        target = HubRef.parse(args.models_to or f"{stage.target.repo_id}-models", repo_type="model")
        kept = KeptModels(publication_target(target), stage.lineage({}), private=stage.private)
    for run in train_variants(
        variants, load_base, benchmark.documents, evaluation, args.seeds, kept, allow_unchanged=args.allow_unchanged
    ):
        runs.append(run)
        scores = ", ".join(f"{name} recall@10 {scores.mean('recall@10'):.3f}" for name, scores in run.scores.items())
        say(f"{run.variant}{'' if run.seed is None else f', seed {run.seed}'}: {scores}")
    table = sweep_table(runs, evaluation)
    show_table(table)
    published = {"summary": table, "runs": run_rows(runs)} | ({"models": model_rows(model, runs)} if keeps else {})
    return stage.publish_dataset(
        {config: {"test": Dataset.from_list(rows)} for config, rows in published.items()},
        template="sweep",
        counts={"runs": len(runs) - 1, "judged_queries": len(benchmark.qrels)},
        rows=table,
        seeds=args.seeds,
        models=model_rows(model, runs)[1:] if keeps else [],
    )


def train_variants(
    variants: Sequence[Variant],
    load_base: Callable[[], SentenceTransformer],
    documents: Documents,
    evaluation: TrainingEvaluation,
    seeds: int,
    kept: KeptModels | None = None,
    *,
    allow_unchanged: bool = False,
) -> Iterator[VariantRun]:
    """Evaluates the base model, then trains and evaluates every variant with the seeds 0, 1, ...

    Args:
        kept: Where models are published, and what is there is taken from.

    Raises:
        LratError: A training left the model as it was, unless that is allowed.
    """
    from lrat_hub.encoders import as_master_weights, load_encoder
    from lrat_hub.evaluation.training import VariantRun
    from lrat_hub.fitting import TrainingRows, fit_retriever, require_movement

    base = load_base()
    # In the precision that the trained models are evaluated in.
    as_master_weights(base)
    yield VariantRun("base", None, 0, evaluation.score(base))
    for variant in variants:
        for seed in range(seeds):
            settings = replace(variant.settings, seed=seed)
            rows = TrainingRows(variant.drawn(seed), documents, settings)
            pin = kept.find(variant.name, seed) if kept else None
            if pin is not None:
                say(f"{variant.name}, seed {seed}: {pin} is there")
                model = load_encoder(pin)
                as_master_weights(model)
            else:
                fitted = fit_retriever(load_base(), rows, settings)
                if fitted.movement is not None:
                    require_movement(fitted.movement, allowed=allow_unchanged)
                model = fitted.model
                pin = kept.keep(model, settings, variant.name, seed, pairs=len(rows)) if kept else None
            yield VariantRun(variant.name, seed, len(rows), evaluation.score(model, settings.query_style), pin)


if __name__ == "__main__":
    sys.exit(cli.main(["sweep", *sys.argv[1:]]))
