"""The files of a folder that are read, and an account of those that are not.

A folder is read for what is in it: links that lead out of it are not followed, so that a log that somebody sent can't
bring files of this machine into a published dataset. Nothing but regular files is opened.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from lrat_hub.importers.sources.containers import TAR
from lrat_hub.ledger import Ledger

ONE_A_LINE = (".jsonl", ".ndjson")
TEXTS = (".json", *ONE_A_LINE)
PARQUET = ".parquet"
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
ARCHIVES = (*TAR, ".zip", ".eval")  # the logs of inspect, .eval, are zip archives

HIDDEN_FOLDERS = ("__MACOSX",)

WRITTEN_AS_LINES = (".csv", ".tsv", ".yaml", ".yml", ".xlsx", ".xls", ".ods")
"""Files that may hold runs and are not read: what they hold can be written as JSON lines."""

# What repositories hold beside their data says nothing of runs.
_FURNITURE = re.compile(
    r"(?:readme|licen[cs]e|notice|citation|changelog)(?:\.\w{1,4})?|dataset_infos?\.json|lineage\.(?:json|svg)",
    re.IGNORECASE,
)

_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,9}")


def files_in(folder: Path, files: Ledger) -> Iterator[tuple[str, Path]]:
    """The files of a folder and its folders that are read, with their names in it, sorted.

    Args:
        files: Gets a drop for each file that is passed over, and a note for what is hidden.
    """
    root = folder.resolve()
    yield from _files_in(root, "", root, _blobs(root), files)


def _files_in(
    folder: Path, prefix: str, root: Path, blobs: tuple[Path, ...], files: Ledger
) -> Iterator[tuple[str, Path]]:
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        files.drop(f"folder can't be read: {error.strerror}", example=prefix or folder.name)
        return
    for entry in ordered:
        name = prefix + entry.name
        kind = "folder" if entry.is_dir(follow_symlinks=False) else "file"
        if is_hidden(entry.name):
            files.note(f"hidden {kind}", example=name)
        elif entry.is_symlink():
            yield from _linked(name, Path(entry.path), root, blobs, files)
        elif kind == "folder":
            yield from _files_in(Path(entry.path), f"{name}/", root, blobs, files)
        elif not entry.is_file(follow_symlinks=False):
            files.drop("not a regular file", example=name)
        else:
            yield from _if_read(name, Path(entry.path), files)


def _if_read(name: str, path: Path, files: Ledger) -> Iterator[tuple[str, Path]]:
    """A file with its name where it is one to read; otherwise it is counted."""
    if _FURNITURE.fullmatch(name.rpartition("/")[2]):
        files.note("card, licence and the like", example=name)
    elif is_read(name):
        yield name, path
    else:
        files.drop(passed_over(name), example=name)


def _linked(name: str, link: Path, root: Path, blobs: tuple[Path, ...], files: Ledger) -> Iterator[tuple[str, Path]]:
    """What a link leads to: a file of the Hub's cache, or one of the folder that is not read under its own name."""
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):  # before Python 3.13, a loop of links is a RuntimeError
        files.drop("link that leads nowhere", example=name)
        return
    if target.is_dir() and target.is_relative_to(root):
        files.note("link to a folder that is read under its own name", example=name)
    elif any(target.is_relative_to(folder) for folder in blobs) and target.is_file():
        yield from _if_read(name, target, files)
    elif not target.is_relative_to(root):
        files.drop("link that leads out of the folder", example=name)
    elif not target.is_file():
        files.drop("not a regular file", example=name)
    elif any(is_hidden(part) for part in target.relative_to(root).parts) or not is_read(target.name):
        yield from _if_read(name, target, files)
    else:
        files.note("link to a file that is read under its own name", example=name)


def _blobs(root: Path) -> tuple[Path, ...]:
    """Where the links of a snapshot in the Hub's cache lead: the blobs of its repository, and those of the cache."""
    for folder in (root, *root.parents):
        if folder.parent.name == "snapshots" and "--" in folder.parent.parent.name:
            repository = folder.parent.parent
            return (repository / "blobs", repository.parent / "blobs")
    return ()


def is_hidden(name: str) -> bool:
    """Whether a file or folder is one that systems and tools keep for themselves, such as `.git`."""
    return name.startswith(".") or name in HIDDEN_FOLDERS


@lru_cache(maxsize=256)
def split(name: str) -> tuple[str, str, tuple[str, ...]]:
    """A file's name without its suffixes, the suffix that says what it holds, and those of its compression."""
    stem, outer = name, ()
    while (end := _suffix(stem)).lower() in COMPRESSED:
        stem, outer = stem[: -len(end)], (end.lower(), *outer)
    end = _suffix(stem)
    if end.lower() in (*TEXTS, PARQUET, *ARCHIVES):
        return stem[: -len(end)], end.lower(), outer
    return stem, "", outer


def _suffix(name: str) -> str:
    stem, dot, end = name.rpartition("/")[2].rpartition(".")
    return dot + end if stem and end else ""


def is_read(name: str) -> bool:
    """Whether a file in a folder or archive is read, by its suffix."""
    return bool(split(name)[1])


def passed_over(name: str) -> str:
    """The reason in the account for a file that is not read: its suffix."""
    suffix = _suffix(name).lower()
    if not suffix:
        return "not read: no suffix"
    if suffix in WRITTEN_AS_LINES:
        return f"not read: {suffix}; write it as JSON lines, an object a line"
    # Names with dates and version numbers in them would each be a reason of its own.
    return f"not read: {suffix}" if _SUFFIX.fullmatch(suffix) else "not read: other suffix"
