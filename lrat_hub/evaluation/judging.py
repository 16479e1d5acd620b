"""The judges that a stage's options name, asked about the answers of all cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub.agents.rollouts import open_judge
from lrat_hub.evaluation.settings import VerdictSettings
from lrat_hub.evaluation.verdicts import RECORDED, VerdictRow, answer_verdicts, recorded_verdicts
from lrat_hub.llm.serving import Serving, pin_model, split_arguments
from lrat_hub.schema import Trajectory

if TYPE_CHECKING:
    from lrat_hub.hub.inputs import Inputs


@dataclass(frozen=True)
class CellRuns:
    """The runs of a cell.

    Args:
        name: What tables call the retriever; "" for what was recorded.
        made_now: Whether they were made by this evaluation, and nobody has judged them.
    """

    name: str
    trajectories: Sequence[Trajectory]
    made_now: bool = False


def judge_cells(
    inputs: Inputs,
    settings: VerdictSettings,
    cells: Sequence[CellRuns],
    gold: Mapping[str, tuple[str, str | None]],
    *,
    logs: Path,
    second: bool = False,
) -> list[list[VerdictRow]]:
    """Verdicts on the answers of each cell, by the judge or by the second one. Its server runs while it is asked.

    Args:
        logs: Folder for the output of servers that are started.
        gold: Query id to question and gold answer.

    Raises:
        LratError: The judge's model can't be pinned, or its server not be reached or started.
    """
    prefix = "second_" if second else ""
    name, model, url = (getattr(settings, f"{prefix}{option}") for option in ("judge", "judge_model", "judge_url"))
    pin = serving = None
    if name == "llm":
        pin = pin_model(inputs, model, name=f"{prefix}judge", served=bool(url))
        log = logs / f"vllm-{prefix}judge.log"
        serving = Serving(log, url, settings.judge_vllm_python, arguments=split_arguments(settings.judge_vllm_args))
    # Nothing came with runs that were made just now.
    with open_judge("match" if name == RECORDED else name, pin, serving) as judge:
        return [
            recorded_verdicts(cell.trajectories)
            if name == RECORDED and not cell.made_now
            else answer_verdicts(judge, cell.trajectories, gold)
            for cell in cells
        ]
