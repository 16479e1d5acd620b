"""What `lrat eval grid` runs: a stage a cell, one server for all cells of an agent, then evaluations and a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lrat_hub import cli
from lrat_hub.artifacts.stage_runs import StageRun, existing
from lrat_hub.cli.options import AGENTS
from lrat_hub.cli.parsing import recipe_path, recipe_values
from lrat_hub.cli.planning import check, rollout_settings
from lrat_hub.cli.stage import say
from lrat_hub.cli.stage_runs import execute, stage_run
from lrat_hub.errors import LratError
from lrat_hub.evaluation.grid import Cell, fitting_name, plain_agent, repository_name
from lrat_hub.evaluation.verdicts import RECORDED
from lrat_hub.hub.inputs import Inputs, resolve
from lrat_hub.hub.refs import HubRef
from lrat_hub.plugins import is_plugin

OF_RUNS = (
    "agents",
    "rollouts",
    "retrievers",
    "names",
    "trajectories",
    "baselines",
    "max_turns",
    "snippet_tokens",
    "k",
)
"""Options of `lrat eval agents` that say which runs there are; the grid makes the runs itself."""


@dataclass(frozen=True)
class GridBenchmark:
    """A benchmark, by a recipe of `lrat eval agents`, with what it reads at pins.

    Args:
        values: What the recipe says.
        qrels: "" where no evidence is annotated.
    """

    name: str
    values: Mapping[str, Any] = field(compare=False)
    corpus: str
    queries: str
    qrels: str

    @property
    def private(self) -> bool:
        return bool(self.values.get("private"))

    def evaluation(self) -> dict[str, Any]:
        """Options of the evaluation: those of the recipe, without those that are about runs."""
        options = {name: value for name, value in self.values.items() if name not in OF_RUNS}
        return options | {"queries": self.queries} | ({"qrels": self.qrels} if self.qrels else {})


def benchmark_recipes(recipes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What recipes of `lrat eval agents` say, by the names of their benchmarks.

    Raises:
        LratError: A recipe can't be read, or two are of one benchmark.
    """
    found: dict[str, dict[str, Any]] = {}
    for recipe in recipes:
        path = recipe_path(recipe)
        values = recipe_values("eval agents", path, *cli.options_of_stage("eval agents"))
        name = str(values.get("benchmark") or path.stem)
        if name in found:
            raise LratError(f"`benchmarks` {recipe}: expected another benchmark than {name}, which is there already.")
        found[name] = values | {"benchmark": name}
    return found


@dataclass(frozen=True)
class Grid:
    """A table of agents with retrievers on benchmarks, each cell of which is published apart.

    Args:
        target: The repository of the report, whose name those of the others begin with.
        benchmarks: By their names.
        cells: All cells of the table.
        private: Whether everything is private.
        index_recipe: The recipe of `lrat index` by which models get an index of each corpus; "" for none.
        retriever_devices: GPUs that serve indexes; see `lrat rollout`.
    """

    target: HubRef
    benchmarks: Mapping[str, GridBenchmark]
    cells: Sequence[Cell]
    private: bool = False
    index_recipe: str = ""
    retriever_devices: str = ""

    def rollout(self, cell: Cell, served: Mapping[str, Any] | None = None) -> StageRun:
        """The run of a cell.

        Args:
            served: Options that name the agent's server, where it runs.
        """
        benchmark = self.benchmarks[cell.benchmark]
        plain = cell.agent in AGENTS or is_plugin(cell.agent)
        shared = {name: benchmark.values[name] for name in ("max_turns", "snippet_tokens") if name in benchmark.values}
        # Verdicts are given once for all cells of a benchmark, unless those count that come with the runs.
        judge = {} if benchmark.values.get("answer_judge", RECORDED) == RECORDED else {"answer_judge": "none"}
        options = {
            **({"agent": cell.agent, **shared} if plain else {"config": cell.agent}),
            "corpus": benchmark.corpus,
            "queries": benchmark.queries,
            "k": cell.k,
            **self._retriever(cell),
            **judge,
            **self._visibility(benchmark.private),
            **(served or {}),
        }
        return stage_run("rollout", options, self._repository(cell.name))

    def _retriever(self, cell: Cell) -> dict[str, Any]:
        from lrat_hub.retrieval.opening import RetrieverName

        made_by = self.indexed(cell) or cell.made_by
        name = RetrieverName.parse(str(made_by))
        if name.kind == "url" or name.kind == "index" or isinstance(made_by, HubRef):
            devices = {"retriever_devices": self.retriever_devices} if name.kind != "url" else {}
            return {"index": [name.text], **(devices if self.retriever_devices else {})}
        return {"retriever": name.text}

    def indexed(self, cell: Cell) -> HubRef | None:
        """The index of a cell's corpus by its model, which is made when it is missing; None for other retrievers."""
        run = self.index_run(cell)
        return None if run is None else existing(run) or execute(run)

    def index_run(self, cell: Cell) -> StageRun | None:
        """What makes the index of a cell; None where it has one, or needs none."""
        from lrat_hub.retrieval.indexes import is_index
        from lrat_hub.retrieval.opening import RetrieverName

        name = RetrieverName.parse(cell.made_by)
        if not self.index_recipe or name.kind != "repository":
            return None
        if is_index(model := resolve(name.text, repo_type="model")):
            return None
        benchmark = self.benchmarks[cell.benchmark]
        options = {"config": self.index_recipe, "model": str(model), "corpus": benchmark.corpus}
        to = self._repository(repository_name("index", cell.benchmark, cell.retriever), kind="model")
        return stage_run("index", options | self._visibility(benchmark.private), to)

    def evaluation(self, benchmark: GridBenchmark, made: Mapping[Cell, HubRef], baselines: Sequence[str]) -> StageRun:
        """The evaluation of all cells of a benchmark."""
        cells = [cell for cell in self.cells if cell.benchmark == benchmark.name]
        options = benchmark.evaluation() | {
            "trajectories": [str(made[cell]) for cell in cells],
            "names": [cell.retriever for cell in cells],
            "baselines": list(baselines),
            **self._visibility(benchmark.private),
        }
        return stage_run("eval agents", options, self._repository(repository_name(benchmark.name)))

    def report(self, evaluations: Sequence[HubRef], **options: Any) -> StageRun:
        """The report on the evaluations of all benchmarks, which is private where one of them is."""
        private = self._visibility(any(benchmark.private for benchmark in self.benchmarks.values()))
        return stage_run(
            "eval report", {**options, "evaluations": list(map(str, evaluations)), **private}, self.target
        )

    def _visibility(self, private: bool) -> dict[str, Any]:
        return {"private": True} if private or self.private else {}

    def _repository(self, name: str, *, kind: Any = "dataset") -> HubRef:
        return HubRef.parse(fitting_name(self.target.repo_id, name), repo_type=kind)


