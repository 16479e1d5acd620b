"""A corpus out of what agents were shown, for who has no corpus of what they searched: the web, or a closed index."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from lrat_hub.corpora.rows import MAX_LENGTH, unusable
from lrat_hub.errors import LratError
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Trajectory
from lrat_hub.text import stable_hash
from lrat_hub.walk import SearchAction, Walk

OPENED = "opened, with the longest text that a run was shown"
SNIPPET = "shown with the longest snippet alone"
TITLE = "shown with a title alone"
SEVERAL = "opened with several texts under one id, of which the longest is kept"
NOTHING = "neither a title nor a text"
"""What the account of documents counts."""

ShownTexts = Literal["opened", "snippets"]

_TEXTS = ("text", "contents", "content", "page_content", "raw_content", "extracted_info")
_NAMES = ("title", "name", "heading", "headline")
MAX_TITLE = 300
"""Characters of a field that may be a title."""
_HEAD = re.compile(r"(?:(?:docid|id|url|source|title):[^\n]*\n)+\s*", re.IGNORECASE)
_TITLE = re.compile(r"^title:[ \t]*(.*)$", re.IGNORECASE | re.MULTILINE)
_CUT = re.compile(r"\n\n\[Cut after \d+ tokens\.\]$")


@dataclass
class _Best:
    """The best that was shown of a document so far: the longest of the texts that are wanted, or else of the others.

    Args:
        key: Whether the text is one that is wanted, its length, and its hash.
        opened: Hashes of the different texts it was opened with.
    """

    title: str = ""
    key: tuple[bool, int, int] = (False, -1, 0)
    opened: set[int] = field(default_factory=set)


def shown_documents(
    read: Callable[[], Iterable[Trajectory]],
    ledger: Ledger,
    *,
    texts: ShownTexts = "opened",
    max_length: int = MAX_LENGTH,
) -> Iterator[dict[str, str]]:
    """Rows `docid, title, text` of all documents that runs were shown, in the order in which their texts came.

    A document has the longest text with which it was opened, as the tool showed it; one that was never opened has its
    longest snippet, or its title alone. Browses go to the documents that searches listed, as `lrat_hub.walk` says, so
    that ids are those of the pairs that are mined from the runs.

    Args:
        read: Gives the runs; it is called twice, so that no text needs to be held in memory.
        texts: "snippets" prefers snippets to opened texts. Where few documents were opened, these differ from others
            by their length and form alone, and as they are the positives of pairs, a model can learn that.
        ledger: Counts what is dropped, and how much was shown of the others; `build_table` counts what is kept.
        max_length: Longest text that is kept, in characters.

    Raises:
        LratError: The questions of a run are published obfuscated: what its agent was shown stays so, too.
    """
    best: dict[str, _Best] = {}
    for docid, title, text, is_opened in _all_shown(read()):
        one = best.setdefault(docid, _Best())
        one.title = one.title or title
        one.key = max(one.key, _key(text, is_opened, texts))
        if is_opened and text:
            one.opened.add(stable_hash(text))
    for docid, _, text, is_opened in _all_shown(read()):
        one = best.get(docid)
        if one is None or one.key != _key(text, is_opened, texts):
            continue
        del best[docid]
        if not text and not one.title:
            ledger.drop(NOTHING, example=docid)
        elif reason := unusable(docid, one.title, text, max_length=max_length):
            ledger.drop(reason)
        else:
            ledger.note(TITLE if not text else OPENED if is_opened else SNIPPET)
            ledger.note(SEVERAL, int(is_opened and len(one.opened) > 1), example=docid)
            yield {"docid": docid, "title": one.title, "text": text}


def _key(text: str, is_opened: bool, texts: ShownTexts) -> tuple[bool, int, int]:
    return bool(text) and is_opened == (texts == "opened"), len(text), stable_hash(text)


def _all_shown(trajectories: Iterable[Trajectory]) -> Iterator[tuple[str, str, str, bool]]:
    """Document, title and text of everything that runs were shown, and whether it was opened."""
    for trajectory in trajectories:
        if trajectory.canary is not None:
            raise LratError(
                "Corpus: expected runs whose texts may be published in plain, found some whose questions are "
                "published obfuscated, as those of BrowseComp-Plus are. Use the corpus of the benchmark."
            )
        for action in Walk.over(trajectory.steps).actions:
            if isinstance(action, SearchAction):
                for hit in action.step.results:
                    yield hit.docid, hit.title.strip(), hit.snippet.strip(), False
            elif action.opened is not None:
                yield action.opened, *document_in(action.step.observation), True


def _text_in(value: object, length: int) -> str:
    """The text among the fields of an object, of a usual name or the string that is most of it; "" for none."""
    if isinstance(value, dict) and (own := next((value[n] for n in _TEXTS if isinstance(value.get(n), str)), "")):
        return own
    longest = max((text for _, text in _strings_in(value)), key=len, default="")
    return longest if 2 * len(longest) > length else ""


def _strings_in(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """The strings of a JSON value, each with the name of its field."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _strings_in(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from _strings_in(part, name)


def document_in(observation: str) -> tuple[str, str]:
    """Title and text of the document that a tool showed, without what tools put around them.

    That is JSON with the text in a field, a usual one or one that is most of it, lines such as `DocID: ...` and
    `Title: ...` above it, and the note that our own environment puts below a text that it has cut. Whatever else a
    tool says stays.
    """
    text = observation.strip()
    if text.startswith(("{", "[")):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if inner := _text_in(value, len(text)):
            named = dict(reversed(list(_strings_in(value))))  # the first of each name
            title = next((named[name] for name in _NAMES if name in named), "")
            return title.strip() if len(title) <= MAX_TITLE else "", inner.strip()
    if head := _HEAD.match(text):
        title = _TITLE.search(head[0])
        return title[1].strip() if title else "", _CUT.sub("", text[head.end() :])
    return "", text
