"""Looks at an installation from a process of its own, with an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

LONGEST_SECONDS = 300


def python(code: str, *options: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Runs code; None removes a variable."""
    merged = {name: value for name, value in (os.environ | environment).items() if value is not None}
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, env=merged, capture_output=True, text=True, timeout=LONGEST_SECONDS)


def findings(call: str, *options: str, **environment: str | None) -> dict[str, dict[str, str]]:
    """What a function of the room finds, by what it is about.

    Args:
        call: Such as `surroundings.check_surroundings()`; gives findings.
    """
    room = call.lstrip("[").partition(".")[0]
    code = (
        "import json; from dataclasses import asdict; from lrat_hub.checkup import findings as all_of; "
        f"from lrat_hub.checkup import {room}; "
        f"print(json.dumps([asdict(all_of.without_passwords(one)) for one in {call}]))"
    )
    ended = python(code, *options, **environment)
    assert ended.returncode == 0, ended.stderr
    for secret in filter(None, (environment.get("HF_TOKEN"), os.environ["HF_TOKEN"])):
        assert secret not in ended.stdout + ended.stderr
    return {one["about"]: one for one in json.loads(ended.stdout)}