@contextmanager
def served_agent(agent: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Options that name an agent's server, which runs while inside `with`; {} for an agent that needs none.

    Args:
        agent: Its recipe of `lrat rollout`, or its name.
        folder: Where the log of a server goes.

    Raises:
        LratError: The server can't be started.
    """
    from lrat_hub.hub.inputs import fetch_folder
    from lrat_hub.llm.serving import VllmServer, pin_model
    from lrat_hub.planning import Phase, Plan
    from lrat_hub.planning.work import server as needs_of_server

    settings = rollout_settings(agent)[1]
    if settings is None or settings.server.base_url:
        yield {}
        return
    server = settings.server
    model = pin_model(Inputs(), server, name="agent")
    if not isinstance(model.source, HubRef):
        raise LratError(f"{agent}: expected an agent's model on the Hub, found {server.model}. Publish it.")
    log = Path(server.server_log) if server.server_log else folder / f"vllm-{plain_agent(agent)}.log"
    check(Plan("eval grid", [Phase(plain_agent(agent), needs_of_server("agent", server))]))
    with VllmServer(fetch_folder(model.source), model.name, server, log) as started:
        yield {"url": [started.base_url], "model": str(model.source)}


def make_cells(grid: Grid, cells: Sequence[Cell], folder: Path) -> dict[Cell, HubRef]:
    """Makes the cells that are not on the Hub, agent by agent; one that fails does not end the others.

    Args:
        cells: This machine's share.
        folder: Where logs of servers go.

    Returns:
        The pins of all cells of the grid that are there now.

    Raises:
        LratError: Some of the share could not be made.
    """
    made = {cell: pin for cell in grid.cells if (pin := existing_cell(grid, cell)) is not None}
    failed: list[str] = []
    for agent in dict.fromkeys(cell.agent for cell in cells):
        pending = [cell for cell in cells if cell.agent == agent and cell not in made]
        there = sum(cell.agent == agent and cell in made for cell in cells)
        say(f"{plain_agent(agent)}: {there} cells are there, {len(pending)} are to be made")
        if not pending:
            continue
        try:
            # Indexes are made before the agent's server takes the GPUs.
            for cell in pending:
                grid.indexed(cell)
            with served_agent(agent, folder) as served:
                for cell in pending:
                    say(f"cell {grid.cells.index(cell) + 1} of {len(grid.cells)}: {cell}")
                    try:
                        made[cell] = execute(grid.rollout(cell, served))
                    except LratError as error:
                        say(f"  failed: {error}")
                        failed.append(f"{cell}: {error}")
        except LratError as error:
            say(f"  failed: {error}")
            failed.append(f"{plain_agent(agent)}: {error}")
    if failed:
        raise LratError(f"Grid: {len(failed)} cells or agents failed; the same command tries them again. {failed[0]}")
    return made


def sweep_retrievers(inputs: Inputs, sweep: str, seeds: Sequence[int]) -> list[str]:
    """The models of a sweep as retrievers, NAME=RETRIEVER: the base, then each variant with each seed.

    Those of seed 0 are named after their variants, as figures of the paper, which has one training of each, know them.

    Args:
        inputs: Where the sweep is recorded.
        sweep: "" for none.

    Raises:
        LratError: It kept no models, or has none of a seed.
    """
    from lrat_hub.hub.inputs import load_split

    if not sweep:
        return []
    pin = inputs.resolve("sweep", sweep)
    rows: list[Any] = list(load_split(replace(pin, config="models", split="test")))
    if missing := set(seeds) - {row["seed"] for row in rows}:
        raise LratError(f"{pin}: expected models of seed {min(missing)}, found none. It had fewer seeds.")
    chosen = [row for row in rows if row["seed"] is None or row["seed"] in seeds]
    return [
        "{}{}={}".format(row["variant"], f", seed {row['seed']}" if row["seed"] else "", row["model"])
        for row in chosen
    ]


def existing_cell(grid: Grid, cell: Cell) -> HubRef | None:
    """The pin of a cell that is on the Hub; None for one whose index is missing, too."""
    index = grid.index_run(cell)
    if index is not None and existing(index) is None:
        return None
    return existing(grid.rollout(cell))


def made_or_existing(run: StageRun) -> HubRef:
    """What a run publishes, from the Hub where it is there already."""
    pin = existing(run)
    if pin is not None:
        say(f"lrat {run.stage}: {pin} is there")
        return pin
    return execute(run)
