"""datatrove's executor for Hugging Face Jobs, and the place that jobs and the command that waits for them share.

A Job is a machine of its own, with none of the files of the one that submits it. It makes the files of its shards in a
folder of the same path, and sends them to a place that both reach. Importing this module imports datatrove.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from typing import Any

import fsspec
from datatrove.executor import JobsPipelineExecutor
from datatrove.executor.jobs import ARRAY_INDEX_ENV_VAR

from lrat_hub.errors import LratError
from lrat_hub.scaling.local import RunShard
from lrat_hub.scaling.work import STAMP_FILE, Work, whole_file

SAME_PACKAGES = ("torch", "transformers", "sentence-transformers")
"""Packages that shape vectors: those of a Job have to be those of the command."""


@dataclass(frozen=True)
class SharedFiles:
    """The files of a work folder at a place that jobs reach.

    Args:
        address: Of fsspec, such as hf://buckets/me/work.
        folder: That of the work, on each machine.
    """

    address: str
    folder: Path

    @property
    def root(self) -> str:
        """The address of this folder's files and logs."""
        return f"{self.address.rstrip('/')}/{self.folder.name}"

    def pull(self, pattern: str = "*") -> None:
        """Brings what is there and not here, of names like a pattern of the shell."""
        files, root = self._opened()
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in files.find(root):
            here = self.folder / path.rpartition("/")[2]
            if fnmatch(here.name, pattern) and not here.exists():
                with whole_file(here) as partial:
                    files.get_file(path, str(partial))

    def push(self) -> None:
        """Sends what is here and not there."""
        files, root = self._opened()
        there = {path.rpartition("/")[2] for path in files.find(root)}
        for path in sorted(self.folder.iterdir()):
            # What is being written has a name that begins with a dot.
            if path.is_file() and path.name not in there and not path.name.startswith("."):
                files.put_file(str(path), f"{root}/{path.name}")

    def _opened(self) -> tuple[Any, str]:
        files, root = fsspec.core.url_to_fs(f"{self.root}/files")
        # Others write there.
        files.invalidate_cache()
        return files, root


class RunSharedShard(RunShard):
    """As `RunShard`, on a machine that shares no files with others but by a place that all reach."""

    def __init__(self, work: Work, shared: SharedFiles) -> None:
        super().__init__(work)
        self.shared = shared

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Any:
        self.shared.pull(STAMP_FILE)
        result = super().run(data, rank, world_size)
        self._refuse_other_stamps()
        self.shared.push()
        return result

    def _refuse_other_stamps(self) -> None:
        """Raises LratError when the work was done for another stamp, as with other packages than the command's."""
        folder = self.shared.folder
        for other in folder.parent.glob(f"*/{STAMP_FILE}"):
            if other.parent != folder:
                here, there = (json.loads(path.read_text()) for path in (other, folder / STAMP_FILE))
                differing = {name: here.get(name) for name in there if here.get(name) != there[name]}
                expected = {name: there[name] for name in differing}
                raise LratError(f"Job: expected {expected}, as where it was submitted, found {differing}.")


class JobsExecutor(JobsPipelineExecutor):
    """datatrove's, whose jobs run its command out of their packages: no script is sent by way of a bucket."""

    def _submit_array_index(self, array_index: int, pik_path: str, token: str) -> str:
        from huggingface_hub import run_uv_job

        with warnings.catch_warnings():
            # That it may change has no place between the lines of a command.
            warnings.filterwarnings("ignore", message=".*is experimental", category=UserWarning)
            job = run_uv_job(
                "launch_pickled_pipeline",
                script_args=[pik_path],
                dependencies=self.dependencies,
                python=self.python,
                image=self.image,
                env={
                    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                    "PYTHONUNBUFFERED": "1",
                    **(self.env or {}),
                    ARRAY_INDEX_ENV_VAR: str(array_index),
                },
                secrets={"HF_TOKEN": token, **(self.secrets or {})},
                flavor=self.flavor,
                timeout=self.timeout,
                labels={"datatrove_job_name": self.job_name, **(self.labels or {})},
                namespace=self.namespace,
                token=token,
            )
        return job.id


def dependencies() -> list[str]:
    """What a Job installs where nothing else is said: LRAT-Hub, and what shapes vectors, in the versions of here."""
    pins = [f"{name}=={metadata.version(name)}" for name in SAME_PACKAGES]
    return [f"lrat-hub[scale]=={metadata.version('lrat-hub')}", *pins]
