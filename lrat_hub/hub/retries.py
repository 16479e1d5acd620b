"""Commits to a Hub that may refuse or vanish for a while: tried again, never made twice, and said to the log."""

from __future__ import annotations

import hashlib
import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from lrat_hub.hub.refs import HubRef, is_transport_error

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    Operations = Sequence[CommitOperationAdd | CommitOperationDelete]

T = TypeVar("T")

PATIENCE_SECONDS = 120.0
LONGEST_WAIT_SECONDS = 10.0
CONFLICTS = {409, 412}
# What a Hub answers when it is overloaded or being restarted.
OUTAGES = {429, 500, 502, 503, 504}

logger = logging.getLogger(__name__)


def is_conflict(error: BaseException) -> bool:
    """Whether a commit was refused because somebody else committed first."""
    return _status(error) in CONFLICTS


def is_outage(error: BaseException) -> bool:
    """Whether no answer came, or that there is none for now; what was asked may have been done all the same."""
    return is_transport_error(error) or _status(error) in OUTAGES


def retried(attempt: Callable[[], T], *, what: str, conflicts: bool = True, patience: float = PATIENCE_SECONDS) -> T:
    """Calls until it succeeds, for as long as it fails because of conflicts or outages.

    For what may be repeated without harm, such as `Dataset.push_to_hub`: it commits nothing when everything is there
    already, and gives up when another process pushes to the same dataset::

        retried(lambda: rows.push_to_hub("me/runs", "config"), what="me/runs")

    Args:
        attempt: What to call.
        what: What it is about, for the log.
        conflicts: Whether to go on after a conflict.
        patience: Seconds after which the next error is raised.
    """
    end, wait = time.monotonic() + patience, 0.5
    while True:
        try:
            return attempt()
        except Exception as error:
            conflict = is_conflict(error)
            if not (is_outage(error) or (conflict and conflicts)) or time.monotonic() + wait > end:
                raise
            reason = "somebody else committed first" if conflict else f"no answer ({_described(error)})"
            logger.warning("%s: %s; trying again", what, reason)
        # Those who came at the same time must not come back at the same time.
        time.sleep(wait * random.uniform(0.5, 1))
        wait = min(wait * 2, LONGEST_WAIT_SECONDS)


def commit(
    api: HfApi,
    target: HubRef,
    plan: Callable[[], tuple[str, Operations]],
    *,
    title: str,
    conflicts: bool = True,
    patience: float = PATIENCE_SECONDS,
) -> str:
    """Commits to a branch what a plan makes of its tip: once, whatever happens to the connection.

    The commit carries a hash of the files it adds. When an answer was lost, the history tells whether it had arrived.

    Args:
        plan: Gives the sha of the tip and the operations on it; called for each attempt, as the tip may have moved.
        title: The title of the commit.
        conflicts: Whether to go on, with a new plan, when somebody else has committed.

    Returns:
        The sha of the commit; that of the tip if it holds all of this already.
    """
    lost: list[tuple[str, str]] = []
    where = {"repo_id": target.repo_id, "repo_type": target.repo_type, "revision": target.revision}

    def arrived() -> str | None:
        for tip, mark in lost:
            for made in api.list_repo_commits(**where):
                if made.commit_id == tip:
                    break
                if mark in made.message:
                    logger.warning("%s: the commit had arrived, as %s", target, made.commit_id)
                    return made.commit_id
        return None

    def attempt() -> str:
        if earlier := arrived():
            return earlier
        tip, operations = plan()
        mark = f"Content: sha256:{_content_hash(operations)}"
        try:
            done = api.create_commit(
                operations=operations, parent_commit=tip, commit_message=title, commit_description=mark, **where
            )
        except Exception as error:
            if is_outage(error):
                lost.append((tip, mark))
            # An earlier attempt of which no answer came may be what is in the way.
            elif is_conflict(error) and (earlier := arrived()):
                return earlier
            raise
        return done.oid

    return retried(attempt, what=str(target), conflicts=conflicts, patience=patience)


def _content_hash(operations: Operations) -> str:
    files = [
        f"{operation.path_in_repo}\0{operation.upload_info.sha256.hex()}"
        for operation in operations
        if hasattr(operation, "upload_info")
    ]
    return hashlib.sha256("\n".join(sorted(files)).encode()).hexdigest()


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _described(error: BaseException) -> str:
    status = _status(error)
    return f"status {status}" if status is not None else type(error).__name__
