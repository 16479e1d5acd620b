"""The machine, its disks, and the Hub with its token."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lrat_hub.checkup.findings import Finding
from lrat_hub.checkup.installation import version_of
from lrat_hub.errors import LratError
from lrat_hub.hub.preflight import (
    LEAST_FREE_BYTES,
    LOOK_SECONDS,
    access_of,
    account_of,
    endpoint_problem,
    free_memory,
    free_space,
    in_words,
    part_that_exists,
)
from lrat_hub.hub.retries import OUTAGES
from lrat_hub.planning.machine import Machine

LEAST_MEMORY_BYTES = 2 * 10**9
"""Free memory below which work may end for want of it: PyTorch, transformers and FAISS take 0.6 GB without a model."""


def check_surroundings() -> Iterator[Finding]:
    """GPUs, processors, memory, disks, and the Hub."""
    yield from _check_machine()
    yield from _check_disks()
    yield from _check_hub()


def _check_machine() -> Iterator[Finding]:
    gpus = Machine.here().gpus
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    limited = "" if visible is None else f" (CUDA_VISIBLE_DEVICES is {visible!r})"
    if gpus:
        yield Finding("GPUs", "ok", f"{len(gpus)}, of {', '.join(map(in_words, gpus))}{limited}")
    else:
        text = "none: models are trained and encode on the CPU, and language models need a server elsewhere"
        yield Finding("GPUs", "note", f"{text}{limited}")
    yield Finding("processors", "ok", f"{_cores()} that may be used")
    free = free_memory()
    if free < LEAST_MEMORY_BYTES:
        found = f"{in_words(free)} free; PyTorch and a small model need about {in_words(LEAST_MEMORY_BYTES)}"
        yield Finding("memory", "warning", found, "End other programs, or take a machine with more.")
    else:
        yield Finding("memory", "ok", f"{in_words(free)} free")


def _cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_disks() -> Iterator[Finding]:
    from huggingface_hub.constants import HF_HOME, HF_HUB_CACHE

    yield _check_folder("HF_HOME", Path(HF_HOME))
    if not Path(HF_HUB_CACHE).is_relative_to(HF_HOME):
        yield _check_folder("HF_HUB_CACHE", Path(HF_HUB_CACHE))
    try:
        found = _check_folder("TMPDIR", Path(tempfile.gettempdir()))
    except FileNotFoundError as error:
        yield Finding("TMPDIR", "failed", str(error), "Set TMPDIR to a folder that can be written.")
        return
    given = os.environ.get("TMPDIR")
    if given and found.outcome == "ok" and Path(given).resolve() != Path(tempfile.gettempdir()).resolve():
        # Python takes another folder without a word.
        found = Finding(
            "TMPDIR", "warning", f"{given} can't be written, so {found.found}", "Make it, or unset TMPDIR."
        )
    yield found


def _check_folder(name: str, folder: Path) -> Finding:
    """Whether a folder, which need not be there yet, can be written, and has space."""
    try:
        with tempfile.TemporaryFile(dir=part_that_exists(folder)) as file:
            file.write(bytes(1 << 16))
    except OSError as error:
        remedy = f"Set {name} to a folder that can be written, or free some space there."
        return Finding(name, "failed", f"{folder} can't be written: {error.strerror}", remedy)
    free = free_space(folder)
    found = f"{folder}: {in_words(free)} free"
    if free < LEAST_FREE_BYTES:
        return Finding(name, "failed", found, f"Free some space, or set {name} to a folder on another disk.")
    return Finding(name, "ok", found)


def _check_hub() -> Iterator[Finding]:
    if problem := endpoint_problem():
        yield Finding("Hub", "failed", problem)
        return
    from huggingface_hub import constants, get_token

    endpoint = constants.ENDPOINT
    if constants.HF_HUB_OFFLINE:
        found = f"{endpoint} is not asked, as HF_HUB_OFFLINE is set: only what is cached is read, nothing is published"
        yield Finding("Hub", "warning", found, "Unset HF_HUB_OFFLINE.")
        return
    reached = _check_endpoint(endpoint)
    yield reached
    if reached.outcome == "failed":
        return
    yield _check_token(endpoint, get_token())
    yield from _check_xet(endpoint)


def _check_endpoint(endpoint: str) -> Finding:
    """Whether a Hub answers: without a token it says that it wants one."""
    from huggingface_hub.utils import build_hf_headers, get_session

    remedy = "Is HF_ENDPOINT right, and the Hub up? A proxy on the way to it is set by HTTPS_PROXY."
    try:
        status = get_session().get(
            f"{endpoint}/api/whoami-v2", headers=build_hf_headers(token=False), timeout=LOOK_SECONDS
        ).status_code  # fmt: skip
    except Exception as error:
        return Finding("Hub", "failed", f"{endpoint} can't be reached: {type(error).__name__}: {error}", remedy)
    if status in OUTAGES:
        return Finding("Hub", "warning", f"{endpoint} answers with {status}: it is busy", "Try again later.")
    if status != 401:
        found = f"{endpoint} answers with {status} where a Hub asks for a token; it may be something else"
        return Finding("Hub", "failed", found, remedy)
    return Finding("Hub", "ok", endpoint)


def _check_token(endpoint: str, token: str | None) -> Finding:
    from huggingface_hub.constants import HF_TOKEN_PATH

    log_in = "Set HF_TOKEN, or log in with `hf auth login`"
    if not token:
        found = "none: public repositories can be read, and nothing can be published"
        return Finding("token", "warning", found, f"{log_in}. The quickstart needs none.")
    source = "HF_TOKEN" if os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN") else HF_TOKEN_PATH
    try:
        account = account_of(endpoint, token)
    except LratError as error:
        return Finding(
            "token", "failed", f"that of {source}: {error}", f"{log_in}; without any, public ones are read."
        )
    except Exception as error:
        found = f"{endpoint} gives no answer that a Hub gives: {type(error).__name__}"
        return Finding("token", "failed", found, "Is HF_ENDPOINT the address of a Hub?")
    return _of_account(account, source)


def _of_account(account: dict[str, Any], source: str) -> Finding:
    if not account.get("name"):
        return Finding("token", "warning", f"the Hub does not say whose token that of {source} is", "Try again later.")
    role, names, everywhere = access_of(account)
    whose = f"{account['name']}'s, from {source}"
    if role == "read":
        found = f"{whose}, which may only read: nothing can be published"
        return Finding("token", "warning", found, "Make a token that may write, in the settings of your account.")
    if role == "write":
        where = "everywhere" if everywhere else f"to {', '.join(names)}"
        return Finding("token", "ok", f"{whose}, which may write {where}")
    return Finding("token", "ok", f"{whose}, {role or 'of no role that is told'}: where it may write is not told")


def _check_xet(endpoint: str) -> Iterator[Finding]:
    from huggingface_hub.constants import HF_HUB_DISABLE_XET

    if "://127.0.0.1:" in endpoint and not HF_HUB_DISABLE_XET and version_of("hf_xet"):
        found = "hf_xet is installed, which uploads in a way that an embedded Hub does not speak"
        yield Finding("uploads", "warning", found, "Set HF_HUB_DISABLE_XET=1, as `lrat hub env` prints it.")
