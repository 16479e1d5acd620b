"""Answers other than success, as exceptions that the app turns into what Hub clients understand.

Clients tell errors apart by the `X-Error-Code` header: over plain http it is the only way they have.
"""

from __future__ import annotations

from lrat_hub.localhub.names import RepoId


class HubError(Exception):
    """An HTTP error.

    Args:
        status: The HTTP status.
        message: One line for the user.
        code: The `X-Error-Code` of the Hub, if it has one for this.
        headers: Further response headers.
    """

    def __init__(self, status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers or {}


def repo_not_found(repo: RepoId | str) -> HubError:
    """Also the answer for a private repository that the caller may not see: the two must look the same."""
    return HubError(404, f"Repository not found: {repo}", code="RepoNotFound")


def revision_not_found(repo: RepoId, revision: str) -> HubError:
    return HubError(404, f"Invalid rev id: {revision} in {repo}", code="RevisionNotFound")


def entry_not_found(path: str, commit: str) -> HubError:
    """The commit goes with it: clients remember that this file does not exist at this commit."""
    return HubError(404, f"Entry not found: {path}", code="EntryNotFound", headers={"X-Repo-Commit": commit})
