"""What can't be used is counted by reason and the rest is kept; --strict wants all of it."""

import gzip
import json
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest
from huggingface_hub import hf_hub_download
from pyarrow import parquet

from lrat_hub.corpora import build_table, read_documents, read_qrels, read_queries
from lrat_hub.corpora.rows import ColumnMap
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import LocalSource
from lrat_hub.hub.lineage import read_lineage
from lrat_hub.ledger import Ledger
from tests.corpora.published import corpus, documents

LINES = [
    b'\xef\xbb\xbf{"docid": "a", "title": null, "text": "kept"}\r\n',
    b"\n",
    b'{"docid": 7, "text": "a number is an id"}\n',
    b'{"docid": "a", "text": "again"}\n',
    b'{"docid": "b", "text": " "}\n',
    b'{"docid": "c"}\n',
    b'{"text": "no id"}\n',
    b'{"docid": true, "text": "no id"}\n',
    b'{"docid": "d", "text": ["a", "list"]}\n',
    b'{"docid": "e", "text": "caf\xe9"}\n',
    b'{"docid": "f", "text": "half a character: \\ud83d"}\n',
    b'{"docid": "g", "text": "' + b"long " * 100 + b'"}\n',
    b'{"docid": "h", "text": "cut\n',
    b"[1, 2]\n",
    b"[" * 100_000 + b"\n",
    b'{"docid": "z", "text": "last, without a line break"}',
]
EXPECTED = {
    "another row with an id that came before": 1,
    "empty text": 2,
    "no id": 2,
    "its text is not a string": 1,
    "bad UTF-8": 2,
    "over-long row": 2,
    "not JSON": 1,
    "not a JSON object": 1,
}


@pytest.fixture
def damaged(tmp_path):
    path = tmp_path / "docs.jsonl"
    path.write_bytes(b"".join(LINES))
    return path


def test_every_damaged_row_is_counted_and_the_others_are_kept(hub, damaged):
    pin = corpus("--documents", damaged, "--max_length", 300, "--to", "lrat/c-damaged")
    assert [row[0] for row in documents(pin)] == ["a", "7", "z"]
    assert read_lineage(pin).counts["documents"] == {
        "read": len(LINES) - 1,
        "kept": 3,
        "dropped": dict(sorted(EXPECTED.items())),
        "notes": {"without a title": 3},
    }
    with pytest.raises(LratError, match=f"--strict allows no loss, found {sum(EXPECTED.values())}"):
        corpus("--documents", damaged, "--max_length", 300, "--strict", "--to", "lrat/c-damaged")


def read(reader, path, **options):
    ledger = Ledger("rows")
    return list(reader(LocalSource(path, ""), ledger, **options)), dict(ledger.dropped)


def test_an_over_long_line_is_never_held_in_memory(tmp_path):
    with (tmp_path / "docs.jsonl").open("wb") as file:
        file.writelines([b"x" * 1_000_000] * 30)
        file.write(b'\n{"docid": "a", "text": "kept"}\n')
    tracemalloc.start()
    rows, dropped = read(read_documents, tmp_path / "docs.jsonl", max_length=1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(rows), dropped) == (1, {"over-long row": 1})
    assert peak < 6_000_000


def test_parquet_strings_that_are_not_utf8_cost_their_row_only(tmp_path):
    text = pa.array([b"fine", b"caf\xe9", b"good"]).cast(pa.binary())
    table = pa.table({"id": ["1", "2", "3"], "text": pa.StringArray.from_buffers(3, *text.buffers()[1:])})
    parquet.write_table(table, tmp_path / "docs.parquet")
    rows, dropped = read(read_documents, tmp_path / "docs.parquet")
    assert [row["docid"] for row in rows] == ["1", "3"]
    assert dropped == {"bad UTF-8": 1}


def test_a_corpus_in_shards_is_read_in_the_order_of_their_names(tmp_path):
    for number in (1, 0):
        line = json.dumps({"id": f"d{number}", "text": "t"}).encode()
        (tmp_path / f"part-{number}.jsonl.gz").write_bytes(gzip.compress(line))
    rows, _ = read(read_documents, tmp_path)
    assert [row["docid"] for row in rows] == ["d0", "d1"]


@pytest.mark.parametrize("name", ["docs.jsonl.gz", "docs.jsonl.bz2", "docs.parquet", "docs.xml", "docs.csv"])
def test_a_file_that_is_not_what_its_name_says_is_one_clear_error(tmp_path, name):
    (tmp_path / name).write_bytes(b"not this")
    with pytest.raises(LratError, match=name):
        read(read_documents, tmp_path / name)


