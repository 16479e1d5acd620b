"""Accumulated parts of a batch give the mean of the parts' losses and gradients, as the loss's docstring says."""

import pytest
import torch

from lrat_hub.fitting import fit_retriever
from lrat_hub.fitting.kinds import RETRIEVERS
from lrat_hub.fitting.trainer import _EpochBatches

from .small import pair, rows_of


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean"])
def test_k_parts_are_the_mean_of_their_losses(model, reduction):
    pairs = [pair(f"one {name}", name, "fedcba"[:place], 0.5 + place) for place, name in enumerate("abcd")]
    rows = rows_of(
        *pairs, batch_size=2, gradient_accumulation_steps=2, max_steps=1, reduction=reduction, temperature=0.5,
        warmup_ratio=0.0,
    )  # fmt: skip
    loss = RETRIEVERS.make_loss(model, rows.settings)
    collate = RETRIEVERS.make_collator(model, rows, rows.settings)
    values = []
    for part in _EpochBatches(rows.view(), batch_size=2, drop_last=False, seed=0):
        batch = collate([rows.view()[row] for row in part])
        columns = {name: {} for name in ("anchor", *rows.columns)}
        for key, value in batch.items():
            column = next((name for name in columns if key.startswith(f"{name}_")), None)
            if column:
                columns[column][key.removeprefix(f"{column}_")] = value
        values.append(loss(list(columns.values()), batch["label"]))
    mean = torch.stack(values).mean()
    mean.backward()
    expected = float(model[0].embedding.weight.grad.norm())
    model.zero_grad()

    [row] = fit_retriever(model, rows, rows.settings).log
    assert row["loss"] == pytest.approx(float(mean.detach()), rel=1e-5)
    assert row["grad_norm"] == pytest.approx(expected, rel=1e-4)
    assert abs(float((values[0] - values[1]).detach())) > 1e-3
