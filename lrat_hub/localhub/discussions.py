"""Discussions and pull requests of a repository: `discussions/N.json` beside it, and for a pull request `refs/pr/N`.

Early versions kept the reference alone; such a pull request is for main, and is open until main has its commits.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pygit2

from lrat_hub.localhub.protocol import MAIN, HubError, damaged, iso_date
from lrat_hub.localhub.repository import Repository, title_of
from lrat_hub.localhub.root import replace_file
from lrat_hub.localhub.store import DISCUSSIONS

Status = Literal["draft", "open", "closed", "merged"]

TITLE_MAX_CHARS = 500
TEXT_MAX_CHARS = 65_536
EVENTS_MAX = 1000
COMMITS_SHOWN = 250


@dataclass
class Discussion:
    """A discussion, or a pull request.

    Args:
        number: Its number in the repository; discussions and pull requests are counted together.
        title: What it is about.
        author: Who opened it.
        created_at: When.
        status: A draft is a pull request that can't be merged yet.
        base: The branch that a pull request is for; None for a discussion.
        merge_commit: The sha of the commit that merged it.
        merged_from: The sha of the commit that a merged pull request started from.
        events: Comments, and changes of the title and the status, as clients understand them.
    """

    number: int
    title: str
    author: str
    created_at: str
    status: Status = "open"
    base: str | None = None
    merge_commit: str | None = None
    merged_from: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    def add(self, kind: str, author: str, data: dict[str, Any]) -> dict[str, Any]:
        """Append an event."""
        if len(self.events) >= EVENTS_MAX:
            raise HubError(403, f"Discussion {self.number} has {EVENTS_MAX} events already: open another one")
        now = iso_date(time.time())
        event = {"id": secrets.token_hex(12), "type": kind, "createdAt": now, "author": {"name": author}, "data": data}
        self.events.append(event)
        return event

    def comment(self, author: str, text: str) -> dict[str, Any]:
        latest = {"raw": check_text(text), "html": "", "updatedAt": iso_date(time.time()), "author": {"name": author}}
        data = {"edited": False, "hidden": False, "latest": latest, "history": [], "numEdits": 0}
        return self.add("comment", author, data)

    def find_comment(self, comment_id: str) -> dict[str, Any]:
        for event in self.events:
            if event["id"] == comment_id and event["type"] == "comment":
                return event
        raise HubError(404, f"No comment {comment_id[:50]} in discussion {self.number}", code="EntryNotFound")


def check_text(text: str, most: int = TEXT_MAX_CHARS) -> str:
    """A text that somebody writes for others. Raises HubError if it is empty or too long."""
    text = text.strip()
    if not text or len(text) > most:
        raise HubError(400, f"Malformed request: expected a text of 1 to {most} characters, found {len(text)}")
    return text


class Discussions:
    """The discussions of one repository. Whoever changes one holds the lock of the repository (see `store`)."""

    def __init__(self, repository: Repository) -> None:
        self._folder = Path(repository.path, DISCUSSIONS)
        self._repository = repository

    def numbers(self) -> list[int]:
        """All numbers, the latest first."""
        files = {int(path.stem) for path in self._folder.glob("[0-9]*.json") if path.stem.isdecimal()}
        return sorted(files | set(map(int, self._repository.references("pr"))), reverse=True)

    def next_number(self) -> int:
        return max(self.numbers(), default=0) + 1

    def read(self, number: int) -> Discussion:
        """A discussion by its number; raises HubError if there is none, or it is damaged."""
        try:
            return Discussion(**json.loads((self._folder / f"{number}.json").read_text()))
        except FileNotFoundError:
            return self._from_reference(number)
        except (ValueError, TypeError, RecursionError) as error:
            raise damaged(f"Discussion {number} of {self._repository.id} is damaged: {error}") from None

    def save(self, discussion: Discussion) -> None:
        self._folder.mkdir(exist_ok=True)
        replace_file(self._folder / f"{discussion.number}.json", json.dumps(asdict(discussion)))

    def begin(
        self, title: str, author: str, *, description: str = "", base: str | None = None, status: Status = "open"
    ) -> Discussion:
        """A discussion that is not saved yet; of a pull request, the reference has to be there before it is."""
        title = check_text(title, TITLE_MAX_CHARS)
        opened = Discussion(self.next_number(), title, author, iso_date(time.time()), status, base)
        if description.strip():
            opened.comment(author, description)
        return opened

    # What git knows of a pull request

    def tip(self, pull: Discussion) -> pygit2.Commit:
        return self._repository.commit_at(f"refs/pr/{pull.number}")

    def start(self, pull: Discussion) -> pygit2.Commit | None:
        """The commit that a pull request started from; None where it has no history with its branch."""
        if pull.merged_from:
            return self._repository.commit_at(pull.merged_from)
        base = self.base(pull)
        return self._repository.common(base, self.tip(pull)) if base else None

    def base(self, pull: Discussion) -> pygit2.Commit | None:
        """The tip of the branch that it is for; None if somebody has deleted that."""
        try:
            return self._repository.branch_tip(pull.base or MAIN)
        except HubError:
            return None

    def conflicts(self, pull: Discussion) -> list[str]:
        base = self.base(pull)
        return self._repository.conflicts(base, self.tip(pull)) if base and pull.status in ("open", "draft") else []

    def commits(self, pull: Discussion) -> list[pygit2.Commit]:
        """What the pull request has beyond the branch, oldest first."""
        return self._repository.commits_since(self.start(pull), self.tip(pull), COMMITS_SHOWN)

    def merge(self, pull: Discussion, *, author: str) -> str:
        """Merge a pull request into its branch. Returns the sha of the merge."""
        if pull.status == "merged":
            return pull.merge_commit or str(self.tip(pull).id)
        if pull.status != "open":
            raise HubError(409, f"Pull request {pull.number} is {pull.status}: set its status to open first")
        tip, start = self.tip(pull), self.start(pull)
        base = self._repository.branch_tip(pull.base or MAIN)
        if self._repository.is_part_of(tip, base):
            # A server that was killed may have merged it, and not have said so.
            merged = next((each for each in self._repository.history(base) if tip.id in each.parent_ids[1:]), None)
            if merged is not None:
                pull.status, pull.merge_commit = "merged", str(merged.id)
                return pull.merge_commit
            raise HubError(409, f"Pull request {pull.number} has no changes: commit to refs/pr/{pull.number} first")
        message = f"{pull.title} (#{pull.number})"
        pull.merge_commit = self._repository.merge(pull.base or MAIN, tip, message=message, author=author)
        pull.merged_from = str(start.id) if start else None
        pull.status = "merged"
        return pull.merge_commit

    def _from_reference(self, number: int) -> Discussion:
        try:
            tip = self._repository.commit_at(f"refs/pr/{number}")
        except HubError:
            raise HubError(404, f"No discussion {number}", code="EntryNotFound") from None
        merged = self._repository.is_part_of(tip, self._repository.branch_tip(MAIN))
        date = iso_date(tip.commit_time)
        status: Status = "merged" if merged else "open"
        return Discussion(number, title_of(tip.message), tip.author.name, date, status, MAIN)
