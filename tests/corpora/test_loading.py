"""Corpora, queries and judgements are loaded from files as from published datasets; nothing is left out silently."""

import json

import pytest

from lrat_hub.corpora.loading import load_corpus, load_qrels, load_queries
from lrat_hub.errors import LratError

ROWS = [{"docid": "d1", "title": "One", "text": "first"}, {"docid": "d2", "title": "", "text": "second"}]


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_file_of_documents_is_a_corpus(tmp_path, monkeypatch):
    path = write_rows(tmp_path / "corpus.jsonl", ROWS)
    monkeypatch.chdir(tmp_path)
    for source in (path, str(path), "corpus.jsonl"):
        documents = load_corpus(source)
        assert list(documents) == ["d1", "d2"]
        assert (documents["d1"].title, documents["d2"].text, documents.row("d2")) == ("One", "second", 1)


def test_documents_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(LratError, match="copy of a row: 1"):
        load_corpus(write_rows(tmp_path / "twice.jsonl", [*ROWS, ROWS[0]]))


def test_queries_come_from_tsv_and_jsonl(tmp_path):
    (tmp_path / "queries.tsv").write_text("q1\twho?\tsomebody\nq2\twhere?\n")
    write_rows(
        tmp_path / "queries.jsonl", [{"query_id": "q1", "query": "who?"}, {"query_id": "q2", "query": "where?"}]
    )
    for name in ("queries.tsv", "queries.jsonl"):
        assert load_queries(tmp_path / name) == {"q1": "who?", "q2": "where?"}


def test_queries_that_cannot_be_used_are_refused(tmp_path):
    (tmp_path / "short.tsv").write_text("q1\twho?\nalone\n")
    with pytest.raises(LratError, match="not two or three fields: 1"):
        load_queries(tmp_path / "short.tsv")
    (tmp_path / "twice.tsv").write_text("q1\twho?\nq1\twhere?\n")
    with pytest.raises(LratError, match="expected every query id once, found 1 repeated: 'q1'"):
        load_queries(tmp_path / "twice.tsv")


def test_judgements_come_from_the_files_of_trec_and_beir_and_jsonl(tmp_path, monkeypatch):
    (tmp_path / "qrels.txt").write_text("q1 Q0 d1 2\nq1 Q0 d2 0\nq2 Q0 d1 1\nq1 Q0 d1 2\n")
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td1\t1\n")
    rows = [("q1", "d1", 2), ("q1", "d2", 0), ("q2", "d1", 1)]
    write_rows(tmp_path / "qrels.jsonl", [{"query_id": q, "docid": d, "relevance": grade} for q, d, grade in rows])
    monkeypatch.chdir(tmp_path)
    for source in ("qrels.txt", tmp_path / "qrels.tsv", str(tmp_path / "qrels.jsonl")):
        assert load_qrels(source) == {"q1": {"d1": 2, "d2": 0}, "q2": {"d1": 1}}


def test_judgements_that_cannot_be_used_are_refused(tmp_path):
    (tmp_path / "short.txt").write_text("q1 Q0 d1 1\nq1 d2 1\n")
    with pytest.raises(LratError, match=r"judgements that can all be used, found others \(not four fields: 1\)"):
        load_qrels(tmp_path / "short.txt")
    (tmp_path / "two.txt").write_text("q1 Q0 d1 1\nq1 Q0 d1 0\n")
    with pytest.raises(LratError, match="found 1 and 0 for document d1 of query q1"):
        load_qrels(tmp_path / "two.txt")


@pytest.mark.parametrize(
    ("load", "name", "item"),
    [(load_corpus, "c.jsonl", "documents"), (load_queries, "q.tsv", "queries"), (load_qrels, "q.txt", "judgements")],
)
def test_files_that_hold_nothing_are_refused(tmp_path, load, name, item):
    (tmp_path / name).write_text("\n")
    with pytest.raises(LratError, match=f"{name}.*: expected {item}, found none"):
        load(tmp_path / name)


def test_corpora_queries_and_judgements_are_loaded_from_the_hub_as_from_files(hub, tmp_path):
    from datasets import Dataset

    import lrat_hub

    queries = [{"query_id": q, "query": text, "answer": ""} for q, text in (("q1", "who?"), ("q2", "where?"))]
    qrels = [{"query_id": "q1", "docid": "d2", "relevance": 1}, {"query_id": "q2", "docid": "d1", "relevance": 0}]
    repo = "lrat/loaded"
    for config, rows in (("corpus", ROWS), ("queries", queries), ("qrels_evidence", qrels), ("qrels_gold", qrels[:1])):
        Dataset.from_list(rows).push_to_hub(repo, config)
    pin = str(lrat_hub.HubRef.parse(f"datasets/{repo}").pin())
    for source in (repo, pin):
        documents = lrat_hub.load_corpus(source)
        assert [documents[docid].text for docid in documents] == ["first", "second"]
        assert lrat_hub.load_queries(source) == {"q1": "who?", "q2": "where?"}
        assert lrat_hub.load_qrels(source) == {"q1": {"d2": 1}, "q2": {"d1": 0}}
        assert lrat_hub.load_qrels(source, config="qrels_gold") == {"q1": {"d2": 1}}
        assert lrat_hub.load_qrels(f"{source}#qrels_gold") == {"q1": {"d2": 1}}
    assert lrat_hub.load_queries(write_rows(tmp_path / "queries.jsonl", queries)) == lrat_hub.load_queries(repo)
    assert lrat_hub.load_qrels(write_rows(tmp_path / "qrels.jsonl", qrels)) == lrat_hub.load_qrels(repo)
