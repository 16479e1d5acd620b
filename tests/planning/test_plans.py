"""`--dry_run` of every recipe of the paper, and what a plan says can't fit."""

import dataclasses
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from lrat_hub import cli
from lrat_hub.cli.expected import Expected
from lrat_hub.cli.planning import judge_phases, retriever_processes
from lrat_hub.errors import LratError
from lrat_hub.judges.settings import DocumentJudgeSettings
from lrat_hub.llm.settings import ServerSettings
from lrat_hub.planning import Machine, Phase, Plan, Process, model_size, require_fit
from lrat_hub.planning.machine import _gpus
from lrat_hub.planning.work import index_bytes, retriever, runs, server, table_1_means, training
from lrat_hub.retrieval.settings import IndexSettings

ROOT = Path(__file__).parents[2]
STAGES = {
    "corpus": ["dataset_builders/wiki_25_512", "dataset_builders/infoseek", "dataset_builders/browsecomp_plus"],
    "index": ["dataset_builders/index_wiki_*"],
    "rollout": ["dataset_builders/collect_table_1_paper", "dataset_builders/rollout_*_paper"],
    "mine": ["dataset_builders/mine_paper", "dataset_builders/mine_released"],
    "train": ["training/paper_*"],
    "sweep": ["training/ladder", "training/sizes", "training/correctness"],
    "eval agents": ["eval/table_2_*", "eval/top_k"],
    "eval grid": ["eval/grid_*"],
    "analyze": ["eval/analysis_as_paper"],
    "flywheel": ["flywheel/paper"],
}
FOLDERS = {"flywheel": ROOT / "lrat_hub"}
RECIPES = [
    (stage, f"{pattern.partition('/')[0]}/{path.stem}")
    for stage, patterns in STAGES.items()
    for pattern in patterns
    for path in sorted((FOLDERS.get(stage, ROOT)).glob(pattern.replace("/", "/recipes/", 1) + ".yaml"))
]
PAGE = (ROOT / "docs" / "paper.md").read_text()
GB = 10**9


def test_all_recipes_of_the_paper_are_walked():
    assert len(RECIPES) == 3 + 5 + 7 + 2 + 2 + 3 + 3 + 5 + 1 + 1
    named = set(re.findall(r"--config ([a-z_]+/\w+)(?!\w|\.)", PAGE))
    patterns = {name for name in named if name.endswith("_")}
    assert len(named) > 15
    assert named - patterns <= {recipe for _, recipe in RECIPES}


