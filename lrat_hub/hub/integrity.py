"""Downloads are what their pin says: large files are hashed once, when they have arrived.

The Hub's client checks sizes alone. It names a large file in its cache by the sha256 that the commit has of it, so a
flipped bit, in what was stored or on the way, is seen without asking anybody. What was found sound is remembered in
HF_HOME by size and time of change; where that can't be written, files are hashed each time.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from pathlib import Path

from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef

_SHA256 = re.compile(r"[0-9a-f]{64}")


def snapshot_folder(ref: HubRef) -> Path:
    """Where the Hub's client keeps the files of a pin, whether there are any or not."""
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.file_download import repo_folder_name

    name = repo_folder_name(repo_id=ref.repo_id, repo_type=ref.repo_type)
    return Path(HF_HUB_CACHE) / name / "snapshots" / ref.revision


def require_intact(ref: HubRef) -> None:
    """Hashes the large files of a pin that have been downloaded and not been hashed yet.

    Raises:
        LratError: One is not what the commit names. It is removed from the cache.
    """
    folder = snapshot_folder(ref)
    for path in sorted(folder.rglob("*")):
        # Small files are named by git's hash; where links are not possible, the cache doesn't name its files so.
        blob = path.resolve()
        if not path.is_symlink() or not _SHA256.fullmatch(blob.name) or not blob.is_file() or _is_known(blob):
            continue
        digest = sha256_of(blob)
        if digest != blob.name:
            for damaged in (path, blob):
                with suppress(OSError):
                    damaged.unlink()
            raise LratError(
                f"{ref}: {path.relative_to(folder)} is damaged: expected sha256 {blob.name}, found {digest}. It was "
                "removed from the cache: start again to fetch it. If it is damaged again, then it is so on the Hub."
            )
        _remember(blob)


def sha256_of(path: Path) -> str:
    """sha256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_known(blob: Path) -> bool:
    try:
        return _note(blob).read_text(encoding="utf-8") == _stamp(blob)
    except OSError:
        return False


def _remember(blob: Path) -> None:
    note = _note(blob)
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(_stamp(blob), encoding="utf-8")


def _note(blob: Path) -> Path:
    from huggingface_hub.constants import HF_HOME

    # By its repository too: the same content can be twice in the cache, and one of them damaged.
    owner = hashlib.sha256(str(blob.parent).encode()).hexdigest()[:12]
    return Path(HF_HOME) / "lrat" / "hashed" / f"{blob.name}-{owner}"


def _stamp(blob: Path) -> str:
    status = blob.stat()
    return f"{status.st_size} {status.st_mtime_ns}"
