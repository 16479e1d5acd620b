"""Publishing: data or model, card and lineage in one commit, so that no reader sees one without the others."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import LINEAGE_FILE, Lineage
from lrat_hub.hub.outputs import (
    CARD_FILE,
    INDEX_STAMP,
    PRIVATE_FILE,
    check_output,
    files_of,
    kind_of,
    output_folder,
    seal,
)
from lrat_hub.hub.picture import PICTURE_FILE, draw_lineage
from lrat_hub.hub.refs import HubRef, hub_errors
from lrat_hub.hub.retries import commit, read, retried

if TYPE_CHECKING:
    from datasets import Dataset
    from huggingface_hub import DatasetInfo, ModelInfo

Tables = Mapping[str, Mapping[str, "Dataset | Sequence[Path]"]]
"""Config name to split name to rows, or to the Parquet files with them. The first config is the dataset's default."""

DERIVED_FOLDERS = {"figures", "traces", "runs"}
"""Folders of a dataset that are derived from its configs: a later publication may lack them."""

ROWS_PER_FILE = 500_000


def publish_dataset(
    ref: HubRef,
    tables: Tables,
    *,
    card: str,
    lineage: Lineage,
    files: Mapping[str, str | bytes | Path] | None = None,
    private: bool = False,
) -> HubRef:
    """Publishes configs and splits as Parquet with their card and lineage, as one commit.

    Args:
        ref: The target; its revision is a branch, which is created if it is missing.
        card: The card, without metadata for `configs`, which is added here.
        files: Further files, as text, as bytes or by their path here, by their path in the repository.
        private: See `publish_folder`.

    Returns:
        The pin of what was published. Publishing the same content again gives the same pin.

    Raises:
        Unpublished: What was to be published is finished, and is kept, but the Hub did not take it.
        LratError: A config or split has a name that can't be loaded again, or there is no room on the disk.
    """
    require_loadable_names(ref, tables, chain.from_iterable(tables.values()))
    with output_folder(ref) as root:
        for config, splits in tables.items():
            for split, table in splits.items():
                _write_parquet(table, root / config, split)
        for name, content in (files or {}).items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copyfile(content, path)
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        (root / CARD_FILE).write_text(with_configs(card, tables), encoding="utf-8")
        return publish_folder(ref, root, lineage, private=private)


def publish_folder(ref: HubRef, folder: Path, lineage: Lineage, *, private: bool = False) -> HubRef:
    """Publishes a folder that holds a card, with its lineage and a picture, as a commit that replaces what was there.

    It replaces only a publication by this project, and a dataset only by one with the same configs or more. Commits
    of others and lost connections are handled, and logged (see `retries`).

    Args:
        private: Whether nobody else may read it: a missing repository is made private, and a public one refused.

    Raises:
        LratError: The reference is a sha, something else is there, the Hub refuses, or others keep committing.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    target = publication_target(ref)
    if not (folder / CARD_FILE).is_file():
        raise LratError(f"{target}: expected a card ({CARD_FILE}) with what is published, found none.")
    (folder / PICTURE_FILE).write_text(draw_lineage(lineage, target.repo_type), encoding="utf-8")
    seal(folder, lineage, private=private)
    files = files_of(folder)
    api = HfApi()

    def create_target() -> None:
        create_repository(target, private=private or None)
        if target.revision != "main":
            api.create_branch(target.repo_id, repo_type=target.repo_type, branch=target.revision, exist_ok=True)

    def plan() -> tuple[str, list[CommitOperationAdd | CommitOperationDelete]]:
        # Errors stay what they are, so that those that may pass are tried again.
        info = api.repo_info(target.repo_id, repo_type=target.repo_type, revision=target.revision)
        tip = cast("ModelInfo | DatasetInfo", info)
        present = {file.rfilename for file in tip.siblings or ()} - {".gitattributes"}
        refuse_loss(target, present, set(files))
        return str(tip.sha), [
            *(CommitOperationDelete(path) for path in sorted(present - set(files))),
            *(CommitOperationAdd(name, path) for name, path in files.items()),
        ]

    with hub_errors(target):
        retried(create_target, what=str(target))
        if private and not is_private(target):
            refuse_public(target)
        return replace(target, revision=commit(api, target, plan, title=f"lrat {lineage.stage}"))


def create_repository(ref: HubRef, *, private: bool | None = None) -> None:
    """Makes sure that there is a repository; a Space is a static one, whose files are its page.

    Args:
        private: Whether a new one is private; None for what the Hub makes.
    """
    from huggingface_hub import HfApi

    sdk = "static" if ref.repo_type == "space" else None
    HfApi().create_repo(ref.repo_id, repo_type=ref.repo_type, space_sdk=sdk, private=private, exist_ok=True)


def require_loadable_names(ref: HubRef, configs: Iterable[str], splits: Iterable[str]) -> None:
    """Raises LratError for a config or a split of which `load_dataset`, or a reference, can't be given the name."""
    for name in configs:
        if not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):
            raise LratError(f"{ref}: expected names of letters, digits, '_', '-' and '.', found {name!r}.")
    for name in splits:
        # `datasets` has a stricter rule for splits, and one name that means all of them.
        if not re.fullmatch(r"\w+(\.\w+)*", name, re.ASCII) or name == "all":
            near = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
            advice = f" Call it {near!r}." if near and near not in (name, "all") else ""
            raise LratError(
                f"{ref}: expected a split named with letters, digits, '_' and '.', but not 'all', found {name!r}, "
                f"which `load_dataset` can't load.{advice}"
            )


