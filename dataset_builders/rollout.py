"""Runs an agent over questions with search and browse tools on a fixed corpus, and records its trajectories."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass, field
from typing import Literal

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.stage import Stage, StageArguments, parse, say

TRACES = 1000
"""Trajectories, at most, that are also written as session traces, which the Hub shows."""


@dataclass(kw_only=True)
class Arguments(StageArguments):
    corpus: str = field(metadata={"help": "The corpus to search and browse."})
    queries: str = field(metadata={"help": "The questions, as ref#config:split."})
    agent: Literal["clue-reader", "reader"] = field(
        default="clue-reader",
        metadata={"help": "The agent: the offline reader of clue questions, or that of natural questions."},
    )
    retriever: str = field(
        default="",
        metadata={
            "help": "'bm25' (the default) or a SentenceTransformer, over the whole corpus. With --index it is that "
            "index's model, and only needed when the model is not on the Hub."
        },
    )
    index: str = field(default="", metadata={"help": "An index of the corpus, or the URL of one that is served."})
    k: int = field(default=10, metadata={"help": "Results a query (paper: 10)."})
    snippet_tokens: int = field(default=64, metadata={"help": "Tokens of a document in a result list (paper: 64)."})
    browse_tokens: int = field(
        default=0,
        metadata={"help": "Tokens of a document that is opened, from its start; 0 for the complete document."},
    )
    hide_seen: bool = field(
        default=False,
        metadata={"help": "Fill result lists up to k new documents; those shown before are listed by title only."},
    )
    shuffle: bool = field(
        default=False,
        metadata={"help": "Show every result list in random order, which makes position bias visible (lrat analyze)."},
    )
    max_turns: int = field(default=100, metadata={"help": "Actions after which an answer is asked for (paper: 100)."})


def main(argv: list[str] | None = None) -> HubRef:
    (args,) = parse(argv, "rollout", __doc__, Arguments)
    if args.index and args.retriever == "bm25":
        raise LratError("lrat rollout: --index says what retrieves, and --retriever bm25 too. Give one of them.")
    if not args.index:
        args.retriever = args.retriever or "bm25"

    from tqdm import tqdm

    from lrat_hub.agents import ClueReader, NaturalReader, Question, SearchEnvironment, run_agents
    from lrat_hub.analysis import outcome_table
    from lrat_hub.documents import Documents
    from lrat_hub.hub.inputs import load_model, load_table
    from lrat_hub.importers import trace_files
    from lrat_hub.judges import answer_matches
    from lrat_hub.retrieval.bm25 import BM25Retriever
    from lrat_hub.retrieval.dense import DenseRetriever
    from lrat_hub.retrieval.opening import open_index
    from lrat_hub.tables import trajectory_table

    stage = Stage("rollout", args)
    corpus = stage.input("corpus", args.corpus)
    queries = load_table(stage.input("queries", args.queries), "queries", config="queries")
    documents = Documents(load_table(corpus, "corpus", config="corpus"))
    if args.retriever == "bm25":
        retriever = BM25Retriever(documents.in_order(), revision=getattr(corpus, "revision", None))
    else:
        source = stage.input("retriever", args.retriever, repo_type="model") if args.retriever else None
        if args.index:
            retriever = open_index(stage, args.index, corpus=corpus, model=source)
        else:
            retriever = DenseRetriever(
                load_model(source),
                documents.in_order(),
                name=getattr(source, "repo_id", str(source)),
                revision=getattr(source, "revision", None),
                show_progress=True,
            )
    environment = SearchEnvironment(
        retriever,
        documents,
        k=args.k,
        snippet_tokens=args.snippet_tokens,
        browse_tokens=args.browse_tokens or None,
        hide_seen=args.hide_seen,
        shuffle=args.shuffle,
    )
    questions = [Question(row["query_id"], row["query"], row["answer"]) for row in queries]
    agent = NaturalReader() if args.agent == "reader" else ClueReader(documents.in_order())
    with tqdm(total=len(questions), desc=f"{args.agent} with {retriever.name}", unit="question") as bar:
        trajectories = run_agents(
            agent,
            questions,
            environment,
            max_turns=args.max_turns,
            concurrency=len(questions),
            progress=lambda _: bar.update(),
        )
    trajectories = [
        dataclasses.replace(run, correct=answer_matches(run.final_answer, run.gold_answer)) if run.gold_answer else run
        for run in trajectories
    ]
    summary = outcome_table(trajectories)
    for row in summary:
        say(
            "  "
            + ", ".join(
                f"{key} {value:.2f}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
            )
        )
    statuses = {
        status: sum(run.status == status for run in trajectories) for status in ("completed", "limited", "failed")
    }
    return stage.publish_dataset(
        {f"{args.agent}_{retriever.name.replace('/', '__')}": {"train": trajectory_table(trajectories)}},
        template="trajectories",
        counts={"questions": len(questions), "statuses": statuses, "outcomes": summary},
        summary=summary,
        files=trace_files(trajectories, limit=TRACES),
    )


if __name__ == "__main__":
    sys.exit(cli.main(["rollout", *sys.argv[1:]]))
