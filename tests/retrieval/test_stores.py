"""Vectors in a table of LanceDB, by LanceDB itself: what it finds, pins of its versions, and what is refused."""

from __future__ import annotations

import json
import sys

import pytest

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.retrieval.coded import measured_recall
from lrat_hub.retrieval.indexes import IndexManifest, load_index, open_vector_index, write_vector_index
from lrat_hub.retrieval.opening import open_retriever
from lrat_hub.retrieval.settings import IndexSettings
from lrat_hub.retrieval.stores import LanceVectors, table_of
from tests.retrieval.conftest import make_documents
from tests.retrieval.test_coded import COUNT, queries, shards, vectors

__all__ = ["queries", "shards", "vectors"]


@pytest.mark.parametrize("uri", ["table.lance", "/data/table", "/data/.lance", "s3://bucket/", ""])
def test_a_table_is_named_by_its_folder(uri):
    with pytest.raises(LratError, match=r"expected a LanceDB table as /FOLDER/NAME\.lance"):
        table_of(uri)
    assert table_of("s3://bucket/some/wiki.lance") == ("s3://bucket/some", "wiki")
    assert table_of("/data/wiki.lance") == ("/data", "wiki")


def test_a_store_without_its_kind_and_a_kind_without_its_store_are_refused():
    for settings in ({"kind": "lancedb"}, {"store": "/data/wiki.lance"}):
        with pytest.raises(LratError, match="expected a table for kind lancedb and for no other"):
            IndexSettings(**settings)


def test_what_is_missing_is_said_with_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(LratError, match=r'pip install "lrat-hub\[lancedb\]"'):
        LanceVectors("/data/wiki.lance", 1, probes=1, candidates=1)


@pytest.fixture(scope="module")
def table(shards, tmp_path_factory):
    pytest.importorskip("lancedb")
    folder = tmp_path_factory.mktemp("lance")
    settings = IndexSettings(
        kind="lancedb", ivf_probes=10, pq_bytes=4, pq_candidates=200, store=f"{folder}/db/wiki.lance"
    )
    index, structure = write_vector_index(folder, shards, settings, [f"d{row}" for row in range(COUNT)])
    return folder, settings, index, structure


@pytest.mark.slow
def test_the_table_finds_what_exact_search_finds_with_exact_scores(table, shards, vectors, queries):
    folder, _, index, structure = table
    assert measured_recall(index, shards, queries)["recall@10"] > 0.9
    for query, hits in zip(queries, index.search(queries, 10), strict=True):
        rows = [int(hit.docid[1:]) for hit in hits]
        assert [hit.score for hit in hits] == pytest.approx((vectors[rows] @ query).tolist(), abs=1e-6)
    assert index.num_bytes > vectors.nbytes
    whole = open_vector_index(folder, "lancedb", structure | {"ivf_probes": 39, "pq_candidates": COUNT})
    assert measured_recall(whole, shards, queries[:3])["recall@100"] == 1


@pytest.mark.slow
def test_a_stamp_names_a_version_which_later_changes_leave_as_it_is(table, queries):
    import lancedb

    folder, _, index, structure = table
    before = index.search(queries, 10)
    changed = lancedb.connect(str(folder / "db")).open_table("wiki")
    changed.delete("position < 9000")
    assert changed.count_rows() == COUNT - 9_000
    assert open_vector_index(folder, "lancedb", structure).search(queries, 10) == before
    with pytest.raises(LratError, match="expected 10000 vectors, found 1000"):
        open_vector_index(folder, "lancedb", structure | {"store_version": changed.version})
    for wrong in ({"store_version": 99}, {"store": f"{folder}/db/other.lance"}):
        with pytest.raises(LratError, match=r"expected version [0-9]+ of a LanceDB table, found none"):
            open_vector_index(folder, "lancedb", structure | wrong)


@pytest.mark.slow
def test_others_read_the_table_with_docids(table, vectors):
    import lancedb

    rows = lancedb.connect(str(table[0] / "db")).open_table("wiki").search(vectors[9_500]).distance_type("dot")
    (row,) = rows.where("docid = 'd9500'").limit(1).to_list()
    assert row["vector"] == pytest.approx(vectors[9_500])


@pytest.mark.slow
def test_the_stage_makes_a_table_whose_index_is_opened_by_its_name(published, tmp_path, capsys):
    pytest.importorskip("lancedb")
    from huggingface_hub import HfApi, ModelCard

    rows = [{"docid": one.docid, "title": "", "text": one.text} for one in make_documents(10_000)]
    (tmp_path / "documents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = str(cli.run(["corpus", "--documents", str(tmp_path / "documents.jsonl"), "--to", "lrat/store-corpus"]))
    words = ["index", "--corpus", corpus, "--model", published.model, "--kind", "lancedb", "--fp16"]
    words += ["--store", str(tmp_path / "db" / "wiki.lance"), "--to", "lrat/store-index"]
    pin = cli.run(words)
    assert "recall@10" in capsys.readouterr().out
    stamp = IndexManifest.of(pin)
    assert (stamp.kind, stamp.settings["store_version"] > 0) == ("lancedb", True)
    assert "index.faiss" not in HfApi().list_repo_files(pin.repo_id)
    assert str(tmp_path / "db" / "wiki.lance") in ModelCard.load(pin.repo_id).text
    query = [rows[4]["text"]]
    [hits] = open_retriever(f"index:{pin}", corpus).search(query, 5)
    assert hits == load_index(pin, corpus=corpus).search(query, 5)[0]
    # Codes are trained on several threads: which neighbours they miss differs from one build to the next.
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    assert 0.9 < hits[0].score < 1.001
    with pytest.raises(LratError, match="expected no table there yet, found one"):
        cli.run(words)
