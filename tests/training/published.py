"""Pairs and a benchmark on the tests' Hub."""

from __future__ import annotations

from dataclasses import replace

from tests.fitting.small import DOCUMENTS, pair


def publish(name, tables):
    from lrat_hub.hub.lineage import Lineage
    from lrat_hub.hub.publish import publish_dataset
    from lrat_hub.hub.refs import HubRef

    lineage = Lineage("test", {}, {})
    return publish_dataset(HubRef.parse(name, repo_type="dataset"), tables, card="---\n{}\n---\n", lineage=lineage)


def publish_pairs(name, *, documents=DOCUMENTS, refused=0, **changes):
    """Pairs of 24 questions, by pin; a judge refused the first ones."""
    from lrat_hub.mining.tables import document_table, pair_table

    rows = [
        replace(pair(f"{'abcdef'[number % 6]} {'abcd'[number // 6]}", "abcdef"[number % 6], "fedcba"[: number % 4]),
                question=f"Question {number}?", pair_id=str(number), previous_queries=("two",), **changes)
        for number in range(24)
    ]  # fmt: skip
    rows = [
        replace(row, weight=None, verdict="irrelevant") if place < refused else row for place, row in enumerate(rows)
    ]
    tables = {"pairs": {"train": pair_table(rows)}}
    if documents:
        tables["documents"] = {"train": document_table(rows, documents)}
    return publish(name, tables)


def publish_benchmark(name):
    """The documents as a corpus with a query for each, by pin."""
    from datasets import Dataset

    ids = sorted(DOCUMENTS)
    documents = [{"docid": docid, "title": DOCUMENTS[docid].title, "text": DOCUMENTS[docid].text} for docid in ids]
    queries = [{"query_id": f"q{docid}", "query": f"one {docid}", "answer": docid} for docid in ids]
    qrels = [{"query_id": f"q{docid}", "docid": docid, "relevance": 1} for docid in ids]
    tables = {"corpus": documents, "queries": queries, "qrels_evidence": qrels}
    return publish(name, {config: {"train": Dataset.from_list(rows)} for config, rows in tables.items()})
