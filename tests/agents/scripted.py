"""A small collection, and agents on the scripted chat server, for tests."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lrat_hub.agents import LanguageAgent, Question, SearchEnvironment
from lrat_hub.llm.chat import ChatClient
from lrat_hub.retrieval import Hit
from lrat_hub.schema import Document, Sampling, Trajectory

DOCUMENTS = {
    f"d{number}": Document(f"d{number}", f"Title {number}", f"The text of document {number} has some words.")
    for number in range(40)
}
QUESTIONS = [Question(f"q{number}", f"which is the thing {number}", f"Title {number}") for number in range(24)]
SAMPLING = Sampling(temperature=0.85, top_p=0.95, presence_penalty=1.1, seed=2025)


class Spread:
    """Finds ten documents, of which the query's letters decide the first."""

    name, revision = "spread", None

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        self.batches.append(list(queries))
        found = []
        for query in queries:
            start = sum(map(ord, query))
            found.append([Hit(f"d{(start + 3 * rank) % len(DOCUMENTS)}", 1 / rank, rank) for rank in range(1, k + 1)])
        return found


def environment(retriever: Spread | None = None, **options: Any) -> SearchEnvironment:
    return SearchEnvironment(retriever or Spread(), DOCUMENTS, **options)


def agent(base_url: str, protocol: str, *, timeout: float = 5.0, attempts: int = 4, **options: Any) -> LanguageAgent:
    client = ChatClient(base_url, "scripted", revision="0" * 40, timeout=timeout, attempts=attempts)
    return LanguageAgent(client, protocol, **{"sampling": SAMPLING, "max_tokens": 400, **options})


def errors(trajectories: Sequence[Trajectory]) -> Counter[str]:
    return Counter(step.error for run in trajectories for step in run.steps if step.error)


def notes(run: Trajectory) -> dict[str, Any]:
    return json.loads(run.metadata)


def timeless(run: Trajectory) -> Trajectory:
    """A run of a model without the time it took, which alone differs between one run and the same again."""
    kept = {name: value for name, value in notes(run).items() if name != "seconds"}
    return dataclasses.replace(run, metadata=json.dumps(kept, sort_keys=True))


def publish_things(folder: Path, to: str) -> str:
    """Publishes the documents and questions on the Hub of the tests, and gives their pin."""
    from lrat_hub import cli

    rows = [json.dumps({"docid": d.docid, "title": d.title, "text": d.text}) for d in DOCUMENTS.values()]
    (folder / "documents.jsonl").write_text("\n".join(rows))
    (folder / "queries.tsv").write_text("".join(f"{q.query_id}\t{q.text}\t{q.gold_answer}\n" for q in QUESTIONS))
    words = ["corpus", "--documents", folder / "documents.jsonl", "--queries", folder / "queries.tsv"]
    return str(cli.run([*map(str, words), "--to", to]))
