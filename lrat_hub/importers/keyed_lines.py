"""Entries of a result list that are lines with keys: `Title: ...`, `URL: ...`, `Snippet: ...`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lrat_hub.importers.entry import Entry, without_other_marks
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


def key_values(text: str) -> Iterator[Entry]:
    """Entries of lines with keys, `Title: ...`, `URL: ...`; one without an id has the keys of the others.

    Entries that write the key of their address in another way stand in the text of the one before, which goes on.
    """
    found = [(block, _of_block(block, number, start)) for block, number, start in _blocks_of_keys(text)]
    named = [block.pop(_NAMED, "") for block, _ in found]
    usual = {frozenset(block.keys() - {"url", "id"}) for block, entry in found if entry.docid}
    entries = [
        (name, entry)
        for name, (block, entry) in zip(named, found, strict=True)
        if entry.docid or ({"title", "snippet"} <= block.keys() and frozenset(block.keys() - {"url", "id"}) in usual)
    ]
    marks = [(name, entry.number is not None) if entry.docid else None for name, entry in entries]
    yield from without_other_marks(text, [entry for _, entry in entries], marks)


def _blocks_of_keys(text: str) -> Iterator[tuple[dict[str, str], int | None, int]]:
    """What stands behind the keys of each entry, its number, and where it begins; a second key begins the next."""
    block: dict[str, str] = {}
    number: int | None = None
    start, at, in_snippet, previous = 0, 0, False, ""
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\r\n")
        match = _KEY_LINE.fullmatch(bare) if len(bare) < 20_000 or ":" in bare[:60] else None
        key = _KEYS.get(match["key"].lower().strip()) if match else None
        heading = _HEADING.fullmatch(bare) if key is None and len(bare) < 400 else None
        if match is not None and key == "url" and not is_address(match["value"]):
            is_path = _PATH.fullmatch(match["value"].strip()) and _NUMBERED_HEADING.match(previous)
            key = "url" if is_path else None if in_snippet else ""
        if heading is not None:
            yield block, number, start
            block, number, start, in_snippet = {"title": heading["title"]}, int(heading["number"]), at, False
        elif match is not None and key:
            label = match["bracketed"] or match["numbered"]
            begins = (key in block and block[key] != "" and key != "snippet") or (
                key in ("title", "url", "id") and in_snippet and ("url" in block or "id" in block)
            )
            if begins or not block:
                yield block, number, start
                block, number, start = {}, int(label) if label else None, at
                if key == "url" and (above := _NUMBERED_TITLE.fullmatch(previous)):
                    block["title"], number = above["title"].strip(" *"), int(above["number"])
            in_snippet = key == "snippet"
            value = match["value"].strip().strip("*").strip() if key != "snippet" else match["value"]
            if key in ("url", "id"):
                block.setdefault(_NAMED, match["key"])
            block[key] = f"{block[key]}\n{value}" if key == "snippet" and block.get(key) else value
        elif in_snippet and match is not None and key == "":
            pass
        elif block and (in_snippet or "url" in block or "id" in block):
            block["snippet"] = f"{block.get('snippet', '')}\n{bare}"
            in_snippet = True
        if bare.strip():
            previous = bare
        at += len(line)
    yield block, number, start


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
