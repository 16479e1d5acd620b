"""datatrove's executor for Slurm, which waits until its job has ended. Importing this module imports datatrove."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

from datatrove.executor import SlurmPipelineExecutor

POLL_SECONDS = 10.0
"""Time between two looks at the queue."""

JOB_FILE = "slurm_job"


class SlurmExecutor(SlurmPipelineExecutor):
    """datatrove's, which waits for its job; one that an earlier command has submitted and left is waited for first.

    Jobs activate the virtual environment of this process, where no `env_command`, `condaenv` or `venv_path` is given.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        if sys.prefix != sys.base_prefix and not {"env_command", "condaenv", "venv_path"} & set(options):
            options["venv_path"] = f"{sys.prefix}/bin/activate"
        super().__init__(*args, **options)

    def run(self) -> None:
        """Runs the shards that are not done; in a job, those of its number in the array."""
        if "SLURM_ARRAY_TASK_ID" in os.environ:
            super().run()
            return
        if self.logging_dir.isfile(JOB_FILE):
            with self.logging_dir.open(JOB_FILE, "r") as file:
                _wait(file.read())
        super().run()
        if self.job_id != -1:
            with self.logging_dir.open(JOB_FILE, "w") as file:
                file.write(str(self.job_id))
            _wait(str(self.job_id))


def _wait(job: str) -> None:
    # squeue lists the tasks of an array that wait or run, and fails for a job that it has forgotten.
    queue = ["squeue", "--noheader", f"--jobs={job}", "--format=%T"]
    while subprocess.run(queue, capture_output=True, text=True).stdout.strip():
        time.sleep(POLL_SECONDS)
