"""How large a model is, by what its repository says, or else by a table of the paper's models."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from lrat_hub.encoders import LATE_INTERACTION, model_kind
from lrat_hub.encoders.config import read_text
from lrat_hub.encoders.loading import MODULES_FILE
from lrat_hub.errors import LratError, did_you_mean
from lrat_hub.hub.inputs import LocalSource, Source, fetch_file, resolve
from lrat_hub.hub.preflight import download_size

CACHE_NUMBER = 2
"""Bytes of a number in a cache of keys and values, which servers keep in bfloat16 unless told otherwise."""

HALF, SINGLE = 2, 4
"""Bytes of a parameter in bfloat16 or float16, and in float32."""

STANFORD_FILE, STANFORD_DIMENSION = "artifact.metadata", 128
"""Where Stanford's ColBERT says how many numbers a token's vector has, and how many where it doesn't."""


@dataclass(frozen=True)
class ModelSize:
    """How large a transformer is.

    Args:
        name: The model's.
        weights: Bytes of its weights as they are stored.
        layers, kv_heads, head: Layers, heads of keys and values in each, and numbers a head.
        dimension: Numbers of its hidden states, and of its vectors where it is an encoder.
        source: Where this is from.
        token_dimension: Numbers of a token's vector, for late interaction; 0 for all others.
        width: Bytes of a parameter as it is stored.
    """

    name: str
    weights: int
    layers: int
    kv_heads: int
    head: int
    dimension: int
    source: str
    token_dimension: int = 0
    width: int = HALF

    @property
    def vector(self) -> int:
        """Numbers of one vector in an index."""
        return self.token_dimension or self.dimension

    @property
    def parameters(self) -> int:
        """About how many it has."""
        return self.weights // self.width

    @property
    def cache(self) -> int:
        """Bytes of keys and values a token, in all layers."""
        return 2 * self.layers * self.kv_heads * self.head * CACHE_NUMBER


def model_size(text: str) -> ModelSize | None:
    """The size of a model that an option names; None where neither its repository nor the table says it."""
    name = text.partition("@")[0]
    published = _published(text)
    return published if isinstance(published, ModelSize) else _known().get(name)


def why_unknown(text: str) -> str:
    """Why the size of a model is not known, where it is not, and what to give in its place."""
    published = _published(text)
    near = did_you_mean(text.partition("@")[0], _known())
    return (
        f"{published}{near or '.'} Give a folder with its config.json and .safetensors, or a known model of "
        "the same shape, such as sentence-transformers/all-MiniLM-L6-v2, BAAI/bge-m3 or Qwen/Qwen3-Embedding-0.6B."
    )


@cache
def _known() -> dict[str, ModelSize]:
    table = yaml.safe_load((files("lrat_hub.planning") / "sizes.yaml").read_text(encoding="utf-8"))
    return {name: ModelSize(name, **row, source="table") for name, row in table.items()}


@cache
def _published(text: str) -> ModelSize | str:
    """By the repository or folder itself; a text, which says why, where it can't be read or says less."""
    try:
        source = resolve(text, repo_type="model")
        if isinstance(source, LocalSource):
            config = json.loads((source.path / "config.json").read_text(encoding="utf-8"))
            weights = sum(path.stat().st_size for path in source.path.rglob("*.safetensors"))
        else:
            path = fetch_file(source, "config.json")
            config = json.loads(path.read_text(encoding="utf-8")) if path else {}
            weights = download_size(source) or 0
        size = _of_config(text.partition("@")[0], config, weights, _token_dimension(source))
    except FileNotFoundError:
        size = None
    except (LratError, OSError, ValueError) as error:
        return str(error).rstrip(".")
    return size or f"{text} has no config.json with layers, heads and a hidden size, beside weights"


def _token_dimension(source: Source) -> int:
    """Numbers of a token's vector, by the last projection of a late-interaction model; 0 for all others."""
    if model_kind(source) != LATE_INTERACTION:
        return 0
    if read_text(source, MODULES_FILE) is None:
        return json.loads(read_text(source, STANFORD_FILE) or "{}").get("dim", STANFORD_DIMENSION)
    names = [module["path"] for module in json.loads(read_text(source, MODULES_FILE) or "[]")]
    configs = [
        json.loads(read_text(source, f"{name}/config.json" if name else "config.json") or "{}") for name in names
    ]
    return next((config["out_features"] for config in reversed(configs) if "out_features" in config), 0)


def _of_config(name: str, config: dict[str, Any], weights: int, token_dimension: int = 0) -> ModelSize | None:
    config = config.get("text_config") or config
    layers, heads = config.get("num_hidden_layers"), config.get("num_attention_heads")
    dimension = config.get("hidden_size")
    if not (weights and layers and heads and dimension):
        return None
    return ModelSize(
        name,
        weights,
        layers,
        config.get("num_key_value_heads") or heads,
        config.get("head_dim") or dimension // heads,
        dimension,
        source="its repository",
        token_dimension=token_dimension,
        # Configurations of before 2021 don't say it, and their weights are of 32 bits.
        width=HALF if (config.get("dtype") or config.get("torch_dtype")) in ("bfloat16", "float16") else SINGLE,
    )
