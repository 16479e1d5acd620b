"""One Hub for all tests: started before any Hugging Face library is imported, as they read its address then."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from lrat_hub.localhub import LocalHub

_folder = pytest.StashKey[tempfile.TemporaryDirectory]()
_hub = pytest.StashKey[LocalHub]()


# The same examples in every run, so that a change fails for what it changes.
# `--hypothesis-profile=default` looks for others.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")


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
    # Neither is there when the Hub did not start, and that error is the one to see.
    if _hub in config.stash:
        config.stash[_hub].stop()
        config.stash[_folder].cleanup()


# CI runs the tests on further versions of Python without torch, whose builds for them are gigabytes.
_WITHOUT_TORCH = importlib.util.find_spec("torch") is None
_NEEDED = {"torch", "sentence_transformers", "peft", "mteb", "evaluate"}
collect_ignore_glob = ["encoders/*", "fitting/*", "losses/*", "training/*"] if _WITHOUT_TORCH else []


def _skipped_without_torch() -> Generator[None, object, object]:
    try:
        return (yield)
    except BaseException as error:
        cause: BaseException | None = error
        while cause and not (isinstance(cause, ImportError) and (cause.name or "").partition(".")[0] in _NEEDED):
            cause = cause.__cause__ or cause.__context__
        if _WITHOUT_TORCH and cause:
            pytest.skip(f"needs {cause}")
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    return (yield from _skipped_without_torch())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    return (yield from _skipped_without_torch())


@pytest.fixture(scope="session")
def hub(request: pytest.FixtureRequest) -> Iterator[LocalHub]:
    return request.config.stash[_hub]
