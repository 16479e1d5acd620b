"""The libraries that people use with a Hub, unmodified, against the embedded one; each reads at a pinned sha."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from huggingface_hub import HfApi

pytestmark = pytest.mark.slow


def test_datasets_in_shards_stream_and_shrink(api: HfApi) -> None:
    from datasets import Dataset, DatasetDict, load_dataset

    repo = "lrat/shards"
    rows = Dataset.from_dict({"n": range(1000), "text": [f"row {n}" for n in range(1000)]})
    splits = DatasetDict({"train": rows, "test": rows.select(range(10))})
    wide = splits.push_to_hub(repo, num_shards={"train": 5, "test": 1}).oid
    narrow = rows.select(range(3)).push_to_hub(repo, split="train").oid

    assert (
        len([path for path in api.list_repo_files(repo, repo_type="dataset", revision=wide) if "train-" in path]) == 5
    )
    # Shards that were replaced are gone, and still there at the older sha.
    assert len([path for path in api.list_repo_files(repo, repo_type="dataset") if "train-" in path]) == 1
    streamed = load_dataset(repo, split="train", revision=wide, streaming=True)
    assert [row["n"] for row in streamed] == list(range(1000))
    assert next(iter(streamed.skip(700)))["text"] == "row 700"
    assert load_dataset(repo, split="train", revision=narrow)["n"][:] == [0, 1, 2]
    assert len(load_dataset(repo, split="test", revision=narrow)) == 10
    by_path = f"hf://datasets/{repo}@{wide}/data/train-*.parquet"
    assert len(load_dataset("parquet", data_files=by_path, split="train")) == 1000


def test_datasets_push_to_a_branch_and_delete_a_config_by_pull_request(api: HfApi) -> None:
    from datasets import Dataset, get_dataset_config_names, load_dataset
    from datasets.hub import delete_from_hub

    repo = "lrat/configs-to-delete"
    for config in ("kept", "dropped"):
        Dataset.from_dict({"n": [1]}).push_to_hub(repo, config)
    Dataset.from_dict({"n": [2]}).push_to_hub(repo, "kept", revision="dev")
    assert load_dataset(repo, "kept", split="train", revision="dev")["n"][:] == [2]
    assert load_dataset(repo, "kept", split="train", revision=api.dataset_info(repo).sha)["n"][:] == [1]

    proposed = delete_from_hub(repo, "dropped")
    assert get_dataset_config_names(repo, revision=proposed.oid) == ["kept"]
    before = api.dataset_info(repo).sha
    assert set(get_dataset_config_names(repo, revision=before)) == {"kept", "dropped"}
    api.merge_pull_request(repo, proposed.pr_num, repo_type="dataset")
    assert get_dataset_config_names(repo, revision=api.dataset_info(repo).sha) == ["kept"]


def test_json_lines_and_card_metadata_make_a_dataset(api: HfApi) -> None:
    from datasets import load_dataset

    repo = api.create_repo("lrat/json-lines", repo_type="dataset").repo_id
    card = b"---\nconfigs:\n- config_name: a\n  data_files: a/*.jsonl\n---\n"
    files = {"README.md": card, "a/train.jsonl": b'{"x": 1}\n{"x": 2}\n', "b/train.jsonl": b'{"y": 1}'}
    for path, content in files.items():
        sha = api.upload_file(repo_id=repo, repo_type="dataset", path_in_repo=path, path_or_fileobj=content).oid
    assert load_dataset(repo, "a", split="train", revision=sha)["x"][:] == [1, 2]


def test_transformers_saves_and_loads_a_model_with_its_tokenizer(api: HfApi) -> None:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerFast

    repo = "lrat/tiny-bert"
    torch.manual_seed(0)
    config = BertConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    model = BertModel(config).eval()
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "[PAD]": 1, "lost": 2, "paper": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]")
    model.push_to_hub(repo)
    tokenizer.push_to_hub(repo)
    sha = api.model_info(repo).sha
    BertModel(config).push_to_hub(repo)

    loaded = AutoModel.from_pretrained(repo, revision=sha).eval()
    read = AutoTokenizer.from_pretrained(repo, revision=sha)
    batch = read(["lost paper"], return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        torch.testing.assert_close(loaded(**batch).pooler_output, model(**batch).pooler_output)


def test_bm25_indexes_are_loaded_at_a_sha(api: HfApi) -> None:
    import bm25s
    from bm25s.hf import BM25HF

    repo = "lrat/bm25"
    corpus = ["a lost paper", "a found dog", "paper and ink"]
    index = BM25HF(corpus=corpus)
    index.index(bm25s.tokenize(corpus, show_progress=False), show_progress=False)
    index.save_to_hub(repo)
    sha = api.model_info(repo).sha
    other = BM25HF(corpus=["nothing"])
    other.index(bm25s.tokenize(["nothing"], show_progress=False), show_progress=False)
    other.save_to_hub(repo)

    loaded = BM25HF.load_from_hub(repo, revision=sha, load_corpus=True)
    found, _ = loaded.retrieve(bm25s.tokenize("lost paper", show_progress=False), k=1, show_progress=False)
    assert found[0][0]["text"] == "a lost paper"


# huggingface_hub warns of data files in model repositories, which is what this test wants.
@pytest.mark.filterwarnings("ignore:It seems that you are about to commit a data file:UserWarning")
def test_the_file_system_reads_seeks_writes_and_removes(api: HfApi, repo: str) -> None:
    import pandas as pd
    from huggingface_hub import HfFileSystem

    files = HfFileSystem()
    first = api.upload_file(repo_id=repo, path_in_repo="d/x.bin", path_or_fileobj=bytes(range(256)) * 100).oid
    with files.open(f"{repo}/d/y.txt", "w") as file:
        file.write("text")
    with files.open(f"{repo}@{first}/d/x.bin", "rb", block_size=1000) as file:
        file.seek(25_000)
        assert file.read(3) == bytes([168, 169, 170])
    assert files.ls(f"{repo}@{first}/d", detail=False) == [f"{repo}@{first}/d/x.bin"]
    assert sorted(files.glob(f"{repo}/**/*.txt")) == [f"{repo}/d/y.txt"]
    assert (files.info(f"{repo}/d/x.bin")["size"], files.isdir(f"{repo}/d")) == (25_600, True)
    with files.open(f"{repo}/t.parquet", "wb") as file:
        pd.DataFrame({"n": [1, 2]}).to_parquet(file)
    assert pd.read_parquet(f"hf://{repo}/t.parquet")["n"].tolist() == [1, 2]
    files.rm(f"{repo}/d", recursive=True)
    files.invalidate_cache()
    assert [Path(path).name for path in files.ls(repo, detail=False)] == [".gitattributes", "t.parquet"]
    assert files.exists(f"{repo}@{first}/d/x.bin")


def test_a_metric_is_loaded_from_a_space(api: HfApi, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate = pytest.importorskip("evaluate")
    code = """
