"""Eq. 3: the weights of mined pairs."""

import math

import numpy as np
import pytest

from lrat_hub import intensity_weights
from lrat_hub.errors import LratError
from lrat_hub.mining.weights import WeightFit, Weighting, fit_weights, token_lengths
from tests.mining.constants import recover_constants


def test_published_vector_is_reproduced():
    fit = WeightFit(weights=np.ones(1), half_life=138.0, mean_raw=0.4972264)
    # mu is published with seven digits, which leaves the weight known to about 7e-8.
    assert fit.weigh([90])[0] == pytest.approx(0.73141581, abs=7e-8)


def test_weights_have_mean_one_and_half_life_is_the_median():
    lengths = [3, 10, 60, 200, 1000]
    fit = intensity_weights(lengths)
    assert fit.half_life == 60
    assert fit.weights.dtype == np.float64
    assert fit.weights.mean() == pytest.approx(1.0, abs=1e-12)
    raw = [1 - math.exp(-math.log(2) * length / 60) for length in lengths]
    assert fit.mean_raw == pytest.approx(sum(raw) / 5, abs=1e-15)
    assert fit.weights == pytest.approx([value / fit.mean_raw for value in raw], abs=1e-12)


def test_longer_reasoning_never_weighs_less_and_empty_reasoning_weighs_nothing():
    weights = intensity_weights([0, 1, 2, 50, 5000]).weights
    assert weights[0] == 0.0
    assert (np.diff(weights) > 0).all()


@pytest.mark.parametrize(
    ("lengths", "half_life"), [([], None), ([-1, 4], None), ([math.nan, 1], None), ([0, 0, 7], None), ([1], 0.0)]
)
def test_lengths_without_a_meaning_are_refused(lengths, half_life):
    with pytest.raises(LratError, match=r"^Weights: "):
        intensity_weights(lengths, half_life=half_life)


@pytest.mark.parametrize(
    ("scheme", "raw"),
    [
        ("uniform", [1, 1, 1, 1]),
        ("linear", [0, 10, 10, 80]),
        ("log", [0, math.log(11), math.log(11), math.log(81)]),
        ("rank", [0.5 / 4, 2 / 4, 2 / 4, 3.5 / 4]),
    ],
)
def test_other_schemes_have_mean_one_and_weigh_other_lengths_by_the_same_constants(scheme, raw):
    fit = fit_weights([0, 10, 10, 80], Weighting(scheme))
    assert fit.weights == pytest.approx([value * 4 / sum(raw) for value in raw])
    assert fit.weigh([80, 10]) == pytest.approx(fit.weights[[3, 1]])


def test_constants_of_several_groups_are_recovered_from_their_weights():
    rng = np.random.default_rng(0)
    fits = [intensity_weights(rng.geometric(1 / scale, 200)) for scale in (150, 190)]
    lengths = [rng.geometric(1 / 170, 200) for _ in fits]
    weights = np.concatenate([fit.weigh(values) for fit, values in zip(fits, lengths, strict=True)])
    found = recover_constants(np.concatenate(lengths), weights)
    assert sorted(beta for beta, _, places in found if len(places) > 150) == [fit.half_life for fit in fits]
    assert sum(len(places) for _, _, places in found) == 400


def test_a_static_models_tokenizer_measures_reasonings():
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "a": 1, ".": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.enable_truncation(2)
    assert token_lengths(["a a. b", ""], tokenizer) == [4, 0]
