"""Exports of chats: ChatGPT's `conversations.json`, and that of claude.ai.

ChatGPT keeps a tree of messages, of which the branch that was shown last is read. A call of its browser (`web.run`, or
`web` and `browser`) may search for several queries, open and look into pages; pages are known by the numbers of the
lists that named them (`turn0search1`). What it lists for several queries at once is one list.

Sources: exports of 2025 and 2026 in public repositories, by their keys (`mapping`, `search_result_groups`, `ref_id`;
`chat_messages`, blocks with `knowledge`). Checked with records of our own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from lrat_hub.importers.converters.blocks import add_assistant_blocks, add_user_blocks
from lrat_hub.importers.converters.contents import PARTS_LOOKED_AT
from lrat_hub.importers.converters.conversation import Conversation
from lrat_hub.importers.converters.tag_calls import first_argument
from lrat_hub.importers.values import (
    UnreadableRecord,
    identifier_of,
    integer_of,
    join_texts,
    json_or_none,
    listed,
    number_of,
    object_of,
    text_of,
)
from lrat_hub.ledger import Ledger

_BROWSERS = ("web.run", "web", "browser", "web.search")
_SILENT = {"reasoning_recap", "user_editable_context", "model_editable_context", "app_pairing_content"}
_SEARCHES = ("search_query", "image_query", "product_query", "business_query")
_OTHER_COMMANDS = ("click", "find", "screenshot", "calculator", "weather", "finance", "sports", "time")
_CALL = re.compile(r"(?P<name>search|mclick|open_url|click|open|quote|back|scroll)\((?P<rest>.*)\)\s*", re.DOTALL)
_CITATIONS = re.compile("\ue200[^\ue200\ue201]{0,2000}\ue201|【[^【】]{0,200}】")
_TEXT = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'")
LONGEST_CALL = 4_000
"""Characters of a call in which texts are looked for."""

NOT_LISTED = "pages opened by a number that no list in the log has"
OTHERS = "commands of ChatGPT's browser that are no search and open no page"
BRANCHES = "messages of branches that were not shown last"


def recognise_chatgpt(value: Any) -> str | None:
    """Why a record is a conversation of an export of ChatGPT, or None."""
    nodes = islice(object_of(object_of(value).get("mapping")).values(), PARTS_LOOKED_AT)
    is_tree = any("parent" in object_of(node) and "message" in object_of(node) for node in nodes)
    return "a conversation of ChatGPT's export, with `mapping`" if is_tree else None


def recognise_claude_ai(value: Any) -> str | None:
    """Why a record is a conversation of an export of claude.ai, or None."""
    messages = listed(object_of(value).get("chat_messages"))
    is_chat = any(object_of(message).get("sender") in ("human", "assistant") for message in messages[:PARTS_LOOKED_AT])
    return "a conversation of claude.ai's export, with `chat_messages`" if is_chat else None


def convert_claude_ai(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """Chat records of a conversation with claude.ai, one for each question.

    Raises:
        UnreadableRecord: There are no messages in it.
    """
    if recognise_claude_ai(value) is None:
        raise UnreadableRecord("not a conversation of claude.ai: no `chat_messages` with a `sender`")
    conversation = Conversation({"model": value.get("model")}, _named(value))
    for message in map(object_of, value["chat_messages"]):
        content = listed(message.get("content")) or [{"type": "text", "text": text_of(message.get("text"))}]
        if message.get("sender") == "human":
            add_user_blocks(conversation, content, parts)
        else:
            results = [block for block in map(object_of, content) if block.get("type") == "tool_result"]
            named = all(block.get("tool_use_id") for block in results)
            add_assistant_blocks(conversation, [_plain_block(block, named=named) for block in content], parts, None)
    conversation.end()
    yield from conversation.records()


def _plain_block(block: Any, *, named: bool) -> Any:
    """A block as Anthropic's API has it: the export names what a search found `knowledge`.

    Args:
        named: Whether results name their calls; else they come in the order of the calls.
    """
    block = {key: part for key, part in object_of(block).items() if key != "citations" and (named or key != "id")}
    if block.get("type") != "tool_result":
        return block
    found = [
        {"type": "search_result", "source": item["url"], "title": text_of(item.get("title")),
         "content": [{"type": "text", "text": text_of(item.get("text"))}]}
        for item in map(object_of, listed(block.get("content")))
        if item.get("type") == "knowledge" and isinstance(item.get("url"), str)
    ]  # fmt: skip
    if len(found) == 1 and "search" not in text_of(block.get("name")):
        return {**block, "content": found[0]["content"]}  # a page
    return {**block, "content": found or block.get("content")}


def convert_chatgpt(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """Chat records of a conversation with ChatGPT, one for each question.

    Raises:
        UnreadableRecord: There is no tree of messages in it.
    """
    if recognise_chatgpt(value) is None:
        raise UnreadableRecord("not a conversation of ChatGPT: no `mapping` of messages")
    messages, left = _branch(value)
    parts.note(BRANCHES, left)
    conversation = Conversation({}, _named(value))
    reader = _ChatGPT(conversation, parts)
    for message in messages:
        reader.add(message)
    reader.answer()
    conversation.agent(reader.model or value.get("default_model_slug"))
    conversation.end()
    yield from conversation.records()


def _named(value: Mapping[str, Any]) -> dict[str, Any]:
    names = {"title": value.get("title") or value.get("name"), "conversation_id": value.get("conversation_id"),
             "uuid": value.get("uuid")}  # fmt: skip
    return {key: name for key, name in names.items() if isinstance(name, str) and name}


def _branch(value: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], int]:
    """The messages from the first to the one that was shown last, and how many there are beside them."""
    nodes = {key: object_of(node) for key, node in object_of(value["mapping"]).items()}
    key = value.get("current_node")
    if not isinstance(key, str) or key not in nodes:
        key = max(nodes, key=lambda name: number_of(object_of(nodes[name].get("message")).get("create_time")) or 0.0)
    branch: list[Mapping[str, Any]] = []
    seen: set[str] = set()
    while isinstance(key, str) and key in nodes and key not in seen:
        seen.add(key)
        branch.append(object_of(nodes[key].get("message")))
        key = nodes[key].get("parent")
    total = sum(bool(object_of(node.get("message"))) for node in nodes.values())
    branch = [message for message in reversed(branch) if message]
    return branch, total - len(branch)


class _ChatGPT:
    """Reads the messages of one branch."""

    def __init__(self, conversation: Conversation, parts: Ledger) -> None:
        self.conversation, self.parts, self.model = conversation, parts, ""
        self._pages: dict[str, str] = {}
        self._waiting: list[tuple[str, int, str]] = []
        self._rows: dict[tuple[int, str, int | None, str], dict[str, Any]] = {}
        self._texts: list[str] = []
        self._count = 0

    def add(self, message: Mapping[str, Any]) -> None:
        author, content = object_of(message.get("author")), object_of(message.get("content"))
        metadata, role = object_of(message.get("metadata")), author.get("role")
        kind = text_of(content.get("content_type"))
        if metadata.get("is_visually_hidden_from_conversation") or role == "system" or kind in _SILENT:
            return
        self.parts.keep()
        text = _text(content)
        if role == "tool":
            self._see_pages(metadata)
            if text.strip():
                self._texts.append(text)
            return
        if role == "assistant" and self._waiting and not self._rows:
            self._see_pages(metadata)  # models that search by themselves
        self.answer()
        if role == "user":
            self.conversation.user(text)
            return
        self.model = text_of(metadata.get("model_slug")) or self.model
        recipient = text_of(message.get("recipient"))
        if kind == "thoughts":
            thoughts = map(object_of, listed(content.get("thoughts")))
            said = (text_of(thought.get("content")) or text_of(thought.get("summary")) for thought in thoughts)
            self.conversation.think(join_texts(*said), None)
        elif recipient in _BROWSERS:
            self._calls(text)
        elif recipient not in ("", "all", "user", "assistant"):
            self._call(recipient, first_argument(text))
        elif text:
            self.conversation.say(_CITATIONS.sub("", text).strip(), None)

    def _calls(self, text: str) -> None:
        """The searches and pages of one call of the browser."""
        command = json_or_none(text)
        if not isinstance(command, dict):
            self._plain_calls(text)
            return
        queries = [
            query for key in _SEARCHES for part in listed(command.get(key))
            if (query := text_of(object_of(part).get("q", object_of(part).get("query", part)))).strip()
        ]  # fmt: skip
        if queries:
            self._call("search", {"query": queries})
        for part in listed(command.get("open")):
            self._open(object_of(part).get("ref_id", object_of(part).get("id")))
        self.parts.note(OTHERS, sum(len(listed(command.get(key))) for key in _OTHER_COMMANDS))

    def _plain_calls(self, text: str) -> None:
        """Calls as earlier models wrote them: `search("...")`, `mclick([0, 3])`, `open_url("...")`."""
        match = _CALL.fullmatch(text.strip())
        if match is None:
            self.parts.drop("calls of ChatGPT's browser that can't be read", example=text)
            return
        texts = [double or single for double, single in _TEXT.findall(match["rest"][:LONGEST_CALL])]
        if match["name"] == "search":
            self._call("search", {"query": texts[:1]})
        elif match["name"] == "open_url" and texts:
            self._open(texts[0])
        elif match["name"] in ("mclick", "click"):
            for number in re.findall(r"\d{1,4}", match["rest"]):
                self._open(number)
        else:
            self.parts.note(OTHERS)

    def _open(self, ref: Any) -> None:
        name = identifier_of(ref) or ""
        page = name if "://" in name else self._pages.get(name)
        self.parts.note(NOT_LISTED, int(page is None), example=name)
        self._call("open", {"url": page or name}, page or name)

    def _call(self, name: str, arguments: Any, page: str = "") -> None:
        self._count += 1
        self._waiting.append((name, self._count, page))
        self.conversation.call(name, arguments, f"web-{self._count}", None)

    def _see_pages(self, metadata: Mapping[str, Any]) -> None:
        """The pages that a tool listed: they stand in groups by domain, and their numbers are their ranks."""
        entries = [
            object_of(entry)
            for group in listed(metadata.get("search_result_groups"))
            for entry in listed(object_of(group).get("entries"))
        ]
        cited = listed(object_of(metadata.get("_cite_metadata")).get("metadata_list"))
        for number, item in enumerate(map(object_of, cited)):
            entries.append({**item, "ref_id": number, "snippet": item.get("text")})
        for entry in entries:
            if isinstance(url := entry.get("url"), str):
                row = {"docid": url, "title": text_of(entry.get("title")), "snippet": text_of(entry.get("snippet"))}
                place = _place_of(entry.get("ref_id"))
                self._rows.setdefault((*place, "" if place[2] is not None else url), row)
                if (name := _name_of(place)) is not None:
                    self._pages[name] = url

    def answer(self) -> None:
        """Gives what was shown to the calls that wait: lists to the search, and the text to all of them."""
        text = join_texts(*self._texts)
        listed_rows = [self._rows[place] for place in sorted(self._rows, key=lambda place: (place[0], place[2] or 0))]
        for name, number, page in self._waiting:
            rows, shown = None, text
            if name == "search":
                rows = [listed_rows] if listed_rows else None
            elif name == "open" and not shown:
                opened = [row for row in listed_rows if row["docid"] == page] or listed_rows
                shown = join_texts(*(f"{row['title']}\n{row['snippet']}" for row in opened))
            self.conversation.result(f"web-{number}", shown, results=rows)
        self._waiting, self._rows, self._texts = [], {}, []


Place = tuple[int, str, int | None]
"""The turn of a list, its kind, and the number of a page in it."""


def _place_of(ref: Any) -> Place:
    """Where a page was listed; without a number where nothing says it."""
    if isinstance(ref, dict):
        return integer_of(ref.get("turn_index")) or 0, text_of(ref.get("ref_type")), integer_of(ref.get("ref_index"))
    return 0, "", integer_of(ref)


def _name_of(place: Place) -> str | None:
    """The name by which a page can be opened: `turn0search1`, or its number alone."""
    turn, kind, number = place
    return None if number is None else f"turn{turn}{kind}{number}" if kind else str(number)


def _text(content: Mapping[str, Any]) -> str:
    """The text of a message's content."""
    if isinstance(parts := content.get("parts"), list):
        texts = (part if isinstance(part, str) else text_of(object_of(part).get("text")) for part in parts)
        return join_texts(*texts)
    return text_of(next((content[key] for key in ("text", "result", "content") if content.get(key)), ""))
