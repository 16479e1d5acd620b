"""Evaluates several agents with several retrievers on benchmarks with one command, such as for Table 2 of the paper.

A cell is one agent with one retriever on one benchmark. Each cell is a run of `lrat rollout` and is published on its
own, followed by an evaluation of each benchmark and a report. An agent's server is started once for all its cells.
Artifacts that are on the Hub with the same inputs, recipe and version are used as they are, so the same command
resumes a stopped grid. `--shard i/n` makes a part of the cells; the shard that finds all cells complete publishes the
table.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lrat_hub import cli
from lrat_hub.cli.expected import PlannedArguments
from lrat_hub.cli.planning import plan_evaluation, show
from lrat_hub.cli.stage import assignments, parse, say
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.option import option


@dataclass(kw_only=True)
class Arguments(PlannedArguments):
    benchmarks: list[str] = option(
        help="Recipes of lrat eval agents, one for each benchmark; their agents, baselines, k and judge count.",
        group="essentials",
    )
    queries: list[str] = option(
        help="All questions of each benchmark, as BENCHMARK=REF.", group="inputs", recipe=False
    )
    corpus: list[str] = option(help="Corpus of each benchmark, as BENCHMARK=REF.", group="inputs", recipe=False)
    qrels: list[str] = option(
        help="Annotated evidence of benchmarks that have some, as BENCHMARK=REF.",
        factory=list,
        group="inputs",
        recipe=False,
    )
    retrievers: list[str] = option(
        help="Retrievers, as NAME=RETRIEVER, with a retriever of lrat rollout; BENCHMARK/NAME=RETRIEVER for "
        "one benchmark alone, such as an index of its corpus.",
        factory=list,
        group="inputs",
        recipe=False,
    )
    sweep: str = option(
        "",
        "Sweep whose models are retrievers, too, beside the model that they were trained from.",
        group="inputs",
        recipe=False,
    )
    sweep_seeds: list[int] = option(
        help="Seeds of the sweep whose models are evaluated; those of seed 0 are named after their variants.",
        factory=lambda: [0],
        group="essentials",
    )
    agents: list[str] = option(
        help="Agents, in place of those of --benchmarks: recipes of lrat rollout, reader, or plug-ins as "
        "module:object.",
        factory=list,
        group="essentials",
    )
    k: list[int] = option(
        help="Number of results per query, in place of that of --benchmarks.", factory=list, group="essentials"
    )
    index_recipe: str = option(
        "",
        "Recipe of lrat index by which each model gets an index of each corpus. If empty, a model encodes "
        "the corpus again in each cell, which is fast enough for small corpora.",
        group="essentials",
    )
    figures: list[str] = option(
        help="Figures and tables of the paper to make; see lrat eval report.", factory=list, group="essentials"
    )
    title: str = option("Agents with retrievers", "The report's title.", group="essentials")
    retriever_devices: str = option(
        "", "GPUs that serve each index in a process of its own, such as 6,7; see lrat rollout.", recipe=False
    )
    shard: str = option("1/1", "Share of the cells that this machine makes, as i/n.", recipe=False)


OPTIONS = (Arguments,)


def main(argv: list[str] | None = None) -> HubRef | None:
    """Returns the pin of the report, or None where cells of other shards are missing."""
    (args,) = parse(argv, "eval grid", __doc__, *OPTIONS)

    from lrat_hub.agents.journal import Shard, journals_folder
    from lrat_hub.cli.grid import (
        Grid,
        GridBenchmark,
        benchmark_recipes,
        made_or_existing,
        make_cells,
        sweep_retrievers,
    )
    from lrat_hub.evaluation.grid import grid_cells, of_benchmarks, retrievers_of, share_of
    from lrat_hub.hub.inputs import Inputs
    from lrat_hub.hub.publish import publication_target

    shard = Shard.parse(args.shard)
    recipes = benchmark_recipes(args.benchmarks)
    given = {name: of_benchmarks(name, getattr(args, name), list(recipes)) for name in ("corpus", "queries", "qrels")}
    agents = args.agents or agents_of(recipes)
    ks = {name: args.k or values.get("k") or [10] for name, values in recipes.items()}
    if args.dry_run:
        values = {
            name: recipe | {option: of[name] for option, of in given.items() if name in of} | {"k": ks[name]}
            for name, recipe in recipes.items()
        }
        plan, expected = plan_evaluation(
            "eval grid", args.expect, agents, values, retrievers_of(args.retrievers, recipes),
            index_recipe=args.index_recipe, devices=args.retriever_devices,
        )  # fmt: skip
        return show(plan, expected)
    inputs = Inputs(require_pinned=args.require_pinned, on_record=lambda name, pin: say(f"  {name}: {pin}"))
    target = publication_target(HubRef.parse(args.to, repo_type="dataset"))
    for name in recipes:
        if missing := [option for option in ("corpus", "queries") if name not in given[option]]:
            raise LratError(f"{name}: expected `{missing[0]}` of this benchmark, found none. Give {name}=REF.")
    say(f"lrat eval grid: will publish to {target}, and beside it")

    def pinned(name: str, option: str) -> str:
        text = given[option].get(name, "")
        return str(inputs.resolve(f"{option} of {name}", text)) if text else ""

    benchmarks = {
        name: GridBenchmark(name, values, *(pinned(name, option) for option in ("corpus", "queries", "qrels")))
        for name, values in recipes.items()
    }
    texts = [*args.retrievers, *sweep_retrievers(inputs, args.sweep, args.sweep_seeds)]
    retrievers = retrievers_of(texts, recipes)
    if not agents or not all(retrievers.values()):
        raise LratError("Grid: expected agents and `retrievers` for each benchmark, found none. Name some.")
    cells = grid_cells(agents, retrievers, ks)
    grid = Grid(target, benchmarks, cells, args.private, args.index_recipe, args.retriever_devices)

    own = share_of(cells, shard.index, shard.count)
    made = make_cells(grid, own, journals_folder() / target.repo_id.replace("/", "--"))
    if missing := [cell for cell in cells if cell not in made]:
        say(f"  shard {args.shard} is done; {len(missing)} cells of other shards are missing, such as {missing[0]}.")
        return None
    evaluations = [
        made_or_existing(grid.evaluation(benchmark, made, baselines(benchmark.values, retrievers[name])))
        for name, benchmark in benchmarks.items()
    ]
    return made_or_existing(grid.report(evaluations, title=args.title, figures=args.figures))


def agents_of(recipes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The agents of all benchmarks' recipes, each once."""
    named = ([*values.get("agents", []), *values.get("rollouts", [])] for values in recipes.values())
    return list(dict.fromkeys(agent for agents in named for agent in agents))


def baselines(values: Mapping[str, Any], retrievers: Mapping[str, str]) -> list[str]:
    """Those of a benchmark's recipe whose retrievers are both there."""
    pairs = assignments("baselines", values.get("baselines", []))
    return [f"{name}={base}" for name, base in pairs.items() if name in retrievers and base in retrievers]


if __name__ == "__main__":
    sys.exit(cli.main(["eval", "grid", *sys.argv[1:]]))
