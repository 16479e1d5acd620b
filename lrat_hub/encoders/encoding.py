"""How a model encodes: what training, indexes, serving and cards all have to do alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from lrat_hub.errors import LratError

if TYPE_CHECKING:
    import torch
    from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer
    from torch import Tensor

    Ranker = SentenceTransformer | CrossEncoder | MultiVectorEncoder
    """What ranks documents: it encodes texts, or their tokens, or reads a query and a document together."""

Similarity = Literal["cosine", "dot"]
Precision = Literal["stored", "fp32", "bf16", "fp16"]

DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""Names under which `encode_document` looks for its prompt, in its order."""

PROBES = ("one", "another text of several words")
"""Two texts: the token that both end with is the tokenizer's, not theirs."""


@dataclass(frozen=True)
class Encoding:
    """How a model encodes.

    Args:
        similarity: How its vectors are compared.
        dimension: Numbers of a vector, after truncation.
        truncate_dim: What vectors are cut to (Matryoshka); None where they are whole.
        pooling: What becomes the vector, such as "mean" or "lasttoken"; "none" where the model has no such choice.
        padding_side, pad_token: How batches are padded; empty for models without padding.
        end_token: The token behind every text; empty where the tokenizer puts none there.
        max_length: Tokens of a text; None for any number.
        query_prompt, document_prompt: What `encode_query` and `encode_document` put before a text.
        dtype: Of the weights: "fp32", "bf16" or "fp16".
    """

    similarity: Similarity
    dimension: int | None
    truncate_dim: int | None
    pooling: str
    padding_side: str
    pad_token: str
    end_token: str
    max_length: int | None
    query_prompt: str
    document_prompt: str
    dtype: str


def encoding_of(model: SentenceTransformer) -> Encoding:
    """How a model encodes, as it is now.

    Raises:
        LratError: It compares by a distance.
    """
    tokenizer: Any = getattr(model[0], "tokenizer", None)
    pooling: Any = next((module.pooling_mode for module in model if hasattr(module, "pooling_mode")), "none")
    query, document = served_prompts(model)
    return Encoding(
        similarity=similarity_of(model),
        dimension=model.get_embedding_dimension(),
        truncate_dim=model.truncate_dim,
        pooling=pooling if isinstance(pooling, str) else ", ".join(pooling),
        padding_side=getattr(tokenizer, "padding_side", ""),
        pad_token=getattr(tokenizer, "pad_token", None) or "",
        end_token=end_token(tokenizer),
        max_length=token_limit(model),
        query_prompt=query or "",
        document_prompt=document or "",
        dtype=dtype_name(weights_dtype(model)),
    )


@dataclass(frozen=True)
class Scoring:
    """How a reranker scores a query and a document.

    Args:
        activation: What `predict` puts behind the model's own score, such as "Sigmoid". Ranking leaves it out.
        padding_side, pad_token: How batches are padded.
        max_length: Tokens of a query and a document together; None for any number. The longer of them is cut first.
        prompt: What `predict` puts before the texts.
        dtype: Of the weights: "fp32", "bf16" or "fp16".
    """

    activation: str
    padding_side: str
    pad_token: str
    max_length: int | None
    prompt: str
    dtype: str


def scoring_of(model: CrossEncoder) -> Scoring:
    """How a reranker scores, as it is now."""
    tokenizer: Any = getattr(model[0], "tokenizer", None)
    return Scoring(
        activation=type(model.activation_fn).__name__,
        padding_side=getattr(tokenizer, "padding_side", ""),
        pad_token=getattr(tokenizer, "pad_token", None) or "",
        max_length=token_limit(model),
        prompt=scoring_prompt(model),
        dtype=dtype_name(weights_dtype(model)),
    )


def scoring_prompt(model: CrossEncoder) -> str:
    """The prompt that a reranker's `predict` uses; empty for none."""
    return (model.prompts.get(model.default_prompt_name) or "") if model.default_prompt_name else ""


