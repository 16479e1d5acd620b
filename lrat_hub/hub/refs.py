"""References to Hub repositories, and pins: references whose revision is a full commit sha."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from lrat_hub.errors import LratError

RepoType = Literal["model", "dataset", "space"]

_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_REF = re.compile(
    r"(?P<type>datasets/|models/|spaces/)?"
    rf"(?P<repo_id>{_NAME}/{_NAME})"
    r"(@(?P<revision>[^@#\s]+?))?"
    r"(#(?P<config>[\w.-]+))?"
    r"(:(?P<split>[\w.-]+))?",
    re.ASCII,
)
# What huggingface_hub refuses besides, with an error of its own.
_REFUSED = re.compile(r"--|\.\.|\.git$")
HTTP_LIBRARIES = ("httpx", "httpx2", "httpcore", "httpcore2", "requests")
_SHA = re.compile(r"[0-9a-f]{40}")
ANSWER_SECONDS = 60.0
"""Longest wait for the next bytes of an answer, after which a request counts as one without an answer."""


@dataclass(frozen=True)
class HubRef:
    """A repository at a revision, with an optional dataset config and split.

    Written `namespace/name@revision` for models, `datasets/namespace/name@revision#config:split` for datasets and
    `spaces/namespace/name@revision` for Spaces, the way `hf://` paths are; no revision means `main`.
    `HubRef.parse(str(ref)) == ref`.
    """

    repo_id: str
    repo_type: RepoType = "model"
    revision: str = "main"
    config: str | None = None
    split: str | None = None

    @classmethod
    def parse(cls, text: str, *, repo_type: RepoType = "model") -> HubRef:
        """Reads a reference.

        Args:
            repo_type: Type of a reference without `datasets/`, `models/` or `spaces/` in front.

        Raises:
            LratError: The text is not a reference.
        """
        match = _REF.fullmatch(text.strip())
        if match is None or _REFUSED.search(match["repo_id"]):
            raise LratError(
                f"Reference {text!r}: expected namespace/name[@revision][#config][:split], with datasets/ in front "
                "for datasets. A local path starts with /, ./ or ../"
            )
        kinds: dict[str | None, RepoType] = {
            "datasets/": "dataset", "models/": "model", "spaces/": "space", None: repo_type
        }  # fmt: skip
        return cls(
            match["repo_id"], kinds[match["type"]], match["revision"] or "main", match["config"], match["split"]
        )

    def __str__(self) -> str:
        prefix = "" if self.repo_type == "model" else f"{self.repo_type}s/"
        config = f"#{self.config}" if self.config else ""
        split = f":{self.split}" if self.split else ""
        return f"{prefix}{self.repo_id}@{self.revision}{config}{split}"

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a full commit sha."""
        return bool(_SHA.fullmatch(self.revision))

    def pin(self) -> HubRef:
        """The same reference at the commit its revision names now. Asks the Hub, also for shas: they must exist.

        Raises:
            LratError: The repository or revision does not exist, may not be seen, or the Hub can't be reached.
        """
        from huggingface_hub import HfApi, constants

        from lrat_hub.hub.retries import read

        if constants.HF_HUB_OFFLINE and self.is_pinned:
            return self
        api = HfApi()
        info = read(self, lambda: api.repo_info(self.repo_id, repo_type=self.repo_type, revision=self.revision))
        return replace(self, revision=info.sha)


def is_transport_error(error: BaseException) -> bool:
    """Whether a request got no answer."""
    # The client's HTTP library has changed before, and its transport errors share no base class with the built-in
    # ones; they are told by their module. Answers that report an error come from there too, and are none of these.
    library = type(error).__module__.partition(".")[0]
    answered = getattr(error, "response", None) is not None
    return isinstance(error, (ConnectionError, TimeoutError)) or (library in HTTP_LIBRARIES and not answered)


def limit_waiting() -> None:
    """Gives the Hub's client, which waits for ever, a limit; a client that a program has set stays as it is."""
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import _http

    if _http._GLOBAL_CLIENT_FACTORY is _http.default_client_factory:
        set_client_factory(_limited_client)


def _limited_client() -> Any:
    from huggingface_hub.utils import _http

    client = _http.default_client_factory()
    client.timeout = ANSWER_SECONDS
    hooks = client.event_hooks
    client.event_hooks = {**hooks, "request": [*hooks["request"], _limit]}
    return client


def _limit(request: Any) -> None:
    """Limits each wait of a request that has no limit: callers such as `HfApi.repo_info` ask for none by default."""
    limits = request.extensions.get("timeout") or {}
    request.extensions["timeout"] = {
        kind: ANSWER_SECONDS if limits.get(kind) is None else limits[kind]
        for kind in ("connect", "read", "write", "pool")
    }


@contextmanager
def hub_errors(ref: HubRef) -> Iterator[None]:
    """Turns what the Hub's client raises about `ref` into one clear line; no request in it waits for ever."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    limit_waiting()
    endpoint = constants.ENDPOINT
    kind = f"{ref.repo_type} repository"
    try:
        yield
    except RevisionNotFoundError as error:
        raise LratError(f"{ref}: {ref.repo_id} has no revision {ref.revision!r} at {endpoint}.") from error
    except GatedRepoError as error:
        raise LratError(f"{ref}: access is gated. Ask for it on its page at {endpoint}.") from error
    except RepositoryNotFoundError as error:
        other = _other_kind(ref)
        there = f" There is a {other} of that name." if other else ""
        if not there and ref.repo_type == "model" and endpoint != "https://huggingface.co":
            there = (
                f" Upload it from a folder (`hf upload {ref.repo_id} FOLDER .`), or give the folder, such as ./model."
            )
        raise LratError(f"{ref}: no such {kind} at {endpoint}, or HF_TOKEN may not see it.{there}") from error
    except LocalEntryNotFoundError as error:
        if constants.HF_HUB_OFFLINE:
            raise LratError(f"{ref}: not in the local cache, and HF_HUB_OFFLINE is set. Go online once.") from error
        raise LratError(f"{ref}: not in the local cache, and {endpoint} can't be reached.") from error
    except EntryNotFoundError as error:
        raise LratError(f"{ref}: a file is missing there. {str(error).splitlines()[0]}") from error
    except OfflineModeIsEnabled as error:
        raise LratError(f"{ref}: HF_HUB_OFFLINE is set, so only pinned references can be used.") from error
    except HfHubHTTPError as error:
        detail = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise LratError(f"{ref}: {endpoint} refused the request. {detail}") from error
    except Exception as error:
        if is_transport_error(error):
            raise LratError(
                f"{ref}: the Hub at {endpoint} can't be reached. Check HF_ENDPOINT, and that the Hub is running."
            ) from error
        raise


def _other_kind(ref: HubRef) -> RepoType | None:
    """A kind of repository that there is of this name, where there is none of the kind that was asked for."""
    from huggingface_hub import HfApi

    other: RepoType = "dataset" if ref.repo_type == "model" else "model"
    with suppress(Exception):  # the first error is the one to tell
        return other if HfApi().repo_exists(ref.repo_id, repo_type=other) else None
    return None
