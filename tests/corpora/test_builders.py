"""Each builder on a source in its published shape: what comes out, and where the lineage says it came from."""

import bz2
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from lrat_hub.corpora import questions, read_queries
from lrat_hub.corpora.loading import load_questions
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import LocalSource
from lrat_hub.hub.lineage import read_lineage
from lrat_hub.ledger import Ledger
from tests.corpora.published import corpus, documents, obfuscate, on_the_hub, parquet_bytes, rows

TWOWIKI = Path(__file__).parents[3] / "shared" / "data" / "twowiki"
INFOSEEK = TWOWIKI.parent / "lrat_release" / "InfoSeek-Eval.tsv"


def test_wiki_25_512_has_its_titles_in_the_first_line(hub):
    contents = ["Sea\nWater with salt.", '"Sky"\nAir.\nAnd clouds.', "no line break"]
    data = parquet_bytes(id=["0", "1", "2"], contents=contents)
    source = on_the_hub("wiki/wiki-25-512", {"data/train-00000-of-00001.parquet": data})
    pin = corpus("--config", "dataset_builders/wiki_25_512", "--documents", source, "--to", "lrat/c-wiki25")
    assert documents(pin) == [
        ("0", "Sea", "Water with salt."),
        ("1", "Sky", "Air.\nAnd clouds."),
        ("2", "", "no line break"),
    ]
    assert read_lineage(pin).inputs == {"documents": source}


def test_browsecomp_plus_corpus_is_read_by_its_own_names(hub):
    data = parquet_bytes(docid=["41", "7"], text=["One page", "Another"], url=["http://a", "http://b"])
    source = on_the_hub("tevatron/bcp-corpus", {"data/train-00000-of-00001.parquet": data})
    pin = corpus("--documents", source.partition("@")[0], "--to", "lrat/c-bcp")
    assert documents(pin) == [("41", "", "One page"), ("7", "", "Another")]
    assert read_lineage(pin).inputs == {"documents": source}


def test_other_columns_are_mapped_and_a_missing_one_is_named(hub, tmp_path):
    (tmp_path / "docs.parquet").write_bytes(parquet_bytes(number=[3, 4], body=["a", "b"], title=["x", "y"]))
    words = ("--documents", tmp_path / "docs.parquet", "--to", "lrat/c-mapped")
    with pytest.raises(LratError, match=r"a column for docid \(docid, id, _id, doc_id\), found number, body, title"):
        corpus(*words)
    pin = corpus(*words, "--document_columns", "docid=number", "text=body", "title=")
    assert documents(pin) == [("3", "", "a"), ("4", "", "b")]
    with pytest.raises(LratError, match="OURS=THEIRS with docid, title, text on the left, found 'name=x'"):
        corpus(*words, "--document_columns", "name=x")


MTEB = {
    "corpus.jsonl": '{"_id": "d1", "title": "Sea", "text": "salt"}\n{"_id": "d2", "title": "", "text": "clouds"}\n',
    "queries.jsonl": '{"_id": "q1", "text": "what has salt"}\n{"_id": "q2", "text": "for training"}\n',
    "qrels/train.jsonl": '{"query-id": "q2", "corpus-id": "d2", "score": 1.0}\n',
    "qrels/test.jsonl": '{"query-id": "q1", "corpus-id": "d1", "score": 1.0}\n',
    "README.md": """---
configs:
- config_name: default
  data_files:
  - {split: train, path: qrels/train.jsonl}
  - {split: test, path: qrels/test.jsonl}
- config_name: corpus
  data_files: [{split: corpus, path: corpus.jsonl}]
- config_name: queries
  data_files: [{split: queries, path: queries.jsonl}]
---
""",
}


def test_an_mteb_dataset_gives_the_questions_of_one_split(hub):
    source = on_the_hub("mteb/tiny", MTEB)
    pin = corpus("--beir", source, "--to", "lrat/c-mteb")
    assert documents(pin) == [("d1", "Sea", "salt"), ("d2", "", "clouds")]
    assert [row["query"] for row in rows(pin, "queries", "test")] == ["what has salt"]
    assert rows(pin, "qrels_evidence", "test") == [{"query_id": "q1", "docid": "d1", "relevance": 1}]
    lineage = read_lineage(pin)
    assert lineage.inputs == {"beir": source}
    assert lineage.counts["queries"]["notes"] == {"without a judgement in this split and left out": 1}