def end_token(tokenizer: Any) -> str:
    """The token that a tokenizer puts behind every text; empty where it puts none there, or is none."""
    if tokenizer is None or not hasattr(tokenizer, "convert_ids_to_tokens"):
        return ""
    last = [tokenizer(text)["input_ids"][-1:] for text in PROBES]
    bare = [tokenizer(text, add_special_tokens=False)["input_ids"][-1:] for text in PROBES]
    return str(tokenizer.convert_ids_to_tokens(last[0][0])) if last[0] == last[1] and last != bare else ""


def similarity_of(model: SentenceTransformer) -> Similarity:
    """How a model's vectors are compared, in the loss as in an index.

    Raises:
        LratError: By a distance, which an index of inner products can't.
    """
    name = model.similarity_fn_name
    if name not in ("cosine", "dot"):
        raise LratError(
            f"Model: expected one that compares by cosine or dot product, found {name}. "
            "Take another, or change similarity_fn_name in its configuration."
        )
    return cast(Similarity, str(name))


def similarity_function(model: SentenceTransformer) -> Callable[[Tensor, Tensor], Tensor]:
    """The model's similarity of two batches of vectors, shapes (a, dim) and (b, dim) to (a, b)."""
    from sentence_transformers.util import cos_sim, dot_score

    return dot_score if similarity_of(model) == "dot" else cos_sim


def served_prompts(model: SentenceTransformer | MultiVectorEncoder) -> tuple[str | None, str | None]:
    """The prompts that `encode_query` and `encode_document` use: the first of their names that the model has."""

    def of(*names: str) -> str | None:
        prompt = next((model.prompts[name] for name in names if name in model.prompts), None)
        if prompt is None and model.default_prompt_name:
            return model.prompts.get(model.default_prompt_name)
        return prompt

    return of("query"), of(*DOCUMENT_PROMPTS)


def token_limit(model: Ranker) -> int | None:
    """Tokens of a text that a model reads; None for any number, as for averaged token embeddings."""
    limit = model.max_seq_length
    return int(limit) if limit and limit != float("inf") else None


def set_token_limit(model: Ranker, max_length: int) -> None:
    """Sets how many tokens of a text a model reads.

    Raises:
        LratError: The model reads texts of any length, and has no such limit.
    """
    if token_limit(model) is None:
        raise LratError(
            f"`max_length` {max_length}: expected a model that reads a limited number of tokens, found one that reads "
            "texts of any length. Leave it out."
        )
    model.max_seq_length = max_length


@contextmanager
def cut_to(model: Ranker, max_length: int) -> Iterator[None]:
    """Lowers the model's limit of tokens within the context, of late interaction that of documents; 0 leaves it."""
    from lrat_hub.encoders.late import documents_cut_to, is_late

    if is_late(model):
        with documents_cut_to(model, max_length):
            yield
        return
    limit = token_limit(model)
    if not max_length or limit is None or max_length >= limit:
        yield
        return
    model.max_seq_length = max_length
    try:
        yield
    finally:
        model.max_seq_length = limit


def weights_dtype(model: Ranker) -> torch.dtype:
    """The type of most of a model's weights."""
    import torch

    sizes: dict[torch.dtype, int] = {}
    for parameter in model.parameters():
        if parameter.is_floating_point():
            sizes[parameter.dtype] = sizes.get(parameter.dtype, 0) + parameter.numel()
    return max(sizes, key=lambda dtype: sizes[dtype], default=torch.float32)


def dtype_name(dtype: torch.dtype) -> str:
    """ "fp32", "bf16" or "fp16"; torch's name for another."""
    name = str(dtype).removeprefix("torch.")
    return {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}.get(name, name)


def set_precision(model: Ranker, precision: Precision) -> None:
    """Makes a model's weights, and so its computations, of a type, in place; "stored" leaves that of its file."""
    if precision != "stored":
        {"fp32": model.float, "bf16": model.bfloat16, "fp16": model.half}[precision]()


def as_master_weights(model: Ranker) -> torch.dtype:
    """Makes a model's weights fp32, in place, for training; gives the type that they had.

    transformers loads the type that the file holds. In bf16, with three digits, a step of an ordinary learning rate
    is rounded away: nearly no weight would change (sentence-transformers#3773).
    """
    import torch

    stored = weights_dtype(model)
    if stored in (torch.bfloat16, torch.float16):
        model.float()
    return stored
