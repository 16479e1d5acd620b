"""What stages share whose work an executor may do: where its files lie until they are published."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from lrat_hub.cli.stage import Stage
from lrat_hub.option import option
from lrat_hub.scaling.settings import ExecutionSettings
from lrat_hub.scaling.work import WorkFolder


@dataclass(kw_only=True)
class ScaledArguments:
    """Options of such a stage beside those of `ExecutionSettings`."""

    work_dir: str = option(
        "",
        "Folder for what an executor has done, until it is published; a folder in HF_HOME if empty.",
        recipe=False,
    )


@contextmanager
def work_folder(stage: Stage, execution: ExecutionSettings, work_dir: str) -> Iterator[WorkFolder]:
    """A temporary folder, or with an executor that of this stage's recipe and inputs, which stays when the work fails.

    Args:
        stage: With all its inputs pinned.

    Raises:
        LratError: Another run has the folder.
    """
    if execution.executor == "none":
        with tempfile.TemporaryDirectory() as folder:
            yield WorkFolder(Path(folder))
        return
    from huggingface_hub.constants import HF_HOME

    root = Path(work_dir).expanduser() if work_dir else Path(HF_HOME) / "lrat"
    work = WorkFolder.open(root.resolve() / stage.name, asdict(stage.lineage({})))
    work.lock()
    try:
        yield work
        work.remove()
    finally:
        work.unlock()
