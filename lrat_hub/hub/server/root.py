"""The folder a Hub lives in: one server at a time owns it, and its token is in it.

ROOT/.lock                                   held while a server runs; says which process holds it
ROOT/token                                   the owner's token, readable by its user alone
ROOT/repos/{models,datasets,spaces}/NS/NAME.git      see `store`
ROOT/lfs/AA/BB/SHA256                        see `objects`
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from lrat_hub.errors import LratError


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


def read_token(root: Path) -> str:
    """The owner's token; made on first use."""
    path = root / "token"
    if not path.exists():
        draft = root / f".token-{secrets.token_hex(4)}"
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write("hf_" + secrets.token_hex(20))
        # A link appears complete or not at all, and never replaces a token that another process has handed out.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text().strip()
