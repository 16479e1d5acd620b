"""Runs the cells that have no trajectories: offline readers here, language models by `lrat rollout`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub.agent_evaluation.judging import CellRuns
from lrat_hub.agent_evaluation.settings import CellSettings, EvaluationSettings
from lrat_hub.agents import ClueReader, NaturalReader, Question, SearchEnvironment
from lrat_hub.agents.journal import default_folder, journaled_runs
from lrat_hub.documents import Documents
from lrat_hub.hub.inputs import Source, load_table
from lrat_hub.retrieval.opening import INDEX_PREFIX, RetrieverShelf
from lrat_hub.retrieval.remote import is_url

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.hub.refs import HubRef
    from lrat_hub.stage import Stage


def run_readers(
    stage: Stage, settings: CellSettings, corpus: Source, queries: Dataset, names: Mapping[str, str]
) -> list[CellRuns]:
    """Runs the offline agents with every retriever and K; what the journal has of them is not run again.

    Args:
        names: What tables call a retriever, by the text that names it among the options.
    """
    from tqdm import tqdm

    documents = Documents(load_table(corpus, "corpus", config="corpus"))
    agents = {
        name: NaturalReader() if name == "reader" else ClueReader(documents.in_order()) for name in settings.agents
    }
    questions = [Question(row["query_id"], row["query"], row["answer"]) for row in queries]
    folder = Path(settings.journal) if settings.journal else default_folder(stage.target)
    shelf = RetrieverShelf(stage, corpus, documents)
    made = []
    # All are opened before the first is run: what can't be is not found after hours.
    for text, retriever in [(text, shelf.open(text)) for text in settings.retrievers]:
        for name, agent in agents.items():
            for k in settings.k:
                environment = SearchEnvironment(retriever, documents, k=k, snippet_tokens=settings.snippet_tokens)
                title = f"{name} with {retriever.name}, k = {k}"
                with tqdm(total=len(questions), desc=title, unit="question") as bar:
                    runs = journaled_runs(
                        agent,
                        questions,
                        environment,
                        folder,
                        max_turns=settings.max_turns,
                        inputs={"corpus": str(corpus)},
                        progress=bar.update,
                    )
                made.append(CellRuns(names.get(text, ""), runs, made_now=True))
    return made


def run_recipes(
    stage: Stage, settings: EvaluationSettings, corpus: Source, queries: Source, names: Mapping[str, str]
) -> list[tuple[HubRef, str]]:
    """Runs `lrat rollout` with every recipe, retriever and K: what it published, and what tables call the retriever.

    Each cell is published on its own, beside the evaluation; its journal lets the same command go on where it was
    stopped. Their own judge is asked only when its verdicts are those that count.
    """
    from lrat_hub import cli

    rest = ["--corpus", str(corpus), "--queries", str(queries)]
    rest += ["--judge", "none"] if settings.judge != "recorded" else []
    rest += ["--private"] if stage.args.private else []
    rest += ["--require_pinned"] if stage.args.require_pinned else []
    made = []
    for recipe in settings.rollouts:
        for text in settings.retrievers:
            for k in settings.k:
                cell = f"{Path(recipe).stem}-{text.removeprefix(INDEX_PREFIX).partition('@')[0]}-k{k}"
                target = f"{stage.target.repo_id}-{re.sub(r'[^A-Za-z0-9.-]+', '-', cell)}"
                is_index = text.startswith(INDEX_PREFIX) or is_url(text)
                retriever = ["--index" if is_index else "--retriever", text.removeprefix(INDEX_PREFIX)]
                pin = cli.run(["rollout", "--config", recipe, *rest, *retriever, "--k", str(k), "--to", target])
                made.append((pin, names.get(text, "")))
    return made
