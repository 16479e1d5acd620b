"""Tags of repositories: names that stand for commits, set where they are missing and moved where they should be."""

from __future__ import annotations

from lrat_hub.hub.refs import HubRef, hub_errors
from lrat_hub.hub.retries import read, retried


def named_commits(target: HubRef) -> dict[str, str]:
    """The commits of a repository that have a name, by their names: branches, then tags; {} if it is not there."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    def ask() -> dict[str, str]:
        try:
            refs = HfApi().list_repo_refs(target.repo_id, repo_type=target.repo_type)
        except RepositoryNotFoundError:
            return {}
        # The newest tag is the likeliest to be looked for.
        return {ref.name: ref.target_commit for ref in (*refs.branches, *reversed(refs.tags))}

    return read(target, ask)


def set_tag(pin: HubRef, tag: str) -> None:
    """Makes a tag stand for a commit. A Hub can't move one: where it stands elsewhere, it is gone for a moment.

    Raises:
        LratError: The Hub refuses, or can't be reached.
    """
    from huggingface_hub import HfApi

    if named_commits(pin).get(tag) == pin.revision:
        return
    drop_tag(pin, tag)
    with hub_errors(pin):
        retried(
            lambda: HfApi().create_tag(
                pin.repo_id, repo_type=pin.repo_type, tag=tag, revision=pin.revision, exist_ok=True
            ),
            what=str(pin),
            conflicts=False,
        )


def drop_tag(target: HubRef, tag: str) -> None:
    """Removes a tag, where it is there."""
    from huggingface_hub import HfApi

    if tag in named_commits(target):
        with hub_errors(target):
            retried(
                lambda: HfApi().delete_tag(target.repo_id, repo_type=target.repo_type, tag=tag),
                what=str(target),
                conflicts=False,
            )