def refuse_loss(target: HubRef, present: set[str], files: set[str]) -> None:
    """Raises LratError when files that are not ours, another kind of artifact or whole configs would be removed.

    Args:
        present: Names of the files that are there.
        files: Names of the files that take their place.
    """
    advice = "Publish to another repository or branch."
    if present - {CARD_FILE} and LINEAGE_FILE not in present:
        raise LratError(f"{target}: expected nothing or an earlier publication there, found other files. {advice}")
    if target.repo_type == "dataset":
        folders, kept = ({path.partition("/")[0] for path in paths if "/" in path} for paths in (present, files))
        lost = folders - kept - DERIVED_FOLDERS
        if lost:
            raise LratError(f"{target}: it has {', '.join(sorted(lost))}, which this would remove. {advice}")
    elif LINEAGE_FILE in present and (INDEX_STAMP in present) != (INDEX_STAMP in files):
        there, new = ("an index", "a model") if INDEX_STAMP in present else ("a model", "an index")
        raise LratError(f"{target}: it has {there}, which {new} would replace. {advice}")


def update_card(ref: HubRef, card: str, *, parent: str) -> HubRef:
    """Replaces the card at a branch and gives the new pin. Data, model and lineage stay as they are.

    Args:
        parent: The commit that the card was made for.

    Raises:
        LratError: The branch has moved on since, or the Hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    target = publication_target(ref)
    operations = [CommitOperationAdd(CARD_FILE, card.encode())]
    with hub_errors(target):
        sha = commit(
            HfApi(), target, lambda: (parent, operations), title="lrat eval: results into the card", conflicts=False
        )
    return replace(target, revision=sha)


def publication_target(ref: HubRef) -> HubRef:
    """The reference, when something can be published there; else raises LratError."""
    if ref.is_pinned:
        raise LratError(
            f"{ref}: expected a branch to publish to, found a commit sha. Leave @{ref.revision[:7]}... out."
        )
    if ref.config or ref.split:
        raise LratError(f"{ref}: expected a repository to publish to, found a config or split. Leave it out.")
    return ref


def require_private(ref: HubRef) -> None:
    """Makes sure that a repository exists and is private: a missing one is created, a public one is refused.

    Some data may be published only where nobody else reads it.

    Raises:
        LratError: It is public, or can't be made.
    """
    with hub_errors(ref):
        create_repository(ref, private=True)
    if not is_private(ref):
        refuse_public(ref)


def is_private(ref: HubRef) -> bool:
    """Whether a repository is private; False where this process is offline.

    Raises:
        LratError: The Hub doesn't say: what is made of the repository could become public by mistake.
    """
    from huggingface_hub import HfApi, constants

    if constants.HF_HUB_OFFLINE:
        return False
    api = HfApi()
    info = read(ref, lambda: api.repo_info(ref.repo_id, repo_type=ref.repo_type))
    return bool(cast("ModelInfo | DatasetInfo", info).private)


def refuse_public(ref: HubRef) -> NoReturn:
    """Raises the LratError for a repository that is public and was to be private."""
    raise LratError(
        f"{ref.repo_id}: expected a private repository for data that must not become public, found a public one. "
        "Publish to another, or make it private first."
    )


def count_rows(tables: Tables) -> dict[str, dict[str, int]]:
    """Rows of each split of each config, for the counts of a lineage."""
    import pyarrow.parquet as pq

    return {
        config: {
            split: sum(pq.read_metadata(path).num_rows for path in table)
            if isinstance(table, Sequence)
            else len(table)
            for split, table in splits.items()
        }
        for config, splits in tables.items()
    }


def _write_parquet(table: Dataset | Sequence[Path], folder: Path, split: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    are_files = isinstance(table, Sequence)
    count = len(table) if are_files else max(1, -(-len(table) // ROWS_PER_FILE))
    for index in range(count):
        path = folder / f"{split}-{index:05d}-of-{count:05d}.parquet"
        if are_files:
            shutil.copyfile(table[index], path)
        else:
            shard = table.shard(count, index, contiguous=True) if count > 1 else table
            shard.to_parquet(path)


def with_configs(card: str, tables: Tables) -> str:
    """The card with the `configs` of its metadata, which tell `load_dataset` where each config's files are."""
    from huggingface_hub import DatasetCard

    parsed = DatasetCard(card)
    parsed.data["configs"] = [
        {
            "config_name": config,
            **({"default": True} if index == 0 else {}),
            "data_files": [{"split": split, "path": f"{config}/{split}-*.parquet"} for split in splits],
        }
        for index, (config, splits) in enumerate(tables.items())
    ]
    return str(parsed)


def publish_output(folder: Path, target: HubRef) -> HubRef:
    """Publishes a finished output, and gives the pin of what was published. The folder stays.

    What was to be private is published to a private repository.

    Raises:
        LratError: As for `check_output` and `publish_folder`, or it is for another kind of repository.
    """
    lineage = check_output(folder)
    if (kind := kind_of(folder)) != target.repo_type:
        raise LratError(f"{folder}: expected a {target.repo_type} to publish to {target}, found a {kind}.")
    return publish_folder(target, folder, lineage, private=(folder / PRIVATE_FILE).exists())
