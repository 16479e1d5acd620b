"""Lookups in memory-mapped tables: exact whatever the hashes, in order, from threads and in other processes."""

import pickle
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from datasets import Dataset

from lrat_hub import documents as module
from lrat_hub.documents import Documents, RowIndex
from lrat_hub.errors import LratError
from lrat_hub.schema import Document


def table(*docids):
    titles = [None if place % 3 else f"title {docid}" for place, docid in enumerate(docids)]
    return Dataset.from_dict({"docid": list(docids), "title": titles, "text": [f"text {docid}" for docid in docids]})


IDS = [f"d{number}" for number in range(2_500)]


@pytest.fixture(params=["hashes", "collisions"])
def documents(request, monkeypatch):
    """2,500 documents, with Python's hashes and with hardly any different ones."""
    if request.param == "collisions":
        monkeypatch.setattr(module, "_hash", lambda key: len(str(key)))
        return Documents(table(*IDS[:60]))
    return Documents(table(*IDS))


def test_documents_are_found_by_id_and_come_in_the_order_of_the_corpus(documents):
    ids = list(documents)
    assert ids == IDS[: len(documents)]
    assert documents["d30"] == Document("d30", "title d30", "text d30")
    assert documents["d1"].title == ""
    assert [documents.row(docid) for docid in ids[:50]] == list(range(50))
    assert [document.docid for document in documents.in_order()] == ids
    drawn = random.Random(0).choices(ids, k=100)
    assert [documents[docid].docid for docid in drawn] == drawn


def test_they_print_as_what_they_are():
    assert repr(Documents(table(*IDS))) == "Documents(2500 documents: 'd0', 'd1', 'd2', ...)"
    assert repr(Documents(table("a", "b"))) == "Documents(2 documents: 'a', 'b')"


def test_many_are_found_as_one_is(documents):
    drawn = [*random.Random(1).choices(list(documents), k=50), "gone", *list(documents)[:2], "", "d1"]
    assert documents.find_all(drawn) == list(map(documents.get, drawn))
    assert documents.find_all([]) == []


def test_what_is_not_there_is_not_found(documents):
    assert "gone" not in documents
    assert 1 not in documents
    assert documents.get("gone") is None
    with pytest.raises(KeyError, match="gone"):
        documents["gone"]


def test_repeated_ids_are_refused_and_told_apart_from_collisions(monkeypatch):
    monkeypatch.setattr(module, "_hash", lambda key: 0)
    assert RowIndex(table("a", "b", "c"), "docid").repeated().tolist() == []
    assert RowIndex(table("a", "b", "a", "c", "a", "b"), "docid").repeated().tolist() == [2, 4, 5]
    with pytest.raises(LratError, match="every docid once, found 2 repeated"):
        Documents(table("a", "a", "a"))


def test_no_documents_are_no_error():
    empty = Documents(table("a").select([]))
    assert (len(empty), list(empty), list(empty.in_order()), "a" in empty) == (0, [], [], False)
    assert empty.find_all(["a"]) == [None]


def test_rows_that_were_selected_are_found_at_their_new_place():
    chosen = Documents(table(*IDS).select([5, 3, 4]))
    assert list(chosen) == ["d5", "d3", "d4"]
    assert (chosen.row("d4"), chosen["d4"].text, "d0" in chosen) == (2, "text d4", False)


def test_threads_can_read_at_once(documents):
    drawn = random.Random(0).choices(list(documents), k=400)
    with ThreadPoolExecutor(8) as pool:
        assert [document.docid for document in pool.map(documents.__getitem__, drawn)] == drawn


def test_another_process_with_other_hashes_finds_the_same(tmp_path):
    (tmp_path / "documents.pickle").write_bytes(pickle.dumps(Documents(table("a", "b"))))
    code = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb'))['b'].text)"
    command = [sys.executable, "-c", code, str(tmp_path / "documents.pickle")]
    ended = subprocess.run(command, env={"PYTHONHASHSEED": "1"}, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "text b"
