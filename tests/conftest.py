"""One Hub for all tests: started before any Hugging Face library is imported, as they read its address then."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from lrat_hub.localhub import LocalHub

_folder = pytest.StashKey[tempfile.TemporaryDirectory]()
_hub = pytest.StashKey[LocalHub]()


# The same examples in every run, so that a change fails for what it changes.
# `--hypothesis-profile=default` looks for others.
# A slow machine is no failure, neither in making an example nor in running it.
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=_SLOW)
settings.load_profile("same")


def pytest_configure(config: pytest.Config) -> None:
    folder = tempfile.TemporaryDirectory(prefix="lrat-tests-")
    hub = LocalHub(Path(folder.name) / "hub").start()
    os.environ |= hub.env
    os.environ |= {
        "HF_HOME": str(Path(folder.name) / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        # Ten seconds each by default, which a machine may take that does other things.
        "HF_HUB_DOWNLOAD_TIMEOUT": "60",
        "HF_HUB_ETAG_TIMEOUT": "60",
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


def _needs_torch(error: BaseException | None) -> bool:
    """Whether a package that needs torch is missing, here or in what led here."""
    while error and not (isinstance(error, ImportError) and (error.name or "").partition(".")[0] in _NEEDED):
        error = error.__cause__ or error.__context__
    return _WITHOUT_TORCH and error is not None


def _skipped_without_torch() -> Generator[None, object, object]:
    try:
        return (yield)
    except BaseException as error:
        if _needs_torch(error):
            pytest.skip(f"needs torch: {error}")
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    return (yield from _skipped_without_torch())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    return (yield from _skipped_without_torch())


class _TestModule(pytest.Module):
    """A module of tests that is skipped where its own imports need torch and there is none."""

    def _getobj(self) -> object:
        try:
            return super()._getobj()
        except self.CollectError as error:
            if _needs_torch(error):
                pytest.skip("needs torch", allow_module_level=True)
            raise


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    return _TestModule.from_parent(parent, path=module_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no process is left with a long one when the others have ended."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def hub(request: pytest.FixtureRequest) -> Iterator[LocalHub]:
    return request.config.stash[_hub]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three megabytes, where such may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("no disk may be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)
