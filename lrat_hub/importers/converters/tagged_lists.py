"""Result lists of research agents that stand in a text: entries as rows, apart from the text that shows them.

- Search-R1, ZeroSearch: `Doc 1(Title: "...") text`, a line each; such lists have no ids, so the title is the id.
- WebThinker: `***Web Page 1:***` and a JSON object.
- DR-Tulu: `<snippet id=...>` with the lines `Title:`, `URL:` and `Snippet:`.
- ReSearch: passages that begin with their title in quotes.
- SkimSearchAgent: a line with rank and id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from lrat_hub.importers.entries import begins_a_list
from lrat_hub.importers.values import json_or_none, storable

_DOC = re.compile(
    r"^[ \t]*Doc[ \t]?(?P<rank>\d{1,4})[ \t]?:?[ \t]?\(Title:[ \t]*"
    r"(?:\"(?P<quoted>[^\n]{0,500}?)\"|(?P<bare>[^\n]{0,500}?))\)(?=\s|$)",
    re.MULTILINE,
)
_PAGE = re.compile(r"^\*{2,3}Web Page (?P<rank>\d{1,4}):?\*{2,3}:?[ \t]*\n?", re.MULTILINE)
_SNIPPET = re.compile(r"<(?P<tag>snippet|webpage|document)\s+id=[\"']?(?P<id>[^>\s\"']{1,200})[\"']?\s*>")
_FIELD = re.compile(r"^(?P<key>Title|URL|Snippet|Search Snippet|Summary|Full Text):[ \t]*", re.MULTILINE)
_TITLED = re.compile(r"(?:\A\s*|(?<=\n\n))\"(?P<title>[^\"\n]{1,300})\"[ \t]*\n(?=\S)")
_RANKED = re.compile(r"^ {0,4}(?P<rank>\d{1,3})  ?(?P<docid>\S{1,300})(?:[ \t]+(?P<rest>[^\n]*))?$", re.MULTILINE)
_QUOTED = re.compile(r"'(?P<title>[^']{1,300})'|\"(?P<double>[^\"]{1,300})\"")

Row = dict[str, Any]


def lists_in(text: str) -> list[list[Row]]:
    """The lists that a text has in the first way of listing that is known; none where there is none.

    A text that answers several queries begins to count anew for each, as verl's search tool and DR-Tulu's do.
    """
    inside = json_or_none(text) if text.lstrip().startswith("{") else None
    if isinstance(inside, dict) and isinstance(inside.get("result"), str):
        text = inside["result"]
    # Single characters are looked for many times faster than what the functions look for.
    for character, listing in (("(", _docs), ("*", _pages), ("<", _snippets), ('"', _quoted)):
        if character not in text:
            continue
        lists: list[list[Row]] = []
        for number, row in listing(text):
            if not lists or number == 1:
                lists.append([])
            lists[-1].append(row)
        if lists:
            return lists
    return []


def pages_opened(text: str) -> list[str]:
    """The addresses of the pages that a text shows in `<webpage id=...>`."""
    return [row["docid"] for _, row in _snippets(text, "webpage")]


def ranked_rows(text: str) -> list[Row]:
    """Lines with a rank and an id, as SkimSearchAgent lists them: `1  doc-id  'Title'  ...`."""
    rows = []
    for match in _RANKED.finditer(text):
        if int(match["rank"]) != len(rows) + 1:
            continue
        rest = (match["rest"] or "").strip()
        title = _QUOTED.match(rest)
        rows.append(
            {
                "docid": match["docid"],
                "title": (title["title"] or title["double"]) if title else "",
                "snippet": rest.partition("»")[2].strip() or rest,
            }
        )
    return rows


def _pieces(text: str, matches: Sequence[re.Match[str]]) -> Iterator[tuple[re.Match[str], str]]:
    ends = [match.start() for match in matches[1:]] + [len(text)]
    for match, end in zip(matches, ends, strict=False):
        yield match, text[match.end() : end]


def _docs(text: str) -> Iterator[tuple[int, Row]]:
    if "(Title:" not in text:
        return
    matches = list(_DOC.finditer(text))
    if matches and begins_a_list(text, matches[0].start()):
        return  # they stand in the documents of another list
    for match, body in _pieces(text, matches):
        title = (match["quoted"] if match["quoted"] is not None else match["bare"]).strip()
        if title:
            yield (
                int(match["rank"]),
                {"docid": title, "title": title, "snippet": body.strip().removesuffix("---").strip()},
            )


def _quoted(text: str) -> Iterator[tuple[int, Row]]:
    """Passages that begin with their title in quotes, as corpora of Wikipedia keep them."""
    if not text.lstrip().startswith('"'):
        return
    for match, body in _pieces(text, list(_TITLED.finditer(text))):
        yield 0, {"docid": match["title"], "title": match["title"], "snippet": body.strip()}


def _pages(text: str) -> Iterator[tuple[int, Row]]:
    if "Web Page" not in text:
        return
    decoder = json.JSONDecoder()
    for match, body in _pieces(text, list(_PAGE.finditer(text))):
        try:
            value, _ = decoder.raw_decode(body.lstrip())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and isinstance(value.get("url"), str) and value["url"].strip():
            value = storable(value)
            texts = {key: value[key] for key in ("title", "snippet") if isinstance(value.get(key), str)}
            yield int(match["rank"]), {"docid": value["url"].strip(), **texts}


def _snippets(text: str, tag: str | None = None) -> Iterator[tuple[int, Row]]:
    for match, body in _pieces(text, list(_SNIPPET.finditer(text) if "<" in text else ())):
        if tag is not None and match["tag"] != tag:
            continue
        body = body.partition(f"</{match['tag']}>")[0]
        fields: dict[str, str] = {}
        for field, value in _pieces(body, list(_FIELD.finditer(body))):
            fields.setdefault(field["key"], value.strip())
        fields = {key: value.partition("\n")[0] if key in ("URL", "Title") else value for key, value in fields.items()}
        docid = fields.get("URL") or (fields.get("Title") if tag is None else None)
        if docid:
            snippet = fields.get("Snippet") or fields.get("Search Snippet") or fields.get("Summary") or ""
            position = match["id"].rpartition("-")[2]
            number = int(position) + 1 if position.isdecimal() and len(position) < 6 else 0
            yield number, {"docid": docid, "title": fields.get("Title", ""), "snippet": snippet}
