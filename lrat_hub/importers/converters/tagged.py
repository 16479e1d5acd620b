"""Texts with tags as chat messages: the thoughts, calls, results and answer that a model and its tools wrote into one.

Read are `<think>` and the tags of `lrat_hub.importers.converters.tags`.

A tag counts only where a model writes: prompts have examples. What tools show is opaque, so a page that mentions a
tag calls nothing. Inside of a thought a call counts when its result follows at once; agents that search while they
think (R1-Searcher) write so, and one that only considers a call does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal

from lrat_hub.importers.chat_messages import assistant, tool_result
from lrat_hub.importers.converters.tag_calls import Call
from lrat_hub.importers.converters.tagged_lists import lists_in, pages_opened
from lrat_hub.importers.converters.tags import TAGS, Kind, Tag
from lrat_hub.importers.values import response_text, responses_in
from lrat_hub.ledger import Ledger

_BY_OPENING = {tag.opening: tag for tag in TAGS}
_OPENINGS = "|".join(re.escape(tag.opening) for tag in TAGS)
_MARK = re.compile(rf"{_OPENINGS}|</?think>")
_BEGINS = {"<", *(tag.opening[0] for tag in TAGS)}
_CALLS = re.compile("|".join(re.escape(tag.opening) for tag in TAGS if tag.kind == "call"))

# Wrappers around calls and results, which say nothing of their own.
_WRAPPERS = re.compile(
    r"</?(?:function_calls|minimax:tool_call|seed:tool_call|｜DSML｜function_calls)>|</tool_call>|<\|tool_calls_section_(?:begin|end)\|>"
    r"|<｜tool▁(?:calls|outputs)▁(?:begin|end)｜>|<\|im_end\|>|<\|endoftext\|>|<｜end▁of▁sentence｜>"
)
_ENDS_RESULT = re.compile(r"[ \t]*(?:$|\n|<)")
# What prompts and reminders write between the tags of a call to explain them.
_PLACEHOLDERS = frozenset(("", "and", "query", "search query", "your query", "your query here", "...", "…"))
_EXPLAINED = ("<search>", "<|begin_of_query|>", "<|begin_search_query|>", "<|begin_click_link|>", "<access>")

# What WebThinker's and Search-o1's tools show where they did not run, and MiroThinker's where they failed.
_REFUSED = re.compile(
    r"\s*(?:You have already (?:searched for this query|clicked this URL)|You have reached the (?:search )?limit"
    r"|Unable to fetch the page content|Tool call to [^\n]{1,200} failed\. Error:|Search failed\s*$)"
)

# A tag by a name that sounds like an action, and that is none of those above.
_UNKNOWN = re.compile(
    r"<(?P<name>[a-z][a-z_:-]{0,40}(?:call|tool|search|query|quer(?:y|ies)|action|browse|visit|retriev\w*|observation"
    r"|information|documents?|results?)[a-z_:-]{0,20}|browse|visit|action|query|retrieve|documents|web_search)>"
)


@dataclass(frozen=True)
class Segment:
    """A piece of a text: between tags, or what stands in a pair of them. `source` is it with its tags."""

    kind: Kind | Literal["text", "thought"]
    text: str
    calls: tuple[Call, ...] = ()
    source: str = ""


def has_calls(text: Any) -> bool:
    """Whether a text has a call in tags, with something between them."""
    return isinstance(text, str) and _CALLS.search(text) is not None and any(
        segment.kind == "call" for segment in segments_of(text)
    )  # fmt: skip


def tagged_messages(text: str) -> list[dict[str, Any]] | None:
    """What an agent wrote with tags as chat messages, or None for a text without one of them."""
    # Single characters are looked for a hundred times faster than the pattern.
    if not any(map(text.__contains__, _BEGINS)) or _MARK.search(text) is None:
        return None
    writer = _Writer()
    for segment in segments_of(text):
        writer.add(segment)
    return writer.finish()


_KNOWN_TAGS = frozenset(
    (*(tag.opening.strip("<> ") for tag in TAGS), "function_calls", "minimax:tool_call", "seed:tool_call")
)


def unknown_tags(text: str) -> Iterator[str]:
    """Names of tags that sound like an action and are none that is known, once for each pair."""
    unclosed: set[str] = set()
    for match in _UNKNOWN.finditer(text):
        name = match["name"]
        if name in _KNOWN_TAGS or name in unclosed:
            continue
        if text.find(f"</{name}>", match.end()) >= 0:
            yield name
        else:
            unclosed.add(name)


def count_unknown(text: str, parts: Ledger) -> None:
    """Counts the tags of a text that sound like actions and are not known."""
    for name in unknown_tags(text):
        parts.drop(f"tag of unknown type '{name}'", example=text)


def segments_of(text: str) -> list[Segment]:
    """A text as its segments, in order. Linear in its length, whatever tags are left open."""
    pieces = list(_pieces(text))
    closes = [index for index, piece in enumerate(pieces) if piece == _CLOSE]
    # A thought without its opening tag begins with the text.
    thinking = bool(closes) and _OPEN not in pieces[: closes[0]]
    segments: list[Segment] = []
    last_close = closes[-1] if closes else -1
    for index, piece in enumerate(pieces):
        if piece in (_OPEN, _CLOSE):
            if piece == _CLOSE and not thinking:
                _close(segments)
            thinking = piece == _OPEN
        elif _is_words(pieces, index, in_thought=thinking and index < last_close):
            segments.append(Segment("thought" if thinking else "text", piece.source or piece.text))
        else:
            segments.append(piece)
            thinking = thinking and piece.kind != "answer"
    return list(_merged(segments))


def _merged(segments: Sequence[Segment]) -> Iterator[Segment]:
    """The segments with words in one piece that only a mention of a tag had parted."""
    for kind, group in groupby(segments, key=lambda segment: segment.kind):
        if kind in ("text", "thought"):
            yield Segment(kind, "".join(segment.text for segment in group))
        else:
            yield from group


_OPEN, _CLOSE = Segment("thought", "<think>"), Segment("thought", "</think>")


def _close(segments: list[Segment]) -> None:
    """Makes a thought of the text before a closing tag whose opening one the chat template has taken."""
    for index in range(len(segments) - 1, -1, -1):
        if segments[index].kind != "text":
            return
        segments[index] = Segment("thought", segments[index].text)


def _is_words(pieces: Sequence[Segment], index: int, *, in_thought: bool) -> bool:
    """Whether a piece is nothing that happened: plain words, or a tag that is only mentioned."""
    piece = pieces[index]
    if piece.kind == "call":
        return not piece.calls or (in_thought and not _is_answered(pieces, index))
    return piece.kind == "text" or (piece.kind == "answer" and in_thought)


def _is_answered(pieces: Sequence[Segment], index: int) -> bool:
    """Whether a result follows a call at once."""
    for piece in pieces[index + 1 :]:
        if piece.kind == "result":
            return True
        if piece != _CLOSE and (piece.kind != "text" or piece.text.strip()):
            return False
    return False


def _pieces(text: str) -> Iterator[Segment]:
    start, marks = 0, list(_MARK.finditer(text))
    missing: set[str] = set()
    for index, mark in enumerate(marks):
        if mark.start() < start:
            continue  # inside of a pair of tags
        if mark.start() > start:
            yield Segment("text", text[start : mark.start()])
        if mark[0] in ("<think>", "</think>"):
            yield _OPEN if mark[0] == "<think>" else _CLOSE
            start = mark.end()
            continue
        tag = _BY_OPENING[mark[0]]
        attributes, inside = _attributes(tag, text, mark.end())
        body_end, start = _end(tag, text, inside, missing)
        if body_end < 0:
            # Stop sequences are cut off: the body ends where the next tag begins.
            others = (marks[other].start() for other in range(index + 1, len(marks)))
            body_end = start = next((other for other in others if other >= inside), len(text))
        body = text[inside:body_end]
        if tag.kind == "call":
            explained = tag.opening in _EXPLAINED and body.strip().lower() in _PLACEHOLDERS
            explained = explained or (tag.has_attributes and not attributes.strip())
            calls = () if explained or tag.read is None else tuple(tag.read(attributes, body))
            yield Segment("call", body, calls, text[mark.start() : start])
        elif tag.kind == "answer" and body.strip().lower() in _PLACEHOLDERS:
            yield Segment("text", text[mark.start() : start])
        else:
            yield Segment(tag.kind, body.strip(), source=text[mark.start() : start])
    if start < len(text):
        yield Segment("text", text[start:])


def _attributes(tag: Tag, text: str, start: int) -> tuple[str, int]:
    if not tag.has_attributes:
        return "", start
    end = text.find(">", start, start + 2_000)
    return ("", start) if end < 0 else (text[start:end], end + 1)


def results_in(text: str, *, alone: bool) -> list[str]:
    """What stands in the tags around results; see `responses_in`."""
    tags = [tag for tag in TAGS if tag.kind == "result" and tag.opening in text]
    if not tags:
        return []
    first = min(tags, key=lambda tag: text.index(tag.opening))
    return responses_in(text, first.opening, first.closings[0], alone=alone)


def has_open_result(text: str) -> bool:
    """Whether a text ends within the tags around a result."""
    return any(
        tag.opening in text and text.rfind(tag.opening) > max(map(text.rfind, tag.closings))
        for tag in TAGS
        if tag.kind == "result"
    )


def _end(tag: Tag, text: str, start: int, missing: set[str]) -> tuple[int, int]:
    """Where a tag's body and its closing end, or -1 and -1. `missing` are closings that no longer come."""
    for closing in tag.closings:
        if closing in missing:
            continue
        if tag.kind == "result" and (unbalanced := f"balanced {closing}") not in missing:
            end = _result_end(tag.opening, closing, text, start)
            if end >= 0:
                return end, end + len(closing)
            missing.add(unbalanced)
        end = text.find(closing, start)
        if end >= 0:
            return end, end + len(closing)
        missing.add(closing)
    return -1, -1


