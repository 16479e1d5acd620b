"""One process at a time on one flywheel: a lock on a branch of its own repository, which anyone's machine can see.

The lock is a file in a commit that names its parent, so that of two who take it at once the Hub refuses one. Its
holder renews it; a lock that was not renewed for an hour is nobody's, and so is one whose process on this machine has
ended. The hour is by the Hub's clock: those of machines may be wrong. It stands on a branch of its own: what is
published there is not touched.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import fetch_file
from lrat_hub.hub.publish import require_private
from lrat_hub.hub.refs import HubRef, hub_errors
from lrat_hub.hub.retries import commit, is_conflict, read, retried
from lrat_hub.hub.tags import named_commits

BRANCH, FILE = "lock", "lock.json"
RENEWED_SECONDS = 600.0
STALE_SECONDS = 3_600.0
ATTEMPTS = 5
"""How often the lock is read and taken, where others write to it in between."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Args:
        id: Random, of one process.
        machine: Hash of the machine's name and id, which tells whether it is this one.
        process, started: The process, and when it began, in seconds: numbers of processes come again.
        renewed: When the lock was renewed last by the clock of its machine, which tells commits from each other.
    """

    id: str
    machine: str
    process: int
    started: float
    renewed: float

    @classmethod
    def here(cls) -> Holder:
        import psutil

        process = psutil.Process()
        return cls(uuid.uuid4().hex, machine_id(), process.pid, process.create_time(), time.time())

    def why_free(self, silent: float) -> str:
        """Why the lock is nobody's any more; "" if it may be held.

        Args:
            silent: Seconds since it was renewed.
        """
        import psutil

        if self.machine == machine_id():
            with suppress(psutil.Error):
                if abs(psutil.Process(self.process).create_time() - self.started) < 1:
                    return ""
            return f"process {self.process} on this machine has ended"
        return f"it was not renewed for {silent / 60:.0f} minutes" if silent > STALE_SECONDS else ""


def machine_id() -> str:
    """What tells this machine from others, without naming it."""
    import platform

    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    return hashlib.sha256(f"{platform.node()}\0{boot}".encode()).hexdigest()[:16]


class Lock:
    """Holds the lock of a flywheel while inside `with`.

    Args:
        flywheel: The dataset repository that keeps its records; it is made if it is missing.
        take_over: Whether to take the lock from a process that may still run.
        private: Whether the repository has to be private; a missing one is then made so.

    Raises:
        LratError: Somebody else holds it, or the Hub can't be reached.
    """

    def __init__(self, flywheel: HubRef, *, take_over: bool = False, private: bool = False) -> None:
        self._target = replace(flywheel, revision=BRANCH)
        self._take_over = take_over
        self._private = private
        self._holder = Holder.here()
        self._tip = ""
        self._ended = threading.Event()
        self._lost = ""
        self._renewing = threading.Thread(target=self._renew, daemon=True)
        self.note = ""

    def __enter__(self) -> Lock:
        from huggingface_hub import HfApi

        api, target = HfApi(), self._target
        if self._private:
            require_private(target)

        def create() -> None:
            api.create_repo(target.repo_id, repo_type=target.repo_type, exist_ok=True)
            api.create_branch(target.repo_id, repo_type=target.repo_type, branch=BRANCH, exist_ok=True)

        with hub_errors(target):
            retried(create, what=str(target))
        for attempt in range(1, ATTEMPTS + 1):
            self._read()
            try:
                self._commit(self._holder)
                break
            except LratError as error:
                # Who holds it may have renewed it since it was read, and who has just begun is to be seen.
                if attempt == ATTEMPTS or not is_conflict(error.__cause__ or error):
                    raise
        self._renewing.start()
        return self

    def _read(self) -> None:
        """Reads the lock as it is now.

        Raises:
            LratError: Another process holds it, and it is not to be taken over.
        """
        target = self._target
        self._tip = named_commits(target)[BRANCH]
        self.note = ""
        if holder := held(replace(target, revision=self._tip)):
            silent = silent_seconds(replace(target, revision=self._tip))
            why = holder.why_free(silent) or ("it was taken over" if self._take_over else "")
            if not why:
                raise LratError(
                    f"{target.repo_id}: another process works on this flywheel (renewed "
                    f"{silent / 60:.0f} minutes ago). Wait for it, or use `take_over` if you "
                    "know that it has ended."
                )
            self.note = f"the lock of an earlier process is taken: {why}"

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._renewing.join()
        if not self._lost:
            with suppress(LratError):
                self._commit(None)

    def require(self) -> None:
        """Raises LratError when somebody else has taken the lock."""
        if self._lost:
            raise LratError(f"{self._target.repo_id}: this flywheel was taken over by another process. {self._lost}")

    def _renew(self) -> None:
        while not self._ended.wait(RENEWED_SECONDS):
            try:
                self._commit(replace(self._holder, renewed=time.time()))
            except LratError as error:
                # A Hub that is away gives the lock to nobody else; a commit of another does.
                if is_conflict(error.__cause__ or error):
                    self._lost = str(error)
                    return

    def _commit(self, holder: Holder | None) -> None:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

        operations: list[Any] = [CommitOperationDelete(FILE)]
        if holder is not None:
            operations = [CommitOperationAdd(FILE, (json.dumps(asdict(holder), indent=2) + "\n").encode())]
        title = "lrat flywheel: lock" if holder else "lrat flywheel: unlock"
        try:
            self._tip = commit(HfApi(), self._target, lambda: (self._tip, operations), title=title, conflicts=False)
        except Exception as error:
            if is_conflict(error):
                raise LratError(
                    f"{self._target.repo_id}: another process has just begun to work on this flywheel."
                ) from error
            with hub_errors(self._target):
                raise


def silent_seconds(branch: HubRef) -> float:
    """Seconds since the lock's file was committed, both times by the Hub's clock; it tells whole seconds."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    def ask() -> float:
        info = HfApi().get_paths_info(branch.repo_id, [FILE], repo_type=branch.repo_type, revision=branch.revision,
                                      expand=True)  # fmt: skip
        url = f"{constants.ENDPOINT}/api/{branch.repo_type}s/{branch.repo_id}/refs"
        response = get_session().get(url, headers=build_hf_headers())
        hf_raise_for_status(response)
        date = response.headers.get("date")
        now = parsedate_to_datetime(date).timestamp() if date else time.time()
        made = info[0].last_commit
        return max(0.0, now - made.date.timestamp()) if made else 0.0

    return read(branch, ask)


def held(branch: HubRef) -> Holder | None:
    """Who holds the lock at a commit of its branch; None if nobody does.

    Raises:
        LratError: The file there is no lock.
    """
    path = fetch_file(branch, FILE)
    if path is None:
        return None
    try:
        return Holder(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise LratError(f"{branch}: expected a lock in {FILE}, found something else. Remove the branch.") from error
