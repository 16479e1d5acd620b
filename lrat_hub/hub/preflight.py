"""The first look: whether what a stage will make can be published, asked before the first second of work.

It asks the Hub and this machine, takes seconds, and ends in one line where hours of work would have come to nothing.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from tenacity import Retrying

from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import LINEAGE_FILE
from lrat_hub.hub.outputs import INDEX_STAMP, output_root
from lrat_hub.hub.publish import publication_target, refuse_loss, require_loadable_names
from lrat_hub.hub.refs import HubRef, hub_errors
from lrat_hub.hub.retries import backoff, is_outage, read

if TYPE_CHECKING:
    from huggingface_hub import DatasetInfo, ModelInfo

LOOK_SECONDS = 5.0
"""Longest wait for an answer of the Hub, and time after which no further attempt begins."""

LEAST_FREE_BYTES = 32 * 2**20
"""Free space without which no stage starts: its smallest outputs and logs need some."""


@dataclass(frozen=True)
class Target:
    """Where a stage publishes, as it was at the first look.

    Args:
        ref: The branch.
        files: Names of the files that are there now.
        revision: The commit that it is at; None where the repository or the branch will be made.
        private: Whether the repository is; None where there is none yet.
    """

    ref: HubRef
    files: frozenset[str] = frozenset()
    revision: str | None = None
    private: bool | None = None

    def require(self, configs: Collection[str] | None, splits: Iterable[str] = (), *, index: bool = False) -> None:
        """Refuses what can't be published there.

        Args:
            configs: Names of all configs that there may be; None for a model or an index, or where they are not known.
            splits: Names of splits.
            index: Whether it is an index that will be published.

        Raises:
            LratError: Something else would be lost, or a name can't be loaded again.
        """
        require_loadable_names(self.ref, configs or (), splits)
        if configs is None and self.ref.repo_type == "dataset":
            refuse_loss(self.ref, set(self.files), set(self.files) | {LINEAGE_FILE})
            return
        planned = {f"{name}/" for name in configs or ()} | ({INDEX_STAMP} if index else set())
        refuse_loss(self.ref, set(self.files), planned)

    def __str__(self) -> str:
        if self.private is None:
            return f"{self.ref} (new, public unless its namespace or an input is private)"
        seen = "private" if self.private else "public"
        if self.revision is None:
            return f"{self.ref} ({seen}, new branch)"
        what = f"replaces {self.revision[:7]}" if LINEAGE_FILE in self.files else "empty so far"
        return f"{self.ref} ({seen}, {what})"


def look_at_target(ref: HubRef) -> Target:
    """The first look at where something will be published.

    Raises:
        LratError: This process is offline or has no token, the Hub can't be reached or refuses the token, the token
            may not write there, or the reference is no branch.
    """
    from huggingface_hub import HfApi, constants, get_token
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    target = publication_target(ref)
    if constants.HF_HUB_OFFLINE:
        raise LratError(f"{target}: HF_HUB_OFFLINE is set, so nothing can be published. Unset it, and start again.")
    token = get_token()
    if not token:
        raise LratError(
            f"{target}: expected a token to publish with, found none. Set HF_TOKEN, or log in with `hf auth login`."
        )
    require_writer(target, account_of(constants.ENDPOINT, token))
    api = HfApi()

    def info_at(revision: str | None) -> Any:
        def ask() -> Any:
            return api.repo_info(
                target.repo_id, repo_type=target.repo_type, revision=revision, timeout=LOOK_SECONDS, token=token
            )

        return _asked(ask)

    with hub_errors(target):
        try:
            try:
                info, revision = info_at(target.revision), True
            except RevisionNotFoundError:
                # A new branch begins with what the default one has.
                info, revision = info_at(None), False
        except (RepositoryNotFoundError, RevisionNotFoundError):
            return Target(target)
    tip = cast("ModelInfo | DatasetInfo", info)
    files = frozenset(file.rfilename for file in tip.siblings or ()) - {".gitattributes"}
    return Target(target, files, tip.sha if revision else None, bool(tip.private))


@lru_cache
def account_of(endpoint: str, token: str) -> dict[str, Any]:
    """Whose token it is, as the Hub says; {} from a Hub that is too busy to say.

    Raises:
        LratError: The Hub can't be reached, or refuses the token.
    """
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    def ask() -> Any:
        url = f"{endpoint}/api/whoami-v2"
        response = get_session().get(url, headers=build_hf_headers(token=token), timeout=LOOK_SECONDS)
        hf_raise_for_status(response)
        return response.json()

    try:
        answer = _asked(ask)
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status == 401:
            raise LratError(
                f"{endpoint} refuses the token: it is wrong or expired. Set HF_TOKEN to a token of this Hub."
            ) from error
        if status is not None:
            # The Hub answers, and this question is limited more strictly than others.
            return {}
        if is_outage(error):
            raise LratError(
                f"The Hub at {endpoint} can't be reached. Check HF_ENDPOINT, and that the Hub is running."
            ) from error
        raise
    return answer if isinstance(answer, dict) else {}


def endpoint_problem() -> str | None:
    """What is wrong with HF_ENDPOINT where it is no address; huggingface_hub can't even be imported with some."""
    endpoint = os.environ.get("HF_ENDPOINT")
    if endpoint is None:
        return None
    try:
        parts = urlsplit(endpoint)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return None
    except ValueError:
        pass  # a port or a host that there can't be
    shown = re.sub(r"//[^/]*@", "//", endpoint)
    return (
        f"HF_ENDPOINT: expected the address of a Hub, as https://huggingface.co, found {shown!r}. Correct or unset it."
    )


