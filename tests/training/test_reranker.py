"""`lrat train` of a reranker: what it publishes, how it is searched with, and what it refuses."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from lrat_hub import cli

from .published import publish_benchmark, publish_pairs

PLAIN = """
import json, sys
from sentence_transformers import CrossEncoder
name, revision = sys.argv[1:]
model = CrossEncoder(name, revision=revision, device="cpu")
assert "lrat_hub" not in sys.modules
print(json.dumps(model.predict([("one a", "A\\ntext of a"), ("one a", "B\\ntext of b")]).tolist()))
"""
SMALL = ("--batch_size", 4, "--num_negatives", 2, "--learning_rate", 1e-2, "--max_steps", 6, "--check_passages", 0)


@pytest.fixture(scope="module")
def pairs(hub):
    return publish_pairs("lrat/ranked-pairs")


@pytest.fixture(scope="module")
def reranker(hub, tmp_path_factory):
    from tests.fitting.small import tiny_reranker

    return tiny_reranker(tmp_path_factory.mktemp("reranker"))


def words(pairs, model, to, *options):
    return [str(word) for word in ("train", "--pairs", pairs, "--model", model, "--to", to, *SMALL, *options)]


def snapshot_file(pin, name):
    from huggingface_hub import hf_hub_download

    return hf_hub_download(pin.repo_id, name, repo_type="dataset", revision=pin.revision)


def files_of(pin):
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(pin.repo_id, revision=pin.revision))


@pytest.mark.slow
def test_what_is_published_is_a_cross_encoder_that_ranks_again_what_bm25_finds(hub, pairs, reranker, capsys):
    from lrat_hub import load_corpus, open_retriever
    from lrat_hub.hub.inputs import load_cross_encoder

    benchmark = publish_benchmark("lrat/ranked-benchmark")
    pin = cli.run(words(
        pairs, reranker, "lrat/ranker", "--query_prompt", "query : ", "--negatives_from", "bm25", "--negatives_depth",
        3, "--corpus", benchmark, "--queries", benchmark, "--qrels", benchmark, "--published_dtype", "base",
    ))  # fmt: skip
    shown = capsys.readouterr().out
    assert "of them scored; " in shown
    assert "the first 20 results of BM25 for 6 queries" in shown
    assert "scores of pairs moved by " in shown
    assert shown.splitlines()[-1].startswith("verdict: ")

    done = subprocess.run(
        [sys.executable, "-c", PLAIN, pin.repo_id, pin.revision], capture_output=True, text=True, check=True
    )
    scores = json.loads(done.stdout.splitlines()[-1])
    inside = load_cross_encoder(pin, device="cpu")
    texts = [("one a", "A\ntext of a"), ("one a", "B\ntext of b")]
    assert scores == pytest.approx(inside.predict(texts, prompt="query : ").tolist(), abs=1e-6)
    assert scores != pytest.approx(inside.predict(texts, prompt="").tolist(), abs=1e-6)

    folder = files_of(pin)
    lineage = json.loads((folder / "lineage.json").read_text())
    assert (lineage["recipe"]["negatives_from"], lineage["recipe"]["temperature"]) == ("bm25", 1.0)
    assert lineage["counts"]["movement"]["scores"] is True
    assert lineage["counts"]["encoding"]["prompt"] == "query : "
    card = (folder / "README.md").read_text()
    for text in ("pipeline_tag: text-ranking", "- cross-encoder", "weighted listwise loss", 'Prompt: "query : "',
                 "At most 512 tokens of a query and a document together", "BM25's first 20 results"):  # fmt: skip
        assert text in card, text

    documents = load_corpus(str(benchmark))
    retriever = open_retriever(f"bm25>3:{pin}", documents=documents)
    (first,), (hits,) = (
        one.search(["text of a"], 6) for one in (open_retriever("bm25", documents=documents), retriever)
    )
    assert {hit.docid for hit in hits} == {hit.docid for hit in first[:3]}
    made = cli.run([
        "eval", "retrieval", "--corpus", str(benchmark), "--queries", str(benchmark), "--qrels", str(benchmark),
        "--retrievers", f"bm25>3:{pin}", "--depth", "10", "--check_passages", "0", "--to", "lrat/ranked-eval",
    ])  # fmt: skip
    from datasets import load_dataset

    rows = load_dataset(made[0].repo_id, "summary", split="test", revision=made[0].revision)
    reranked = f"bm25>3:{pin.repo_id}@{pin.revision[:7]}"
    assert {reranked, "bm25"} == set(rows["system"])
    stages = load_dataset(made[0].repo_id, "stages", split="test", revision=made[0].revision)
    assert set(zip(stages["system"], stages["first_stage"], strict=True)) == {(reranked, "bm25")}
    costs = json.loads(Path(snapshot_file(made[0], "lineage.json")).read_text())["counts"]["costs"]
    assert costs[reranked]["num_bytes"] == costs["bm25"]["num_bytes"] > 0
    card = Path(snapshot_file(made[0], "README.md")).read_text()
    assert "## What a search costs" in card
    assert "## Each stage against the one before" in card


@pytest.mark.slow
def test_a_run_that_moves_nothing_fails_and_one_that_was_done_is_not_again(hub, pairs, reranker, tmp_path, capsys):
    work = ("--work_dir", tmp_path / "work")
    assert cli.main(words(pairs, reranker, "lrat/still", "--learning_rate", 1e-13)) == 1
    error = capsys.readouterr().err
    assert "unchanged: weights that changed: " in error
    assert "more of the scores to change" in error
    first = cli.run(words(pairs, reranker, "lrat/ranker-work", *work))
    assert cli.run(words(pairs, reranker, "lrat/ranker-work", *work)) == first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--document_anchor", 1), "document_anchor is for retrievers, found a reranker"),
        (("--gather_across_devices", "true"), "gather_across_devices is for retrievers"),
        (("--family", "e5"), "reads a query and a document together, after one prompt"),
        (("--document_prompt", "x"), "leave out --family and --document_prompt"),
        (("--num_negatives", 0), "found lists of one document in all 24 pairs"),
        (("--negatives_depth", 5), "goes with --negatives_from"),
        (("--loss", "both"), "listwise"),
    ],
)
def test_options_that_do_nothing_for_a_reranker_are_refused(hub, pairs, reranker, capsys, options, message):
    try:
        code = cli.main(words(pairs, reranker, "lrat/no", *options))
    except SystemExit as ended:  # argparse's own
        code = ended.code
    assert code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_bases_that_can_not_be_trained_are_refused_in_one_line(hub, pairs, base, reranker, tmp_path, capsys):
    from tests.fitting.small import tiny_reranker

    shutil.copytree(base, tmp_path / "bare")
    (tmp_path / "bare" / "modules.json").unlink()
    sparse = shutil.copytree(base, tmp_path / "sparse")
    config = json.loads((sparse / "config_sentence_transformers.json").read_text())
    (sparse / "config_sentence_transformers.json").write_text(json.dumps(config | {"model_type": "SparseEncoder"}))
    headless = Path(shutil.copytree(reranker, tmp_path / "headless"))
    weights = load_file(headless / "model.safetensors")
    kept = {name: values for name, values in weights.items() if not name.startswith("classifier.")}
    save_file(kept, headless / "model.safetensors", metadata={"format": "pt"})
    damaged = Path(shutil.copytree(reranker, tmp_path / "damaged"))
    weights["classifier.weight"][:] = float("nan")
    save_file(weights, damaged / "model.safetensors", metadata={"format": "pt"})
    refused = {
        headless: "with the weights of its head, classifier.bias among them, found a checkpoint without them",
        damaged: "expected a base that gives finite numbers, found others",
        tmp_path / "bare": "found a bare checkpoint without modules.json",
        sparse: "found a SparseEncoder: beside a ranking loss it needs one that keeps its vectors sparse",
        tiny_reranker(tmp_path / "three", labels=3): "expected a CrossEncoder with one score per pair, found 3",
    }
    for model, message in refused.items():
        assert cli.main(words(pairs, model, "lrat/no")) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    # And a reranker where a retriever is wanted.
    index = ["index", "--corpus", str(publish_benchmark("lrat/ranked-corpus")), "--model", str(reranker), "--to",
             "lrat/no"]  # fmt: skip
    assert cli.main(index) == 1
    assert "expected a SentenceTransformer, found a CrossEncoder. It ranks again" in capsys.readouterr().err
    assert cli.main(words(pairs, base, "lrat/no", "--loss", "pointwise")) == 1
    assert "loss pointwise is for rerankers, found a retriever" in capsys.readouterr().err


def test_pairs_without_their_documents_are_refused(hub, reranker, capsys):
    pin = publish_pairs("lrat/ranked-bare", documents=None)
    assert cli.main(words(pin, reranker, "lrat/no")) == 1
    assert "Pairs have their documents with them when `lrat mine` is given --corpus" in capsys.readouterr().err
