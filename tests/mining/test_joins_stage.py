"""`lrat mine` says how its tables met and in what `triplets` differ, and refuses tables that don't belong together."""

from pathlib import Path

import pytest
from datasets import Dataset

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import Lineage, read_lineage
from lrat_hub.hub.publish import publish_dataset
from lrat_hub.hub.refs import HubRef
from lrat_hub.storage import trajectory_table
from tests.builders import answer, browse, search, trajectory

DOCUMENTS = [{"docid": f"d{n}", "title": "", "text": f"text {n}"} for n in range(8)]


def publish(name, **tables):
    ready = {
        config: {"train": rows if isinstance(rows, Dataset) else Dataset.from_list(rows)}
        for config, rows in tables.items()
    }
    return publish_dataset(HubRef(f"lrat/{name}", "dataset"), ready, card="---\n---\n", lineage=Lineage("t", {}, {}))


@pytest.fixture(scope="module")
def runs(hub):
    """A pair with three negatives, one with a single negative and one without any."""
    made = [
        trajectory(
            search("x", "d0", "d1", "d2", "d3"), browse("d0"), answer("It is relevant, as it supports x."), name="q1"
        ),
        trajectory(search("y", "d4", "d5"), browse("d4"), answer("It is relevant, as it supports x."), name="q2"),
        trajectory(search("z", "d6"), browse("d6"), answer("It is relevant, as it supports x."), name="q3"),
    ]
    return publish("mine-joins-runs", runs=trajectory_table(made))


@pytest.fixture(scope="module")
def corpus(hub):
    return publish("mine-joins-corpus", corpus=DOCUMENTS)


def mine(runs, *words):
    return cli.run(["mine", "--trajectories", str(runs), "--to", "lrat/mine-joins", *map(str, words)])


def test_triplets_say_in_what_they_differ_from_what_is_trained_on(runs, corpus, capsys):
    from huggingface_hub import hf_hub_download

    pin = mine(runs, "--corpus", corpus, "--triplet_negatives", "3")
    account = read_lineage(pin).counts["triplets_account"]
    assert (account["read"], account["kept"], list(account["notes"].values())) == (3, 2, [1])
    assert "pairs that are trained on, as triplets: 3 read, 2 kept, 1 dropped" in capsys.readouterr().out
    path = hf_hub_download(pin.repo_id, "README.md", repo_type="dataset", revision=pin.revision)
    card = " ".join(Path(path).read_text().split())
    assert "2 of 3 pairs with a weight have a row" in card
    assert "1 rows with a negative more than once" in card


def test_a_copy_of_the_positive_is_no_negative_of_a_triplet(runs):
    from datasets import load_dataset

    copies = {"d1": "text 0", "d5": "text 4"}  # of the positives d0 and d4; d4 has no other negative
    rows = [row | {"text": copies.get(row["docid"], row["text"])} for row in DOCUMENTS]
    pin = mine(runs, "--corpus", publish("mine-joins-copies", corpus=rows), "--triplet_negatives", "3")
    (row,) = load_dataset(pin.repo_id, "triplets", split="train", revision=pin.revision)
    assert row["positive"] == "text 0"
    assert {row[f"negative_{number}"] for number in (1, 2, 3)} == {"text 2", "text 3"}
    account = read_lineage(pin).counts["triplets_account"]
    assert (account["read"], account["kept"], account["dropped"]) == (
        3, 1, {"without a negative, and so without a row": 2}
    )  # fmt: skip
    assert account["notes"]["pairs with a negative of the positive's text, which is left out"] == 2


def test_a_corpus_with_other_ids_is_refused_and_the_difference_named(runs):
    upper = publish("mine-joins-upper", corpus=[row | {"docid": row["docid"].upper()} for row in DOCUMENTS])
    with pytest.raises(LratError, match=r"documents of the pairs, found 0.*upper and lower case"):
        mine(runs, "--corpus", upper)


def test_held_out_documents_and_evidence_are_matched_before_a_judge_is_asked(runs, corpus, capsys):
    held_out = publish("mine-joins-held", held_out=[{"docid": "d5"}, {"docid": "d99"}])
    qrels = publish("mine-joins-qrels", qrels_evidence=[
        {"query_id": query_id, "docid": "d0", "relevance": 1} for query_id in ("q1", "q9")
    ])  # fmt: skip
    pin = mine(runs, "--corpus", corpus, "--held_out", held_out, "--qrels", qrels, "--judge", "rule")
    out = capsys.readouterr().out
    assert "matched 1 of 2 held-out documents with documents of the corpus" in out
    assert "matched 1 of 3 questions of trajectories with questions with annotated evidence" in out
    assert [(join["matched"], join["of"]) for join in read_lineage(pin).counts["joins"]] == [(1, 2), (1, 3)]
    other = publish("mine-joins-other", held_out=[{"docid": "D5"}])
    with pytest.raises(LratError, match=r"`held_out`: .*0 of 1 held-out documents.*upper and lower case"):
        mine(runs, "--corpus", corpus, "--held_out", other)
    foreign = publish("mine-joins-foreign", qrels_evidence=[{"query_id": "Q1", "docid": "d0", "relevance": 1}])
    with pytest.raises(LratError, match=r"`qrels`: .*0 of 3 questions of trajectories"):
        mine(runs, "--qrels", foreign)
