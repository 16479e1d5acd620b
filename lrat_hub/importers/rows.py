"""Result lists that are data: JSON, the repr of a Python list, JSON Lines, or JSON that stands in a text.

Read are the answers of Serper (`organic`), Tavily and Exa (`results`), Brave (`web.results`), Bing (`webPages.value`),
SerpAPI (`organic_results`), Google's custom search (`items`), Firecrawl (`data.web`), Bocha (`data.webPages.value`),
Metaso (`webpages`), Elasticsearch (`hits.hits`), Solr (`response.docs`), Vespa (`root.children`), Qdrant (`points`),
Bedrock's knowledge bases (`retrievalResults`), of retrievers that put a `document` into each row, and LangChain's
documents with `page_content` and `metadata`.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from lrat_hub.importers.entry import Entry
from lrat_hub.importers.mapping import ResultFormat, first_at, values_at
from lrat_hub.importers.plain_ids import has_id
from lrat_hub.importers.values import docid_of, identifier_of, json_or_none, number_of, storable, text_of

ROWS = (
    "", "results", "documents", "hits.hits", "hits", "data", "items", "organic", "organic_results", "web.results",
    "webPages.value", "search_results", "searchResults", "result", "docs", "passages", "sources", "data.results",
    "results.results", "response.results", "structuredContent.results", "structuredContent.result", "output",
    "matches", "web", "news", "papers", "articles", "links", "search_result", "retrieved_documents", "value",
    "web_page_info_list", "data.web", "data.webPages.value", "webpages", "response.docs", "retrievalResults",
    "result.points", "points", "root.children", "结果", "搜索结果", "检索结果", "文档", "数据",
)  # fmt: skip
"""Where the list is, the first that is one counts."""

DOCIDS = (
    "docid", "doc_id", "document_id", "_id", "document.docid", "document.doc_id", "document.id", "metadata.docid",
    "metadata.doc_id", "doc.id", "pid", "file_id", "文档id", "文档ID", "文档编号", "编号",
)  # fmt: skip
ADDRESSES = (
    "url", "link", "href", "uri", "source_url", "page_url", "document.url", "metadata.url", "metadata.source",
    "_source.url", "web.uri", "webpage_url", "location.webLocation.url", "location.s3Location.uri", "payload.url",
    "fields.url", "链接", "网址", "地址",
    "来源链接",
)  # fmt: skip
TITLES = (
    "title", "name", "document.title", "metadata.title", "_source.title", "web.title", "page_title", "heading",
    "payload.title", "fields.title", "filename",
    "标题", "题目", "名称",
)  # fmt: skip
SNIPPETS = (
    "snippet", "text", "content", "contents", "description", "body", "summary", "abstract", "page_content", "passage",
    "document.contents", "document.text", "document.content", "_source.text", "_source.content", "_source.contents",
    "highlights", "excerpts", "extracted_info", "chunk", "quick_summary", "payload.text", "payload.content",
    "fields.body", "fields.text",
    "摘要", "内容", "正文", "简介", "描述", "文本",
)  # fmt: skip
SCORES = ("score", "_score", "relevance_score", "similarity")
QUERIES = (
    "query", "q", "search_query", "searchParameters.q", "searchParameters.query", "queryContext.originalQuery",
    "query.original", "search_parameters.q", "request.query", "input_query", "查询", "搜索词", "关键词", "问题",
)  # fmt: skip

MAX_REPR = 500_000
"""Characters up to which a text is read as the repr of a Python value, which takes a hundred times its size."""

_TRIES = 50
_OPENING = re.compile(r"^[ \t]{0,40}(?:[^\n\[{]{0,200}:[ \t]*)?(?=[\[{])", re.MULTILINE)
_NESTED = re.compile(r"\[\s*[\[\]]")
_ROWS_BEGIN = re.compile(r"\[\s*(?=\{)")
_COMMA = re.compile(r"\s*,\s*")
_DECODER = json.JSONDecoder()
_NUMPY = re.compile(r"\bnp\.(?:float|int)\d*\(([^()]{0,40})\)")
_NOT_A_NUMBER = re.compile(r"(?<=[:,\[]) ?-?\b(?:nan|inf)\b(?= ?[,}\]])")


def value_of(text: str) -> Any:
    """The value of a text that is nothing but JSON or the repr of a Python list or object, or None."""
    stripped = text.strip()
    if not stripped.startswith(("[", "{", '"[', '"{')):
        return None
    value = json_or_none(stripped)
    if isinstance(value, str):
        return json_or_none(value)  # encoded twice
    return value if value is not None else _repr_of(stripped)


def _repr_of(text: str) -> Any:
    if len(text) > MAX_REPR or not text.endswith(("]", "}")) or not re.match(r"[\[{]\s*[\[{'\"\]}]", text):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # about texts of others, which nobody here can fix
        for source in (text, _NOT_A_NUMBER.sub(" None", _NUMPY.sub(r"\1", text))):
            try:
                return storable(ast.literal_eval(source))
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                continue
    return None


def values_in(text: str) -> list[Any]:
    """The objects and lists of objects that stand in a text as JSON, each at the begin of a line or after a colon."""
    if "{" not in text and not _NESTED.search(text):
        return []
    values, failures, at = [], 0, 0
    while failures < _TRIES and (opening := _OPENING.search(text, at)):
        try:
            value, at = _DECODER.raw_decode(text, opening.end())
        except (ValueError, RecursionError):
            failures += 1
            newline = text.find("\n", opening.end())
            at = len(text) if newline < 0 else newline + 1
            continue
        # "[1]" is a footnote, and "{}" says nothing.
        if isinstance(value, dict) or (
            isinstance(value, list) and all(isinstance(row, (dict, list)) for row in value)
        ):
            values.append(storable(value))
        if at <= opening.end():
            break
    return values


def rows_cut_off(text: str) -> list[Any]:
    """The complete rows of a JSON list that is cut off in the middle."""
    opening = _ROWS_BEGIN.search(text[:2000]) if "{" in text else None
    rows: list[Any] = []
    at = opening.end() if opening else len(text)
    while at < len(text) and text[at] == "{":
        try:
            row, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        rows.append(storable(row))
        between = _COMMA.match(text, at)
        at = between.end() if between else len(text)
    return rows


def texts_of_parts(value: Any) -> list[str] | None:
    """The texts of a tool's answer that is a list of parts, as the Model Context Protocol has it; None for others."""
    parts = value.get("content") if isinstance(value, dict) else value
    if not isinstance(parts, list) or not parts:
        return None
    if not all(isinstance(part, dict) and part.get("type") in ("text", "output_text") for part in parts):
        return None
    # Rows of a list may name a type, too (Linkup).
    return [part["text"] for part in parts if isinstance(part.get("text"), str)] or None