def test_damaged_judgements_and_questions_are_counted(tmp_path):
    (tmp_path / "qrels.txt").write_bytes(b"q1 0 d1 1\nq1 0 d2\nq1 0 d3 high\nq\xe9 0 d4 1\n")
    rows, dropped = read(read_qrels, tmp_path / "qrels.txt")
    assert rows == [{"query_id": "q1", "docid": "d1", "relevance": 1}]
    assert dropped == {"not four fields": 1, "relevance is not a whole number": 1, "bad UTF-8": 1}
    (tmp_path / "q.tsv").write_text('1\tWho?\tA\n2\n3\t\tB\n4\tWhat?\t"open\n')
    assert read(read_queries, tmp_path / "q.tsv")[1] == {"not two or three fields": 1, "no id or no text": 1}
    assert read(read_queries, tmp_path / "q.tsv", quotes="csv")[1]["quotes that don't match"] == 1


def test_judgements_of_documents_that_are_not_there_are_kept_and_said(hub, tmp_path, capsys):
    (tmp_path / "docs.jsonl").write_text('{"docid": "a", "text": "t"}')
    (tmp_path / "qrels.txt").write_text("q 0 a 1\nq 0 gone 1\n")
    pin = corpus("--documents", tmp_path / "docs.jsonl", "--qrels", tmp_path / "qrels.txt", "--to", "lrat/c-gone")
    counts = read_lineage(pin).counts
    assert counts["qrels"]["kept"] == 2
    assert [(join["matched"], join["of"], join["wanted_strays"]) for join in counts["joins"]] == [(1, 2, ["gone"])]
    said = "matched 1 of 2 judged documents with documents of the corpus"
    assert said in capsys.readouterr().out
    assert (
        said in Path(hf_hub_download(pin.repo_id, "README.md", repo_type="dataset", revision=pin.revision)).read_text()
    )


@pytest.mark.parametrize(
    ("qrels", "message"),
    [("q 0 D1 1\nq 0 D2 1\n", "2 of them would match but for upper and lower case"),
     ("query_q 0 d1 1\n", "1 of them would match but for a prefix")],
)  # fmt: skip
def test_judgements_of_which_none_matches_are_not_published(hub, tmp_path, qrels, message):
    (tmp_path / "docs.jsonl").write_text('{"docid": "d1", "text": "t"}\n{"docid": "d2", "text": "t"}\n')
    (tmp_path / "queries.tsv").write_text("q\twhat?\n")
    (tmp_path / "qrels.txt").write_text(qrels)
    sources = [f"--{name}={tmp_path / file}" for name, file in
               (("documents", "docs.jsonl"), ("queries", "queries.tsv"), ("qrels", "qrels.txt"))]  # fmt: skip
    with pytest.raises(LratError, match=message):
        corpus(*sources, "--to", "lrat/c-none")


def test_a_source_without_any_usable_row_says_why(hub, tmp_path):
    (tmp_path / "docs.jsonl").write_text('{"name": "a", "text": "t"}\n')
    message = r"docs.jsonl: expected a column for docid \(docid, .*\), found name, text\. Say .* docid=COLUMN"
    with pytest.raises(LratError, match=message):
        corpus("--documents", tmp_path / "docs.jsonl", "--to", "lrat/x")
    (tmp_path / "docs.jsonl").write_text('{"docid": "", "text": "t"}\n')
    with pytest.raises(LratError, match=r"expected documents, found none that can be used \(no id: 1\)"):
        corpus("--documents", tmp_path / "docs.jsonl", "--to", "lrat/x")


def test_judgements_and_chunks_do_not_go_together(hub):
    with pytest.raises(LratError, match="ids of their own, which no judgement names"):
        corpus("--documents", "docs.jsonl", "--qrels", "qrels.txt", "--chunk_tokens", 512, "--to", "lrat/x")


def test_of_repeated_rows_the_first_is_kept_in_place(tmp_path):
    ledger = Ledger("qrels")
    given = [("q", "a", 1), ("q", "b", 1), ("q", "a", 0), ("p", "a", 2), ("q", "b", 1)]
    rows = [dict(zip(("query_id", "docid", "relevance"), row, strict=True)) for row in given]
    table = build_table("qrels", rows, ledger, tmp_path / "qrels.arrow")
    assert [tuple(row.values()) for row in table] == [given[0], given[1], given[3]]
    assert (ledger.kept, dict(ledger.dropped)) == (
        3,
        {"another row with an id that came before": 1, "copy of a row": 1},
    )


def test_a_column_can_be_both_id_and_text():
    columns = ColumnMap.of("documents", ["docid=word", "text=word"])
    assert columns.resolve(["word"], "here") == {"docid": "word", "text": "word"}
