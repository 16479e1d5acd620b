"""`lrat index --executor jobs`: Hugging Face Jobs by their real client, on a server of the same API."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from huggingface_hub import constants

from lrat_hub import cli
from lrat_hub.hub.refs import HubRef
from tests.retrieval.test_index_stage import NUM_SHARDS, SHARDS, files_of, index_words
from tests.scaling.jobs_api import JobsApi

pytest.importorskip("datatrove")

SHARED = "shared=hf://datasets/lrat/jobs-work"


def can_hide() -> bool:
    words = ["unshare", "--mount", "--map-root-user", "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        return subprocess.run(words, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def words(published, work_dir, *options, to="lrat/jobs-index"):
    more = ["--executor", "jobs", "--workers", "2", "--shards", "3", "--work_dir", str(work_dir), "--keep_work"]
    return [*index_words(published, to, *SHARDS, *more), "--executor_options", *options]


@pytest.mark.slow
@pytest.mark.skipif(not can_hide(), reason="no folder can be hidden from a process here")
def test_jobs_that_share_no_files_make_the_index_of_one_process_also_when_one_was_killed(published, hub, tmp_path):
    whole = cli.run(index_words(published, "lrat/jobs-whole", *SHARDS))
    work = tmp_path / "work"
    work.mkdir()
    with JobsApi(hub.endpoint, [work, constants.HF_HOME], tmp_path / "jobs", killed=1) as api:
        code, said = run(words(published, work, SHARED, "flavor=cpu-upgrade", "poll_interval=0.2"), api)
        assert code == 0, said + api.logs()
        pin = HubRef.parse(said.split("published: ")[1].split()[0], repo_type="model")
        assert files_of(pin) == files_of(whole)
        # Three shards, and one again.
        assert len(api.specs) == 4
        spec = api.specs[-1]
        assert spec["flavor"] == "cpu-upgrade"
        assert spec["environment"]["HF_ENDPOINT"] == api.endpoint
        assert set(spec["secrets"]) == {"HF_TOKEN"}
        assert any(word.startswith("sentence-transformers==") for word in spec["command"])
        (folder,) = (path for path in work.iterdir() if path.is_dir())
        assert len(list(folder.glob("shard-*.npy"))) == NUM_SHARDS
        # What is there needs no job; what is lost comes from the shared place.
        next(folder.glob("shard-*.npy")).unlink()
        code, said = run(words(published, work, SHARED, "poll_interval=0.2", to="lrat/jobs-again"), api)
        assert code == 0, said + api.logs()
        assert len(api.specs) == 4


def run(sent, api) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "lrat_hub.cli", *sent],
        env=os.environ | {"HF_ENDPOINT": api.endpoint}, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr
