"""Losses for pairs that have a weight (section 5.2.2 of https://huggingface.co/papers/2604.04949).

The names of `__init__.pyi` are imported on first use, since the losses bring torch.
"""

from typing import Literal

import lazy_loader

Reduction = Literal["mean", "weighted_mean"]
"""What the weighted sum of a batch is divided by: the batch size, or the sum of the weights."""

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
