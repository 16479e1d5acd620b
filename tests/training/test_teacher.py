"""`lrat train --teacher`: what is recorded of the teacher, and what is refused."""

import json
from pathlib import Path

import pytest

from lrat_hub import cli

from .published import publish_pairs

SMALL = ("--batch_size", 4, "--num_negatives", 2, "--learning_rate", 1e-2, "--max_steps", 6, "--check_passages", 0)


@pytest.fixture(scope="module")
def pairs(hub):
    return publish_pairs("lrat/taught-pairs")


@pytest.fixture(scope="module")
def models(hub, tmp_path_factory):
    from huggingface_hub import HfApi

    from tests.fitting.small import tiny_bert, tiny_reranker

    HfApi().create_repo("lrat/teacher", exist_ok=True)
    folder = tiny_reranker(tmp_path_factory.mktemp("reranker"))
    commit = HfApi().upload_folder(repo_id="lrat/teacher", folder_path=folder)
    return tiny_bert(tmp_path_factory.mktemp("bert")), f"lrat/teacher@{commit.oid}"


def words(pairs, model, to, *options):
    return [str(word) for word in ("train", "--pairs", pairs, "--model", model, "--to", to, *SMALL, *options)]


@pytest.mark.slow
def test_the_teacher_is_pinned_in_the_lineage_of_what_it_taught(hub, pairs, models):
    from huggingface_hub import snapshot_download

    model, teacher = models
    pin = cli.run(words(pairs, model, "lrat/taught", "--teacher", "lrat/teacher", "--loss", "kl"))
    folder = Path(snapshot_download(pin.repo_id, revision=pin.revision))
    lineage = json.loads((folder / "lineage.json").read_text())
    assert lineage["inputs"]["teacher"] == teacher
    assert lineage["recipe"]["loss"] == "kl"
    assert f"the scores of the reranker {teacher} as soft targets (weighted KL" in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--teacher", "lrat/teacher"), "--teacher goes with --loss kl or margin_mse"),
        (("--loss", "margin_mse"), "--teacher goes with --loss kl or margin_mse"),
        (("--teacher", "model", "--loss", "kl"), "expected a CrossEncoder, found a SentenceTransformer"),
    ],
)
def test_a_teacher_goes_with_its_losses(hub, pairs, models, capsys, options, message):
    options = [models[0] if option == "model" else option for option in options]
    assert cli.main(words(pairs, models[0], "lrat/none", *options))
    assert message in capsys.readouterr().err
