"""Weighted losses for rerankers: models that read a query and a document together (CrossEncoder)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from sentence_transformers import CrossEncoder
from sentence_transformers.base.losses.gradcache import RandContext, _backward_hook
from sentence_transformers.util import all_gather, batch_to_device
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from lrat_hub.losses import Reduction
from lrat_hub.losses.labels import as_labels, check_options
from lrat_hub.losses.weighted import CITATION


@dataclass(frozen=True)
class CandidateLists:
    """The lists of a batch: each query with its own positive and negatives.

    Args:
        pairs: (query, document) of every document that is there, query by query, the positive first.
        present: Which documents there are, bool, shape (batch, 1 + negatives).
        weights: One weight for every query, shape (batch,).
        tiers: How much each document counts beside the others of its list, shape (batch, 1 + negatives): 1 for
            positives, 0 for documents that are not there.
    """

    pairs: list[tuple[str, str]]
    present: Tensor
    weights: Tensor
    tiers: Tensor

    @classmethod
    def of(cls, inputs: Sequence[Any], labels: Tensor | None, device: torch.device) -> CandidateLists:
        """Reads the columns of a batch.

        Raises:
            ValueError: Fewer than two columns of texts, no weights, or other numbers of them than of queries.
        """
        texts = [column for column in inputs if not isinstance(column, Tensor)]
        if len(texts) < 2:
            raise ValueError(f"Expected columns of queries and documents, found {len(texts)} columns.")
        queries, columns = texts[0], texts[1:]
        weights = as_labels(labels).weights.to(device, torch.float32)
        if len(weights) != len(queries):
            raise ValueError(f"Weights: expected {len(queries)}, one per query, found {len(weights)}.")
        tiers = torch.ones(len(queries), len(columns), device=device)
        for given in (column for column in inputs if isinstance(column, Tensor)):
            if given.shape != (len(queries), len(columns) - 1):
                raise ValueError(
                    f"negative_weights: expected shape {(len(queries), len(columns) - 1)}, found {tuple(given.shape)}."
                )
            tiers[:, 1:] = given
        present = tiers > 0
        rows, places = present.nonzero(as_tuple=True)
        pairs = [
            (queries[row], columns[place][row]) for row, place in zip(rows.tolist(), places.tolist(), strict=True)
        ]
        return cls(pairs, present, weights, tiers)

    def spread(self, scores: Tensor) -> Tensor:
        """Scores of `pairs` by query and document, shape (batch, 1 + negatives); 0 where there is none."""
        return torch.zeros_like(self.tiers).masked_scatter(self.present, scores)


class _WeightedRerankingLoss(nn.Module, ABC):
    def __init__(
        self,
        model: CrossEncoder,
        scale: float = 1.0,
        reduction: Reduction = "mean",
        mini_batch_size: int = 0,
        max_length: int = 0,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if not isinstance(model, CrossEncoder):
            raise ValueError(f"{name}: expected a CrossEncoder, found a {type(model).__name__}.")
        if model.num_labels != 1:
            raise ValueError(f"{name}: expected a model with one score per pair, found {model.num_labels}.")
        check_options(reduction)
        if mini_batch_size < 0 or max_length < 0:
            raise ValueError(f"{name}: expected mini_batch_size and max_length of 0 or more.")
        self.model = model
        self.scale, self.reduction = scale, reduction
        self.mini_batch_size, self.max_length = mini_batch_size, max_length

    def forward(
        self, inputs: Sequence[Any], labels: Tensor | None = None, prompt: str | None = None, task: str | None = None
    ) -> Tensor:
        lists = CandidateLists.of(inputs, labels, self.model.device)
        step = self.mini_batch_size or len(lists.pairs)
        parts = [
            self._features(lists.pairs[start : start + step], prompt=prompt, task=task)
            for start in range(0, len(lists.pairs), step)
        ]
        if not self.mini_batch_size:
            return self.compute_loss_from_scores(self._scores(parts[0]), lists)
        # Without gradients, as in validation, there is nothing to replay.
        tracked = torch.is_grad_enabled()
        first = list(self.embed_minibatch_iter({"parts": parts}, with_grad=False, copy_random_state=tracked))
        scores = [part.detach().requires_grad_(tracked) for part, _ in first]
        loss = self.compute_loss_from_scores(torch.cat(scores), lists)
        if not tracked:
            return loss
        loss.backward()
        loss = loss.detach().requires_grad_()
        replay: dict[str, Any] = {
            "sentence_features": [{"parts": parts}],
            "cache": [[part.grad for part in scores]],
            "random_states": [[state for _, state in first]],
            "ranges": [None],
        }
        loss.register_hook(partial(_backward_hook, loss_obj=self, **replay))
        return loss

    @abstractmethod
    def compute_loss_from_scores(self, scores: Tensor, lists: CandidateLists) -> Tensor:
        """The loss of scores that are already computed, shape (pairs,), in the order of `CandidateLists.pairs`."""

    def embed_minibatch_iter(
        self,
        sentence_feature: dict[str, Any],
        with_grad: bool,
        copy_random_state: bool,
        random_states: Sequence[RandContext | None] | None = None,
        ranges: Any = None,
    ) -> Iterator[tuple[Tensor, RandContext | None]]:
        """Scores of mini-batches of pairs; sentence-transformers' gradient caching asks for them by this name."""
        for index, features in enumerate(sentence_feature["parts"]):
            state = RandContext(*features.values()) if copy_random_state else None
            replayed = random_states[index] if random_states else None
            with replayed or nullcontext(), torch.set_grad_enabled(with_grad):
                scores = self._scores(features)
            yield scores, state

    def _features(self, pairs: list[tuple[str, str]], **options: Any) -> dict[str, Any]:
        if self.max_length:
            options["processing_kwargs"] = {"text": {"max_length": self.max_length, "truncation": True}}
        return self.model.preprocess(pairs, **options)

    def _scores(self, features: dict[str, Any]) -> Tensor:
        # Modules may change the features in place, and a cached batch is read twice.
        return self.model(batch_to_device(dict(features), self.model.device))["scores"].view(-1).float() * self.scale

    def get_config_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("scale", "reduction", "mini_batch_size", "max_length")}

    @property
    def citation(self) -> str:
        return CITATION


