"""What goes wrong outside this program, in one line: full and read-only disks, outputs that could not be published."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import tempfile
from pathlib import Path

from lrat_hub.errors import LratError

_CAUSES = {
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file became larger than is allowed here",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "it may not be read or written",
    errno.EPERM: "it may not be read or written",
}
_WORDS = {"No space left on device": errno.ENOSPC, "Disk quota exceeded": errno.EDQUOT, "Read-only file": errno.EROFS}
"""How libraries in other languages say it, in errors of their own."""

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def explanation_of(error: BaseException) -> str | None:
    """A line for what the person at the terminal can mend; None for any other error.

    An error that libraries have wrapped is looked for in what it was raised from.
    """
    from lrat_hub.hub.outputs import Unpublished

    text = _disk_explanation(error)
    if isinstance(error, Unpublished):
        # The text of the error has its folder already.
        where = f"The finished output is kept in {error.folder}"
        reason = str(error) if text is None else f"{text} {where}"
        return f"{reason} Publish it with: lrat publish {shlex.quote(str(error.folder))} --to {error.target}"
    return text


def _disk_explanation(error: BaseException) -> str | None:
    from lrat_hub.hub.retries import chain_of

    for cause in chain_of(error):
        number = cause.errno if isinstance(cause, OSError) else None
        number = next((code for words, code in _WORDS.items() if words in str(cause)), number)
        if number not in _CAUSES or isinstance(cause, LratError):
            continue
        if isinstance(error, LratError) and number in (errno.EACCES, errno.EPERM):
            return None  # it says more of whose file that is
        file = getattr(cause, "filename", None)
        about = f"{file}: " if isinstance(file, (str, Path)) else ""
        folders = {"HF_HOME": _home(), "TMPDIR": tempfile.gettempdir()}
        return (
            f"{about}{_CAUSES[number]}. HF_HOME is {folders['HF_HOME']} ({_free(folders['HF_HOME'])} free), TMPDIR is "
            f"{folders['TMPDIR']} ({_free(folders['TMPDIR'])} free): free some space, or set them to other folders."
        )
    return None


def _home() -> str:
    from huggingface_hub.constants import HF_HOME

    return HF_HOME


def _free(folder: str) -> str:
    from lrat_hub.hub.preflight import in_words

    there = next(path for path in (Path(folder), *Path(folder).absolute().parents) if path.exists())
    return in_words(shutil.disk_usage(there).free)


def use_no_proxy_for_this_machine() -> None:
    """Sends requests to this machine, such as those to an embedded Hub, past the proxy that the environment names."""
    if not any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXIES):
        return
    from lrat_hub.localhub import without_proxy

    hosts = without_proxy(os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "")
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = hosts