@pytest.mark.parametrize(("stage", "recipe"), RECIPES, ids=[recipe for _, recipe in RECIPES])
def test_the_plan_of_every_recipe_of_the_paper_is_shown_without_a_network(stage, recipe, capsys, monkeypatch):
    """The tests' Hub has none of the paper's repositories: what is known is the recipe's and the table's."""
    monkeypatch.setattr(Machine, "here", classmethod(lambda cls: cls((), 23 * GB, 50 * GB)))
    assert cli.main([*stage.split(), "--config", recipe, "--dry_run"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"lrat {stage}: the plan; nothing is run\n")
    assert "not known" not in shown
    needed, _, here = shown.partition("  this machine: ")
    assert re.search(r"\d[\d,.]* (GB|MB)", needed)
    # Which agents top_k is about, its user says.
    if stage in ("rollout", "eval agents", "eval grid") and recipe != "eval/top_k":
        assert re.search(r"requests\n.* million tokens written", shown)
    # None of it fits a machine without GPUs but what needs one for speed alone.
    fits = {"infoseek", "browsecomp_plus", "analysis_as_paper", "paper_qwen3_embedding", "paper_e5_large_instruct"}
    fits |= {
        "ladder",
        "sizes",
        "correctness",
        "index_wiki_bm25",
        "index_wiki_qwen3_0_6b",
        "index_wiki_e5_large_instruct",
    }
    assert ("nothing is missing here" in here) == (recipe.partition("/")[2] in fits)


def test_a_stage_that_can_not_fit_is_refused_before_anything_starts(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(Machine, "here", classmethod(lambda cls: cls((80 * GB,) * 4, 500 * GB)))
    words = ["rollout", "--config", "dataset_builders/collect_table_1_paper", "--to", "lrat/no-fit"]
    words += ["--corpus", "lrat/none", "--queries", "lrat/none", "--index", "lrat/none", "--journal", str(tmp_path)]
    assert cli.main(words) == 1
    error = capsys.readouterr().err
    assert "can't fit here" in error
    assert "found 4" in error
    assert "--dry_run shows the plan" in error
    assert os.listdir(tmp_path) == []


def test_a_server_needs_its_share_of_the_weights_and_one_context():
    settings = ServerSettings(model="Qwen/Qwen3-30B-A3B-Thinking-2507", vllm_args="--max-model-len=131072")
    size = model_size(settings.model)
    (one,) = server("agent", settings)
    (four,) = server("agent", dataclasses.replace(settings, tensor_parallel=2, data_parallel=2))
    assert (one.gpus, four.gpus) == (1, 4)
    # Two numbers (key and value) of 4 heads of 128 in each of 48 layers, 2 bytes each.
    assert size.cache == 2 * 4 * 128 * 48 * 2
    assert one.gpu_memory > size.weights + 131_072 * size.cache
    assert four.gpu_memory < 0.6 * one.gpu_memory
    assert server("agent", dataclasses.replace(settings, base_url=["http://there/v1"])) == []
    assert not server("agent", ServerSettings(model="me/unknown"))[0].known


def test_a_judge_in_ray_data_is_not_counted_on_this_machine():
    served = ServerSettings(model="Qwen/Qwen3-30B-A3B-Thinking-2507")
    assert judge_phases("judge", DocumentJudgeSettings(judge="llm", server=served))
    assert not judge_phases("judge", DocumentJudgeSettings(judge="llm", executor="ray", server=served))


def test_a_model_says_its_size_by_its_own_files(tmp_path):
    (tmp_path / "config.json").write_text(
        '{"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 1, "hidden_size": 32}'
    )
    (tmp_path / "model.safetensors").write_bytes(bytes(1_000))
    size = model_size(str(tmp_path))
    assert (size.weights, size.cache, size.head, size.source) == (1_000, 2 * 2 * 1 * 8 * 2, 8, "its repository")
    # Half as many parameters as bytes, or a quarter: older configurations don't say, and their weights are of 32 bits.
    config = (tmp_path / "config.json").read_text()
    for dtype, parameters in (("", 250), (', "torch_dtype": "float32"', 250), (', "dtype": "bfloat16"', 500)):
        folder = tmp_path / str(len(dtype))
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(bytes(1_000))
        (folder / "config.json").write_text(config[:-1] + dtype + "}")
        assert model_size(str(folder)).parameters == parameters


def test_a_training_is_counted_with_its_adapters_and_its_teacher(tmp_path, capsys):
    from sentence_transformers import SentenceTransformer

    from tests.fitting.small import tiny_bert, tiny_reranker

    model, teacher = tiny_bert(tmp_path / "student"), tiny_reranker(tmp_path / "teacher")
    words = ["train", "--pairs", "lrat/none", "--model", str(model), "--to", "lrat/no", "--dry_run"]

    def planned(*options):
        assert cli.main([*words, *options]) == 0
        return capsys.readouterr().out

    parameters = sum(parameter.numel() for parameter in SentenceTransformer(str(model), device="cpu").parameters())
    assert model_size(str(model)).parameters == pytest.approx(parameters, rel=0.2)
    assert "with gradients and AdamW's moments" in planned()
    assert "AdamW" not in planned("--lora_rank", "2")
    assert "of weights of its teacher" in planned("--teacher", str(teacher), "--loss", "kl")
    assert f"training of {model} by me/unknown" in planned("--teacher", "me/unknown", "--loss", "kl")
    small, taught = (training(model_size(str(model)), teacher=one) for one in (None, model_size(str(teacher))))
    assert taught.gpu_memory - small.gpu_memory == model_size(str(teacher)).weights


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivf"])
@pytest.mark.parametrize("fp16", [False, True])
def test_the_bytes_of_an_index_are_those_of_its_file(kind, fp16, tmp_path):
    import faiss
    import numpy as np

    from lrat_hub.retrieval.vectors import build_index

    settings = IndexSettings(kind=kind, fp16=fp16, ivf_lists=8)
    vectors = np.random.default_rng(0).standard_normal((4_000, 64)).astype(np.float16 if fp16 else np.float32)
    faiss.write_index(build_index([vectors], settings), str(tmp_path / "index"))
    written = (tmp_path / "index").stat().st_size
    assert index_bytes(4_000, 64, settings) == pytest.approx(written, rel=0.1)


def test_an_index_is_spread_over_its_devices():
    size = model_size("Qwen/Qwen3-Embedding-8B")
    settings = IndexSettings(fp16=True)
    on_two, on_none = (retriever("r", size, 11_200_000, settings, devices) for devices in ("6,7", "cpu"))
    vectors = index_bytes(11_200_000, 4_096, settings)
    assert (on_two.gpus, on_none.gpus) == (2, 0)
    assert vectors / 2 < on_two.gpu_memory < vectors
    assert on_none.memory > vectors
    assert "s a query and core" in on_none.of


def test_what_is_missing_is_said_for_each_process():
    phase = Phase("runs", [Process("agent", 2, 70 * GB), Process("retriever", 1, 30 * GB, memory=10 * GB)])
    plan = Plan("rollout", [phase])
    assert plan.problems(Machine((80 * GB,) * 3, 20 * GB)) == []
    assert plan.problems(Machine((80 * GB,) * 2, 20 * GB)) == ["runs: expected 3 GPUs, found 2"]
    (small,) = plan.problems(Machine((40 * GB,) * 3, 20 * GB))
    assert small.startswith("agent: expected 2 GPUs with 70.0 GB each, found 0 of that size")
    assert plan.problems(Machine((80 * GB,) * 3, 5 * GB)) == ["runs: expected 10.0 GB of memory, found 5.0 GB"]
    # Without a GPU the CPU does it, if the memory is enough for all.
    assert plan.problems(Machine((), 200 * GB)) == []
    with pytest.raises(LratError, match=r"found none, and 20\.0 GB of memory"):
        require_fit(plan, Machine((), 20 * GB))
    assert Plan("rollout", [Phase("runs", [Process("agent", 8, known=False)])]).problems(Machine((), 0)) == []


def test_requests_follow_table_1_and_the_limit_of_turns():
    means = table_1_means()
    assert means["searches"] + means["browses"] == pytest.approx(means["steps"], abs=0.01)
    options = {"k": 10, "snippet": 64, "browse": 512, "reply": 300}
    (requests, tokens), (_, again) = (list(runs(100, **options, max_turns=100, prefix=on)) for on in (True, False))
    assert f"{100 * (means['steps'] + 1):,.0f} requests" in requests
    assert "each once" in tokens
    assert "without prefix caching" in again
    assert "100 runs of about 11.0 requests" in next(iter(runs(100, **options, max_turns=10, prefix=True)))


def test_gpus_are_those_that_this_process_may_use(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '0, GPU-aa, 1000'\necho '1, GPU-bb, 2000'\necho '2, GPU-cc, [N/A]'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert _gpus(None) == (1000 * 2**20, 2000 * 2**20)
    assert _gpus("1") == _gpus("GPU-b") == (2000 * 2**20,)
    assert _gpus("") == ()


def test_late_interaction_is_counted_by_its_tokens_and_rerankers_beside_their_first_stage(capsys, tmp_path):
    from tests.fitting.small import tiny_late, tiny_reranker

    late = tiny_late(tmp_path)
    assert (model_size(str(late)).vector, model_size(str(tmp_path / "bert")).vector) == (8, 16)
    words = ["index", "--corpus", "lrat/none", "--model", str(late), "--to", "lrat/no", "--dry_run", "--fp16"]
    assert cli.main([*words, "--expect", "documents=1000000", "document_tokens=200"]) == 0
    shown = capsys.readouterr().out
    # 2 bytes for each of 8 numbers of 200 tokens, and twice as much on the disk.
    assert "1,000,000 documents of 200 tokens; 3.2 GB of vectors of 8 numbers" in shown
    assert "6.4 GB of disk" in shown
    # Searched without an index, all of these vectors are in memory.
    (whole,) = retriever_processes([str(late)], Expected(["document_tokens=200"]), 1_000, "", IndexSettings())
    assert whole.memory == 1_000 * 200 * 8 * 4 + model_size(str(late)).weights
    (unknown,) = retriever_processes([str(late)], Expected([]), 1_000, "", IndexSettings())
    assert not unknown.known
    (late / "modules.json").unlink()
    config = json.loads((late / "config.json").read_text())
    (late / "config.json").write_text(json.dumps(config | {"architectures": ["HF_ColBERT"]}))
    for metadata, numbers in (("", 128), ('{"dim": 96}', 96)):
        stanford = shutil.copytree(late, tmp_path / f"stanford-{numbers}")
        if metadata:
            (stanford / "artifact.metadata").write_text(metadata)
        assert model_size(str(stanford)).vector == numbers
    reranker = tiny_reranker(tmp_path / "ranked")
    names = list(retriever_processes([f"bm25>20:{reranker}"], Expected(["documents=10"]), 10, "", IndexSettings()))
    assert [one.name for one in names] == ["retriever bm25", f"reranker {reranker}"]
    assert names[1].memory == model_size(str(reranker)).weights > 0
