"""A flywheel that is killed again and again ends as an undisturbed one does, and publishes nothing twice."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lrat_hub.hub.inputs import load_splits
from lrat_hub.hub.lineage import read_lineage
from lrat_hub.hub.refs import HubRef
from lrat_hub.hub.tags import named_commits
from lrat_hub.storage import rows_of
from tests.flywheel.small import commit_counts, publish_world, repositories, write_recipe

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
KILLS = 10
UNTIMELY = ("seconds", "lineage", "metadata")
"""Columns that say how long something took."""


def test_a_flywheel_that_is_killed_ends_as_an_undisturbed_one_and_publishes_nothing_twice(hub, tmp_path):
    world = publish_world(tmp_path, "kill")
    recipe = str(write_recipe(tmp_path, world))
    start(recipe, "lrat/calm", os.environ["HF_HOME"]).communicate()
    rng = random.Random(0)
    for number in range(KILLS):
        # Half of them on what looks like another machine: nothing but the Hub knows what was done.
        home = os.environ["HF_HOME"] if number < KILLS // 2 else str(tmp_path / "another-home")
        kill_after(recipe, home, publications=rng.choice((0, 1, 1, 2)), seconds=rng.uniform(0, 0.3))
    done = named_commits(HubRef("lrat/disturbed", "dataset"))
    assert "round-2" not in done
    start(recipe, "lrat/disturbed", os.environ["HF_HOME"]).communicate()
    assert commit_counts("lrat/disturbed") == commit_counts("lrat/calm")
    assert content("lrat/disturbed") == content("lrat/calm")


def kill_after(recipe: str, home: str, *, publications: int, seconds: float) -> None:
    """Runs the flywheel, and kills it that long after so many publications."""
    process = start(recipe, "lrat/disturbed", home)
    assert process.stdout is not None
    left = publications
    for line in process.stdout:
        # Not before it has begun to make something.
        left -= line.startswith("  published: ")
        if left < 0 or (left == 0 and (publications or "will publish to" in line)):
            break
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def start(recipe: str, to: str, home: str) -> subprocess.Popen[str]:
    """Runs the flywheel as a command, on one thread: sums of several threads differ in their last digits, and whatever
    else runs in the tests' own process may have changed how many there are."""
    words = [sys.executable, "-m", "lrat_hub.cli", "flywheel", "--config", recipe, "--to", to]
    return subprocess.Popen(
        words,
        cwd=ROOT,
        env=os.environ | {"HF_HOME": home, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def content(flywheel: str) -> dict[str, object]:
    """What a flywheel has published, by repository and tag, with the names of tags in the place of commits."""
    refs = [HubRef.parse(name) for name in repositories(flywheel)]
    places = {
        (ref, tag): sha for ref in refs for tag, sha in named_commits(ref).items() if tag not in ("main", "lock")
    }
    names = {sha: f"{ref.repo_id.removeprefix(flywheel)}@{tag}" for (ref, tag), sha in places.items()
             if tag != "champion"}  # fmt: skip
    found: dict[str, object] = {}
    for (ref, tag), sha in places.items():
        pin = HubRef(ref.repo_id, ref.repo_type, sha)
        lineage = read_lineage(pin)
        assert lineage is not None
        # What a search took is measured anew each time.
        counts = {name: count for name, count in lineage.counts.items() if name != "costs"}
        told = json.dumps([lineage.stage, lineage.inputs, lineage.recipe, counts])
        weights = {name: digest for name, digest in lineage.files.items() if name.endswith((".safetensors", ".faiss"))}
        found[f"{ref.repo_id.removeprefix(flywheel)}@{tag}"] = [
            plain(told, flywheel, names),
            weights,
            rows(pin, flywheel, names),
        ]
    return found


def rows(pin: HubRef, flywheel: str, names: dict[str, str]) -> dict[str, list[str]]:
    if pin.repo_type == "model":
        return {}
    from datasets import get_dataset_config_names

    configs = get_dataset_config_names(pin.repo_id, revision=pin.revision)
    return {
        f"{config}:{split}": [
            plain(json.dumps({name: value for name, value in row.items() if name not in UNTIMELY}), flywheel, names)
            for row in rows_of(table)
        ]
        for config in configs
        for split, table in load_splits(HubRef(pin.repo_id, "dataset", pin.revision, config)).items()
    }


def plain(text: str, flywheel: str, names: dict[str, str]) -> str:
    text = re.sub(r"[0-9a-f]{40}", lambda found: names.get(found[0], found[0]), text)
    short = {sha[:7]: name for sha, name in names.items()}
    text = re.sub(r"@([0-9a-f]{7})\b", lambda found: short.get(found[1], found[0]), text)
    return text.replace(flywheel, "")
