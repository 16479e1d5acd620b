"""From reasonings to weights: lengths, Eq. 3 of https://huggingface.co/papers/2604.04949, alternatives, and guards.

Every scheme gives each length a score, and divides by the mean score, so that the weights have mean 1. Guards find
reasonings whose length says little about the document: these count for no more than the half-life. None is on by
default, as the paper has none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from lrat_hub.errors import LratError
from lrat_hub.schema import Pair

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase


Scheme = Literal["saturation", "uniform", "linear", "log", "rank"]
Grouping = Literal["global", "agent", "retriever"]

SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
GROUPINGS: tuple[Grouping, ...] = get_args(Grouping)


@dataclass(frozen=True)
class Weighting:
    """How lengths become weights.

    Args:
        scheme: "saturation" is Eq. 3. For ablations: "uniform" (1), "linear" (l), "log" (ln(1 + l)) and "rank" (the
            share of lengths that are not above l, ties in the middle).
        half_life: beta of Eq. 3, in tokens; the median of the lengths when None.
        by: Groups of pairs that have their own constants: all pairs together ("global", the paper), or those of each
            agent or retriever.
        empty: The weight of a length of 0, which then has no part in the mean; None leaves it to the scheme.
    """

    scheme: Scheme = "saturation"
    half_life: float | None = None
    by: Grouping = "global"
    empty: float | None = None

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise LratError(f"Weights: expected a scheme out of {', '.join(SCHEMES)}, found {self.scheme!r}.")
        if self.by not in GROUPINGS:
            raise LratError(f"Weights: expected a grouping out of {', '.join(GROUPINGS)}, found {self.by!r}.")


@dataclass(frozen=True)
class WeightFit:
    """Weights of a set of pairs and the constants that make them.

    Args:
        weights: Shape (pairs,), float64, with mean 1.
        half_life: beta, in tokens: the length at which half of the greatest utility is reached.
        mean_raw: mu_raw, the mean of the scores before they are normalised.
        reference: The lengths in ascending order, where the scheme is "rank".
    """

    weights: np.ndarray
    half_life: float
    mean_raw: float
    weighting: Weighting = field(default_factory=Weighting)
    reference: np.ndarray | None = None

    def weigh(self, lengths: Sequence[float] | np.ndarray) -> np.ndarray:
        """Weights of other lengths (tokens) by the same constants. Shape and order of `lengths`, float64."""
        values = np.asarray(lengths, dtype=np.float64)
        weights = _scores(values, self.weighting.scheme, self.half_life, self.reference) / self.mean_raw
        return weights if self.weighting.empty is None else np.where(values == 0, self.weighting.empty, weights)


def saturation(lengths: Sequence[float] | np.ndarray, half_life: float) -> np.ndarray:
    """Utility of a reasoning by its number of tokens, before normalisation: 1 - exp(-ln 2 * l / beta), in [0, 1).

    The factor beta / ln 2 of Eq. 2 is left out, as in Eq. 3: the normalisation cancels it.
    """
    # expm1 keeps the digits that 1 - exp(x) loses for lengths that are small beside the half-life.
    return -np.expm1(-np.log(2.0) * np.asarray(lengths, dtype=np.float64) / half_life)


def intensity_weights(lengths: Sequence[float] | np.ndarray, *, half_life: float | None = None) -> WeightFit:
    """Weighs pairs by the length of the reasoning right after their browse (Eq. 3).

    w = (1 - exp(-ln 2 * l / beta)) / mu_raw, with mu_raw the mean of the numerator over all `lengths`, so that the
    weights have mean 1. A length of 0 weighs 0.

    Args:
        lengths: Tokens of each pair's reasoning, shape (pairs,). Only pairs that are trained on belong here.
        half_life: beta in tokens; the median of `lengths` when None, as in the paper.

    Raises:
        LratError: There are no lengths, one is negative or not finite, or the half-life is not above 0.
    """
    return fit_weights(lengths, Weighting(half_life=half_life))


def fit_weights(
    lengths: Sequence[float] | np.ndarray, weighting: Weighting, *, guarded: np.ndarray | None = None
) -> WeightFit:
    """Weighs pairs by a scheme; see `intensity_weights`.

    Args:
        guarded: Shape (pairs,), bool: pairs whose length counts for no more than the half-life.
    """
    values = np.asarray(lengths, dtype=np.float64)
    if values.size == 0:
        raise LratError("Weights: expected the lengths of at least one pair, found none. There is nothing to weight.")
    if not np.isfinite(values).all() or (values < 0).any():
        raise LratError("Weights: expected lengths of 0 tokens or more, found negative or non-finite ones.")
    beta = float(np.median(values)) if weighting.half_life is None else float(weighting.half_life)
    if weighting.scheme == "saturation" and not (np.isfinite(beta) and beta > 0):
        raise LratError(
            f"Weights: expected a half-life above 0 tokens, found {beta:g}. "
            "Half or more of the reasonings are empty, or a wrong value was given. Give `half_life`, or "
            "take `weights` uniform."
        )
    if guarded is not None:
        values = capped(values, guarded, beta)
    reference = np.sort(values) if weighting.scheme == "rank" else None
    counted = values if weighting.empty is None else values[values > 0]
    scores = _scores(counted, weighting.scheme, beta, reference)
    mean_raw = float(scores.mean()) if counted.size else 0.0
    if mean_raw == 0.0:
        raise LratError("Weights: all reasonings are empty, so every weight would be 0 / 0. Train unweighted instead.")
    fit = WeightFit(np.empty(0), beta, mean_raw, weighting, reference)
    return WeightFit(fit.weigh(values), beta, mean_raw, weighting, reference)


def capped(lengths: np.ndarray, guarded: np.ndarray, half_life: float) -> np.ndarray:
    """The lengths, of which those that are guarded count for no more than the half-life."""
    return np.where(guarded, np.minimum(lengths, half_life), lengths)


def _scores(lengths: np.ndarray, scheme: Scheme, half_life: float, reference: np.ndarray | None) -> np.ndarray:
    if scheme == "saturation":
        return saturation(lengths, half_life)
    if scheme == "linear":
        return lengths
    if scheme == "log":
        return np.log1p(lengths)
    if scheme == "rank" and reference is not None:
        below = np.searchsorted(reference, lengths, side="left")
        return (below + np.searchsorted(reference, lengths, side="right")) / (2 * len(reference))
    return np.ones_like(lengths)


class LengthMeasure:
    """Gives the length of each text in tokens without special ones. It can be sent to other processes.

    Args:
        tokenizer: Of transformers or of tokenizers, as static models have; None counts words between blanks.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase | Tokenizer | None) -> None:
        if not (tokenizer is None or callable(tokenizer) or hasattr(tokenizer, "encode_batch_fast")):
            raise LratError(f"Lengths: expected a tokenizer, such as AutoTokenizer loads, found {tokenizer!r}.")
        self._tokenizer: Any = None
        self._backend: Tokenizer | None = None
        # Only fast tokenizers have it. A static model's tokenizer is one itself.
        backend: Any = getattr(tokenizer, "backend_tokenizer", tokenizer)
        if hasattr(backend, "encode_batch_fast"):
            from tokenizers import Tokenizer as Backend

            # A copy, as files of tokenizers often set a length to cut or fill to.
            self._backend = Backend.from_str(backend.to_str())
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
        options: dict[str, Any] = {
            "add_special_tokens": False,
            "truncation": False,
            "padding": False,
            "verbose": False,
        }
        return [len(ids) for ids in self._tokenizer(list(texts), **options)["input_ids"]]


def token_lengths(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase | Tokenizer | None) -> list[int]:
    """Length of each text in tokens without special ones, or in blank-separated words without a tokenizer."""
    return LengthMeasure(tokenizer)(texts)


Guard = Literal["degenerate", "repetitive", "off_topic"]

ENOUGH_WORDS = 20
"""Shorter reasonings are never degenerate or repetitive: there is nothing to cap."""

GRAM = 4
DISTINCT_GRAMS = 0.5
ONE_WORD = 0.3
LETTERS = 0.5


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def is_degenerate(pair: Pair) -> bool:
    """Whether the reasoning is no prose: mostly signs, or a single word over and over."""
    words, dense = _words(pair.reasoning), "".join(pair.reasoning.split())
    if len(words) < ENOUGH_WORDS:
        return bool(len(dense) > 5 * ENOUGH_WORDS and sum(map(str.isalnum, dense)) < LETTERS * len(dense))
    ((_, most),) = Counter(words).most_common(1)
    return most > ONE_WORD * len(words) or sum(map(str.isalnum, dense)) < LETTERS * len(dense)


def is_repetitive(pair: Pair) -> bool:
    """Whether fewer than half of the runs of four words are distinct."""
    words = _words(pair.reasoning)
    if len(words) < ENOUGH_WORDS:
        return False
    grams = [tuple(words[start : start + GRAM]) for start in range(len(words) - GRAM + 1)]
    return len(set(grams)) < DISTINCT_GRAMS * len(grams)


def is_off_topic(pair: Pair) -> bool:
    """Whether the reasoning shares no word of four letters or more with the query or the question.

    Only for reasonings in the language of the question.
    """
    topic = {word for word in _words(f"{pair.query} {pair.question}") if len(word) > 3}
    return bool(topic) and topic.isdisjoint(_words(pair.reasoning))


GUARDS: dict[Guard, Callable[[Pair], bool]] = {
    "degenerate": is_degenerate,
    "repetitive": is_repetitive,
    "off_topic": is_off_topic,
}
