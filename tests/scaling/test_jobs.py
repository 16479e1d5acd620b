"""`--executor jobs`: what is refused before anything is submitted, and the files that jobs share."""

from __future__ import annotations

from pathlib import Path

import pytest

from lrat_hub.errors import LratError
from lrat_hub.scaling.execution import execute
from lrat_hub.scaling.settings import ExecutionSettings
from lrat_hub.scaling.work import WorkFolder
from tests.scaling.squares import Squares

pytest.importorskip("datatrove")

SHARED = "shared=memory://lrat-jobs"


class OfHub(Squares):
    reads_the_hub_alone = True


def run(folder: Path, *options: str, kind: type[Squares] = OfHub) -> None:
    work = kind(folder, 4)
    settings = ExecutionSettings(executor="jobs", executor_options=list(options))
    execute(work, settings, WorkFolder.open(folder, {"work": "squares"}), parts=4, has=work.has)


def test_what_jobs_can_not_do_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_something")
    for options, kind, message in (
        ([SHARED], Squares, "expected work that reads nothing but the Hub, found squares, which reads files of this"),
        ([], OfHub, "expected where files go among `executor_options`, as shared=hf://buckets/me/work, found none"),
        (["shared=/tmp/work"], OfHub, "as shared=hf://buckets/me/work, found /tmp/work"),
        (["shared=file:///tmp/work"], OfHub, "requires a remote logging_dir"),
        ([SHARED, "flavour=l4x1"], OfHub, "found flavour; did you mean flavor"),
        ([SHARED, "tasks_per_job=0"], OfHub, "tasks_per_job must be >= 1, got 0"),
    ):
        with pytest.raises(LratError, match=message):
            run(tmp_path, *options, kind=kind)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(LratError, match="expected a token, found none"):
        run(tmp_path, SHARED)


@pytest.mark.parametrize(("flavor", "device"), [(None, "cpu"), ("cpu-xl", "cpu"), ("l4x1", "cuda"), ("h200", "cuda")])
def test_vectors_are_computed_on_what_the_flavor_has(flavor, device):
    options = [SHARED, *([f"flavor={flavor}"] if flavor else [])]
    assert ExecutionSettings(executor="jobs", executor_options=options).device == device


def test_files_that_are_whole_go_to_the_place_and_come_back_each_once(tmp_path):
    from lrat_hub.scaling.jobs import SharedFiles

    here, there = (SharedFiles(f"memory://{tmp_path.name}", tmp_path / name / "0123") for name in ("here", "there"))
    here.pull()
    for name in ("stamp.json", "shard-0.npy", ".shard-1.npy.77"):
        (here.folder / name).write_text(name)
    here.push()
    there.pull("stamp.json")
    assert [path.name for path in there.folder.iterdir()] == ["stamp.json"]
    (there.folder / "shard-1.npy").write_text("of another")
    there.push()
    (here.folder / "shard-0.npy").write_text("is kept")
    here.pull()
    assert {path.name: path.read_text() for path in here.folder.iterdir()} == {
        "stamp.json": "stamp.json",
        "shard-0.npy": "is kept",
        "shard-1.npy": "of another",
        ".shard-1.npy.77": ".shard-1.npy.77",
    }


def test_a_job_with_other_packages_than_the_command_says_what_differs(tmp_path):
    from lrat_hub.scaling.jobs import RunSharedShard, SharedFiles

    class Elsewhere(OfHub):
        def run(self, shard, shards):
            WorkFolder.open(tmp_path / "job", {"model": "a", "versions": {"torch": "2.0"}})
            return 1

    submitted = WorkFolder.open(tmp_path / "command", {"model": "a", "versions": {"torch": "2.9"}}).path
    SharedFiles(f"memory://{tmp_path.name}", submitted).push()
    step = RunSharedShard(
        Elsewhere(tmp_path, 4), SharedFiles(f"memory://{tmp_path.name}", tmp_path / "job" / submitted.name)
    )
    with pytest.raises(LratError, match=r"expected \{'versions': \{'torch': '2.9'\}\}, as where .*'torch': '2.0'"):
        step.run(None, 0, 2)
