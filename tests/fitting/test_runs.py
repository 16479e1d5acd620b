"""Whole runs in processes of their own: killed ones that go on, and two that work as one."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from .small import tiny_bert, tiny_late, tiny_reranker

pytestmark = pytest.mark.slow


def start(*words, launcher=(), **settings):
    command = [sys.executable, *(launcher or ["-m"]), "tests.fitting.train_small", *words, json.dumps(settings)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def trained(folder):
    return load_file(folder / "model.safetensors"), json.loads((folder / "log.json").read_text())


def kind_of(settings):
    return tiny_reranker if settings.get("reranks") else tiny_late if settings.get("late") else tiny_bert


COMMON = {"epochs": 3, "learning_rate": 1e-3, "temperature": 0.1, "query_length": 0, "document_length": 0}


@pytest.mark.parametrize(
    ("kill_at", "more"),
    [
        (8, {"document_anchor": 1.0, "save_steps": 4}),
        (8, {"lora_rank": 2, "save_steps": 4}),
        (3, {"mini_batch_size": 3, "gradient_accumulation_steps": 2, "save_steps": 3}),
        (8, {"reranks": True, "save_steps": 4}),
        (8, {"late": True, "save_steps": 4}),
        (3, {"late": True, "mini_batch_size": 3, "gradient_accumulation_steps": 2, "save_steps": 3}),
        (
            3,
            {
                "reranks": True,
                "loss": "pointwise",
                "mini_batch_size": 3,
                "gradient_accumulation_steps": 2,
                "save_steps": 3,
            },
        ),
    ],
)
def test_a_run_that_was_killed_goes_on_to_the_same_weights(tmp_path, kill_at, more):
    """With dropout, and killed in the middle of an epoch."""
    model = kind_of(more)(tmp_path, dropout=0.2)
    settings = {**COMMON, "batch_size": 4} | more
    undisturbed = start(str(model), str(tmp_path / "whole"), **settings)
    assert undisturbed.returncode == 0, undisturbed.stderr[-2000:]
    settings["work_dir"] = str(tmp_path / "work")
    killed = start(str(model), str(tmp_path / "resumed"), **settings, kill_at=kill_at)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert not (tmp_path / "resumed").exists()
    resumed = start(str(model), str(tmp_path / "resumed"), **settings)
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    (weights, log), (expected, expected_log) = trained(tmp_path / "resumed"), trained(tmp_path / "whole")
    assert [(row["step"], row["loss"]) for row in log] == [(row["step"], row["loss"]) for row in expected_log]
    for name, values in expected.items():
        assert torch.equal(weights[name], values), name
    base = load_file(model / "model.safetensors")
    assert any(not torch.equal(base[name], values) for name, values in expected.items())


@pytest.mark.parametrize(
    "more",
    [
        {"gather_across_devices": True, "document_anchor": 1.0},
        {"reranks": True, "loss": "pointwise", "reduction": "weighted_mean"},
        {"late": True, "gather_across_devices": True, "reduction": "weighted_mean"},
        {"late": True, "gather_across_devices": True, "mini_batch_size": 2},
    ],
    ids=["retriever", "reranker", "late interaction", "late interaction, cached"],
)
def test_two_processes_that_gather_train_as_one_with_batches_twice_as_large(tmp_path, more):
    """A reranker gathers what its loss is divided by, always."""
    model = kind_of(more)(tmp_path, dropout=0.0)
    # --multi_gpu starts the processes; without a GPU they find the CPU by themselves. --cpu would start one.
    launch = "accelerate.commands.launch --multi_gpu --num_processes 2 --main_process_port 0 -m"
    settings = COMMON | more
    alone = start(str(model), str(tmp_path / "one"), batch_size=4, **settings)
    assert alone.returncode == 0, alone.stderr[-2000:]
    both = start(str(model), str(tmp_path / "two"), launcher=["-m", *launch.split()], batch_size=2, **settings)
    assert both.returncode == 0, both.stderr[-3000:]
    (one, one_log), (two, two_log) = trained(tmp_path / "one"), trained(tmp_path / "two")
    assert [row["step"] for row in two_log] == [row["step"] for row in one_log] == list(range(1, 16))
    assert [row["loss"] for row in two_log] == pytest.approx([row["loss"] for row in one_log], rel=1e-4)
    base = load_file(model / "model.safetensors")
    for name, values in one.items():
        # Keys' biases have no effect and no gradient, whose rounding errors Adam makes as large as any other's.
        if not name.endswith("key.bias"):
            torch.testing.assert_close(two[name], values, atol=2e-5, rtol=0)
    assert max(float((base[name] - values).abs().max()) for name, values in one.items()) > 1e-3
