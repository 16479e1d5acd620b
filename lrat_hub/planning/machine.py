"""What this machine has."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lrat_hub.hub.preflight import free_memory, free_space


@dataclass(frozen=True)
class Machine:
    """GPUs, memory and disk.

    Args:
        gpus: Bytes of each GPU that this process may use.
        memory: Free bytes of the machine's memory.
        disk: Free bytes where HF_HOME is; None where nobody has looked.
    """

    gpus: tuple[int, ...]
    memory: int
    disk: int | None = None

    @classmethod
    def here(cls) -> Machine:
        from huggingface_hub.constants import HF_HOME

        return cls(_gpus(os.environ.get("CUDA_VISIBLE_DEVICES")), free_memory(), free_space(Path(HF_HOME)))


def _gpus(visible: str | None) -> tuple[int, ...]:
    """Bytes of each GPU, as the driver's tool lists them: asking CUDA itself would take memory of each."""
    command = ["nvidia-smi", "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    rows = [[part.strip() for part in line.split(",")] for line in listed.splitlines() if line.count(",") == 2]
    rows = [row for row in rows if row[2].isdigit()]
    if visible is not None:
        # By number, or by the beginning of a name.
        wanted = [name.strip() for name in visible.split(",") if name.strip()]
        rows = [row for row in rows if row[0] in wanted or any(row[1].startswith(name) for name in wanted)]
    return tuple(int(size) * 2**20 for _, _, size in rows)
