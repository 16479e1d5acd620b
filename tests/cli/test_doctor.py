"""`lrat doctor` as it is typed."""

import json
import os
import subprocess
import sys

import pytest


def doctor(*words, **environment):
    command = [sys.executable, "-m", "lrat_hub.cli", "doctor", *words]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_where_all_is_well_it_ends_with_0_and_json_says_the_same(hub):
    ended = doctor()
    assert ended.returncode == 0, ended.stderr
    assert "\nok       Hub: " in ended.stdout
    asked = doctor("--json")
    assert asked.returncode == 0
    findings = json.loads(asked.stdout)
    assert [one["about"] for one in findings] == [
        line[9:].partition(":")[0] for line in ended.stdout.splitlines() if line[:7].strip()
    ]
    assert {one["outcome"] for one in findings} <= {"ok", "note", "warning"}
    assert hub.token not in ended.stdout + asked.stdout


@pytest.mark.slow
def test_what_stops_the_work_ends_it_with_1_and_json_is_still_whole(hub):
    ended = doctor("--json", HF_TOKEN="hf_thisIsOfNobody")
    assert ended.returncode == 1
    assert ended.stderr == "error: lrat doctor: expected a working installation, found problems with: token.\n"
    assert [one["about"] for one in json.loads(ended.stdout) if one["outcome"] == "failed"] == ["token"]
    assert "hf_thisIsOfNobody" not in ended.stdout