class WeightedListNetLoss(_WeightedRerankingLoss):
    """Softmax over each query's own list, in which every query has a weight, taken from the `label` column.

    For a batch of N queries q_i with positives d_i, mined negatives and weights w_i, with scores s and temperature
    tau = 1 / scale::

        L = -1/N * sum_i w_i * log( exp(s(q_i, d_i) / tau) / sum_d v_id * exp(s(q_i, d) / tau) )

    where d runs over the query's own positive and negatives: the agent's real candidates. It is section 5.2.2 of the
    paper without the documents of other queries, each of which would cost one more pass of the model.

    Args:
        model: CrossEncoder model with one score per pair.
        scale: 1 / temperature. Scores are logits of any size, so start with 1.
        reduction: What the weighted sum is divided by. "mean" divides by the batch size N, "weighted_mean" by the sum
            of the weights. Under several processes it is the mean of what they have, so that the mean over processes
            of the loss is the loss of one process with all rows.
        mini_batch_size: Pairs per forward pass with gradient caching (https://huggingface.co/papers/2101.06983):
            memory for activations is that of one mini-batch; value and gradients are those of the whole batch, with
            the same dropout. 0 scores the whole batch at once.
        max_length: Tokens of a query and a document together, at most; 0 uses the model's limit.

    Requirements:
        1. (anchor, positive, negative_1, ..., negative_n) columns of texts. A query without negatives has the loss 0.
        2. A `label` column with the weights: finite, 0 or more. Give them mean 1 to keep the learning rate's meaning.

    Inputs:
        +-------------------------------------------------+--------+-------------------------------+
        | Texts                                           | Labels | Number of Model Output Labels |
        +=================================================+========+===============================+
        | (anchor, positive, negative_1, ..., negative_n) | weight | 1                             |
        +-------------------------------------------------+--------+-------------------------------+

        A collator such as `lrat_hub.fitting.ListCollator` can add a tensor `negative_weights`, shape
        (batch, negatives): v of a negative in the softmax of its query, 1 for everything else. Negatives of weight 0
        are padding, and are not scored.

    Relations:
        - `ListNetLoss` is this loss with all weights 1, for labels whose softmax is 1 for the positive.
        - `WeightedBinaryCrossEntropyLoss` takes the same inputs, and looks at each document by itself.
        - `WeightedMultipleNegativesRankingLoss` is the same for models that encode texts by themselves.

    Example:
        ::

            from datasets import load_dataset
            from lrat_hub import WeightedListNetLoss
            from sentence_transformers import CrossEncoder
            from sentence_transformers.cross_encoder import CrossEncoderTrainer

            model = CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2")
            triplets = load_dataset("ns/pairs", "triplets", split="train", revision="<sha>")
            loss = WeightedListNetLoss(model, mini_batch_size=32)
            CrossEncoderTrainer(model=model, train_dataset=triplets, loss=loss).train()
    """

    def compute_loss_from_scores(self, scores: Tensor, lists: CandidateLists) -> Tensor:
        # Documents that are not there are masked, and need no -inf here, whose gradient would not be a number.
        tiers = torch.where(lists.present, lists.tiers, 1.0).log()
        logits = (lists.spread(scores) + tiers).masked_fill(~lists.present, -torch.inf)
        losses = torch.logsumexp(logits, dim=1) - logits[:, 0]
        divisor = lists.weights.sum() if self.reduction == "weighted_mean" else lists.weights.new_tensor(len(losses))
        return (lists.weights * losses).sum() / over_processes(divisor)


