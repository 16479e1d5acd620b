"""How a late-interaction model encodes: a vector for every token, which MaxSim compares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lrat_hub.encoders.encoding import dtype_name, served_prompts, token_limit, weights_dtype

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder
    from typing_extensions import TypeIs


@dataclass(frozen=True)
class LateEncoding:
    """How a late-interaction model encodes.

    Args:
        similarity: "maxsim", the sum over a query's tokens of their best similarity in the document, or "meanmaxsim",
            that sum divided by the number of the query's tokens.
        dimension: Numbers of a token's vector.
        padding_side, pad_token: How batches are padded.
        query_length, document_length: Tokens of a text; None for any number.
        expanded: Whether queries are filled up to `query_length` with tokens that are scored as well.
        skipped: Number of tokens, such as punctuation, whose vectors are left out of documents.
        query_prompt, document_prompt: What `encode_query` and `encode_document` put before a text.
        dtype: Of the weights: "fp32", "bf16" or "fp16".
    """

    similarity: Literal["maxsim", "meanmaxsim"]
    dimension: int | None
    padding_side: str
    pad_token: str
    query_length: int | None
    document_length: int | None
    expanded: bool
    skipped: int
    query_prompt: str
    document_prompt: str
    dtype: str


def late_encoding_of(model: MultiVectorEncoder) -> LateEncoding:
    """How a late-interaction model encodes, as it is now."""
    tokenizer: Any = getattr(model[0], "tokenizer", None)
    query, document = served_prompts(model)
    query_length, document_length = text_limits(model)
    return LateEncoding(
        similarity=model.similarity_fn_name,
        dimension=model.get_embedding_dimension(),
        padding_side=getattr(tokenizer, "padding_side", ""),
        pad_token=getattr(tokenizer, "pad_token", None) or "",
        query_length=query_length,
        document_length=document_length,
        expanded=getattr(model[0], "query_expansion", None) is not None,
        skipped=sum(len(getattr(module, "skiplist_words", ())) for module in model),
        query_prompt=query or "",
        document_prompt=document or "",
        dtype=dtype_name(weights_dtype(model)),
    )


def is_late(model: Any) -> TypeIs[MultiVectorEncoder]:
    """Whether a model keeps a vector for every token of a text."""
    from sentence_transformers import MultiVectorEncoder

    return isinstance(model, MultiVectorEncoder)


def text_limits(model: MultiVectorEncoder) -> tuple[int | None, int | None]:
    """Tokens of a query and of a document that a late-interaction model reads; None for any number.

    Queries that are expanded have the length of their expansion, or more where it is only a lower bound.
    """
    limit = token_limit(model)

    def least(own: int | None) -> int | None:
        return min((length for length in (own, limit) if length), default=None)

    expansion = getattr(model[0], "query_expansion", None)
    query = getattr(model[0], "query_length", None)
    if expansion and expansion["strategy"] == "fixed":
        query = expansion["length"]
    return least(query), least(getattr(model[0], "document_length", None))


@contextmanager
def documents_cut_to(model: MultiVectorEncoder, max_length: int) -> Iterator[None]:
    """Lowers the model's limit of a document's tokens within the context; 0 leaves it."""
    _, limit = text_limits(model)
    if not max_length or limit is None or max_length >= limit:
        yield
        return
    module: Any = model[0]
    own, module.document_length = getattr(module, "document_length", None), max_length
    try:
        yield
    finally:
        module.document_length = own
