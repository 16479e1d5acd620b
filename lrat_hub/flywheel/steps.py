"""The steps of a round: which stage makes each artifact, out of what, and where it is published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lrat_hub.flywheel.recipe import FlywheelRecipe
from lrat_hub.hub.lineage import read_lineage
from lrat_hub.hub.refs import HubRef, RepoType
from lrat_hub.retrieval.opening import INDEX_PREFIX, RetrieverName

SIDES = ("champion", "challenger")
"""The names of the two in evaluations of agents."""


@dataclass(frozen=True)
class Step:
    """One artifact of a round.

    Args:
        name: Of the artifact, in records.
        stage: The `lrat` command that makes it.
        repo_type: The kind of its repository, whose name is the flywheel's with `suffix`.
        needs: The steps of the same round that it reads.
    """

    name: str
    stage: str
    suffix: str
    repo_type: RepoType
    needs: tuple[str, ...] = ()

    def repository(self, flywheel: HubRef) -> HubRef:
        return HubRef(f"{flywheel.repo_id}-{self.suffix}", self.repo_type)


SLICE = Step("slice", "questions", "questions", "dataset")
RUNS = Step("runs", "rollout", "runs", "dataset", ("slice",))
PAIRS = Step("pairs", "mine", "pairs", "dataset", ("runs",))
MODEL = Step("model", "train", "model", "model", ("pairs",))
INDEXED = Step("index", "index", "index", "model", ("model",))
TEST_RUNS = Step("test_runs", "rollout", "test-runs", "dataset", ("index",))
AGENTS = Step("agents", "eval agents", "agents", "dataset", ("test_runs",))
ALONE = Step("alone", "eval retrieval", "retrieval", "dataset", ("index",))
ELSEWHERE = Step("out_of_domain", "eval retrieval", "out-of-domain", "dataset", ("model", "index"))

IN_DOMAIN = frozenset({"qrels_gold", "trajectories", "evidence", "pairs", "runs", "retrievers", "models", "fusion"})
"""Options of `eval_retrieval` about the held-out questions, or about further systems, which no other corpus takes."""


@dataclass(frozen=True)
class Champion:
    """The retriever that agents work with.

    Args:
        round: The round that trained it; 0 for the one that the flywheel started with.
        model: Pin of the SentenceTransformer; that of the first one where the start is another retriever.
        retriever: By the text of the command line: "index:" and the pin of an index, or what the recipe starts with.
        test_runs: Pin of the agent's runs on the held-out questions with it; "" where agents are not looked at.
    """

    round: int
    model: str
    retriever: str
    test_runs: str = ""


def steps_of(recipe: FlywheelRecipe, number: int, *, alone: bool) -> list[Step]:
    """The steps of a round in their order; those of round 0 prepare the start.

    Args:
        alone: Whether the retrievers are also evaluated alone.
    """
    if number == 0:
        start = [INDEXED] if recipe.start_kind == "model" else []
        return start + ([TEST_RUNS] if recipe.by_agents else [])
    collected = [] if recipe.trajectories else [SLICE, RUNS]
    judged = ([TEST_RUNS, AGENTS] if recipe.by_agents else []) + ([ALONE] if alone else [])
    judged += [ELSEWHERE] if recipe.out_of_domain else []
    return [*collected, PAIRS, MODEL, INDEXED, *judged]


def options_of_step(
    step: Step,
    recipe: FlywheelRecipe,
    number: int,
    pins: Mapping[str, str],
    champion: Champion,
    runs: Sequence[str],
) -> dict[str, Any]:
    """The options that a step's stage is run with.

    Args:
        recipe: With its inputs at their pins.
        pins: Pins of the round's earlier steps.
        champion: The one that the round began with; of round 0, what the recipe says.
        runs: Pins of the runs of the rounds before.
    """
    match step.name:
        case "slice":
            return {"queries": recipe.questions, "held_out": [recipe.held_out], "count": recipe.questions_per_round,
                    "slice": number, "seed": recipe.seed}  # fmt: skip
        case "runs":
            return {**recipe.rollout, "corpus": recipe.corpus, "queries": pins["slice"], "name": "runs",
                    **_searching(champion.retriever, recipe.mix)}  # fmt: skip
        case "pairs":
            own = pins["runs"] if "runs" in pins else recipe.trajectories[number - 1]
            mined = [*runs, own] if recipe.mine_from == "all" else [own]
            return {**recipe.mine, "trajectories": mined, "corpus": recipe.corpus}
        case "model":
            base = champion.model if recipe.train_from == "champion" else recipe.model
            return {**recipe.train, "pairs": pins["pairs"], "model": base}
        case "index":
            return {**recipe.index, "corpus": recipe.corpus, "model": pins["model"] if number else recipe.model}
        case "test_runs":
            retriever = INDEX_PREFIX + pins["index"] if "index" in pins else champion.retriever
            return {**recipe.rollout, "corpus": recipe.corpus, "queries": recipe.held_out, "name": "runs",
                    **_searching(retriever, recipe.mix)}  # fmt: skip
        case "agents":
            return {**recipe.eval_agents, "trajectories": [champion.test_runs, pins["test_runs"]],
                    "names": list(SIDES), "queries": recipe.held_out, "qrels": recipe.qrels}  # fmt: skip
        case "alone":
            indexes = [index] if (index := index_of(champion.retriever)) else []
            return {**recipe.eval_retrieval, "corpus": recipe.corpus, "queries": recipe.held_out,
                    "qrels": recipe.qrels, "bm25": not indexes, "index": [*indexes, pins["index"]]}  # fmt: skip
        case "out_of_domain":
            queries = HubRef.parse(recipe.out_of_domain, repo_type="dataset")
            qrels = replace(queries, config=None)
            rest = {name: value for name, value in recipe.eval_retrieval.items() if name not in IN_DOMAIN}
            return {**rest, "corpus": str(replace(qrels, split=None)), "queries": str(queries), "qrels": str(qrels),
                    "bm25": False, "check_passages": 0,
                    "retrievers": [_without_corpus(champion.retriever), pins["model"]]}  # fmt: skip
    raise AssertionError(step.name)


def _searching(retriever: str, mix: str) -> dict[str, Any]:
    """The options with which a rollout searches with a retriever."""
    if index := index_of(retriever):
        return {"retriever": f"{mix}+{retriever}"} if mix else {"index": [index]}
    return {"retriever": retriever}


def _without_corpus(retriever: str) -> str:
    """What a champion searches another corpus with: the model of its index, or BM25."""
    index = index_of(retriever)
    lineage = read_lineage(HubRef.parse(index, repo_type="model")) if index else None
    return lineage.inputs.get("model", "bm25") if lineage else "bm25"


def index_of(retriever: str) -> str:
    """The pin of an index that retrieves by itself; "" for any other retriever."""
    name = RetrieverName.parse(retriever)
    return name.text if name.kind == "index" else ""
