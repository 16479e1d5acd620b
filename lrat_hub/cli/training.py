"""What the stages that train share: how a run is carried out, the folder it goes on from, and what it needs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lrat_hub.errors import LratError
from lrat_hub.option import option

if TYPE_CHECKING:
    import torch

    from lrat_hub.cli.stage import Stage


@dataclass(kw_only=True)
class RunArguments:
    """How a training is carried out, which does not change its result."""

    work_dir: str = option(
        "",
        "Folder of the checkpoints; the same command resumes from them after a kill.",
        group="essentials",
        recipe=False,
    )
    report_to: Literal["none", "tensorboard", "trackio"] = option(
        "none", "Where to log losses while training: TensorBoard files in `<work_dir>/runs`, or Trackio.", recipe=False
    )

    def check(self) -> None:
        """Raises LratError where losses can't be logged."""
        if self.report_to == "tensorboard" and not self.work_dir:
            raise LratError("--report_to tensorboard: it writes into --work_dir, found none. Give a folder.")
        if self.report_to != "none" and find_spec(self.report_to) is None:
            raise LratError(
                f"--report_to {self.report_to}: not installed. Install it with: pip install {self.report_to}"
            )

    def folder(self, stage: Stage, **shaping: Any) -> Path | None:
        """The folder of the checkpoints, which this run alone may go on from; None where nothing stays.

        Args:
            shaping: What shapes the result besides pins, recipe and number of processes.

        Raises:
            LratError: Another run has its checkpoints there.
        """
        from lrat_hub.fitting.runs import is_first, processes, stamp_run_folder

        if not self.work_dir:
            return None
        folder = Path(self.work_dir).expanduser()
        if is_first():
            stamp_run_folder(folder, asdict(stage.lineage({})) | {"processes": processes().num_processes} | shaping)
        return folder


def need_training(stage: Stage, model: torch.nn.Module, *, frozen: torch.dtype | None = None) -> None:
    """Says what a training will need of this machine.

    Args:
        frozen: The type of the weights where adapters alone are trained.

    Raises:
        LratError: The disk has less room than what is published, the weights in fp32.
    """
    from lrat_hub.hub.outputs import output_root
    from lrat_hub.planning.work import TRAINED_PARAMETER

    parameters = sum(weights.numel() for weights in model.parameters())
    each = frozen.itemsize if frozen else TRAINED_PARAMETER
    stage.need("training", disk=4 * parameters, folder=output_root(), memory=each * parameters)
