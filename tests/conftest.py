"""One Hub for all tests: started before any Hugging Face library is imported, as they read its address then."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lrat_hub.localhub import LocalHub

_folder = pytest.StashKey[tempfile.TemporaryDirectory]()
_hub = pytest.StashKey[LocalHub]()


def pytest_configure(config: pytest.Config) -> None:
    folder = tempfile.TemporaryDirectory(prefix="lrat-tests-")
    hub = LocalHub(Path(folder.name) / "hub").start()
    os.environ |= hub.env
    os.environ |= {
        "HF_HOME": str(Path(folder.name) / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    config.stash[_folder], config.stash[_hub] = folder, hub


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_hub].stop()
    config.stash[_folder].cleanup()


@pytest.fixture(scope="session")
def hub(request: pytest.FixtureRequest) -> Iterator[LocalHub]:
    return request.config.stash[_hub]
