"""Trains a tiny transformer as a program of its own, which can be killed, or started as several processes.

Arguments: the model's folder, where its weights go, and a JSON object of settings; `reranks` says that it is a
CrossEncoder, `late` that it is a MultiVectorEncoder, `kill_at` is the step of the checkpoint after which the process
kills itself, `work_dir` where checkpoints stay.
"""

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer

from lrat_hub.fitting import fit_retriever
from lrat_hub.fitting.runs import is_first

from .small import pair, rows_of

WORDS = ["one", "two", "text", "of"]


def main(model: str, weights: str, options: str) -> None:
    settings = json.loads(options)
    reranks, late = settings.pop("reranks", False), settings.pop("late", False)
    load = CrossEncoder if reranks else MultiVectorEncoder if late else SentenceTransformer
    kill_at, work_dir = settings.pop("kill_at", None), settings.pop("work_dir", None)
    pairs = [
        replace(pair(f"{WORDS[number % 4]} {'abcdef'[number % 5]}", "abcdef"[number % 6], "fedcba"[: number % 4]),
                pair_id=str(number), weight=0.5 + number / 20)
        for number in range(20)
    ]  # fmt: skip
    rows = rows_of(*pairs, **settings)

    def kill(_: Path, step: int) -> None:
        if step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    fitted = fit_retriever(
        load(model, device="cpu"), rows, rows.settings, work_dir=work_dir and Path(work_dir),
        on_checkpoint=kill if kill_at else None,
    )  # fmt: skip
    if is_first():
        fitted.model.save_pretrained(weights, create_model_card=False)
        (Path(weights) / "log.json").write_text(json.dumps(fitted.log))


if __name__ == "__main__":
    main(*sys.argv[1:])
