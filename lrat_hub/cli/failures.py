"""What surrounds a command: full and read-only disks, explained in one line; proxies; who reads what it prints."""

from __future__ import annotations

import errno
import os
import shlex
import sys
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

_MADE_OF_FILES = {
    "trajectories": "If these are logs, import them, and give what is published: lrat import {path} --to me/runs",
    "corpus": "If these are documents, publish them, and give what is published: lrat corpus --documents {path} "
    "--to me/corpus",
    "queries": "If these are questions, publish them, and give what is published: lrat corpus --queries {path} "
    "--to me/queries",
    "qrels": "If these are judgements, publish them, and give what is published: lrat corpus --qrels {path} "
    "--to me/qrels",
    "pairs": "Pairs are mined from runs: lrat mine --trajectories me/runs --corpus me/corpus --to me/pairs",
}
"""What to do about a file of one's own in the place of a table that a stage publishes."""

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def explanation_of(error: BaseException) -> str | None:
    """A line for what the person at the terminal can fix; None for any other error.

    An error that libraries have wrapped is looked for in what it was raised from.
    """
    try:
        from lrat_hub.hub.preflight import endpoint_problem

        # Libraries raise errors of their own at the import of what reads it.
        if not isinstance(error, LratError) and (problem := endpoint_problem() or _file_in_the_way(error)):
            return problem
        return _publication_explanation(error)
    except ImportError:
        return None  # packages are missing, and the error is about that


def _publication_explanation(error: BaseException) -> str | None:
    from lrat_hub.hub.inputs import WrongTable
    from lrat_hub.hub.outputs import Unpublished

    if isinstance(error, WrongTable) and (made := _MADE_OF_FILES.get(error.kind)):
        return f"{error} {made.format(path=shlex.quote(_short_path(error.path)))}"
    text = _disk_explanation(error)
    if isinstance(error, Unpublished):
        # The text of the error has its folder already.
        where = f"The finished output is kept in {error.folder}"
        reason = str(error) if text is None else f"{text} {where}"
        return f"{reason} Publish it with: lrat publish {shlex.quote(str(error.folder))} --to {error.target}"
    return text


def _file_in_the_way(error: BaseException) -> str | None:
    """A line for a folder that can't be made, as a file is in its place or above it; None for any other error."""
    if not isinstance(error, FileExistsError | NotADirectoryError) or not isinstance(error.filename, str):
        return None
    path = Path(error.filename)
    file = next((each for each in (path, *path.parents) if each.is_file()), None)
    return file and f"{file}: expected a folder, found a file. Give another folder, or remove the file."


def _short_path(path: Path) -> str:
    """A path as a person here would write it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _disk_explanation(error: BaseException) -> str | None:
    from huggingface_hub.constants import HF_HOME

    from lrat_hub.hub.preflight import free_space, in_words
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
        folders = [
            f"{name} is {folder} ({in_words(free_space(Path(folder)))} free)"
            for name, folder in (("HF_HOME", HF_HOME), ("TMPDIR", tempfile.gettempdir()))
        ]
        return f"{about}{_CAUSES[number]}. {', '.join(folders)}: free some space, or set them to other folders."
    return None


def show_progress_to_people_only() -> None:
    """Hides the progress bars of `huggingface_hub` and `datasets` where stderr goes to a file or a pipe.

    Each step of a bar is a line there. Whoever has set the variables of these libraries keeps them.
    """
    if not sys.stderr.isatty():
        for library in ("HUB", "DATASETS"):
            os.environ.setdefault(f"HF_{library}_DISABLE_PROGRESS_BARS", "1")


def use_no_proxy_for_this_machine() -> None:
    """Sends requests to this machine, such as those to an embedded Hub, past the proxy that the environment names."""
    if not any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXIES):
        return
    from lrat_hub.localhub import without_proxy

    os.environ["NO_PROXY"] = os.environ["no_proxy"] = without_proxy()
