"""Runs the cells that have no trajectories with the offline readers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub.agents import Question, SearchEnvironment
from lrat_hub.agents.journal import journaled_runs
from lrat_hub.demo.clue_reader import ClueReader
from lrat_hub.demo.natural import NaturalReader
from lrat_hub.documents import Documents
from lrat_hub.evaluation.judging import CellRuns
from lrat_hub.evaluation.settings import CellSettings
from lrat_hub.hub.inputs import Source, load_table
from lrat_hub.retrieval.opening import RetrieverOpener

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.hub.inputs import Inputs


def run_readers(
    inputs: Inputs,
    settings: CellSettings,
    corpus: Source,
    queries: Dataset,
    names: Mapping[str, str],
    journal: Path,
) -> list[CellRuns]:
    """Runs the offline agents with every retriever and K; what the journal has of them is not run again.

    Args:
        journal: Folder of the journals.
        names: What tables call a retriever, by the text that names it among the options.
    """
    from tqdm import tqdm

    documents = Documents(load_table(corpus, "corpus", config="corpus"))
    agents = {
        name: NaturalReader() if name == "reader" else ClueReader(documents.in_order()) for name in settings.agents
    }
    questions = [Question(row["query_id"], row["query"], row["answer"]) for row in queries]
    opener = RetrieverOpener(corpus, documents, inputs=inputs, show_progress=True)
    made = []
    # All are opened before the first is run: what can't be is not found after hours.
    for text, retriever in [(text, opener.open(text)) for text in settings.retrievers]:
        for name, agent in agents.items():
            for k in settings.k:
                environment = SearchEnvironment(retriever, documents, k=k, snippet_tokens=settings.snippet_tokens)
                title = f"{name} with {retriever.name}, k = {k}"
                with tqdm(total=len(questions), desc=title, unit="question") as bar:
                    runs = journaled_runs(
                        agent,
                        questions,
                        environment,
                        journal,
                        max_turns=settings.max_turns,
                        inputs={"corpus": str(corpus)},
                        progress=bar.update,
                    )
                made.append(CellRuns(names.get(text, ""), runs, made_now=True))
    return made
