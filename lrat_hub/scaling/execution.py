"""Runs work by one of datatrove's executors: logs, statistics and what was done before are the engine's."""

from __future__ import annotations

import logging
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.errors import LratError
from lrat_hub.scaling.processes import map_in_order
from lrat_hub.scaling.settings import ExecutionSettings
from lrat_hub.scaling.work import Parts, Work, WorkFolder

if TYPE_CHECKING:
    from datatrove.executor.base import PipelineExecutor

    from lrat_hub.scaling.jobs import SharedFiles

SHARED_VARIABLES = ("HF_ENDPOINT", "HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_HUB_OFFLINE")
"""Variables of the environment that workers of Ray get. They log in themselves: the token is not among them."""

VARIABLES_OF_JOBS = ("HF_ENDPOINT", "HF_HUB_DISABLE_XET")
"""Variables that say how the Hub is reached. What a Job downloads goes to a folder of its own."""


def execute(
    work: Work,
    settings: ExecutionSettings,
    folder: WorkFolder,
    *,
    parts: int,
    has: Callable[[int], bool],
    on_shard: Callable[[int], object] = lambda shards: None,
) -> None:
    """Does all shards of a piece of work, leaving out those that are done.

    Args:
        folder: That of the work, where the engine keeps logs and statistics, too. Each machine that works has to
            reach it under the same path.
        parts: Number of files that the work comes to.
        has: Whether the file of that number is there.
        on_shard: Called with a number of shards that are done, by executors that tell.

    Raises:
        LratError: datatrove or what the executor needs is missing, a worker was killed, or the work fails.
    """
    try:
        import datatrove  # noqa: F401  (whether it is there)
        import loguru
    except ImportError as error:
        raise LratError(
            f"Executor {settings.executor}: expected datatrove, found no such package. Install lrat-hub[scale]."
        ) from error
    from datatrove.io import get_datafolder

    shards = min(settings.num_shards, parts)

    def is_done(shard: int) -> bool:
        return all(map(has, range(shard, parts, shards)))

    # What the engine tells is in its logs.
    loguru.logger.disable("datatrove")
    try:
        shared = _shared_files(work, settings, folder)
        logs = f"{shared.root if shared else folder.path}/{work.name}-{shards}"
        executor = _executor(work, settings, shards, logs, on_shard, shared)
        if shared:
            shared.pull()
            shared.push()
        marks = get_datafolder(logs)
        for mark in marks.list_files("completions"):
            # The engine leaves out what it has marked; files may be gone since.
            if not is_done(int(Path(mark).name)):
                marks.rm(mark)
        executor.run()
        if shared:
            shared.pull()
    finally:
        loguru.logger.enable("datatrove")
    if missing := shards - sum(map(is_done, range(shards))):
        raise LratError(
            f"Executor {settings.executor}: {shards - missing} of {shards} shards are done. What became of the others "
            f"is in {logs}. The same command goes on with them."
        )


def make_parts(
    parts: Parts, *, processes: int = 1, execution: ExecutionSettings | None = None, folder: WorkFolder | None = None
) -> Iterator[int]:
    """Makes those parts that are not there, and gives the numbers of all in order, each once its file is there.

    Args:
        processes: How many processes of this machine make them, where no executor does.
        execution, folder: As for `execute`.

    Raises:
        LratError: As `execute`, or a process was killed.
    """
    if execution is None or execution.executor == "none" or folder is None:
        yield from map_in_order(_make, range(len(parts)), begin=_keep, work=parts, processes=processes)
    elif len(parts):
        execute(parts, execution, folder, parts=len(parts), has=parts.has)
        yield from range(len(parts))


_parts: Parts | None = None


def _keep(parts: Parts) -> None:
    global _parts
    _parts = parts


def _make(number: int) -> int:
    assert _parts is not None
    if not _parts.has(number):
        _parts.make(number)
    return number


