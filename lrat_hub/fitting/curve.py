"""The loss curve of a run, as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any


def loss_curve(log: Sequence[dict[str, Any]], best_step: int | None = None) -> bytes:
    """A PNG of the losses in a log of `Fitted`: of training and, where there is one, of the validation pairs."""
    from matplotlib.figure import Figure

    # A figure of its own: pyplot would keep it, and choose a backend for the whole process.
    figure = Figure(figsize=(6.4, 3.6), dpi=150, layout="constrained")
    axes = figure.subplots()
    for key, label in (("loss", "training"), ("eval_loss", "validation")):
        points = [(row["step"], row[key]) for row in log if key in row]
        if points:
            axes.plot(*zip(*points, strict=True), label=label, marker="o" if len(points) < 15 else None, markersize=3)
    if best_step is not None:
        axes.axvline(best_step, color="grey", linestyle=":", label=f"published: step {best_step}")
    axes.set(xlabel="step", ylabel="loss")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    with io.BytesIO() as stream:
        # Without the library's version in it, the same run makes the same bytes.
        figure.savefig(stream, format="png", metadata={"Software": None})
        return stream.getvalue()
