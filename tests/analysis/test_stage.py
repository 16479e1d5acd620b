"""`lrat analyze`: tables, report and pictures in one commit, with what is missing said."""

import re

import pytest

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import read_lineage
from lrat_hub.schema import qrel_features
from tests.builders import answer, browse, search, trajectory

CONFIGS = {"accuracy", "agents", "as_paper", "comparisons", "distances", "half_lives", "histogram", "lengths",
           "outcomes", "positions", "steps", "transitions"}  # fmt: skip


@pytest.fixture(scope="module")
def published(hub):
    """Trajectories of two agents and of one alone, judgements of their evidence, and a run that nobody judged."""
    from dataclasses import replace

    from datasets import Dataset

    from lrat_hub.storage import trajectory_table

    def runs(agent, correct):
        for place in range(6):
            steps = [search("a b", "e", "x"), browse("e"), search("a c", "y"), answer("w " * (5 + place))]
            run = trajectory(*steps, name=f"q{place}", correct=correct and place < 4)
            yield replace(run, agent=agent, retriever="bm25", status="completed" if place else "failed")

    trajectory_table([*runs("one", True), *runs("two", True)]).push_to_hub("lrat/analysed", "default", split="train")
    trajectory_table(runs("one", True)).push_to_hub("lrat/analysed-one", "default", split="train")
    trajectory_table(
        [trajectory(search("a"), search("b"), name="t")]
    ).push_to_hub("lrat/analysed-bare", "default", split="train")  # fmt: skip
    rows = [{"query_id": f"q{place}", "docid": docid, "relevance": grade}
            for place in range(6) for docid, grade in (("e", 1), ("x", 0))]  # fmt: skip
    Dataset.from_list(rows, features=qrel_features()).push_to_hub(
        "lrat/analysed-qrels", "qrels_evidence", split="test"
    )


def files_of(pin):
    from huggingface_hub import HfApi

    return set(HfApi().list_repo_files(pin.repo_id, repo_type="dataset", revision=pin.revision))


def card_of(pin):
    from huggingface_hub import hf_hub_download

    with open(hf_hub_download(pin.repo_id, "README.md", repo_type="dataset", revision=pin.revision)) as file:
        return file.read()


@pytest.mark.slow
def test_two_agents_are_analysed_and_compared_in_one_commit(published, tmp_path):
    from datasets import get_dataset_config_names, load_dataset

    words = ["analyze", "--trajectories", "lrat/analysed", "--qrels", "lrat/analysed-qrels", "--to", "lrat/analysis"]
    pin = cli.run([*words, "--report", str(tmp_path)])
    assert set(get_dataset_config_names(pin.repo_id, revision=pin.revision)) == CONFIGS
    rows = load_dataset(pin.repo_id, "accuracy", revision=pin.revision, split="train").to_list()
    assert [(row["agent"], row["evidence_opened"], row["n"], round(row["value"], 3)) for row in rows] == [
        ("one + bm25", 1, 6, 0.667), ("two + bm25", 1, 6, 0.667)]  # fmt: skip
    card, files = card_of(pin), files_of(pin)
    pictures = set(re.findall(r"\]\((figures/[^)]+)\)", card))
    assert len(pictures) == 17
    assert pictures == {name for name in files if name.endswith(".png")}
    assert {name for name in pictures if not (tmp_path / name).is_file()} == set()
    assert "## Agents compared" in (tmp_path / "report.md").read_text()
    lineage = read_lineage(pin)
    assert set(lineage.inputs) == {"trajectories_1", "qrels"}
    assert lineage.counts["trajectories"]["read"] == 12
    assert cli.run(words) == pin


def test_evidence_whose_ids_are_written_otherwise_is_refused_before_the_work(published):
    from datasets import Dataset

    rows = [{"query_id": f"q{place}", "docid": "E", "relevance": 1} for place in range(6)]
    upper = Dataset.from_list(rows, features=qrel_features())
    upper.push_to_hub("lrat/analysed-upper", "qrels_evidence", split="test")
    words = ["analyze", "--trajectories", "lrat/analysed-one", "--qrels", "lrat/analysed-upper"]
    with pytest.raises(LratError, match="1 of them would match but for upper and lower case, such as 'E' and 'e'"):
        cli.run([*words, "--to", "lrat/analysis-upper"])


