"""datatrove's executor for Slurm, which waits until its job has ended. Importing this module imports datatrove."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from datatrove.executor import SlurmPipelineExecutor

from lrat_hub.errors import LratError

POLL_SECONDS = 10.0
"""Time between two looks at the queue."""

JOB_FILE = "slurm_job"


class SlurmExecutor(SlurmPipelineExecutor):
    """datatrove's, which waits for its job; one that an earlier command has submitted and left is waited for first.

    Jobs activate the virtual environment of this process, where no `env_command`, `condaenv` or `venv_path` is given.

    Args:
        on_shard: Called with a number of shards that are done, as often as the queue is looked at.
    """

    def __init__(self, *args: Any, on_shard: Callable[[int], object], **options: Any) -> None:
        if sys.prefix != sys.base_prefix and not {"env_command", "condaenv", "venv_path"} & set(options):
            options["venv_path"] = f"{sys.prefix}/bin/activate"
        # The job that puts statistics together would wait forever for one that failed.
        options["sbatch_args"] = {"kill-on-invalid-dep": "yes", **(options.get("sbatch_args") or {})}
        super().__init__(*args, **options)
        self._on_shard: Callable[[int], object] | None = on_shard

    def run(self) -> None:
        """Runs the shards that are not done; in a job, those of its number in the array.

        Raises:
            LratError: Slurm refuses the job.
        """
        tell, self._on_shard = self._on_shard, None  # it belongs to this process
        if tell is None:
            super().run()
            return
        if self.logging_dir.isfile(JOB_FILE):
            with self.logging_dir.open(JOB_FILE, "r") as file:
                self._wait(file.read())
        done = self._num_done()
        tell(done)
        try:
            super().run()
        except subprocess.CalledProcessError as error:
            # Slurm has said why on the error output, which is that of this process, too.
            raise LratError(
                "Executor slurm: expected sbatch to take the job, found that it refused it, for the reason above. "
                "Correct `executor_options`."
            ) from error
        if self.job_id != -1:
            with self.logging_dir.open(JOB_FILE, "w") as file:
                file.write(str(self.job_id))
            self._wait(str(self.job_id), tell, done)

    def _num_done(self) -> int:
        return self.world_size - len(self.get_incomplete_ranks())

    def _wait(self, job: str, tell: Callable[[int], object] = lambda shards: None, told: int = 0) -> None:
        while _is_queued(job):
            time.sleep(POLL_SECONDS)
            done = self._num_done()
            tell(done - told)
            told = done


def _is_queued(job: str) -> bool:
    """Whether a job, or a task of its array, waits or runs."""
    queue = subprocess.run(
        ["squeue", "--noheader", f"--jobs={job}", "--format=%T"], capture_output=True, text=True, check=False
    )
    # A job that has ended is soon forgotten. Any other error, such as a controller that starts again, says nothing.
    return bool(queue.stdout.strip()) or (queue.returncode != 0 and "Invalid job id" not in queue.stderr)
