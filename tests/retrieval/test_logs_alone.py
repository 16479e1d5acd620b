"""`lrat eval retrieval` without judgements: by held-out pairs, by trajectories, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from datasets import Dataset, load_dataset

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.evaluation.published import Evaluations
from lrat_hub.hub.lineage import Lineage, read_lineage
from lrat_hub.hub.publish import publish_dataset, publish_folder
from lrat_hub.hub.refs import HubRef
from lrat_hub.mining.tables import pair_table
from lrat_hub.schema import Pair
from lrat_hub.storage import trajectory_table
from tests.builders import answer, browse, search, trajectory

TOPICS = ["granite", "harbour", "violin", "comet", "vineyard", "glacier", "lantern", "meadow", "falcon", "cider",
          "marble", "orchid"]  # fmt: skip
DOCUMENTS = [{"docid": f"d{n}", "title": "", "text": f"All about the {topic}."} for n, topic in enumerate(TOPICS)]
RUNS = [
    trajectory(search(f"the {topic}", f"d{n}", f"d{(n + 1) % len(TOPICS)}"), browse(f"d{n}"), answer(), name=f"q{n}")
    for n, topic in enumerate(TOPICS)
]


def publish(name, **tables):
    ready = {config: {"train": rows} for config, rows in tables.items()}
    return publish_dataset(
        HubRef(f"lrat/{name}", "dataset"), ready, card="---\n---\n", lineage=Lineage("test", {}, {})
    )


@pytest.fixture(scope="module")
def logs(hub, model_folder):
    """A corpus and runs, their pairs in two splits, and a model that was trained on one of these."""
    corpus = str(publish("alone-corpus", corpus=Dataset.from_list(DOCUMENTS)))
    runs = str(publish("alone-runs", runs=trajectory_table(RUNS)))
    pairs = cli.run(["mine", "--trajectories", runs, "--corpus", corpus, "--test", "0.5", "--to", "lrat/alone-pairs"])
    lineage = Lineage("train", {"pairs": f"{pairs}#pairs:train"}, {})
    model = publish_folder(HubRef("lrat/alone-model"), model_folder, lineage)
    return {"corpus": corpus, "runs": runs, "pairs": str(pairs), "model": str(model)}


def evaluate(logs, *words, to):
    words = [str(word) for word in words]
    given = ["--corpus", logs["corpus"], "--models", logs["model"], "--check_passages", "0", "--to", f"lrat/{to}"]
    return cli.run(["eval", "retrieval", *given, *words])[0]


def rows(pin, config):
    return list(load_dataset(pin.repo_id, config, revision=pin.revision, split="test"))


def card_of(pin):
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(pin.repo_id, "README.md", repo_type="dataset", revision=pin.revision)).read_text()


@pytest.mark.slow
def test_held_out_pairs_stand_for_judgements_and_the_result_says_that_they_are_none(logs, capsys):
    held_out = load_dataset("lrat/alone-pairs", "pairs", split="test")
    assert 0 < len(held_out) < len(TOPICS)
    pin = evaluate(logs, "--pairs", f"{logs['pairs']}#pairs:test", to="alone-results")
    out = capsys.readouterr().out
    asked = f"{len(held_out)} queries, for {len(held_out)} questions"
    assert f"no judgements are given: relevant is what agents opened out of the lists of {asked}" in out
    assert f"0 of {len(held_out)} queries, of 0 of {len(held_out)} questions, were mined from" in out
    assert "systems were trained on some of these" not in out
    card = card_of(pin)
    assert "**Nobody has judged these queries.**" in card
    assert "Searches of agents: what they opened counts as relevant" in card
    summary = {row["system"]: row for row in rows(pin, "summary")}
    # Each query names the one document that is about it.
    assert summary["bm25"]["recall@1"] == 1
    assert len(rows(pin, "per_query")) == len(summary) * len(held_out)
    assert {row["task"] for row in rows(pin, "scores")} == {"opened", "pairs"}
    lineage = read_lineage(pin)
    assert lineage.counts["searches"] == lineage.counts["questions"] == len(held_out)
    assert "judged_queries" not in lineage.counts
    # A report says it, too, and a report of the report.
    evaluations = Evaluations()
    evaluations.add(pin)
    assert evaluations.retrieval[0].task == "opened"
    report = cli.run(["eval", "report", "--evaluations", str(pin), "--to", "lrat/alone-report"])
    again = cli.run(["eval", "report", "--evaluations", str(report), "--to", "lrat/alone-report-again"])
    assert "Nobody has judged these queries" in card_of(report)
    assert "Nobody has judged these queries" in card_of(again)
    told = f": 0 of {len(held_out)} queries, of 0 of {len(held_out)} questions, were mined from"
    assert told in card_of(report)
    assert told in card_of(again)


@pytest.mark.slow
def test_trajectories_alone_are_replayed_and_what_was_trained_on_is_told_and_left_out(logs, capsys):
    train = len(load_dataset("lrat/alone-pairs", "pairs", split="train"))
    pin = evaluate(logs, "--trajectories", logs["runs"], to="alone-replayed")
    out = capsys.readouterr().out
    assert f"{train} of {len(TOPICS)} queries, of {train} of {len(TOPICS)} questions, were mined from" in out
    assert "warning: systems were trained on some of these searches" in out
    assert {(row["task"], row["metric"]) for row in rows(pin, "scores") if row["task"] != "opened"} == {
        ("searches", "novelty@10")
    }
    left = evaluate(logs, "--trajectories", logs["runs"], "--held_out_only", to="alone-held-out")
    assert len(rows(left, "per_query")) == 2 * (len(TOPICS) - train)
    assert "trained on some of these" not in capsys.readouterr().out


@pytest.mark.slow
def test_held_out_queries_with_a_training_text_by_chance_are_no_shared_questions(logs, model_folder, capsys):
    held_out = list(load_dataset("lrat/alone-pairs", "pairs", split="test"))
    asked = len(held_out)
    first = Pair.from_dict(held_out[0])
    other = replace(first, question="Another question?", query=first.query.upper(), query_id="other")
    documents = Dataset.from_list(DOCUMENTS)
    for given, told, warning in (
        (
            other,
            f"0 of {asked} queries, of 0 of {asked} questions, were mined from, 1 more has the text of a training "
            f"query for another question, 1 of {asked} relevant documents are",
            "some searches have the text of training queries for other questions. You can leave out what was seen",
        ),
        (
            first,
            f"1 of {asked} queries, of 1 of {asked} questions, were mined from, 1 of {asked} relevant documents are",
            "systems were trained on some of these searches. You can leave out what was seen (--held_out_only)",
        ),
    ):
        pairs = publish("alone-chance-pairs", pairs=pair_table([given]), documents=documents)
        lineage = Lineage("train", {"pairs": f"{pairs}#pairs:train"}, {})
        model = publish_folder(HubRef("lrat/alone-chance-model"), model_folder, lineage)
        words = ["--pairs", f"{logs['pairs']}#pairs:test", "--held_out_only"]
        pin = evaluate(logs | {"model": str(model)}, *words[:2], to="alone-chance")
        out = capsys.readouterr().out
        assert told in out
        assert f"warning: {warning}" in out
        assert "Give pairs" not in out
        assert told in card_of(pin)
        left = evaluate(logs | {"model": str(model)}, *words, to="alone-chance-held-out")
        assert len(rows(left, "per_query")) == 2 * (asked - 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected `queries` with `qrels`, found neither. Who has no judgements gives `pairs`"),
        (["--queries", "lrat/alone-corpus"], "`queries` and `qrels` are given together"),
        (["--qrels_gold", "lrat/alone-corpus", "--pairs", "lrat/alone-pairs"], "`qrels_gold` with them"),
    ],
)
def test_what_says_nothing_of_relevance_is_refused_before_anything_is_read(words, message, hub):
    with pytest.raises(LratError, match=message):
        cli.run(["eval", "retrieval", "--corpus", "lrat/nowhere", *words, "--to", "lrat/alone-refused"])
