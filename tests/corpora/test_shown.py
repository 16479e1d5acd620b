"""A corpus out of what agents were shown: of each document the best text, and an account of what is missing."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import load_dataset
from huggingface_hub import hf_hub_download

from dataset_builders.corpus import what_was_shown
from lrat_hub import cli, load_trajectories
from lrat_hub.corpora import shown_documents
from lrat_hub.corpora.shown import NOTHING, OPENED, SEVERAL, SNIPPET, TITLE, document_in
from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import read_lineage
from lrat_hub.ledger import Ledger
from lrat_hub.obfuscation import OBFUSCATED_WITH
from lrat_hub.schema import Candidate, Step
from tests.builders import answer, browse, trajectory

PAGE = "A page has many words, and whatever a tool puts around them has few of them."
LOGS = Path(__file__).parents[1] / "importers" / "logs"


def listed(*candidates):
    hits = tuple(Candidate(0, rank, *candidate) for rank, candidate in enumerate(candidates, start=1))
    return Step(0, "I search.", "search", queries=("what?",), results=hits)


def opened(docid, text, error=None):
    return replace(browse(docid), observation=text, error=error)


def rows_of(*runs, **settings):
    ledger = Ledger("documents")
    rows = list(shown_documents(lambda: runs, ledger, **settings))
    return {row["docid"]: (row["title"], row["text"]) for row in rows}, ledger


def test_a_document_has_its_longest_opened_text_and_without_one_its_longest_snippet():
    first = trajectory(
        listed(("a", "A", "a snippet that is longer than the page"), ("b", "", "short"), ("c", "C")),
        opened("a", "the page"), opened("b", "Error 403", error="Error 403"), answer(),
    )  # fmt: skip
    second = trajectory(
        listed(("b", "B", "a longer snippet"), ("d", "", "")),
        opened("a", "the whole page"),
        opened("a", "page"),
        answer(),
    )
    rows, ledger = rows_of(first, second)
    assert rows == {"a": ("A", "the whole page"), "b": ("B", "a longer snippet"), "c": ("C", "")}
    assert ledger.dropped == {NOTHING: 1}
    assert ledger.notes == {OPENED: 1, SNIPPET: 1, TITLE: 1, SEVERAL: 1}


def test_snippets_are_preferred_on_request_so_that_opened_documents_are_no_longer_than_others():
    run = trajectory(
        listed(("a", "A", "snippet"), ("b", "B"), ("c", "C", "other")),
        opened("a", "the whole page"),
        opened("b", "the page"),
        opened("d", "never listed"),
    )
    rows, ledger = rows_of(run, texts="snippets")
    assert rows == {"a": ("A", "snippet"), "b": ("B", "the page"), "c": ("C", "other"), "d": ("", "never listed")}
    assert ledger.notes == {OPENED: 2, SNIPPET: 2}


def test_a_page_whose_address_is_written_otherwise_is_the_listed_one():
    run = trajectory(listed(("https://example.org/a", "A", "snippet")), opened("http://www.example.org/a/", "page"))
    assert rows_of(run)[0] == {"https://example.org/a": ("A", "page")}


@pytest.mark.parametrize(
    ("observation", "expected"),
    [
        ("plain text", ("", "plain text")),
        ('{"docid": "12", "text": "Words"}', ("", "Words")),
        ('{"title": "T", "url": "u", "content": "Words"}', ("T", "Words")),
        ('{"success": true, "extracted_info": "Words"}', ("", "Words")),
        (json.dumps({"article_id": "K1", "name": "T", "body": PAGE}), ("T", PAGE)),
        (json.dumps({"heading": "T", "page": PAGE}), ("T", PAGE)),
        (json.dumps({"data": {"markdown": PAGE}}), ("", PAGE)),
        (json.dumps({"results": [{"url": "u", "raw_content": PAGE}]}), ("", PAGE)),
        (json.dumps([{"type": "text", "text": PAGE}]), ("", PAGE)),
        (json.dumps({"author": {"name": "A"}, "title": "T", "body": PAGE}), ("T", PAGE)),
        ('["one", "two", "three", "four"]', ("", '["one", "two", "three", "four"]')),
        (
            '{"rows": [{"name": "a", "value": "b"}, {"name": "c", "value": "d"}]}',
            ("", '{"rows": [{"name": "a", "value": "b"}, {"name": "c", "value": "d"}]}'),
        ),
        ('{"a": 1}', ("", '{"a": 1}')),
        ("{not JSON}", ("", "{not JSON}")),
        ("DocID: 12\nTitle: T: part two\n\nWords\nTitle: of the text", ("T: part two", "Words\nTitle: of the text")),
    ],
)
def test_what_tools_put_around_a_text_is_left_out(observation, expected):
    assert document_in(observation) == expected


def test_what_our_own_environment_shows_is_the_document_as_far_as_it_was_shown():
    import asyncio

    from lrat_hub import BM25Retriever, Document, SearchEnvironment

    documents = {"1": Document("1", "Lamps", "Red lamps burn.\n\nThey burn long.")}
    environment = SearchEnvironment(BM25Retriever(documents.values()), documents, browse_tokens=4)
    shown = asyncio.run(environment.browse("1"))
    assert document_in(shown.text) == ("Lamps", "Red lamps burn.\n\nThey")


def test_runs_on_obfuscated_questions_are_refused():
    run = replace(trajectory(listed(("a", "A", "text"))), metadata=f'{{"{OBFUSCATED_WITH}": "key"}}')
    with pytest.raises(LratError, match="published obfuscated"):
        rows_of(run)


@pytest.mark.parametrize("name", ["browsecomp_plus_openai", "mirothinker_chatml", "tongyi_deepresearch"])
def test_logs_of_others_give_the_documents_of_all_pairs_that_are_mined_from_them(name):
    """In the form in which others publish them: an id, an address, and a page that a tool has summed up."""
    from lrat_hub import mine_pairs

    runs = list(load_trajectories(LOGS / name))
    rows, ledger = rows_of(*runs)
    pairs = mine_pairs(
        runs, outcomes=("correct", "incorrect", "unjudged"), statuses=("completed", "limited", "failed")
    ).pairs
    assert pairs
    for pair in pairs:
        assert "{" not in rows[pair.positive_id][1]
        assert {pair.positive_id, *pair.negative_ids} <= rows.keys()
    assert ledger.notes[OPENED] >= len({pair.positive_id for pair in pairs})


def test_a_corpus_of_runs_is_published_with_what_it_lacks_and_mined_with(hub, capsys):
    cli.run(["import", str(LOGS / "tongyi_deepresearch"), "--to", "lrat/shown-runs"])
    corpus = cli.run(["corpus", "--trajectories", "lrat/shown-runs", "--to", "lrat/shown"])
    out = capsys.readouterr().out
    assert "The corpus holds only what agents were shown, so recall over it is optimistic" in out
    path = hf_hub_download(corpus.repo_id, "README.md", repo_type="dataset", revision=corpus.revision)
    card = Path(path).read_text()
    rows = list(load_dataset(corpus.repo_id, "corpus", revision=corpus.revision, split="train"))
    lineage = read_lineage(corpus)
    notes = lineage.counts["documents"]["notes"]
    assert f"{notes[OPENED]} of {len(rows)} documents were {OPENED}" in card
    assert "recall over it is optimistic" in card
    assert "a model that is trained on them can learn the difference" in card
    assert list(lineage.inputs) == ["trajectories"]
    pairs = cli.run(["mine", "--trajectories", "lrat/shown-runs", "--corpus", str(corpus), "--to", "lrat/shown-pairs"])
    texts = {row["docid"]: row["text"] for row in rows}
    mined = load_dataset(pairs.repo_id, "documents", revision=pairs.revision, split="train")
    assert len(mined) > 1
    assert all(row["text"] == texts[row["docid"]] for row in mined)
    assert cli.run(["corpus", "--trajectories", "lrat/shown-runs", "--to", "lrat/shown"]) == corpus
    capsys.readouterr()
    cli.run(["reproduce", str(corpus), "--to", "lrat/shown-again"])
    assert f"was made again, with the same {len(rows)} rows" in capsys.readouterr().out


def test_titles_beside_opened_texts_are_called_a_difference_of_form():
    titles = trajectory(listed(("a", "A"), ("b", "B"), ("c", "C")), opened("a", "the page"), answer())
    _, ledger = rows_of(titles)
    assert "a title alone, and a model that is trained on them learns the form" in what_was_shown(ledger)
    snippets = trajectory(listed(("a", "A", "one"), ("b", "B", "two")), opened("a", "the page"), answer())
    _, ledger = rows_of(snippets)
    assert "--shown_texts snippets" in what_was_shown(ledger)


def test_documents_come_from_one_place(hub):
    with pytest.raises(LratError, match="--trajectories gives the documents"):
        cli.run(["corpus", "--trajectories", "lrat/shown-runs", "--documents", "x.jsonl", "--to", "lrat/shown-twice"])


ORDER = """
from lrat_hub.corpora import shown_documents
from lrat_hub.ledger import Ledger
from tests.corpora.test_shown import listed, opened
from tests.builders import answer, trajectory

# Texts of one length, of which nothing but their own hash decides.
run = trajectory(listed(("d1", "", "")), *(opened("d1", f"text {letter}") for letter in "abcdefgh"), answer())
print([row["text"] for row in shown_documents(lambda: [run], Ledger("documents"))])
"""


def test_of_texts_of_one_length_every_process_keeps_the_same():
    said = {
        subprocess.run(
            [sys.executable, "-c", ORDER], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in "1234"
    }  # fmt: skip
    assert len(said) == 1
    assert "text" in said.pop()