def _shared_files(work: Work, settings: ExecutionSettings, folder: WorkFolder) -> SharedFiles | None:
    """Where files of Jobs go; None for executors whose workers reach the folder itself."""
    if settings.executor != "jobs":
        return None
    if not getattr(work, "reads_the_hub_alone", False):
        raise LratError(
            f"Executor jobs: expected work that reads nothing but the Hub, found {work.name}, which reads files of "
            "this machine. Take local, slurm or ray, or publish its inputs."
        )
    from huggingface_hub import get_token

    if get_token() is None:
        raise LratError("Executor jobs: expected a token, found none. Log in: hf auth login")
    from lrat_hub.scaling.jobs import SharedFiles

    return SharedFiles(settings.shared, folder.path)


def _executor(
    work: Work,
    settings: ExecutionSettings,
    shards: int,
    logs: str,
    on_shard: Callable[[int], object],
    shared: SharedFiles | None,
) -> PipelineExecutor:
    from datatrove.executor import LocalPipelineExecutor, SlurmPipelineExecutor

    from lrat_hub.scaling.local import LocalExecutor, RunShard

    own: dict[str, Any] = {
        "pipeline": [RunShard(work)],
        "tasks": shards,
        "workers": settings.workers,
        "logging_dir": logs,
    }
    if shared is not None:
        return _jobs(work, settings, own, shared)
    if settings.executor == "ray":
        from datatrove.executor import RayPipelineExecutor

        from lrat_hub.scaling.ray_tasks import RayExecutor

        options = settings.options(RayPipelineExecutor, own)
        _join_ray()
        # Workers have the environment of their node and not that of this process.
        variables = {name: os.environ[name] for name in SHARED_VARIABLES if name in os.environ}
        remote = {"runtime_env": {"env_vars": variables}} | options.pop("ray_remote_kwargs", {})
        return RayExecutor(**own, **options, ray_remote_kwargs=remote)
    if settings.executor == "slurm":
        from lrat_hub.scaling.slurm import SlurmExecutor

        if missing := [name for name in ("sbatch", "squeue") if shutil.which(name) is None]:
            raise LratError(
                f"Executor slurm: expected {' and '.join(missing)} on the PATH, found none. Run the command on a "
                "machine of the cluster that submits jobs."
            )
        options = settings.options(SlurmPipelineExecutor, own)
        return SlurmExecutor(**own, **{"job_name": f"lrat-{work.name}", **options}, on_shard=on_shard)
    return LocalExecutor(**own, **settings.options(LocalPipelineExecutor, own), on_shard=on_shard)


def _jobs(work: Work, settings: ExecutionSettings, own: dict[str, Any], shared: SharedFiles) -> PipelineExecutor:
    from datatrove.executor import JobsPipelineExecutor

    from lrat_hub.scaling.jobs import JobsExecutor, RunSharedShard, dependencies

    options = settings.options(JobsPipelineExecutor, own)
    given = options.get("dependencies") or dependencies()
    options["dependencies"] = [given] if isinstance(given, str) else given
    variables = {name: os.environ[name] for name in VARIABLES_OF_JOBS if name in os.environ}
    options["env"] = variables | (options.get("env") or {})
    own["pipeline"] = [RunSharedShard(work, shared)]
    try:
        executor = JobsExecutor(**own, **{"job_name": f"lrat-{work.name}", **options})
    except ValueError as error:
        raise LratError(f"Executor jobs: {' '.join(str(error).split())}") from error
    executor._ensure_logging_dir_repo()
    return executor


def _join_ray() -> None:
    """Raises LratError where no Ray cluster runs that this process can join."""
    try:
        import ray  # pyright: ignore[reportMissingImports]  (in an environment of its own)
    except ImportError as error:
        raise LratError("Executor ray: expected Ray, found no such package. Install lrat-hub[ray].") from error
    if not ray.is_initialized():
        host, _, port = os.environ.get("RAY_ADDRESS", "").partition(":")
        try:
            # Ray itself tries for four minutes, and then raises what says nothing of a cluster.
            if port.isdecimal():
                socket.create_connection((host, int(port)), timeout=10).close()
            ray.init(address="auto", log_to_driver=False, logging_level=logging.WARNING)
        except OSError as error:
            raise LratError(
                "Executor ray: expected a cluster that runs, found none. Start one with `ray start --head`, or say "
                "where it is in RAY_ADDRESS."
            ) from error
