"""Corpora and queries are loaded from files as from published datasets; nothing is left out silently."""

import json

import pytest

from lrat_hub.corpora.loading import load_corpus, load_queries
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
    with pytest.raises(LratError, match="duplicate id: 1"):
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
    with pytest.raises(LratError, match="found q1 repeated"):
        load_queries(tmp_path / "twice.tsv")
