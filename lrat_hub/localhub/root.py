"""The folder a Hub lives in: one process at a time owns it.

ROOT/.lock                                   held while a server runs; says which process holds it
ROOT/token, ROOT/tokens.json                 see `accounts`
ROOT/repos/{models,datasets,spaces}/NS/NAME.git      see `store`
ROOT/objects/NS/AA/BB/SHA256                 see `objects`
ROOT/tmp                                     uploads under way
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub.errors import LratError

if TYPE_CHECKING:
    from lrat_hub.localhub.objects import ObjectStore
    from lrat_hub.localhub.store import Store


def prepare_root(root: Path) -> Path:
    """Make the folder if it is missing. Private to its user, like the private repositories in it."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise LratError(f"cannot open the Hub: expected a folder, found a file at {root}; give another root") from None
    except OSError as error:
        raise LratError(f"cannot open the Hub at {root}: {error.strerror}; give a root you can write to") from None
    return root.resolve()


@contextlib.contextmanager
def owned(root: Path) -> Iterator[None]:
    """Hold the folder for this process.

    Raises:
        LratError: another process holds it; the message names its pid.
    """
    try:
        lock = (root / ".lock").open("a+")
    except OSError as error:
        raise LratError(f"cannot open the Hub at {root}: {error.strerror}; give a root you can write to") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise LratError(
                f"cannot open the Hub at {root}: process {holder} is already serving it; "
                "use that server, stop it, or give another root"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def open_stores(root: Path) -> tuple[Store, ObjectStore]:
    """The repositories and the large files of a root."""
    from lrat_hub.localhub.objects import ObjectStore
    from lrat_hub.localhub.store import Store

    return Store(root / "repos"), ObjectStore(root / "objects", root / "tmp")
