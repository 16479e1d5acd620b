"""What the reader of natural questions feeds back with BM25, and what hiding, shuffling and longer lists change.

The 400 questions of `twowiki` are asked in four rounds of 100, of which nobody is trained: what changes from round to
round here changes without a flywheel. Needs the folder `twowiki` (corpus.jsonl, queries.tsv, qrels_evidence.txt)::

    python benchmarks/flywheel_feedback.py --data twowiki
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from natural_questions import NaturalData, score_reader

from lrat_hub.agents.environment import SearchEnvironment
from lrat_hub.agents.runner import run_agents
from lrat_hub.demo.natural import NaturalReader
from lrat_hub.flywheel import Feedback
from lrat_hub.hub.cards import markdown_table
from lrat_hub.judges import RuleJudge
from lrat_hub.mining import mine_pairs
from lrat_hub.retrieval.bm25 import BM25Retriever

ROUND = 100
SETTINGS: dict[str, dict[str, Any]] = {
    "k = 3": {"k": 3},
    "k = 3, seen ones hidden": {"k": 3, "hide_seen": True},
    "k = 3, shuffled": {"k": 3, "shuffle": True},
    "k = 10": {"k": 10},
    "k = 10, seen ones hidden": {"k": 10, "hide_seen": True},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    data = NaturalData.load(parser.parse_args().data)
    retriever = BM25Retriever(data.documents)
    rows = []
    for name, settings in SETTINGS.items():
        feedback = Feedback(len(data.documents))
        for start in range(0, len(data.questions), ROUND):
            part = data.part(start, start + ROUND)
            environment = SearchEnvironment(retriever, data.by_docid, **settings)
            runs = run_agents(NaturalReader(), part.questions, environment, max_turns=100, concurrency=ROUND)
            found = feedback.add(f"round-{start // ROUND + 1}", runs, mine_pairs(runs, judge=RuleJudge()).pairs)
            scores = score_reader(part, runs)
            rows.append(
                {
                    "lists": name,
                    "round": found.round,
                    "documents listed": f"{found.listed} of {found.documents}",
                    "Gini": f"{found.gini:.3f}",
                    "top 1 %": f"{found.top_share:.3f}",
                    "positives": found.positives,
                    "listed the round before": f"{found.listed_before:.2f}" if found.listed_before else "",
                    "never listed before": f"{found.novel:.2f}" if found.novel else "",
                    "judged relevant": f"{found.relevant:.2f}",
                    "evidence share": f"{scores.mean('evidence_share'):.3f}",
                    "steps": f"{scores.mean('steps'):.2f}",
                }
            )
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
