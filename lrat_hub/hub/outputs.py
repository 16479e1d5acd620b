"""Outputs: finished artifacts in folders that survive this process, until they are published.

What a stage made is not in a temporary folder when it is sent to the Hub: where publishing fails after all, the folder
stays, and `publish_output` publishes it later, from any process.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub.errors import LratError
from lrat_hub.hub.cards import card_digest
from lrat_hub.hub.integrity import sha256_of
from lrat_hub.hub.lineage import LINEAGE_FILE, Lineage
from lrat_hub.hub.refs import HubRef, RepoType

if TYPE_CHECKING:
    from collections.abc import Iterable

CARD_FILE = "README.md"
SEAL_FILE = ".lrat-output.json"
"""Names and sizes of the files of a finished output. Written last, and never published."""

PRIVATE_FILE = ".lrat-private"
"""Says that an output must not become public, whoever publishes it; never published."""

INDEX_STAMP = "stamp.json"
"""What tells an index from a model: the manifest that `lrat_hub.retrieval` writes."""

_WEIGHTS = (".safetensors", ".bin", ".npy", ".pt")


class Unpublished(LratError):
    """A publication that failed. What was to be published is kept.

    Args:
        error: What went wrong.
        folder: Where the output is.
        target: Where it was to be published.
    """

    def __init__(self, error: BaseException, folder: Path, target: HubRef) -> None:
        super().__init__(f"{str(error).strip() or type(error).__name__} The finished output is kept in {folder}")
        self.folder, self.target = folder, target

    def discard(self) -> None:
        """Removes the output, which the caller can make again."""
        shutil.rmtree(self.folder, ignore_errors=True)


def output_root() -> Path:
    """Where outputs are kept until they are published: in HF_HOME, or in the temporary folder if that is read-only.

    Raises:
        LratError: Neither can be written.
    """
    from huggingface_hub.constants import HF_HOME

    homes = [Path(HF_HOME) / "lrat" / "unpublished", Path(tempfile.gettempdir()) / f"lrat-unpublished-{os.getuid()}"]
    errors: list[str] = []
    for home in homes:
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=home) as file:
                file.write(bytes(1 << 16))
                file.flush()
        except OSError as error:
            errors.append(f"{home}: {error.strerror}")
        else:
            return home
    raise LratError(
        f"Output: expected a folder that can be written, found none ({'; '.join(errors)}). Free some space, or set "
        "HF_HOME or TMPDIR to a folder on another disk."
    )


@contextmanager
def output_folder(target: HubRef, *, keep_unfinished: bool = False) -> Iterator[Path]:
    """A new folder for what is to be published; it is removed once the block has ended well.

    Args:
        target: Where it will be published.
        keep_unfinished: Whether the folder stays also if it was not finished (see `seal`), such as one with a model
            whose card could not be made.

    Raises:
        Unpublished: The output was finished, and publishing it failed.
    """
    name = "--".join((*target.repo_id.split("/"), ""))
    folder = Path(tempfile.mkdtemp(prefix=name, dir=output_root()))
    try:
        yield folder
    except Exception as error:
        if not _is_kept(folder, keep_unfinished):
            raise
        if (folder / SEAL_FILE).is_file():
            raise Unpublished(error, folder, target) from error
        if isinstance(error, LratError):
            raise LratError(f"{error} What was made so far is kept in {folder}") from error
        error.add_note(f"What was made so far is kept in {folder}")
        raise
    except BaseException as error:
        if _is_kept(folder, keep_unfinished):
            error.add_note(f"The output is kept in {folder}")
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _is_kept(folder: Path, keep_unfinished: bool) -> bool:
    if (folder / SEAL_FILE).is_file() or (keep_unfinished and any(folder.iterdir())):
        return True
    shutil.rmtree(folder, ignore_errors=True)
    return False


def seal(folder: Path, lineage: Lineage, *, private: bool = False) -> None:
    """Writes the lineage, with the files' hashes, into a folder whose other files are there; marks it as finished.

    Args:
        private: Whether it must not become public, also if it is published later.
    """
    if private:
        (folder / PRIVATE_FILE).touch()
    digests = {name: published_digest(path) for name, path in files_of(folder).items() if name != LINEAGE_FILE}
    (folder / LINEAGE_FILE).write_text(replace(lineage, files=digests).to_json(), encoding="utf-8")
    sizes = {name: path.stat().st_size for name, path in files_of(folder).items()}
    draft = folder / f"{SEAL_FILE}.draft"
    draft.write_text(json.dumps(sizes, indent=1), encoding="utf-8")
    draft.replace(folder / SEAL_FILE)


def published_digest(path: Path) -> str:
    """The sha256 of a published file as a lineage records it; for cards see `card_digest`."""
    return card_digest(path.read_text(encoding="utf-8")) if path.name == CARD_FILE else sha256_of(path)


def files_of(folder: Path) -> dict[str, Path]:
    """The files that are published of a folder, by their names there: all that are not hidden."""
    paths = ((path.relative_to(folder).as_posix(), path) for path in sorted(folder.rglob("*")) if path.is_file())
    return {name: path for name, path in paths if not any(part.startswith(".") for part in name.split("/"))}


def kind_of(folder: Path) -> RepoType:
    """The kind of repository that an output is for: a dataset's card lists its configs, a Space's has its `sdk`."""
    from huggingface_hub import RepoCard

    try:
        data = RepoCard.load(folder / CARD_FILE, ignore_metadata_errors=True).data
    except (OSError, ValueError) as error:
        raise LratError(f"{folder / CARD_FILE}: expected a card, found one that can't be read; {error}.") from error
    return "dataset" if data.get("configs") else "space" if data.get("sdk") else "model"


def check_output(folder: Path) -> Lineage:
    """The lineage of a finished output, all of whose files are there.

    Raises:
        LratError: The folder is not one, or a file is missing or cut short.
    """
    from lrat_hub.hub.inputs import first_line

    if not folder.is_dir():
        raise LratError(f"{folder}: expected a folder with what a stage made, found none.")
    for name in (CARD_FILE, LINEAGE_FILE):
        if not (folder / name).is_file():
            raise LratError(
                f"{folder}: expected a finished output with its {name}, found none. It can't be published."
            )
    files = files_of(folder)
    _check_seal(folder, files)
    try:
        lineage = Lineage.from_json((folder / LINEAGE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LratError(f"{folder / LINEAGE_FILE}: expected a lineage; {first_line(error)}.") from error
    if (kind := kind_of(folder)) == "dataset":
        _check_tables(folder)
    elif kind == "model" and INDEX_STAMP not in files and not any(name.endswith(_WEIGHTS) for name in files):
        raise LratError(f"{folder}: expected a model with its weights, found {', '.join(files)}.")
    return lineage


def _check_seal(folder: Path, files: dict[str, Path]) -> None:
    with suppress(FileNotFoundError):
        try:
            sizes = json.loads((folder / SEAL_FILE).read_text(encoding="utf-8"))
        except ValueError as error:
            raise LratError(f"{folder / SEAL_FILE}: expected names and sizes of files; {error}.") from error
        for name, size in sizes.items():
            there = files[name].stat().st_size if name in files else None
            if there != size:
                raise LratError(
                    f"{folder}: expected {name} with {size} bytes, found {'none' if there is None else there}. "
                    "The output is no longer complete."
                )


def _check_tables(folder: Path) -> None:
    """Raises LratError unless each split that the card names has its files, and each of them can be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from huggingface_hub import RepoCard

    configs: Iterable[dict] = RepoCard.load(folder / CARD_FILE, ignore_metadata_errors=True).data.get("configs") or ()
    for config in configs:
        for split in config["data_files"]:
            paths = sorted(folder.glob(split["path"]))
            count = int(paths[0].stem.rpartition("-of-")[2]) if paths and "-of-" in paths[0].stem else 1
            if len(paths) < count or not paths:
                raise LratError(
                    f"{folder}: expected {count} files of config {config['config_name']}, split {split['split']}, "
                    f"found {len(paths)}."
                )
            for path in paths:
                try:
                    pq.read_metadata(path)
                except (OSError, pa.ArrowInvalid) as error:
                    raise LratError(f"{path}: expected a Parquet file; {error}") from error
