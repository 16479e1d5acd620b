"""Entries of a result list that are lines with keys: `Title: ...`, `URL: ...`, `Snippet: ...`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lrat_hub.importers.entry import Entry, Mark, without_other_marks
from lrat_hub.importers.plain_ids import has_id
from lrat_hub.importers.values import docid_of

_KEYS = {
    **dict.fromkeys(("docid", "doc id", "doc_id", "document id", "document_id", "id"), "id"),
    **dict.fromkeys(("url", "url source", "link", "href", "source url", "source", "web page url", "address"), "url"),
    **dict.fromkeys(("title", "name", "page title"), "title"),
    **dict.fromkeys(
        ("snippet", "description", "summary", "content", "text", "abstract", "highlights", "excerpt", "body"),
        "snippet",
    ),
    **dict.fromkeys(
        ("date", "published", "published date", "published time", "author", "authors", "score", "site"), ""
    ),
    **dict.fromkeys(("文档id", "文档编号", "编号"), "id"),
    **dict.fromkeys(("链接", "网址", "地址", "来源链接", "来源"), "url"),
    **dict.fromkeys(("标题", "题目", "名称", "网页标题"), "title"),
    **dict.fromkeys(("摘要", "内容", "正文", "简介", "描述", "片段"), "snippet"),
    **dict.fromkeys(("日期", "发布时间", "时间", "作者", "得分", "站点"), ""),
}
_FIRST_LINES = 8
_NAMED = "named"
"""Where a block has the key of its id as it was written."""
_KEY_LINE = re.compile(
    r"[ \t]{0,40}(?:\[(?P<bracketed>\d{1,6})\][ \t]*|(?P<numbered>\d{1,6})[.)、][ \t]*|[-*•>#]+[ \t]+)?(?:\*\*|__)?"
    r"(?P<key>[A-Za-z][A-Za-z_ ]{1,20}?|[\u4e00-\u9fff]{2,6}(?:id|ID)?)(?:\*\*|__)?[ \t]*"
    r"(?::(?:\*\*|__)?(?:[ \t]+|$)|：(?:\*\*)?[ \t]*)(?P<value>.*)"
)
_HEADING = re.compile(
    r"[ \t]{0,40}(?:-{2,}|={2,}|#+|\*\*|\[)?[ \t]*"
    r"(?:source|result|document|web ?page|page|search result|(?:搜索|检索)?结果|网页|文档|来源)[ \t]*#?"
    r"(?P<number>\d{1,6})\b[ \t]*[:：.)\]-]?[ \t]*(?P<title>.*?)[ \t]*(?:-{2,}|={2,}|\*\*|\])?:?[ \t]*",
    re.IGNORECASE,
)
_NUMBERED_TITLE = re.compile(r"[ \t]{0,40}(?:\*\*)?(?P<number>\d{1,6})[.)][ \t]+(?P<title>.+)")
_NUMBERED_HEADING = re.compile(r"[ \t]{0,40}#{1,6}[ \t]+\d{1,6}[.)][ \t]+\S")
_PATH = re.compile(r"(?:[\w.~-]*/)*[\w-][\w.-]*\.\w{1,5}")
_ADDRESS = re.compile(r"<?(?:\w+://|www\.)\S+")


def key_values(text: str) -> list[Entry]:
    """Entries of lines with keys, `Title: ...`, `URL: ...`; one without an id has the keys of the others.

    Entries that write the key of their address in another way stand in the text of the one before, which goes on.
    """
    marks, entries = _read(text, "")
    names = [mark.name for mark in marks if mark is not None]
    if len(names) > 2 and names[0] not in names[1:] and len(set(names[1:])) == 1:
        # Where addresses come behind the texts, the first text has one, too.
        marks, entries = _read(text, names[0])
    return without_other_marks(text, entries, marks)


def begins_with_a_key(text: str) -> bool:
    """Whether one of the first lines of a text looks like the begin of an entry."""
    lines = text.split("\n", _FIRST_LINES)[:_FIRST_LINES]
    found = (_KEY_LINE.fullmatch(line) for line in lines if ":" in line[:60])
    return any(_KEYS.get(match["key"].lower().strip()) in ("title", "url", "id") for match in found if match)


def _read(text: str, ignored: str) -> tuple[list[Mark | None], list[Entry]]:
    """The entries, and what those with an id look like.

    Args:
        ignored: What is no key of the list, as it is written.
    """
    found = [(block, _of_block(block, number, start)) for block, number, start in _Blocks(ignored).read(text)]
    named = [block.pop(_NAMED, "") for block, _ in found]
    usual = {frozenset(block.keys() - {"url", "id"}) for block, entry in found if entry.docid}
    begin = next((next(iter(block)) for block, entry in found if entry.docid), "")
    marks: list[Mark | None] = []
    entries: list[Entry] = []
    for index, (name, (block, entry)) in enumerate(zip(named, found, strict=True)):
        if entry.docid or ({"title", "snippet"} <= block.keys() and frozenset(block.keys() - {"url", "id"}) in usual):
            entries.append(entry)
            mark = Mark(name, entry.number is not None, begin == "title" and "title" in block)
            marks.append(mark if entry.docid else None)
        elif entries and block:
            # A line of a text that only looks like a key of the list.
            end = found[index + 1][1].start if index + 1 < len(found) else len(text)
            snippet = f"{entries[-1].snippet}\n{_without_rules(text[entry.start : end])}".strip()
            entries[-1] = entries[-1]._replace(snippet=snippet)
    return marks, entries


class _Blocks:
    """Divides a text into entries: a key of the list that is there a second time begins the next.

    The keys of a list, as they are written, are those of its first entry up to its text. Others are words of a text.
    """

    def __init__(self, ignored: str) -> None:
        self._ignored = ignored
        self.block: dict[str, str] = {}
        self.number: int | None = None
        self.start = 0
        self._in_snippet = False
        self._names: set[str] = set()
        self._is_first = True
        self._heading: str | None = None

    def read(self, text: str) -> Iterator[tuple[dict[str, str], int | None, int]]:
        """What stands behind the keys of each entry, its number, and where it begins."""
        at, previous = 0, ""
        for line in text.splitlines(keepends=True):
            bare = line.rstrip("\r\n")
            match = _KEY_LINE.fullmatch(bare) if ":" in bare[:60] or "：" in bare[:60] else None
            key = _KEYS.get(match["key"].lower().strip()) if match else None
            if match is not None and key == "url" and not is_address(match["value"]):
                is_path = _PATH.fullmatch(match["value"].strip()) and _NUMBERED_HEADING.match(previous)
                key = "url" if is_path else None if self._in_snippet else ""
            may_begin = self._heading is not None or (self._is_first and not self.block)
            heading = _HEADING.fullmatch(bare) if may_begin and key is None and len(bare) < 400 else None
            if heading is not None and self._begins(heading):
                yield self._ended(at, int(heading["number"]))
                self.block = {"title": heading["title"]}
            elif match is not None and key and self._is_key(key, name := _name_of(match)):
                if not self.block or self._is_next(key, name):
                    label = match["bracketed"] or match["numbered"]
                    yield self._ended(at, int(label) if label else None)
                    if key == "url" and (above := _NUMBERED_TITLE.fullmatch(previous)):
                        self.block["title"], self.number = above["title"].strip(" *"), int(above["number"])
                self._add(key, name, match["value"])
            elif self._in_snippet and match is not None and key == "":
                pass
            elif self.block and (self._in_snippet or "url" in self.block or "id" in self.block):
                self.block["snippet"] = f"{self.block.get('snippet', '')}\n{bare}"
                self._in_snippet = True
            if bare.strip():
                previous = bare
            at += len(line)
        yield self._ended(at, None)

    def _begins(self, heading: re.Match[str]) -> bool:
        """Whether a heading begins an entry, as the first one does if it stands above all entries."""
        word = heading[0].strip(" -=#*[").split()[0].casefold()
        if self._heading is None:
            self._heading = word
        return self._heading == word

    def _is_key(self, key: str, name: str) -> bool:
        """Whether a line with a key is none of a text."""
        if name == self._ignored:
            return False
        if name in self._names or (key == "snippet" and self._is_first):
            return True
        return (not self._in_snippet and key not in self.block) or not {"url", "id"} & self.block.keys()

    def _is_next(self, key: str, name: str) -> bool:
        """Whether a key begins the next entry."""
        if key in self.block and self.block[key] != "" and key != "snippet":
            return True
        has_id = "url" in self.block or "id" in self.block
        return key in ("title", "url", "id") and self._in_snippet and has_id

    def _add(self, key: str, name: str, value: str) -> None:
        if self._is_first:
            self._names.add(name)
        self._in_snippet = key == "snippet"
        if key in ("url", "id"):
            self.block.setdefault(_NAMED, name)
        value = value.strip().strip("*").strip() if key != "snippet" else value
        there = self.block.get(key)
        self.block[key] = f"{there}\n{value}" if key == "snippet" and there else value

    def _ended(self, at: int, number: int | None) -> tuple[dict[str, str], int | None, int]:
        """The entry that ends where the next one begins."""
        ended = self.block, self.number, self.start
        self._is_first = self._is_first and not {"url", "id"} & self.block.keys()
        self.block, self.number, self.start, self._in_snippet = {}, number, at, False
        return ended


def _name_of(match: re.Match[str]) -> str:
    """A key as it is written, with the marks before it."""
    before = match[0][: match.start("key")]
    return ("[] " if match["bracketed"] else "1. " if match["numbered"] else before.strip()) + match["key"]


def _of_block(block: dict[str, str], number: int | None, start: int) -> Entry:
    address = block.get("url", "")
    address = address[1:].replace(">", "", 1) if address.startswith("<") else address
    named = block.get("id", "")
    docid = docid_of(address if address and not has_id(named) else named or address)
    snippet = _without_rules(block.get("snippet", ""))
    if (above := _NUMBERED_TITLE.fullmatch(snippet.rpartition("\n")[2])) and number is not None:
        # The numbered title of the next entry stands below this one's text.
        snippet = snippet.rpartition("\n")[0] if int(above["number"]) == number + 1 else snippet
    aliases = (address.split()[0],) if address and has_id(address) and docid != docid_of(address) else ()
    return Entry(docid, block.get("title", ""), snippet.strip(), number=number, start=start, aliases=aliases)


def _without_rules(text: str) -> str:
    """A text without the lines of signs at its end that stand before the next entry."""
    lines = text.strip().split("\n")
    while lines and not lines[-1].strip(" \t-=*_#~"):
        lines.pop()
    return "\n".join(lines)


def is_address(value: str | None) -> bool:
    return value is not None and _ADDRESS.match(value.strip()) is not None
