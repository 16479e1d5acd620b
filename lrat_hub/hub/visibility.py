"""Who may see a repository: some data may be published only where nobody else reads it."""

from __future__ import annotations

from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef, hub_errors


def require_private(ref: HubRef) -> None:
    """Makes sure that a repository exists and is private: a missing one is made so, a public one is refused.

    Raises:
        LratError: It is public, or can't be made.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with hub_errors(ref):
        api.create_repo(ref.repo_id, repo_type=ref.repo_type, private=True, exist_ok=True)
        private = api.repo_info(ref.repo_id, repo_type=ref.repo_type).private
    if not private:
        raise LratError(
            f"{ref.repo_id}: expected a private repository for data that must not become public, found a public one. "
            "Publish to another, or make it private first."
        )