def test_evidence_of_other_questions_is_refused_with_what_to_do(published):
    words = ["analyze", "--trajectories", "lrat/analysed-bare", "--qrels", "lrat/analysed-qrels"]
    with pytest.raises(
        LratError, match=r"0 of 1 questions of the runs .*Leave `qrels` out, or give the judgements of"
    ):
        cli.run([*words, "--to", "lrat/analysis-others"])


@pytest.mark.slow
def test_what_needs_judgements_is_said_to_be_missing_and_statuses_can_be_chosen(published):
    from datasets import load_dataset

    pin = cli.run(
        ["analyze", "--trajectories", "lrat/analysed-one", "--statuses", "completed", "--to", "lrat/analysis-2"]
    )
    card = card_of(pin)
    assert "Not shown: it needs judged answers (`correct`) and judgements of evidence (qrels)" in card
    assert "evidence is not told apart" in card
    assert "accuracy.png" not in card
    assert read_lineage(pin).counts["trajectories read"]["dropped"] == {"status failed": 1}
    pin = cli.run(["analyze", "--trajectories", "lrat/analysed-bare", "--to", "lrat/analysis-3"])
    card = card_of(pin)
    assert "Not shown: no browse opened a document that a search had listed." in card
    assert "### Length of the reasoning" not in card
    features = load_dataset(pin.repo_id, "outcomes", revision=pin.revision, split="train").features
    assert features["low"].dtype == "float64"  # although one question has no interval


@pytest.mark.slow
def test_lengths_are_in_tokens_of_the_tokenizer_that_is_named(published, tmp_path):
    from datasets import load_dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    letters.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Split("", "isolated")]
    )
    PreTrainedTokenizerFast(tokenizer_object=letters, unk_token="[UNK]").save_pretrained(tmp_path)
    words = ["analyze", "--trajectories", "lrat/analysed-one", "--to", "lrat/analysis-5"]
    pin = cli.run([*words, "--tokenizer", str(tmp_path)])
    rows = load_dataset(pin.repo_id, "half_lives", revision=pin.revision, split="train").to_list()
    assert [row["value"] for row in rows if row["estimate"] == "median"] == [len("Isearch.")]
    assert "tokenizer" in read_lineage(pin).inputs


def test_nothing_to_analyse_and_wrong_inputs_are_one_line(published, tmp_path):
    with pytest.raises(LratError, match="expected trajectories, found none"):
        cli.run(["analyze", "--trajectories", "lrat/analysed", "--statuses", "limited", "--to", "lrat/analysis-4"])
    with pytest.raises(LratError, match="expected a trajectories dataset"):
        cli.run(["analyze", "--trajectories", "lrat/analysed-qrels", "--to", "lrat/analysis-4"])
    with pytest.raises(LratError, match="expected a qrels dataset"):
        cli.run(["analyze", "--trajectories", "lrat/analysed", "--qrels", "lrat/analysed", "--to", "lrat/analysis-4"])
    with pytest.raises(LratError, match="found the same twice"):
        cli.run(["analyze", "--trajectories", "lrat/analysed", "lrat/analysed@main", "--to", "lrat/analysis-4"])
    clicks = tmp_path / "clicks.txt"
    clicks.write_text("many\n")
    with pytest.raises(LratError, match="expected a file with a number a line"):
        cli.run(
            ["analyze", "--trajectories", "lrat/analysed", "--human_clicks", str(clicks), "--to", "lrat/analysis-4"]
        )


def test_the_recipe_has_known_options():
    from lrat_hub.eval.analyze import Arguments, LocalCopy

    from lrat_hub.cli.stage import parse

    words = ["--config", "eval/analysis_as_paper", "--trajectories", "a/b", "--to", "a/c"]
    args, _ = parse(words, "analyze", None, Arguments, LocalCopy)
    assert args.statuses == ["completed"]
    assert args.tokenizer.startswith("Qwen/Qwen3")
