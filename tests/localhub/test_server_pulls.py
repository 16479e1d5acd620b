"""Pull requests and discussions, from the first commit to the merge, by those who may write and by others."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from requests_by_hand import commit, connect, put

from lrat_hub.localhub import LocalHub
from lrat_hub.localhub.root import create_token

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi

_names = itertools.count()


@pytest.fixture
def other(hub: LocalHub) -> HfApi:
    """Somebody who may not write in the namespace of the repository."""
    from huggingface_hub import HfApi

    return HfApi(hub.endpoint, token=create_token(hub.root, f"guest-{next(_names)}", "write"))


def propose(api: HfApi, repo: str, path: str, content: bytes, **where: Any) -> Any:
    return api.upload_file(repo_id=repo, path_in_repo=path, path_or_fileobj=content, create_pr=True, **where)


def content_of(http: httpx2.Client, repo: str, path: str, revision: str = "main") -> str:
    return http.get(f"/{repo}/resolve/{revision.replace('/', '%2F')}/{path}").text


def test_a_pull_request_is_for_the_branch_that_it_names_and_is_merged_there(
    api: HfApi, http: httpx2.Client, repo: str
) -> None:
    api.create_branch(repo, branch="dev")
    commit(http, repo, put("on-main"))
    opened = propose(api, repo, "a", b"one", revision="dev")
    details = api.get_discussion_details(repo, opened.pr_num)
    assert (details.target_branch, details.status) == ("refs/heads/dev", "open")
    assert [event.summary for event in details.events if event.type == "commit"] == ["Upload a with huggingface_hub"]
    assert "+one" in (details.diff or "")
    assert "on-main" not in (details.diff or "")
    api.merge_pull_request(repo, opened.pr_num, comment="thanks")
    merged = api.get_discussion_details(repo, opened.pr_num)
    assert (merged.status, merged.merge_commit_oid) == (
        "merged",
        api.list_repo_commits(repo, revision="dev")[0].commit_id,
    )
    assert "+one" in (merged.diff or "")
    assert [event.content for event in merged.events if event.type == "comment"] == ["thanks"]
    assert api.file_exists(repo, "a", revision="dev")
    assert not api.file_exists(repo, "a")


@pytest.mark.parametrize("target", ["v1", "{sha}", "nowhere", "refs/pr/1"])
def test_only_a_branch_can_be_proposed_to(http: httpx2.Client, api: HfApi, repo: str, target: str) -> None:
    api.create_tag(repo, tag="v1")
    propose(api, repo, "a", b"one")
    revision = target.format(sha=api.model_info(repo).sha).replace("/", "%2F")
    lines = b'{"key":"header","value":{"summary":"x"}}\n'
    answer = http.post(f"/api/models/{repo}/commit/{revision}?create_pr=1", content=lines)
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "RevisionNotFound")
    # The tag and the commit are there, and no branches.
    assert answer.json()["error"].endswith("expected a branch")
    assert [pull.num for pull in api.get_repo_discussions(repo)] == [1]


def test_a_draft_is_opened_committed_to_and_merged(api: HfApi, http: httpx2.Client, repo: str) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    draft = api.create_pull_request(repo, title="An idea", description="what it is")
    assert (draft.status, draft.is_pull_request, draft.conflicting_files) == ("draft", True, [])
    with pytest.raises(HfHubHTTPError, match="draft"):
        api.merge_pull_request(repo, draft.num)
    api.change_discussion_status(repo, draft.num, "open")
    with pytest.raises(HfHubHTTPError, match="no changes"):
        api.merge_pull_request(repo, draft.num)
    api.upload_file(repo_id=repo, path_in_repo="a", path_or_fileobj=b"1", revision=draft.git_reference)
    assert api.rename_discussion(repo, draft.num, "A better idea").new_title == "A better idea"
    api.merge_pull_request(repo, draft.num)
    assert content_of(http, repo, "a") == "1"
    assert api.list_repo_commits(repo)[0].title == f"A better idea (#{draft.num})"
    with pytest.raises(HfHubHTTPError, match="merged"):
        api.change_discussion_status(repo, draft.num, "closed")


def test_a_conflict_is_named_and_changes_nothing(api: HfApi, http: httpx2.Client, repo: str) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    opened = propose(api, repo, "a", b"one")
    commit(http, repo, put("a", b"other"))
    assert api.get_discussion_details(repo, opened.pr_num).conflicting_files == ["a"]
    with pytest.raises(HfHubHTTPError, match="in conflict with main: a"):
        api.merge_pull_request(repo, opened.pr_num)
    assert (content_of(http, repo, "a"), api.get_discussion_details(repo, opened.pr_num).status) == ("other", "open")
    closed = api.change_discussion_status(repo, opened.pr_num, "closed", comment="not this way")
    assert closed.new_status == "closed"
    with pytest.raises(HfHubHTTPError, match="closed"):
        api.merge_pull_request(repo, opened.pr_num)


def test_discussions_are_opened_commented_edited_hidden_and_listed(api: HfApi, repo: str) -> None:
    opened = api.create_discussion(repo, title=" A question ", description="Why?")
    assert (opened.title, opened.status, opened.is_pull_request) == ("A question", "open", False)
    said = api.comment_discussion(repo, opened.num, comment="Because")
    assert api.edit_discussion_comment(repo, opened.num, said.id, new_content="Therefore").edited
    with pytest.warns(UserWarning, match="irreversible"):
        hidden = api.hide_discussion_comment(repo, opened.num, said.id)
    assert (hidden.hidden, "Therefore" in hidden.content) == (True, False)
    propose(api, repo, "a", b"1")
    api.change_discussion_status(repo, opened.num, "closed")

    def listed(**which: Any) -> list[int]:
        return [each.num for each in api.get_repo_discussions(repo, **which)]

    assert listed() == [2, 1]
    assert listed(discussion_type="pull_request") == [2]
    assert listed(discussion_type="discussion") == [1]
    assert listed(discussion_status="closed") == [1]
    assert listed(author="lrat") == [2, 1]
    assert listed(author="somebody") == []


def test_who_may_not_write_proposes_to_what_is_public_and_merges_nothing(
    api: HfApi, http: httpx2.Client, other: HfApi, repo: str
) -> None:
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    name = other.whoami()["name"]
    small, large = propose(other, repo, "a", b"theirs"), propose(other, repo, "b.bin", b"large" * 100)
    other.upload_file(repo_id=repo, path_in_repo="more", path_or_fileobj=b"1", revision=small.pr_revision)
    assert {pull.author for pull in api.get_repo_discussions(repo)} == {name}
    own = propose(api, repo, "c", b"1")
    refused: list[Callable[[], Any]] = [
        lambda: other.merge_pull_request(repo, small.pr_num),
        lambda: other.upload_file(repo_id=repo, path_in_repo="x", path_or_fileobj=b"1"),
        lambda: other.upload_file(repo_id=repo, path_in_repo="x", path_or_fileobj=b"1", revision=own.pr_revision),
        lambda: other.change_discussion_status(repo, own.pr_num, "closed"),
        lambda: other.rename_discussion(repo, own.pr_num, "mine"),
        lambda: other.create_branch(repo, branch="mine"),
    ]
    for call in refused:
        with pytest.raises(HfHubHTTPError) as found:
            call()
        assert found.value.response.status_code == 403
    assert other.change_discussion_status(repo, small.pr_num, "closed").new_status == "closed"
    other.change_discussion_status(repo, small.pr_num, "open")
    for pull in (small, large):
        api.merge_pull_request(repo, pull.pr_num)
    assert content_of(http, repo, "a") == "theirs"
    assert http.get(f"/{repo}/resolve/main/b.bin").content == b"large" * 100
    api.update_repo_settings(repo, private=True)
    with pytest.raises(RepositoryNotFoundError):
        propose(other, repo, "d", b"1")
    with pytest.raises(RepositoryNotFoundError):
        other.create_discussion(repo, title="x")


def test_a_proposal_opens_no_large_file_that_its_author_does_not_have(
    api: HfApi, http: httpx2.Client, other: HfApi, hub: LocalHub, repo: str
) -> None:
    """Large files are kept by namespace: the hash of one in a private repository there must not be enough."""
    import httpx2

    secret = b"a secret of the namespace" * 10
    api.create_repo(f"{repo}-private", private=True)
    api.upload_file(repo_id=f"{repo}-private", path_in_repo="s.bin", path_or_fileobj=secret)
    large = {"oid": hashlib.sha256(secret).hexdigest(), "size": len(secret)}
    point = ("lfsFile", {"path": "s.bin", "algo": "sha256", **large})
    with connect(hub.endpoint, other.token) as guest:
        batch = {"operation": "upload", "objects": [large]}
        actions = guest.post(f"/{repo}.git/info/lfs/objects/batch", json=batch).json()["objects"][0]["actions"]
        assert guest.post(f"/{repo}.git/info/lfs/objects/verify", json=large).status_code == 404

        def proposed() -> int:
            lines = [{"key": "header", "value": {"summary": "x"}}, {"key": point[0], "value": point[1]}]
            body = "\n".join(map(json.dumps, lines))
            return guest.post(f"/api/models/{repo}/commit/main?create_pr=1", content=body).status_code

        assert proposed() == 422
        assert httpx2.put(actions["upload"]["href"], content=b"x" * len(secret), timeout=60).status_code == 400
        assert proposed() == 422
        # Who has it may propose it.
        assert httpx2.put(actions["upload"]["href"], content=secret, timeout=60).status_code == 200
        assert proposed() == 200


def test_a_server_that_is_killed_between_a_merge_and_its_record_says_what_happened(
    api: HfApi, hub: LocalHub, repo: str
) -> None:
    opened = propose(api, repo, "a", b"one")
    record = hub.root / f"repos/models/{repo}.git/discussions/{opened.pr_num}.json"
    before = record.read_text()
    api.merge_pull_request(repo, opened.pr_num)
    merged = api.get_discussion_details(repo, opened.pr_num).merge_commit_oid
    record.write_text(before)
    api.merge_pull_request(repo, opened.pr_num)
    again = api.get_discussion_details(repo, opened.pr_num)
    assert (again.status, again.merge_commit_oid) == ("merged", merged)


def test_a_pull_request_of_an_early_version_is_there(api: HfApi, hub: LocalHub, repo: str) -> None:
    opened = propose(api, repo, "a", b"one")
    (hub.root / f"repos/models/{repo}.git/discussions/{opened.pr_num}.json").unlink()
    assert [(pull.num, pull.status) for pull in api.get_repo_discussions(repo)] == [(opened.pr_num, "open")]
    api.merge_pull_request(repo, opened.pr_num)
    assert api.file_exists(repo, "a")


def test_a_damaged_discussion_is_apart_from_the_others(api: HfApi, hub: LocalHub, repo: str) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    first, second = (api.create_discussion(repo, title=title) for title in ("one", "two"))
    (hub.root / f"repos/models/{repo}.git/discussions/{first.num}.json").write_text('{"number": 1}')
    assert [each.num for each in api.get_repo_discussions(repo)] == [second.num]
    with pytest.raises(HfHubHTTPError, match="damaged"):
        api.get_discussion_details(repo, first.num)
    assert api.create_discussion(repo, title="three").num == 3


def test_texts_of_discussions_have_a_length(http: httpx2.Client, repo: str) -> None:
    def opened(**fields: Any) -> int:
        return http.post(f"/api/models/{repo}/discussions", json=fields).status_code

    assert [opened(title=title) for title in ("", " ", "x" * 501, ["x"])] == [400] * 4
    assert opened(title="x", description="x" * 70_000) == 400
    assert opened(title="x", pullRequest="yes") == 400
    assert http.get(f"/api/models/{repo}/discussions").json()["count"] == 0
