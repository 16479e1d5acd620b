"""`lrat train` from the command line: what it publishes, how it goes on, and what it refuses."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lrat_hub import cli
from lrat_hub.errors import LratError

from .published import publish_benchmark, publish_pairs

PLAIN = """
import json, sys
from sentence_transformers import SentenceTransformer
name, revision = sys.argv[1:]
model = SentenceTransformer(name, revision=revision, device="cpu")
assert "lrat_hub" not in sys.modules
print(json.dumps([model.encode_query("one a").tolist(), model.encode_document("text of b").tolist()]))
"""
SMALL = ("--batch_size", 4, "--num_negatives", 2, "--learning_rate", 1e-2, "--check_passages", 0)


@pytest.fixture(scope="module")
def pairs(hub):
    return publish_pairs("lrat/small-pairs")


def train(pairs, model, to, *options):
    words = ("train", "--pairs", pairs, "--model", model, "--to", to, *SMALL, *options)
    return cli.run([str(word) for word in words])


def files_of(pin):
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(pin.repo_id, revision=pin.revision))


@pytest.mark.slow
def test_what_is_published_is_complete_and_needs_nothing_of_this_project(hub, pairs, base, capsys):
    from lrat_hub.encoders import read_model_config, require_query_style
    from lrat_hub.hub.inputs import load_model

    pin = train(
        pairs, base, "lrat/small", "--query_prompt", "query : ", "--query_style", "history", "--validation_share", 0.3,
    )  # fmt: skip
    shown = capsys.readouterr().out
    assert "weights mean 1.000, min 1.000, max 1.000; negatives per query: " in shown
    assert "kept to validate on" in shown
    assert shown.splitlines()[-1].startswith("verdict: not tried on queries")

    done = subprocess.run(
        [sys.executable, "-c", PLAIN, pin.repo_id, pin.revision], capture_output=True, text=True, check=True
    )
    query, document = json.loads(done.stdout.splitlines()[-1])
    inside = load_model(pin)
    assert inside.prompts["query"] == "query : "
    np.testing.assert_allclose(query, inside.encode("query : one a", prompt=""), atol=1e-6)
    np.testing.assert_allclose(document, inside.encode("text of b", prompt=""), atol=1e-6)

    folder = files_of(pin)
    assert (folder / "loss_curve.png").read_bytes().startswith(b"\x89PNG")
    card = (folder / "README.md").read_text()
    assert "![The loss at every step](loss_curve.png)" in card
    assert 'render_query(state, "history")' in card
    assert read_model_config(pin).query_style == "history"
    require_query_style(pin, "history")
    with pytest.raises(LratError, match="'history', found 'plain'"):
        require_query_style(pin, "plain")


@pytest.mark.slow
def test_agents_ask_a_retriever_in_the_style_it_was_trained_with(hub, pairs, base, monkeypatch):
    from lrat_hub.retrieval.dense import DenseRetriever

    asked = []
    search = DenseRetriever.search
    monkeypatch.setattr(DenseRetriever, "search", lambda self, texts, k: asked.extend(texts) or search(self, texts, k))
    pin = train(pairs, base, "lrat/small-history", "--query_style", "history")
    benchmark = publish_benchmark("lrat/small-served")
    cli.run(["rollout", "--agent", "reader", "--corpus", str(benchmark), "--queries", str(benchmark),
             "--retriever", str(pin), "--to", "lrat/small-runs"])  # fmt: skip
    assert asked
    assert all(text.startswith("Query: ") and "\nQuestion: " in text for text in asked)


@pytest.mark.slow
def test_it_ends_with_a_verdict_on_the_development_queries(hub, pairs, base, capsys):
    benchmark = publish_benchmark("lrat/small-benchmark")
    pin = train(
        pairs, base, "lrat/small-verdict", "--corpus", benchmark, "--queries", benchmark, "--qrels", benchmark,
        "--precision", "bf16", "--gradient_checkpointing", "true", "--epochs", 1, "--check_passages", 5,
    )  # fmt: skip
    shown = capsys.readouterr().out
    assert "forgetting check skipped: Content check: expected passages of two sentences or more, with 5 words" in shown
    last = shown.splitlines()[-1]
    assert re.match(
        r"verdict: (better|worse|no difference) on the development queries \(recall@10 [+-]\d\.\d{3} \[.*\]\)$", last
    )
    rows = json.loads((files_of(pin) / "lineage.json").read_text())["counts"]["development"]
    assert {row["metric"] for row in rows} >= {"recall@10", "ndcg@10"}


@pytest.mark.slow
def test_checkpoints_are_revisions_that_load_while_it_trains(hub, pairs, base, capsys):
    from sentence_transformers import SentenceTransformer

    train(pairs, base, "lrat/small-steps", "--push_checkpoints", "true", "--save_steps", 5, "--max_steps", 10)
    shown = [line for line in capsys.readouterr().out.splitlines() if "checkpoint at step" in line]
    pins = [line.rpartition(" ")[2].partition("@") for line in shown]
    assert ["step 5:" in shown[0], "step 10:" in shown[1]] == [True, True]
    vectors = [SentenceTransformer(name, revision=sha, device="cpu").encode("one a") for name, _, sha in pins]
    last = SentenceTransformer("lrat/small-steps", device="cpu").encode("one a")
    assert not np.allclose(vectors[0], last, atol=1e-4)
    np.testing.assert_allclose(vectors[1], last, atol=1e-6)


@pytest.mark.slow
def test_it_stops_early_and_publishes_the_best(hub, pairs, base):
    """At a learning rate that soon makes the validation loss worse."""
    pin = train(
        pairs, base, "lrat/small-early", "--validation_share", 0.3, "--patience", 2, "--save_steps", 2,
        "--max_steps", 200, "--learning_rate", 0.1,
    )  # fmt: skip
    counts = json.loads((files_of(pin) / "lineage.json").read_text())["counts"]
    assert 0 < counts["best_step"] < 196
    assert counts["validation_pairs"] > 0


@pytest.mark.slow
def test_adapters_are_merged_into_a_model_like_any_other(hub, pairs, base):
    from safetensors.torch import load_file

    pin = train(pairs, base, "lrat/small-lora", "--lora_rank", 2, "--max_steps", 10)
    trained, before = load_file(files_of(pin) / "model.safetensors"), load_file(base / "model.safetensors")
    assert trained.keys() == before.keys()
    changed = {name for name in before if not bool((trained[name] == before[name]).all())}
    assert changed
    assert all("weight" in name and "embeddings" not in name for name in changed)


@pytest.mark.slow
def test_it_ends_with_what_changed_and_the_card_and_lineage_have_it(hub, pairs, base, capsys):
    pin = train(pairs, base, "lrat/small-moved", "--max_steps", 5)
    shown = capsys.readouterr().out
    assert re.search(r"weights that changed: \d+\.\d\d% outside embeddings, \d+\.\d\d% inside embeddings; ", shown)
    folder = files_of(pin)
    counts = json.loads((folder / "lineage.json").read_text())["counts"]
    assert counts["movement"]["changed"] > 0.5
    assert counts["movement"]["unchanged"] is False
    assert (counts["movement"]["base_dtype"], counts["movement"]["dtype"]) == ("fp32", "fp32")
    assert (counts["encoding"]["similarity"], counts["encoding"]["pad_token"]) == ("cosine", "[PAD]")
    card = (folder / "README.md").read_text()
    assert "Weights that changed: " in card
    assert "the base's file holds fp32, this one fp32" in card
    assert "16 dimensions, cosine similarity" in card


@pytest.mark.slow
def test_a_run_that_moves_nothing_fails_unless_it_may(hub, pairs, base, tmp_path, capsys):
    words = ["train", "--pairs", pairs, "--model", base, "--to", "lrat/small-still", *SMALL, "--learning_rate", 1e-13,
             "--max_steps", 3, "--work_dir", tmp_path / "work"]  # fmt: skip
    assert cli.main([str(word) for word in words]) == 1
    shown = capsys.readouterr()
    assert "unchanged: weights that changed: " in shown.err
    assert "--allow_unchanged" in shown.err
    assert cli.main([str(word) for word in (*words, "--allow_unchanged", "true")]) == 0
    assert "  unchanged: weights that changed: " in capsys.readouterr().out
    from huggingface_hub import hf_hub_download

    assert "**Unchanged.**" in Path(hf_hub_download("lrat/small-still", "README.md")).read_text()


@pytest.mark.slow
def test_without_a_learning_rate_one_is_chosen_shown_and_recorded(hub, pairs, base, capsys):
    words = ["train", "--pairs", pairs, "--model", base, "--to", "lrat/small-chosen", "--batch_size", 4,
             "--num_negatives", 2, "--max_steps", 3, "--check_passages", 0]  # fmt: skip
    pin = cli.run([str(word) for word in words])
    reason = "learning_rate 0.0001: a small transformer, 0."
    assert reason in capsys.readouterr().out
    lineage = json.loads((files_of(pin) / "lineage.json").read_text())
    assert (lineage["recipe"]["learning_rate"], lineage["recipe"]["temperature"]) == (1e-4, 0.02)
    assert lineage["counts"]["chosen"]["learning_rate"].startswith(reason)
    assert f"Default chosen for this model: {reason}" in (files_of(pin) / "README.md").read_text()


@pytest.mark.slow
def test_a_model_is_published_as_it_compares_and_with_its_dimensions(hub, pairs, base, tmp_path):
    """By dot product, cut to 4 dimensions, stored in bf16, without a token that pads."""
    import torch
    from sentence_transformers import SentenceTransformer

    own = SentenceTransformer(str(base), device="cpu", similarity_fn_name="dot", truncate_dim=4).to(torch.bfloat16)
    own.tokenizer.pad_token = None
    own.save_pretrained(str(tmp_path / "own"), create_model_card=False)
    pin = train(pairs, tmp_path / "own", "lrat/small-own", "--max_steps", 3, "--document_anchor", 1)
    card = (files_of(pin) / "README.md").read_text()
    assert "4 dimensions, cut from more (`truncate_dim`), dot product" in card
    assert "the base's file holds bf16, this one fp32" in card
    made = SentenceTransformer(pin.repo_id, revision=pin.revision, device="cpu")
    assert (made.similarity_fn_name, made.truncate_dim, made.dtype) == ("dot", 4, torch.float32)
    assert made.encode(["one a", "text of one two b"]).shape == (2, 4)
    half = train(pairs, tmp_path / "own", "lrat/small-half", "--max_steps", 3, "--published_dtype", "base")
    assert SentenceTransformer(half.repo_id, revision=half.revision, device="cpu").dtype == torch.bfloat16


@pytest.mark.slow
def test_a_folder_of_another_run_is_refused(hub, pairs, base, tmp_path):
    work = ("--work_dir", tmp_path / "work", "--max_steps", 4)
    first = train(pairs, base, "lrat/small-work", *work)
    assert train(pairs, base, "lrat/small-work", *work) == first  # nothing is left to do, and the same comes out
    with pytest.raises(LratError, match="one that differs in learning_rate"):
        train(pairs, base, "lrat/small-work", *work, "--learning_rate", 1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--batch_size", 1, "--num_negatives", 0), "batches of one pair without mined negatives"),
        (("--family", "qwen"), "expected one of qwen3-embedding"),
        (("--query_style", "verse"), "expected plain, question"),
        (("--patience", 2), "Set validation_share"),
        (("--precision", "fp16"), "fp16 needs a GPU"),
        (("--frozen_layers", 2), "more than 2 layers"),
        (("--hard_weight", 0), "hard_weight above 0"),
        (("--max_steps", 0), "max_steps above 0, or -1"),
        (("--report_to", "trackio"), "pip install trackio"),
    ],
)
def test_options_that_make_no_run_are_refused(hub, pairs, base, capsys, options, message):
    words = ["train", "--pairs", pairs, "--model", base, "--to", "lrat/no", *SMALL, *options]
    try:
        code = cli.main([str(word) for word in words])
    except SystemExit as ended:  # argparse's own
        code = ended.code
    assert code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"documents": None}, ". Pairs have their documents with them when `lrat mine` is given --corpus"),
        ({"weight": float("nan")}, "finite"),
        ({"weight": -0.5}, "0 or more"),
        ({"weight": 0.0}, "not all 0"),
        ({"weight": None}, "found none among 24"),
    ],
)
def test_pairs_that_can_not_be_trained_on_are_refused(hub, base, capsys, changes, message):
    name = f"lrat/bad-pairs-{abs(hash(message)) % 10**6}"
    pin = publish_pairs(name, **changes)
    words = ["train", "--pairs", pin, "--model", base, "--to", "lrat/no", *SMALL]
    assert cli.main([str(word) for word in words]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