def test_a_beir_folder_gives_the_same_as_the_mteb_dataset(hub, tmp_path):
    (tmp_path / "qrels").mkdir()
    for name in ("corpus.jsonl", "queries.jsonl"):
        (tmp_path / name).write_text(MTEB[name])
    (tmp_path / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq2\td2\t1\n")
    pin = corpus("--beir", tmp_path, "--split", "train", "--to", "lrat/c-beir")
    assert [row["query_id"] for row in rows(pin, "queries", "train")] == ["q2"]
    assert rows(pin, "qrels_evidence", "train") == [{"query_id": "q2", "docid": "d2", "relevance": 1}]


def test_what_is_neither_beir_nor_mteb_is_refused(hub, tmp_path):
    with pytest.raises(LratError, match="expected a BEIR folder or an MTEB dataset"):
        corpus("--beir", tmp_path, "--to", "lrat/x")


def test_questions_of_infoseek_are_read_with_one_rule_of_quotes(hub, tmp_path):
    """With the csv rule, the quote that opens the first answer would swallow the second question."""
    (tmp_path / "eval.tsv").write_text('0\tWho said "no"?\t"Nobody\n1\tAnd "yes"\tAll"\n2\tNo answer\n')
    pin = corpus("--queries", tmp_path / "eval.tsv", "--to", "lrat/c-infoseek")
    assert [tuple(row.values())[:3] for row in rows(pin, "queries", "test")] == [
        ("0", 'Who said "no"?', '"Nobody'),
        ("1", 'And "yes"', 'All"'),
        ("2", "No answer", None),
    ]


def test_quotes_are_read_by_the_rule_that_leaves_all_rows_whole(hub, tmp_path):
    (tmp_path / "apart.tsv").write_text('1\t"Who\tor what?"\t"A\tB"\n2\tWhat?\t"C ""D"""\n')
    pin = corpus("--queries", tmp_path / "apart.tsv", "--to", "lrat/c-apart")
    assert [(row["query"], row["answer"]) for row in rows(pin, "queries", "test")] == [
        ("Who\tor what?", "A\tB"),
        ("What?", 'C "D"'),
    ]


def test_a_tsv_that_was_written_with_csv_quotes_is_told_and_can_be_read(hub, tmp_path):
    (tmp_path / "quoted.tsv").write_text('0\t"Who said ""no""?"\tNobody\n1\t"two\nlines"\tx\n')
    pin = corpus("--queries", tmp_path / "quoted.tsv", "--quotes", "csv", "--to", "lrat/c-quoted")
    assert [row["query"] for row in rows(pin, "queries", "test")] == ['Who said "no"?', "two\nlines"]
    lineage = read_lineage(corpus("--queries", tmp_path / "quoted.tsv", "--to", "lrat/c-unquoted"))
    assert lineage.counts["queries"]["notes"] == {
        "a whole field is in quotes, which were kept: was the file written with csv quotes?": 1
    }


def test_a_blank_line_is_no_row_and_between_csv_quotes_it_is_text(tmp_path):
    (tmp_path / "blank.tsv").write_text('\n1\t"two\n\nparts"\tx\n \n2\tone\ty\n')
    (tmp_path / "empty.tsv").write_text("\n")
    ledger = Ledger("queries")
    found = read_queries(LocalSource(tmp_path / "blank.tsv", ""), ledger, quotes="csv")
    assert [row["query"] for row in found] == ["two\n\nparts", "one"]
    assert list(read_queries(LocalSource(tmp_path / "empty.tsv", ""), ledger)) == []
    assert not ledger.num_dropped


def test_a_tsv_with_a_header_is_read_by_its_names(hub, tmp_path):
    (tmp_path / "named.tsv").write_text("gold\tquestion\tnumber\nsalt\twhat is in the sea\t7\n")
    mapping = ("--query_columns", "query_id=number", "answer=gold")
    pin = corpus("--queries", tmp_path / "named.tsv", *mapping, "--to", "lrat/c-named")
    assert rows(pin, "queries", "test") == [
        {"query_id": "7", "query": "what is in the sea", "answer": "salt", "question_id": "7"}
    ]


@pytest.mark.parametrize("quotes", ["text", "csv"])
def test_a_header_of_known_names_is_no_question(tmp_path, quotes):
    mark = '"' if quotes == "csv" else ""
    header = "\t".join(f"{mark}{name}{mark}" for name in ("query-id", "text"))
    (tmp_path / "beir.tsv").write_text(f"\ufeff{header}\r\n\r\n7\twhat is in the sea\r\n", encoding="utf-8")
    (tmp_path / "bare.tsv").write_text("7\twhat is in the sea\n8\tquery\n")
    ledger = Ledger("queries")
    named, bare = (
        [(row["query_id"], row["query"]) for row in read_queries(LocalSource(path, ""), ledger, quotes=quotes)]
        for path in (tmp_path / "beir.tsv", tmp_path / "bare.tsv")
    )
    assert named == [("7", "what is in the sea")]
    assert bare == [("7", "what is in the sea"), ("8", "query")]
    assert not ledger.num_dropped


CLASSIC = """<top>
<num> Number: 301
<title> International Organized Crime
<desc> Description:
Identify organizations.
</top>
"""
MODERN = """<topics><topic number="1">
<query>coronavirus &amp; origin</query><question>what is it</question>
</topic></topics>"""


@pytest.mark.parametrize(
    ("topics", "field", "expected"),
    [
        (CLASSIC, "title", ("301", "International Organized Crime")),
        (CLASSIC, "desc", ("301", "Identify organizations.")),
        (MODERN, "title", ("1", "coronavirus & origin")),
        (MODERN, "question", ("1", "what is it")),
    ],
)
def test_trec_topics_in_both_forms(hub, tmp_path, topics, field, expected):
    (tmp_path / "topics.txt").write_text(topics)
    (tmp_path / "qrels.txt").write_text("301 0 FT911-3 1\n301 0 FT911-4 -1\n1 0 doc 2\n")
    words = ("--queries", tmp_path / "topics.txt", "--qrels", tmp_path / "qrels.txt", "--topic_field", field)
    pin = corpus(*words, "--to", "lrat/c-trec")
    assert [(row["query_id"], row["query"]) for row in rows(pin, "queries", "test")] == [expected]
    assert [row["relevance"] for row in rows(pin, "qrels_evidence", "test")] == [1, -1, 2]


PAGE = "<page><title>{}</title><ns>{}</ns><id>{}</id>{}<revision><id>1</id><text>{}</text></revision></page>"
DUMP = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/"><siteinfo><namespaces>
<namespace key="0" /><namespace key="6">File</namespace><namespace key="14">Category</namespace>
</namespaces></siteinfo>{}</mediawiki>"""
ARTICLE = """{{Infobox|name=Sea}}&lt;!-- &lt;ref name=a> -->'''The sea''' (, {{lang|la|mare}})
is [[salt]]y [[water|Water]].&lt;ref>A&lt;/ref>
[[File:Sea.jpg|thumb|A picture]]
* one &amp;amp; two
== Life ==
Fish{{ndash}}and {{convert|3|m}} whales.
{| class="wikitable"
| cell
|}
== References ==
* A book
[[Category:Seas]]"""


@pytest.fixture
def dump(tmp_path):
    pages = [
        PAGE.format("Sea", 0, 12, "", ARTICLE),
        PAGE.format("Ocean", 0, 13, '<redirect title="Sea" />', "#REDIRECT [[Sea]]"),
        PAGE.format("Talk:Sea", 1, 14, "", "Hello"),
    ]
    path = tmp_path / "wiki.xml.bz2"
    path.write_bytes(bz2.compress(DUMP.format("".join(pages)).encode()))
    return path


def test_a_mediawiki_dump_becomes_plain_articles_in_chunks_with_titles(hub, dump):
    pin = corpus("--documents", dump, "--to", "lrat/c-dump")
    text = "The sea\nis salty Water.\none & two\nLife\nFish–and whales."
    assert documents(pin) == [("12", "Sea", text)]
    assert read_lineage(pin).counts["documents"]["notes"] == {
        "pages left out that are not articles": 1,
        "redirects left out": 1,
    }
    pin = corpus("--documents", dump, "--chunk_tokens", 6, "--to", "lrat/c-chunks")
    assert documents(pin) == [
        ("12#0", "Sea", "The sea\nis salty Water.\none"),
        ("12#1", "Sea", "& two\nLife\nFish–and whales."),
    ]


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda _: b""])
def test_a_dump_that_ends_too_soon_is_one_clear_error(hub, dump, damage):
    dump.write_bytes(damage(dump.read_bytes()))
    with pytest.raises(LratError, match="read to its end"):
        corpus("--documents", dump, "--to", "lrat/x")


CANARY = "BENCHMARK DATA: canary GUID 1-2-3"


@pytest.fixture(scope="module")
def obfuscated(hub):
    asked = ["Which écrivain wrote it?", "Second, plain by mistake"]
    data = parquet_bytes(
        query_id=["769", "770"],
        query=[obfuscate(asked[0], CANARY), asked[1]],
        answer=[obfuscate("Nobody", CANARY), obfuscate("x", CANARY)],
        canary=[CANARY, CANARY],
    )
    return on_the_hub("tevatron/bcp", {"data/test-00000-of-00001.parquet": data})


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """The authors' script with another canary, which no real question is obfuscated with."""
    script = tmp_path / questions.CANARY.file
    script.parent.mkdir(parents=True)
    script.write_text(f"DEFAULT_CANARY = {CANARY!r}\n")
    digest = hashlib.sha256(CANARY.encode()).hexdigest()
    monkeypatch.setattr(questions, "CANARY", replace(questions.CANARY, sha256=digest))
    return tmp_path


def test_browsecomp_plus_is_made_by_one_recipe_from_what_is_published(hub, checkout):
    def listed(*docids):
        return [{"docid": obfuscate(docid, CANARY), "text": obfuscate("its text", CANARY)} for docid in docids]

    asked = on_the_hub("tevatron/bcp-2", {"data/test-00000-of-00001.parquet": parquet_bytes(
        query_id=["769", "770"],
        query=[obfuscate("Who?", CANARY), obfuscate("Where?", CANARY)],
        answer=[obfuscate("Nobody", CANARY), obfuscate("Nowhere", CANARY)],
        gold_docs=[listed("41"), listed("7")],
        negative_docs=[listed("8"), listed("9")],
        evidence_docs=[listed("41", "7"), listed("7")],
    )})  # fmt: skip
    texts = [
        '---\ntitle: "One: a page"\nauthor: Ann\ndate: 2001\n---\nIts text.\n---\nMore.',
        "---\ntitle: Another\n---\nIts text.",
        "---\nA line.\n",
    ]
    data = parquet_bytes(docid=["41", "7", "8"], text=texts, url=["http://a", "http://b", "http://c"])
    pages = on_the_hub("tevatron/bcp-corpus-2", {"data/train-00000-of-00001.parquet": data})
    sources = {"documents": pages} | dict.fromkeys(("queries", "qrels", "qrels_gold"), asked)
    words = [word for option, source in sources.items() for word in (f"--{option}", source)]
    pin = corpus(
        "--config",
        "dataset_builders/browsecomp_plus",
        *words,
        "--canary",
        f"published@{checkout}",
        "--to",
        "lrat/c-bcp2",
    )
    assert documents(pin) == [
        ("41", "One: a page", "---\nauthor: Ann\ndate: 2001\n---\nIts text.\n---\nMore."),
        ("7", "Another", "Its text."),
        ("8", "", "---\nA line.\n"),
    ]
    # The questions as their authors publish them, with the key; they are plain when they are read.
    assert [(row["query"], row["answer"], row["canary"]) for row in rows(pin, "queries", "test")] == [
        (obfuscate("Who?", CANARY), obfuscate("Nobody", CANARY), CANARY),
        (obfuscate("Where?", CANARY), obfuscate("Nowhere", CANARY), CANARY),
    ]
    assert load_questions(f"{pin}#queries") == {"769": ("Who?", "Nobody"), "770": ("Where?", "Nowhere")}
    for config, judged in {
        "qrels_evidence": [("769", "41", 1), ("769", "7", 1), ("770", "7", 1)],
        "qrels_gold": [("769", "41", 1), ("770", "7", 1)],
    }.items():
        assert [tuple(row.values()) for row in rows(pin, config, "test")] == judged


@pytest.mark.skipif("BROWSECOMP_PLUS" not in os.environ, reason="BROWSECOMP_PLUS names no checkout of BrowseComp-Plus")
def test_the_canary_is_where_it_is_said_to_be():
    assert "canary GUID" in questions.canary_of(f"published@{os.environ['BROWSECOMP_PLUS']}")


def test_browsecomp_plus_questions_go_to_private_repositories_only(hub, obfuscated):
    words = ("--queries", obfuscated, "--deobfuscate", "true", "--private", "true", "--to")
    pin = corpus(*words, "lrat/c-secret")
    assert [tuple(row.values())[:3] for row in rows(pin, "queries", "test")] == [
        ("769", "Which écrivain wrote it?", "Nobody")
    ]
    assert read_lineage(pin).counts["queries"]["dropped"] == {"can't be de-obfuscated with its canary": 1}
    assert HfApi().repo_info("lrat/c-secret", repo_type="dataset").private
    HfApi().create_repo("lrat/c-public", repo_type="dataset")
    with pytest.raises(LratError, match="expected a private repository"):
        corpus(*words, "lrat/c-public")
    with pytest.raises(LratError, match="Add --private"):
        corpus("--queries", obfuscated, "--deobfuscate", "true", "--to", "lrat/x")


def test_plain_text_of_questions_without_a_key_is_an_error(hub, tmp_path):
    (tmp_path / "q.jsonl").write_text(json.dumps({"query_id": 1, "query": obfuscate("Who?", "key")}))
    words = ("--queries", tmp_path / "q.jsonl", "--deobfuscate", "true", "--private", "true", "--to", "lrat/c-key")
    with pytest.raises(LratError, match="expected the canary string"):
        corpus(*words)
    assert rows(corpus(*words, "--canary", "key"), "queries", "test")[0]["query"] == "Who?"


def test_the_twowiki_recipe_makes_corpus_queries_and_judgements_and_again_the_same(hub, tmp_path):
    source = TWOWIKI
    if not source.is_dir():
        source = tmp_path
        (source / "corpus.jsonl").write_text('{"docid": "w0", "title": "Sea", "text": "salt"}\n')
        (source / "queries.tsv").write_text("q0\tWhat is in the sea?\tsalt\n")
        (source / "qrels_evidence.txt").write_text("q0 Q0 w0 1\n")
    files = {"documents": "corpus.jsonl", "queries": "queries.tsv", "qrels": "qrels_evidence.txt"}
    words = [word for option, name in files.items() for word in (f"--{option}", source / name)]
    pin = corpus("--config", "dataset_builders/twowiki", *words, "--to", "lrat/c-twowiki")
    assert corpus("--config", "dataset_builders/twowiki", *words, "--to", "lrat/c-twowiki") == pin
    lineage = read_lineage(pin).counts
    assert [join["matched"] == join["of"] for join in lineage["joins"]] == [True, True]
    assert {name: lineage[name]["kept"] for name in files} == (
        {"documents": 6119, "queries": 400, "qrels": 1072} if source == TWOWIKI else dict.fromkeys(files, 1)
    )
    assert documents(pin)[0][0] == "w0"


@pytest.mark.skipif(not INFOSEEK.is_file(), reason="the released InfoSeek-Eval.tsv is not beside the checkout")
def test_the_released_infoseek_eval_is_read_whole(hub):
    pin = corpus("--config", "dataset_builders/infoseek", "--queries", INFOSEEK, "--strict", "--to", "lrat/c-eval")
    assert len([row for row in rows(pin, "queries", "test") if row["answer"]]) == 300