def _result_end(opening: str, closing: str, text: str, start: int) -> int:
    """Where a result ends, which may itself show pairs of its tag, or mention the closing one in a line; or -1."""
    depth, mentioned = 1, -1
    for match in re.compile(f"{re.escape(opening)}|{re.escape(closing)}").finditer(text, start):
        if match[0] == opening:
            if mentioned >= 0:
                return mentioned
            depth += 1
        elif depth > 1:
            depth -= 1
        elif _ENDS_RESULT.match(text, match.end()):
            return match.start()
        elif mentioned < 0:
            # Words in the same line: the end after all, unless another one comes before the next result.
            mentioned = match.start()
    return mentioned


@dataclass
class _Writer:
    """Collects segments into messages: the calls up to a result are one message, which shares its reasoning."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def add(self, segment: Segment) -> None:
        match segment.kind:
            case "call":
                self.calls.extend(segment.calls)
            case "result":
                self.flush()
                self.messages.append(result_message(segment.text))
            case "answer":
                if self.calls:
                    self.flush()
                # Text beside an answer in tags is none.
                self.thoughts.extend(self.texts)
                self.texts = [segment.text]
                self.flush(is_answer=True)
            case kind:
                text = (_WRAPPERS.sub("", segment.text) if kind == "text" else segment.text).strip()
                if text:
                    (self.thoughts if kind == "thought" else self.texts).append(text)

    def flush(self, *, is_answer: bool = False) -> None:
        if not (self.thoughts or self.texts or self.calls or is_answer):
            return
        self.messages.append(assistant("\n".join(self.texts), "\n".join(self.thoughts), self.calls))
        self.thoughts, self.texts, self.calls = [], [], []

    def finish(self) -> list[dict[str, Any]]:
        self.flush()
        return self.messages or [assistant("")]


def result_message(text: str) -> dict[str, Any]:
    """What a tool showed as a message, with its list or its pages apart where they can be read."""
    text = response_text(text)
    pages = pages_opened(text)
    lists = None if pages else lists_in(text) or None
    return tool_result(text, failed=_REFUSED.match(text) is not None, results=lists, docids=pages)