def _asked(ask: Callable[[], Any]) -> Any:
    """An answer, with a second and a third attempt while seconds are left; how they went is not said."""
    return Retrying(**backoff(is_outage, attempts=3, patience=LOOK_SECONDS))(ask)


def require_writer(target: HubRef, account: dict[str, Any]) -> None:
    """Raises LratError when an account is known not to write to a namespace."""
    role, names, everywhere = access_of(account)
    name, namespace = account.get("name"), target.repo_id.partition("/")[0]
    if role == "read":
        raise LratError(f"{target}: expected a token that may write, found one of {name} that may only read.")
    if name and namespace not in names and role == "write" and not everywhere:
        raise LratError(
            f"{target}: expected a namespace of {', '.join(names)}, which the token may write to, found {namespace}."
        )


def access_of(account: dict[str, Any]) -> tuple[str | None, list[str], bool]:
    """The role of an account's token, the account's namespaces, and whether the token is for all others as well.

    The last holds for the owner of an embedded Hub. What a fine-grained token may do is not told in this way.
    """
    token = (account.get("auth") or {}).get("accessToken") or {}
    names = [account.get("name"), *(org.get("name") for org in account.get("orgs") or ())]
    return token.get("role"), list(map(str, names)), bool(token.get("everyNamespace"))


def check_machine() -> None:
    """Raises LratError when this machine has no room for the smallest output."""
    from huggingface_hub.constants import HF_HUB_CACHE

    require_disk(output_root(), LEAST_FREE_BYTES, "to publish from")
    require_disk(Path(HF_HUB_CACHE), LEAST_FREE_BYTES, "of the Hub's cache")


def require_disk(folder: Path, size: int, purpose: str) -> None:
    """Raises LratError when the disk of a folder, which need not be there yet, has less free space than needed."""
    free = free_space(folder)
    if free < size:
        raise LratError(
            f"{folder} {purpose}: expected {in_words(size)} of free space, found {in_words(free)}. Free some, or take "
            "a folder on another disk: HF_HOME, TMPDIR or `work_dir`."
        )


def free_space(folder: Path) -> int:
    """Bytes that are free on the disk of a folder, which need not be there yet."""
    return shutil.disk_usage(part_that_exists(folder)).free


def part_that_exists(folder: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def free_memory() -> int:
    """Bytes of memory that are free, within the limit of this process's control group."""
    import psutil

    free = psutil.virtual_memory().available
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):
        return free
    return min(free, max(0, limit - used))


def in_words(size: int) -> str:
    """A number of bytes, such as 1.5 GB."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


def download_size(ref: HubRef) -> int | None:
    """Bytes of what will be read of an input, by the sizes that its Hub gives; None where they are not known.

    Of a dataset, those of the config's folder; of a model, those of one format of its weights.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    info = read(
        ref,
        lambda: api.repo_info(ref.repo_id, repo_type=ref.repo_type, revision=ref.revision, files_metadata=True),
    )
    sizes = {file.rfilename: file.size for file in cast("ModelInfo | DatasetInfo", info).siblings or ()}
    if ref.repo_type == "dataset":
        wanted = re.compile(rf"{re.escape(ref.config)}/" if ref.config else r"(?!)")
    else:
        wanted = re.compile(r".*\.(safetensors|faiss|feather|npy)$" if any(map(_is_tensors, sizes)) else r".*\.bin$")
    chosen = [size for name, size in sizes.items() if wanted.match(name)]
    return sum(size or 0 for size in chosen) if chosen else None


def _is_tensors(name: str) -> bool:
    return name.endswith((".safetensors", ".faiss", ".npy"))
