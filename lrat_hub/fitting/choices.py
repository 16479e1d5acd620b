"""What fits a model where the settings leave it open: the learning rate, and the temperature."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sentence_transformers import CrossEncoder
from sentence_transformers.sentence_transformer.modules import Normalize

from lrat_hub.encoders import is_late, similarity_of
from lrat_hub.errors import LratError
from lrat_hub.fitting.movement import embedding_names
from lrat_hub.fitting.settings import FitSettings

if TYPE_CHECKING:
    from lrat_hub.encoders.encoding import Ranker

SMALL, LARGE = 60_000_000, 250_000_000
"""Parameters of a transformer, its embeddings included, below which it is small and above which it is large."""

PAPER_TEMPERATURE = 0.02


@dataclass(frozen=True)
class Choice:
    """What was chosen for a setting that was left open.

    Args:
        name: The setting.
        reason: Why, in words.
    """

    name: str
    value: float
    reason: str

    def __str__(self) -> str:
        return f"{self.name} {self.value:g}: {self.reason}"


def choose_settings(model: Ranker, settings: FitSettings) -> tuple[FitSettings, list[Choice]]:
    """The settings with a value for everything that they leave open, and what was chosen. Given values stay.

    Raises:
        LratError: The model compares by a distance.
    """
    choices = []
    if settings.learning_rate is None:
        choices.append(Choice("learning_rate", *learning_rate_of(model, settings)))
    if settings.temperature is None:
        choices.append(Choice("temperature", *temperature_of(model)))
    return replace(settings, **{choice.name: choice.value for choice in choices}), choices


def learning_rate_of(model: Ranker, settings: FitSettings) -> tuple[float, str]:
    """A learning rate that fits the kind of a model, and why.

    The paper's 1e-6 is for 0.6 billion parameters and thousands of steps; it leaves a small model as it was.
    """
    count = sum(parameter.numel() for parameter in model.parameters())
    size = f"{count / 1e6:.1f} M parameters"
    if settings.lora_rank:
        return 1e-4, f"adapters (LoRA) on {size}"
    if embedding_names(model).issuperset(name for name, _ in model.named_parameters()):
        return 3e-3, f"a static model, averaged token embeddings, of {size}"
    if count < SMALL:
        return 1e-4, f"a small transformer, {size}"
    if count < LARGE:
        return 2e-5, f"a transformer of {size}"
    if isinstance(model, CrossEncoder):
        return 5e-6, f"a large reranker, {size}"
    if is_late(model):
        return 5e-6, f"a large late-interaction model, {size}"
    return 1e-6, f"a large transformer, {size}: the paper's (section 6.1.4), for thousands of steps"


def temperature_of(model: Ranker) -> tuple[float, str]:
    """A temperature that fits how a model compares, and why."""
    if isinstance(model, CrossEncoder):
        return 1.0, "a reranker's scores, of any size"
    if is_late(model):
        if model.similarity_fn_name == "maxsim":
            return 1.0, "MaxSim, a sum over the query's tokens"
        return PAPER_TEMPERATURE, "a mean of similarities from -1 to 1, the paper's (section 6.1.4)"
    if similarity_of(model) == "cosine":
        return PAPER_TEMPERATURE, "similarities from -1 to 1, the paper's (section 6.1.4)"
    if any(isinstance(module, Normalize) for module in model):
        return PAPER_TEMPERATURE, "dot products of normalised vectors, the paper's (section 6.1.4)"
    return 1.0, "dot products of vectors of any length"


def settled(value: float | None, name: str) -> float:
    """The value of a setting that a choice has been made for; raises LratError when none was."""
    if value is None:
        raise LratError(f"Training: expected {name}, found none. Give it, or call choose_settings first.")
    return value