def texts_of_values(text: str) -> list[str]:
    """The texts of the values that a text lists: of a JSON list, or one behind the other; none where it is no list."""
    value = value_of(text)
    if isinstance(value, list):
        return list(map(text_of, value))
    start, texts = 0, []
    try:
        while start < len(text):
            if text[start].isspace():
                start += 1
                continue
            _, end = _DECODER.raw_decode(text, start)
            texts.append(text[start:end])
            start = end
    except (ValueError, RecursionError):
        return []
    return texts


def list_in(value: Any, known: ResultFormat) -> list[Any] | None:
    """The list of a search's answer, or None."""
    return next((rows for rows in values_at(value, known.rows or ROWS) if isinstance(rows, list)), None)


def query_in(part: Any) -> str | None:
    """The query that a part of a search's answer names."""
    return next(filter(None, map(identifier_of, values_at(part, QUERIES))), None)


def entries_of_rows(rows: Sequence[Any], known: ResultFormat) -> list[Entry]:
    """An entry for each row. One that can't be read has no id, but keeps its place in the ranking."""
    use_addresses = not known.docid and _ids_are_numbers(rows)
    return [_entry(row, known, use_addresses) for row in rows]


def _entry(row: Any, known: ResultFormat, use_addresses: bool) -> Entry:
    if isinstance(row, str) and not known.docid and re.fullmatch(r"\w+://\S+", row):
        return Entry(row)
    if not isinstance(row, dict):
        return Entry(None)
    docid, names = _names(row, use_addresses)
    if known.docid:
        docid = mapped if (mapped := docid_of(first_at(row, known.docid))) and has_id(mapped) else None
    return Entry(
        docid,
        text_of(first_at(row, known.title or TITLES)),
        _words_of(first_at(row, known.snippet or SNIPPETS)),
        number_of(first_at(row, known.score or SCORES)),
        aliases=tuple(name for name in names if name != docid) if len(names) > 1 else (),
    )


def _words_of(value: Any) -> str:
    """The text of a snippet, which may be a list of texts or of parts with texts."""
    if not isinstance(value, list):
        return text_of(value)
    texts = value if all(isinstance(part, str) for part in value) else texts_of_parts(value)
    return "\n".join(texts) if texts else text_of(value)


def _names(row: dict[str, Any], use_address: bool) -> tuple[str | None, list[str]]:
    """The id of a row, and all ids and addresses that it has."""
    addresses, named, plain = (
        [docid for docid in map(docid_of, values) if docid and has_id(docid)]
        for values in (values_at(row, ADDRESSES), values_at(row, DOCIDS), [row.get("id")])
    )
    if not addresses and row.get("type") == "search_result" and (source := docid_of(row.get("source"))):
        addresses = [source]  # Anthropic's blocks; elsewhere a source may be the name of a site
    names = [*named, *(addresses if use_address else plain), *addresses, *plain]
    return names[0] if names else None, names


def _ids_are_numbers(rows: Sequence[Any]) -> bool:
    """Whether the key `id` only numbers the rows, or is an address of the search engine's own."""
    ids = [row.get("id") for row in rows if isinstance(row, dict)]
    texts = [identifier_of(value) or "" for value in ids]
    if any(re.match(r"https?://", text) for text in texts):
        return True
    if len(texts) < 2 and texts not in (["0"], ["1"]):
        return False
    return any(texts == [str(number) for number in range(first, first + len(texts))] for first in (0, 1))


def is_row(value: Any, known: ResultFormat) -> bool:
    """Whether a value is a row with an id."""
    return _entry(value, known, use_addresses=False).docid is not None


def is_hit(text: str) -> bool:
    """Whether a text is the row of a hit."""
    return is_row(value_of(text), ResultFormat())


def by_query(value: Any, asked: Sequence[str], known: ResultFormat) -> Iterator[tuple[str, list[Any]]]:
    """The lists of an object that has them under the queries."""
    keys = (
        {plain(key): inner for key, inner in value.items() if isinstance(key, str)} if isinstance(value, dict) else {}
    )
    for query in asked:
        if plain(query) in keys and (rows := list_in(keys[plain(query)], known)) is not None:
            yield query, rows


@lru_cache(maxsize=256)
def plain(query: str) -> str:
    """A query without what tools change about it: case, quotes around it and spaces."""
    return " ".join(query.split()).strip("\"'“”‘’`").casefold()
