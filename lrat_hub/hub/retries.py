"""Backing off: how all that asks a server tries again, and commits that are never made twice.

The schedule is tenacity's; what is worth another attempt, and for how long, is said by who asks: a Hub for two
minutes, a chat model or a retriever for some attempts.
"""

from __future__ import annotations

import hashlib
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, stop_before_delay

from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef, hub_errors, is_transport_error

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    Operations = Sequence[CommitOperationAdd | CommitOperationDelete]

T = TypeVar("T")

PATIENCE_SECONDS = 120.0
FIRST_PATIENCE_SECONDS = 5.0
"""Patience with a Hub that has answered nothing in this process yet: it may be stopped, or its address wrong. What is
asked after that is asked once."""
LONGEST_ASKED_SECONDS = 60.0
"""A server that asks for a longer pause is not waited for: the usual pauses apply."""

CONFLICTS = {409, 412}
# What a Hub answers when it is overloaded or being restarted.
OUTAGES = {429, 500, 502, 503, 504}
DAMAGED = "Damaged"
"""What the embedded Hub says of content that it has lost: it will be the same at the next attempt."""

logger = logging.getLogger(__name__)

_heard: dict[str, bool] = {}
"""Addresses of the Hubs that were asked in this process, and whether one has ever answered."""


def backoff(
    worth_retrying: Callable[[BaseException], bool],
    *,
    attempts: int | None = None,
    patience: float | None = None,
    pause: float = 0.5,
    longest_pause: float = 10.0,
    before_pause: Callable[[BaseException], None] | None = None,
) -> dict[str, Any]:
    """Options for tenacity's `Retrying` and `AsyncRetrying`; the last error is raised as it is.

    Pauses double from one attempt to the next. Each is shortened at random by up to a half, as those who failed at
    the same time must not come back at the same time. A `Retry-After` header of up to a minute replaces them.

    Args:
        worth_retrying: Whether an error may be gone at the next attempt.
        attempts: Maximum number of attempts; None for any number.
        patience: Seconds after which no further attempt begins; None for no limit.
        pause: Seconds before the second attempt.
        longest_pause: Maximum of the doubling pauses, in seconds.
        before_pause: Called with the error before each pause, such as to log it.
    """

    def wait(state: RetryCallState) -> float:
        asked = retry_after(_error(state))
        growing = min(pause * 2.0 ** (state.attempt_number - 1), longest_pause)
        return asked if asked is not None else growing * random.uniform(0.5, 1)

    limits = [stop_after_attempt(attempts)] if attempts is not None else []
    limits += [stop_before_delay(patience)] if patience is not None else []
    return {
        "retry": retry_if_exception(worth_retrying),
        "stop": lambda state: any(limit(state) for limit in limits),
        "wait": wait,
        "before_sleep": (lambda state: before_pause(_error(state))) if before_pause else None,
        "reraise": True,
    }


def _error(state: RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    assert error is not None, "Only errors are retried."
    return error


def retry_after(error: BaseException) -> float | None:
    """Seconds that a server asks to wait; None where it asks for nothing, names a date, or asks for over a minute.

    Args:
        error: An error with the `headers` of the response, or with a `response` that has them.
    """
    try:
        seconds = float(_headers(error).get("Retry-After") or "")
    except ValueError:
        return None
    return seconds if 0 < seconds <= LONGEST_ASKED_SECONDS else None


def is_conflict(error: BaseException) -> bool:
    """Whether a commit was refused because somebody else committed first."""
    return _status(error) in CONFLICTS


def is_outage(error: BaseException) -> bool:
    """Whether no answer came, or that there is none for now; what was asked may have been done all the same."""
    is_lasting = _headers(error).get("X-Error-Code") == DAMAGED
    return is_transport_error(error) or (_status(error) in OUTAGES and not is_lasting)


def read(ref: HubRef, attempt: Callable[[], T]) -> T:
    """What is read of a repository, tried again through outages as publishing is, once its Hub has answered.

    Args:
        attempt: Reads it; what other libraries wrap around an outage is seen through.

    Raises:
        LratError: It can't be read (see `hub_errors`).
    """
    from huggingface_hub import constants

    endpoint = constants.ENDPOINT
    silence = {True: PATIENCE_SECONDS, False: 0.0, None: FIRST_PATIENCE_SECONDS}[_heard.get(endpoint)]
    with hub_errors(ref):
        try:
            result = retried(attempt, what=f"{ref} at {endpoint}", conflicts=False, wrapped=True, silence=silence)
        except Exception as error:
            # That there is no such repository is an answer, too.
            if not any(map(is_transport_error, chain_of(error))):
                _heard[endpoint] = True
            _heard.setdefault(endpoint, False)
            raise
    _heard[endpoint] = True
    return result


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """An error, and those that it was raised from."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def retried(
    attempt: Callable[[], T],
    *,
    what: str,
    conflicts: bool = True,
    patience: float = PATIENCE_SECONDS,
    silence: float = PATIENCE_SECONDS,
    wrapped: bool = False,
) -> T:
    """Calls until it succeeds, for as long as it fails because of conflicts or outages, which it says to the log.

    For what may be repeated without harm, such as `Dataset.push_to_hub`: it commits nothing when everything is there
    already, and gives up when another process pushes to the same dataset::

        retried(lambda: rows.push_to_hub("me/runs", "config"), what="me/runs")

    Args:
        attempt: What to call.
        what: What it is about, for the log.
        conflicts: Whether to go on after a conflict.
        patience: Seconds after which the next error is raised.
        silence: The same, where no answer comes at all.
        wrapped: Whether an outage also counts where another error was raised from it.
    """

    began = time.monotonic()

    def log(error: BaseException) -> None:
        status = _status(error)
        described = f"status {status}" if status is not None else type(error).__name__
        reason = "somebody else committed first" if is_conflict(error) else f"no answer ({described})"
        left = (silence if is_transport_error(error) else patience) - (time.monotonic() - began)
        logger.warning("%s: %s; trying again, for %.0f seconds more", what, reason, max(left, 0))

    def worth_retrying(error: BaseException) -> bool:
        from huggingface_hub.constants import HF_HUB_OFFLINE

        errors = list(chain_of(error)) if wrapped and not isinstance(error, LratError) else [error]
        if any(map(is_transport_error, errors)) and time.monotonic() - began > silence:
            return False
        return not HF_HUB_OFFLINE and (any(map(is_outage, errors)) or (conflicts and is_conflict(error)))

    return Retrying(**backoff(worth_retrying, patience=patience, before_pause=log))(attempt)


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
    repo, kind, branch = target.repo_id, target.repo_type, target.revision
    lost: list[tuple[str, str]] = []

    def arrived() -> str | None:
        for tip, mark in lost:
            for made in api.list_repo_commits(repo, repo_type=kind, revision=branch):
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
                repo,
                operations,
                commit_message=title,
                commit_description=mark,
                repo_type=kind,
                revision=branch,
                parent_commit=tip,
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
    from huggingface_hub import CommitOperationAdd

    files = [
        f"{operation.path_in_repo}\0{operation.upload_info.sha256.hex()}"
        for operation in operations
        if isinstance(operation, CommitOperationAdd)
    ]
    return hashlib.sha256("\n".join(sorted(files)).encode()).hexdigest()


def _headers(error: BaseException) -> Mapping[str, str]:
    return getattr(getattr(error, "response", error), "headers", None) or {}


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)
