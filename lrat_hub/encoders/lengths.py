"""How many texts are longer than a model reads: what is beyond is neither trained on nor found.

sentence-transformers cuts texts off without a word (sentence-transformers#4060).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lrat_hub.encoders.encoding import served_prompts, token_limit
from lrat_hub.encoders.late import is_late, text_limits
from lrat_hub.schema import Document

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer

    from lrat_hub.encoders.encoding import Ranker

SAMPLE = 1_000
"""Texts that are looked at: reading all of a large corpus twice would take as long as encoding some of it."""


@dataclass(frozen=True)
class Cut:
    """How many of a sample of texts a model reads only the beginning of.

    Args:
        name: What they are, in the plural.
        num_texts, num_sampled, num_cut: All of them, those looked at, and those of them that are cut.
        max_length: Tokens that the model reads.
    """

    name: str
    num_texts: int
    num_sampled: int
    num_cut: int
    max_length: int

    def __str__(self) -> str:
        of = f"{self.num_sampled:,} {'sampled ' if self.num_sampled < self.num_texts else ''}{self.name}"
        return f"{self.num_cut:,} of {of} are longer than {self.max_length} tokens; what is beyond is not read"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def count_cut(
    model: Ranker,
    count: int,
    text_of: Callable[[int], str | tuple[str, str]],
    *,
    name: str,
    prompt: str | None = "",
    max_length: int = 0,
) -> Cut | None:
    """Looks at a sample of texts, the same every time; None where the model reads texts of any length.

    Args:
        count, text_of: How many texts there are, and the text of a number below that; for a reranker, query and
            document.
        name: What they are, in the plural, for the message.
        prompt: What is put before each of them.
        max_length: A lower limit than the model's; 0 for the model's.
    """
    limit = token_limit(model)
    tokenizer: Any = getattr(model[0], "tokenizer", None)
    if limit is None or tokenizer is None or not count:
        return None
    limit = min(limit, max_length) if max_length else limit
    rows = sorted(random.Random(0).sample(range(count), min(count, SAMPLE)))

    def length(text: str | tuple[str, str]) -> int:
        if isinstance(text, str):
            return len(tokenizer((prompt or "") + text, truncation=False, verbose=False)["input_ids"])
        # A language model has its template around both.
        whole = {"text": {"truncation": False, "max_length": None, "verbose": False}}
        return model.preprocess([text], prompt=prompt or None, processing_kwargs=whole)["input_ids"].shape[-1]

    cut = sum(length(text_of(row)) > limit for row in rows)
    return Cut(name, count, len(rows), cut, limit)


def count_cut_documents(model: SentenceTransformer | MultiVectorEncoder, table: Dataset) -> Cut | None:
    """As `count_cut`, for the documents of a corpus table, which are title and text."""
    texts = table.select_columns(["title", "text"]).with_format(None)

    def content(row: int) -> str:
        return Document("", **texts[row]).content

    limit = text_limits(model)[1] if is_late(model) else None
    return count_cut(
        model, len(texts), content, name="documents", prompt=served_prompts(model)[1], max_length=limit or 0
    )
