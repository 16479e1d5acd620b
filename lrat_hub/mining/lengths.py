"""Lengths of reasonings in tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class LengthMeasure:
    """Gives the length of each text in tokens without special ones. It can be sent to other processes.

    Args:
        tokenizer: None counts words between blanks.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase | None) -> None:
        self._tokenizer = self._backend = None
        if tokenizer is not None and getattr(tokenizer, "is_fast", False):
            from tokenizers import Tokenizer

            # A copy, as files of tokenizers often set a length to cut or fill to.
            self._backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
            self._backend.no_truncation()
            self._backend.no_padding()
        else:
            self._tokenizer = tokenizer

    def __call__(self, texts: Sequence[str]) -> list[int]:
        if self._backend is not None:
            # The lists of ids are never made in Python: counting them there would take most of the time.
            return [len(one) for one in self._backend.encode_batch_fast(list(texts), add_special_tokens=False)]
        if self._tokenizer is None or not texts:
            return [len(text.split()) for text in texts]
        options = {"add_special_tokens": False, "truncation": False, "padding": False, "verbose": False}
        return [len(ids) for ids in self._tokenizer(list(texts), **options)["input_ids"]]


def token_lengths(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase | None) -> list[int]:
    """Length of each text in tokens without special ones, or in blank-separated words without a tokenizer."""
    return LengthMeasure(tokenizer)(texts)
