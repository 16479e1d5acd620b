"""What the offline reader finds on natural multi-hop questions, beside one search with the question itself.

Needs the folder `twowiki` (corpus.jsonl, queries.tsv, qrels_evidence.txt); MiniLM's vectors of the corpus take some
minutes once, and are kept in the work folder::

    python benchmarks/twowiki_reader.py --data twowiki --work work

One search is compared at the same k, and, question by question, at the number of different passages that the reader's
searches listed. The intervals are paired, over questions.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from natural_questions import (
    NaturalData,
    Values,
    dense_retriever,
    load_minilm,
    run_reader,
    score_reader,
    search_share,
)

from lrat_hub.demo.natural import NaturalReader
from lrat_hub.demo.natural.language import fold
from lrat_hub.hub.cards import markdown_table
from lrat_hub.judges import RuleJudge, answer_matches
from lrat_hub.mining import mine_pairs
from lrat_hub.retrieval import Retriever
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.retrieval.dense import encode_documents
from lrat_hub.significance import paired_difference

DEVELOPED_ON = 300
"""Questions, from the first on, whose failures were looked at while the reader was written; at no others."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--retrievers", nargs="+", choices=["BM25", "MiniLM"], default=["BM25", "MiniLM"])
    args = parser.parse_args()
    data = NaturalData.load(args.data)
    retrievers = {
        name: BM25Retriever(data.documents) if name == "BM25" else minilm(data, args.work) for name in args.retrievers
    }
    parts = {
        "all": data,
        f"first {DEVELOPED_ON}": data.part(0, DEVELOPED_ON),
        f"other {len(data.questions) - DEVELOPED_ON}": data.part(DEVELOPED_ON),
    }
    print(
        markdown_table(
            [compare(part, name, parts[part], retriever) for name, retriever in retrievers.items() for part in parts]
        )
    )
    print(markdown_table([row for name, retriever in retrievers.items() for row in vary(name, data, retriever)]))
    print(markdown_table([mined(name, data, retriever) for name, retriever in retrievers.items()]))


def minilm(data: NaturalData, work: Path) -> Retriever:
    model, file = load_minilm(), work / "minilm.npy"
    if not file.is_file():
        work.mkdir(parents=True, exist_ok=True)
        np.save(file, encode_documents(model, data.documents, show_progress=True))
    return dense_retriever(model, np.load(file), data, "MiniLM")


def compare(part: str, name: str, data: NaturalData, retriever: Retriever) -> dict[str, object]:
    """The reader and one search, in both readings of evidence recall, with what the reader finds more."""
    runs = run_reader(data, retriever)
    scores = score_reader(data, runs)
    listed = {run.query_id: len({hit.docid for step in run.steps for hit in step.results}) for run in runs}
    share = scores.values("evidence_share")
    alone, as_many = search_share(data, retriever, 10), search_share(data, retriever, listed)
    right = {run.query_id: answer_matches(run.final_answer, run.gold_answer) for run in runs}
    anything = {query_id: float(value > 0) for query_id, value in alone.items()}
    return {
        "retriever": name,
        "questions": part,
        "share": f"{mean(share):.3f}",
        "all of it": f"{mean(complete(share)):.3f}",
        "any": f"{scores.mean('evidence_any'):.3f}",
        "opened": f"{scores.mean('opened_share'):.3f}",
        "searches": f"{scores.mean('searches'):.2f}",
        "browses": f"{scores.mean('browses'):.2f}",
        "right answers": f"{mean(right):.3f}",
        "one search at 10": f"{mean(alone):.3f}, all {mean(complete(alone)):.3f}, any {mean(anything):.3f}",
        "as many passages": f"{mean(as_many):.3f} at {mean(listed):.1f}",
        "share - one search": str(paired_difference(share, alone)),
        "share - as many": str(paired_difference(share, as_many)),
        "any - one search": str(paired_difference(scores.values("evidence_any"), anything)),
    }


def vary(name: str, data: NaturalData, retriever: Retriever) -> list[dict[str, object]]:
    """Shorter lists, fewer searches, and a reader that follows no names."""
    settings = {f"k = {k}": (k, NaturalReader()) for k in (10, 5, 3, 1)}
    settings |= {f"at most {searches} searches": (10, NaturalReader(max_searches=searches)) for searches in (1, 2, 4)}
    settings["without following names"] = (10, NaturalReader(follows=False))
    rows = []
    for setting, (k, reader) in settings.items():
        scores = score_reader(data, run_reader(data, retriever, k=k, reader=reader))
        share = scores.values("evidence_share")
        rows.append(
            {
                "retriever": name,
                "reader": setting,
                "share": f"{mean(share):.3f}",
                "all of it": f"{mean(complete(share)):.3f}",
                "searches": f"{scores.mean('searches'):.2f}",
                "browses": f"{scores.mean('browses'):.2f}",
            }
        )
    return rows


def mined(name: str, data: NaturalData, retriever: Retriever) -> dict[str, object]:
    """How pure the pairs are that are mined from the reader's runs, before and after the judge."""
    pairs = mine_pairs(run_reader(data, retriever), judge=RuleJudge()).pairs
    kept = [pair for pair in pairs if pair.verdict == "relevant"]
    evidence = {pair.pair_id: pair.positive_id in data.qrels[pair.query_id] for pair in pairs}
    negatives = [docid in data.qrels[pair.query_id] for pair in kept for docid in pair.negative_ids]
    titles = {document.docid: fold(document.title.partition(" (")[0]) for document in data.documents}
    titled = sum(set(titles[pair.positive_id].split()) <= set(fold(pair.query).split()) for pair in kept)
    return {
        "retriever": name,
        "naive pairs": len(pairs),
        "of them evidence": f"{sum(evidence.values()) / len(pairs):.3f}",
        "kept by the judge": len(kept),
        "of them evidence ": f"{sum(evidence[pair.pair_id] for pair in kept) / len(kept):.3f}",
        "evidence kept": f"{sum(evidence[pair.pair_id] for pair in kept) / sum(evidence.values()):.3f}",
        "negatives that are evidence": f"{sum(negatives) / len(negatives):.4f}",
        "query has the whole title": f"{titled / len(kept):.3f}",
    }


def mean(values: Values | dict[str, int]) -> float:
    return sum(values.values()) / len(values)


def complete(shares: Values) -> Values:
    return {query_id: float(share == 1) for query_id, share in shares.items()}


if __name__ == "__main__":
    main()
