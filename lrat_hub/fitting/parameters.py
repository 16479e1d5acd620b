"""Which of a model's parameters are trained: all, those of the upper layers, or adapters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open

from lrat_hub.errors import LratError
from lrat_hub.fitting.movement import embedding_names
from lrat_hub.fitting.settings import FitSettings

if TYPE_CHECKING:
    from lrat_hub.encoders.encoding import Ranker


ADAPTERS_FILE = "adapter_model.safetensors"


def choose_parameters(model: Ranker, settings: FitSettings) -> None:
    """Freezes the layers that the settings name, or puts adapters into the model.

    Raises:
        LratError: The model has no such layers, or can't have adapters, or peft is not installed.
    """
    if settings.frozen_layers:
        freeze_lower_layers(model, settings.frozen_layers)
    if settings.lora_rank:
        add_adapters(model, settings.lora_rank, seed=settings.seed)


def freeze_lower_layers(model: Ranker, layers: int) -> int:
    """Freezes the token embeddings and the lowest transformer layers; gives the number of frozen parameters.

    Raises:
        LratError: The model has no such layers.
    """
    numbers = {name: re.search(r"\blayers?\.(\d+)\.", name) for name, _ in model.named_parameters()}
    found = 1 + max((int(match[1]) for match in numbers.values() if match), default=-1)
    if found <= layers:
        raise LratError(f"Frozen layers: expected a transformer with more than {layers} layers, found {found}.")
    frozen, embeddings = 0, embedding_names(model)
    for name, parameter in model.named_parameters():
        match = numbers[name]
        if (match and int(match[1]) < layers) or name in embeddings or (match is None and "embeddings." in name):
            parameter.requires_grad_(False)
            frozen += parameter.numel()
    return frozen


def add_adapters(model: Ranker, rank: int, *, seed: int = 0) -> None:
    """Puts LoRA adapters beside all linear layers and freezes everything else. Their alpha is twice the rank.

    Half of their weights are random: the same for the same seed, in every process, whatever was drawn before.

    Raises:
        LratError: The model is no transformer, or peft is not installed.
    """
    try:
        from peft import LoraConfig, TaskType
    except ImportError as error:
        raise LratError('Adapters: peft is not installed. Install it with: pip install "lrat-hub[lora]"') from error
    if not model.has_peft_compatible_model():
        raise LratError("Adapters: expected a model with a transformer, found none. Set lora_rank to 0.")
    # A language model's head that is tied to the embeddings would take these along when adapters are merged.
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    linear = sorted(
        name.rpartition(".")[2]
        for name, module in model[0].named_modules()
        if isinstance(module, torch.nn.Linear) and id(module.weight) not in embeddings
    )
    config = LoraConfig(
        task_type=TaskType.FEATURE_EXTRACTION,
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules=list(dict.fromkeys(linear)),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model.add_adapter(config)


@torch.no_grad()
def load_adapters(model: Ranker, checkpoint: Path) -> None:
    """Copies the adapters of a checkpoint into a model that has such, as exactly as they were saved.

    sentence-transformers loads them into the type that the base's file holds, which for bf16 rounds them.
    """
    parameters = dict(model.transformers_model.named_parameters())  # type: ignore[union-attr]
    with safe_open(checkpoint / ADAPTERS_FILE, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 (it is no mapping)
            own = re.sub(r"\.(lora_[AB])\.weight$", r".\1.default.weight", name.removeprefix("base_model.model."))
            parameters[own].copy_(file.get_tensor(name))


def merge_adapters(model: Ranker) -> None:
    """Adds adapters to the weights they stand beside and removes them, so that the model is again what it was."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            model.get_submodule(name.rpartition(".")[0]).register_module(
                name.rpartition(".")[2], module.get_base_layer()
            )
    transformer: Any = model.transformers_model
    transformer._hf_peft_config_loaded = False
    if hasattr(transformer, "peft_config"):
        del transformer.peft_config
    model.requires_grad_(True)
