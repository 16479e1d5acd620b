"""`lrat sweep`: variants of the pairs, several seeds, one table."""

import pytest

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import read_lineage
from lrat_hub.hub.refs import HubRef

from .published import publish_benchmark, publish_pairs


@pytest.fixture(scope="module")
def benchmark(hub):
    return publish_benchmark("lrat/sweep-benchmark")


def sweep(pairs, base, benchmark, to, *options, config=None):
    from datasets import load_dataset

    words = (
        "sweep", "--pairs", *pairs, "--model", base, "--corpus", benchmark, "--queries", benchmark, "--qrels",
        benchmark, "--to", to, "--seeds", 2, "--check_passages", 0, "--batch_size", 8, "--num_negatives", 1,
        "--learning_rate", 1e-3, "--epochs", 1, *options,
    )  # fmt: skip
    pin = cli.run([str(word) for word in words])
    if config:
        return load_dataset(pin.repo_id, config, revision=pin.revision, split="test")
    return [load_dataset(pin.repo_id, config, revision=pin.revision, split="test") for config in ("summary", "runs")]


@pytest.mark.slow
def test_the_ladder_adds_the_filter_and_the_weights_one_after_the_other(hub, base, benchmark, capsys):
    summary, runs = sweep(
        [publish_pairs("lrat/sweep-pairs", refused=6)], base, benchmark, "lrat/small-ladder", "--vary", "ladder"
    )
    rows = [row for row in summary if row["metric"] == "recall@10"]
    assert [(row["variant"], row["pairs"]) for row in rows] == [
        ("base", 0), ("naive", 24), ("+ filter", 18), ("+ reweight", 18)
    ]  # fmt: skip
    assert [row["from base"] is None for row in rows] == [True, False, False, False]
    assert [row["from the one before"] is None for row in rows] == [True, True, False, False]
    naive = [row["value"] for row in runs if row["variant"] == "naive" and row["metric"] == "ndcg@10"]
    [shown] = [row for row in summary if row["variant"] == "naive" and row["metric"] == "ndcg@10"]
    assert len(naive) == 2
    assert shown["mean"] == pytest.approx(sum(naive) / 2)
    assert shown["sd"] == pytest.approx(abs(naive[0] - naive[1]) / 2**0.5)
    assert "| + reweight |" in capsys.readouterr().out


@pytest.mark.slow
def test_models_are_kept_by_variant_and_seed_and_not_trained_again(hub, base, benchmark, capsys):
    from huggingface_hub import HfApi
    from sentence_transformers import SentenceTransformer

    pairs = publish_pairs("lrat/sweep-kept", refused=6)
    models = sweep([pairs], base, benchmark, "lrat/kept-sweep", "--vary", "ladder", "--seeds", 1, config="models")
    trained = {row["variant"]: HubRef.parse(row["model"]) for row in models if row["seed"] is not None}
    assert list(trained) == ["naive", "+ filter", "+ reweight"]
    lineages = [read_lineage(pin) for pin in trained.values()]
    assert [one.counts["variant"] for one in lineages] == list(trained)
    assert all(one.inputs["pairs_1"] == str(pairs) for one in lineages)
    refs = HfApi().list_repo_refs("lrat/kept-sweep-models")
    assert {tag.name: tag.target_commit for tag in refs.tags} == {
        f"{name}-seed-0": trained[variant].revision
        for name, variant in (("naive", "naive"), ("filter", "+ filter"), ("reweight", "+ reweight"))
    }
    vectors = [
        SentenceTransformer("lrat/kept-sweep-models", revision=pin.revision).encode("one a").tolist()
        for pin in trained.values()
    ]
    assert vectors[0] != vectors[1]

    # As after a kill between the publication of the last model and its tag.
    HfApi().delete_tag("lrat/kept-sweep-models", tag="reweight-seed-0")
    capsys.readouterr()
    again = sweep([pairs], base, benchmark, "lrat/kept-sweep-again", "--vary", "ladder", "--seeds", 1, "--models_to",
                  "lrat/kept-sweep-models", config="models")  # fmt: skip
    assert [dict(row) for row in again] == [dict(row) for row in models]
    assert capsys.readouterr().out.count(" is there\n") == 3
    assert {tag.name for tag in HfApi().list_repo_refs("lrat/kept-sweep-models").tags} == {
        tag.name for tag in refs.tags
    }
    # Other settings are another training.
    sweep([pairs], base, benchmark, "lrat/kept-sweep-other", "--vary", "ladder", "--seeds", 1, "--models_to",
          "lrat/kept-sweep-models", "--batch_size", 4)  # fmt: skip
    assert " is there\n" not in capsys.readouterr().out


@pytest.mark.slow
def test_sources_are_compared_by_as_many_pairs_of_each(hub, base, benchmark):
    pairs = [publish_pairs("lrat/sweep-right"), publish_pairs("lrat/sweep-wrong", refused=10)]
    summary, _ = sweep(
        pairs,
        base,
        benchmark,
        "lrat/small-sources",
        "--vary",
        "pairs",
        "--names",
        "right",
        "wrong",
        "--models_to",
        "none",
    )
    assert {(row["variant"], row["pairs"]) for row in summary if row["variant"] != "base"} == {
        ("right", 14), ("wrong", 14)
    }  # fmt: skip


def test_a_ladder_without_refused_pairs_is_refused(hub, base, benchmark):
    with pytest.raises(LratError, match="expected pairs that a judge has seen"):
        sweep([publish_pairs("lrat/sweep-unjudged")], base, benchmark, "lrat/no", "--vary", "ladder")