import datasets
import evaluate


class Metric(evaluate.Metric):
    def _info(self):
        columns = datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")})
        return evaluate.MetricInfo(description="", citation="", inputs_description="", features=columns)

    def _compute(self, predictions, references):
        return {"score": FACTOR * sum(p == r for p, r in zip(predictions, references))}
"""
    repo = api.create_repo("lrat/metric", repo_type="space", space_sdk="static").repo_id
    shas = [
        api.upload_file(
            repo_id=repo,
            repo_type="space",
            path_in_repo="metric.py",
            path_or_fileobj=code.replace("FACTOR", factor).encode(),
        ).oid
        for factor in ("1", "10")
    ]
    scores = [
        evaluate.load(repo, module_type="metric", revision=sha).compute(predictions=[1, 2], references=[1, 3])["score"]
        for sha in shas
    ]
    assert scores == [1, 10]


def test_the_hf_command_uploads_lists_and_downloads(tmp_path: Path) -> None:
    hf = [sys.executable, "-c", "from huggingface_hub.cli.hf import main; main()"]

    def run(*words: object) -> str:
        done = subprocess.run([*hf, *map(str, words)], capture_output=True, text=True, env=os.environ)
        assert done.returncode == 0, done.stderr
        return done.stdout

    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "a.txt").write_text("a")
    (tmp_path / "up" / "b.bin").write_bytes(b"\0" * 100)
    assert "lrat" in run("auth", "whoami")
    run("repos", "create", "lrat/by-command", "--repo-type", "dataset", "--private")
    run("upload", "lrat/by-command", tmp_path / "up", ".", "--repo-type", "dataset")
    run("repos", "tag", "create", "lrat/by-command", "v1", "--repo-type", "dataset")
    (tmp_path / "up" / "a.txt").write_text("newer")
    run("upload", "lrat/by-command", tmp_path / "up", ".", "--repo-type", "dataset")
    run("download", "lrat/by-command", "--repo-type", "dataset", "--revision", "v1", "--local-dir", tmp_path / "down")
    assert (tmp_path / "down" / "a.txt").read_text() == "a"
    assert (tmp_path / "down" / "b.bin").read_bytes() == b"\0" * 100
    assert "lrat/by-command" in run("datasets", "ls", "--author", "lrat", "--limit", "1000", "--format", "quiet")
    assert "lrat/by-command" in run("repos", "ls", "--limit", "1000", "--format", "quiet")
    run("repos", "delete", "lrat/by-command", "--repo-type", "dataset", "--yes")


def test_a_client_with_xet_is_told_which_variable_to_set(repo: str) -> None:
    pytest.importorskip("hf_xet")
    code = f"""
from huggingface_hub import HfApi
HfApi().upload_file(repo_id={repo!r}, path_in_repo="x.bin", path_or_fileobj=b"0" * 100)
"""
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_DISABLE_XET"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode != 0
    assert "set-HF_HUB_DISABLE_XET=1" in done.stderr