class WeightedBinaryCrossEntropyLoss(_WeightedRerankingLoss):
    """`BinaryCrossEntropyLoss` over each query's own list, in which every query has a weight, from the `label` column.

    For a batch of queries q_i with positives d_i, mined negatives and weights w_i, with scores s, temperature
    tau = 1 / scale and the logistic function sigma::

        L = -1/M * sum_i w_i * ( log sigma(s(q_i, d_i) / tau) + sum_d v_id * log sigma(-s(q_i, d) / tau) )

    where d runs over the query's own negatives, and M is the number of documents in all lists. Each document is looked
    at by itself: scores keep a meaning across queries, and a query without negatives teaches something, too.

    Args:
        model, scale, mini_batch_size, max_length: As for `WeightedListNetLoss`.
        reduction: What the weighted sum is divided by. "mean" divides by M, "weighted_mean" by the sum of the weights
            of all documents, w_i v_id. Under several processes as for `WeightedListNetLoss`.

    Requirements and Inputs:
        As for `WeightedListNetLoss`; v is the weight of a negative in the sum.

    Relations:
        - `BinaryCrossEntropyLoss` is this loss with all weights 1, over the pairs of all lists.

    Example:
        ::

            loss = WeightedBinaryCrossEntropyLoss(model)
            CrossEncoderTrainer(model=model, train_dataset=triplets, loss=loss).train()
    """

    def compute_loss_from_scores(self, scores: Tensor, lists: CandidateLists) -> Tensor:
        targets = torch.zeros_like(lists.tiers)
        targets[:, 0] = 1
        losses = binary_cross_entropy_with_logits(lists.spread(scores), targets, reduction="none")
        # The tier of a document that is not there is 0.
        weights = lists.weights[:, None] * lists.tiers
        divisor = weights.sum() if self.reduction == "weighted_mean" else lists.present.sum().to(weights.dtype)
        return (weights * losses).sum() / over_processes(divisor)


def over_processes(divisor: Tensor) -> Tensor:
    """The mean of the processes' divisors: what each divides by so that their mean is the loss of all rows."""
    if dist.is_available() and dist.is_initialized():
        divisor = all_gather(divisor.detach()[None]).mean()
    # Empty reasonings weigh 0, and a whole batch of them has no gradient: not 0 / 0.
    return divisor.clamp_min(torch.finfo(divisor.dtype).tiny)
