"""The unmodified clients, against the Hub, by pinned sha."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from huggingface_hub import HfApi

LARGE = 11 * 1024 * 1024


def test_files_of_any_size_come_back_by_sha_after_newer_commits(api: HfApi, repo: str, tmp_path: Path) -> None:
    from huggingface_hub import hf_hub_download

    content = {"a.txt": b"text", "deep/er/b.bin": os.urandom(100), "large.dat": os.urandom(LARGE), "empty.txt": b""}
    for path, data in content.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    sha = api.upload_folder(repo_id=repo, folder_path=tmp_path).oid
    api.upload_file(repo_id=repo, path_in_repo="a.txt", path_or_fileobj=b"newer")
    api.delete_folder("deep", repo_id=repo)

    assert {path: Path(hf_hub_download(repo, path, revision=sha)).read_bytes() for path in content} == content
    files = {file.rfilename: file for file in api.model_info(repo, revision=sha, files_metadata=True).siblings}
    assert set(files) == {".gitattributes", *content}
    assert {path: files[path].size for path in content} == {path: len(data) for path, data in content.items()}
    # Large by size, large by suffix, and neither.
    assert [bool(files[path].lfs) for path in ("large.dat", "deep/er/b.bin", "a.txt")] == [True, True, False]


def test_snapshots_hold_the_files_of_their_commit(api: HfApi, repo: str) -> None:
    from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, snapshot_download

    add = [CommitOperationAdd(path, path.encode()) for path in ("one.txt", "ünï cødé/tw%2Fo #?.txt", "x.bin")]
    first = api.create_commit(repo, add, commit_message="first").oid
    move = [CommitOperationCopy("x.bin", "y.bin"), CommitOperationDelete("x.bin")]
    second = api.create_commit(repo, move, commit_message="second", parent_commit=first).oid

    def files(sha: str) -> dict[str, str]:
        root = Path(snapshot_download(repo, revision=sha, ignore_patterns=".gitattributes"))
        return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}

    before = {operation.path_in_repo: operation.path_in_repo for operation in add}
    assert files(first) == before
    assert files(second) == {**{k: v for k, v in before.items() if k != "x.bin"}, "y.bin": "x.bin"}


@pytest.mark.slow
def test_a_dataset_with_two_configs_loads_at_the_older_sha(api: HfApi) -> None:
    from datasets import Dataset, load_dataset

    repo = "lrat/two-configs"
    Dataset.from_dict({"n": [1, 2, 3]}).push_to_hub(repo, "pairs")
    old = Dataset.from_dict({"text": ["a"]}).push_to_hub(repo, "documents").oid
    new = Dataset.from_dict({"n": [4]}).push_to_hub(repo, "pairs").oid

    assert load_dataset(repo, "pairs", revision=old, split="train")["n"][:] == [1, 2, 3]
    assert load_dataset(repo, "documents", revision=old, split="train")["text"][:] == ["a"]
    assert load_dataset(repo, "pairs", revision=new, split="train")["n"][:] == [4]
    configs = api.dataset_info(repo, revision=old).card_data.configs
    assert {config["config_name"] for config in configs} == {"pairs", "documents"}


@pytest.mark.slow
def test_a_sentence_transformer_comes_back_with_the_same_embeddings(api: HfApi) -> None:
    import numpy as np
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    def model(seed: int) -> SentenceTransformer:
        tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "lost": 1, "paper": 2, "found": 3}))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        weights = np.random.default_rng(seed).normal(size=(4, 8)).astype(np.float32)
        return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu")

    repo, texts = "lrat/static", ["lost paper", "found"]
    older, newer = model(0), model(1)
    older.push_to_hub(repo)
    sha = api.model_info(repo).sha
    newer.push_to_hub(repo, exist_ok=True)

    loaded = SentenceTransformer(repo, revision=sha, device="cpu")
    np.testing.assert_array_equal(loaded.encode(texts), older.encode(texts))
    assert not np.array_equal(loaded.encode(texts), newer.encode(texts))


def test_the_metadata_of_a_card_is_read_back_and_bad_metadata_refused(api: HfApi, repo: str) -> None:
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    result = EvalResult("retrieval", "d/s", "d", "ndcg", 0.5, task_name="t")
    data = ModelCardData(
        license="apache-2.0", tags=["lrat"], model_name="m", eval_results=[result], since="2024-01-01"
    )
    ModelCard(f"---\n{data.to_yaml()}\n---\n# Model\n").push_to_hub(repo)

    card = api.model_info(repo).card_data
    assert (card.license, card.eval_results[0].metric_value) == ("apache-2.0", 0.5)
    assert ModelCard.load(repo).data.to_dict() == data.to_dict()
    assert [model.id for model in api.list_models(author="lrat", search=repo, filter="lrat")] == [repo]
    with pytest.raises(ValueError, match="Invalid metadata"):
        api.upload_file(repo_id=repo, path_in_repo="README.md", path_or_fileobj=b"---\na: [\n---\n")


def test_branches_and_tags_are_revisions(api: HfApi, repo: str) -> None:
    from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError

    start = api.model_info(repo).sha
    api.create_branch(repo, branch="dev/x")
    api.create_tag(repo, tag="v1", tag_message="first")
    there = api.upload_file(repo_id=repo, path_in_repo="a", path_or_fileobj=b"", revision="dev/x").oid

    refs = api.list_repo_refs(repo)
    assert {ref.name: ref.target_commit for ref in refs.branches + refs.tags} == {
        "main": start,
        "dev/x": there,
        "v1": start,
    }
    assert [api.file_exists(repo, "a", revision=revision) for revision in ("dev/x", "main", "v1", there[:8])] == [
        True,
        False,
        False,
        True,
    ]
    assert [commit.title for commit in api.list_repo_commits(repo, revision="dev/x")][1:] == ["initial commit"]
    for name in ("dev/x", "dev", "-a", "a..b", "refs/heads/b", start):
        with pytest.raises(HfHubHTTPError):
            api.create_branch(repo, branch=name)
    api.delete_branch(repo, branch="dev/x")
    api.delete_tag(repo, tag="v1")
    for revision in ("dev/x", "v1", "main~0", "0" * 40):
        with pytest.raises(RevisionNotFoundError):
            api.model_info(repo, revision=revision)
