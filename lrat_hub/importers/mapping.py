"""Which tools search, browse and answer, which of their arguments say what, and where records keep the rest.

These are the defaults, and what a mapping file can change; `lrat_hub.importers.mapping_files` reads such a file and
describes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, Literal

from lrat_hub.importers.mapped_patterns import TextPattern
from lrat_hub.importers.values import text_of

ToolAction = Literal["search", "browse", "answer"]

ARGUMENTS: Mapping[str, str] = {"search": "query", "browse": "docid", "answer": "text"}
"""For each action, the key of its section that names the argument."""

FieldName = Literal["messages", "question", "gold_answer", "final_answer", "correct", "status", "query_id"]
"""What a mapping file can say about a record, apart from its tools."""

TagName = Literal["search", "results", "browse", "page", "answer", "reasoning"]
"""What a tag of a text can hold."""


@dataclass(frozen=True)
class ResultFormat:
    """How the result lists of a search are written.

    Args:
        pattern: Finds each entry of a list that is text, with the groups `docid`, and `title` and `snippet` if it
            has them. Without a group `snippet`, the text up to the next entry is it.
        rows: Paths of keys ("data.items") to the list in an observation that is JSON, the first that leads to one
            counts; "" when the observation is the list. Without any, usual paths are tried; so for the next four.
        docid, title, snippet, score: Paths of keys in one of its rows, in order of preference.
        section: Divides an observation that holds the lists of several queries: with a group `query` it finds the
            line that begins the list of the query it names, without one it finds what stands between two lists.
        shared: Whether the queries of a call have one list together, which then counts as that of the first.
    """

    pattern: TextPattern | None = None
    rows: tuple[str, ...] = ()
    docid: tuple[str, ...] = ()
    title: tuple[str, ...] = ()
    snippet: tuple[str, ...] = ()
    score: tuple[str, ...] = ()
    section: TextPattern | None = None
    shared: bool = False


@dataclass(frozen=True)
class Tool:
    """What calls of a tool mean.

    Args:
        keys: Arguments that hold the queries, the document or the answer, in order of preference.
        result_format: How a search's results are written; None to look for every way that is known.
        section: Divides an observation that holds several documents: with a group `docid` it finds the line that
            begins the document it names, without one it finds what stands between two documents.
    """

    action: ToolAction
    keys: tuple[str, ...]
    result_format: ResultFormat | None = None
    section: TextPattern | None = None

    def argument(self, arguments: Mapping[str, Any]) -> Any:
        """The argument that counts, or None."""
        return next((arguments[key] for key in self.keys if arguments.get(key) not in (None, "", [])), None)


SEARCH = Tool(
    "search",
    ("user_query", "query", "queries", "q", "search_query", "search_queries", "query_list", "search_term",
     "searchTerm", "keywords", "keyword", "input", "objective", "question", "text", "search_string",
     "searchQuery", "search_terms", "search_keywords", "query_text", "term", "查询", "搜索词", "关键词", "问题"),
)  # fmt: skip
BROWSE = Tool(
    "browse",
    ("docid", "docids", "doc_id", "doc_ids", "document_id", "document_ids", "id", "ids", "url", "urls", "link",
     "links", "url_list", "href", "uri", "webpage_url", "page_url", "website", "web_url",
     "target_url", "address", "document", "page_id", "article_id", "passage_id", "pid", "input", "链接", "网址",
     "文档编号"),
)  # fmt: skip
ANSWER = Tool("answer", ("answer", "final_answer", "text", "output", "response", "result"))

# Only names that mean one thing wherever they were seen; all others are for a mapping file to explain.
# Case, signs between words and an ending "tool" don't matter.
_SEARCHES = (
    "search", "local_knowledge_base_retrieval", "web_search", "wikipedia_search", "search_web", "google_search",
    "google_web_search", "google_scholar", "scholar_search", "google", "search_google", "google_scholar_search",
    "semantic_scholar_search", "semantic_scholar", "duckduckgo_search", "ddg_search", "ddgs_search", "ddg",
    "duckduckgo", "duckduckgo_results_json", "search_duckduckgo", "bing_search", "bing", "search_bing",
    "brave_search", "brave_web_search", "tavily_search", "tavily", "tavily_web_search", "tavily_search_results_json",
    "tavily_search_results", "serper_search", "serper", "google_serper", "google_serper_results_json",
    "serpapi_search", "serpapi", "exa_search", "web_search_exa", "jina_search", "searxng_search",
    "searxng_web_search", "searxng", "perplexity_search", "baidu_search", "baidu", "bocha_search", "sogou_search",
    "search_wikipedia", "wikipedia", "wikipedia_query_run", "wiki_search", "search_wiki", "wiki", "search_documents",
    "search_docs", "search_corpus", "corpus_search", "document_search", "doc_search", "search_passages",
    "passage_search", "snippet_search", "retrieve", "retriever", "retrieval", "retrieve_documents",
    "retrieve_passages", "retrieve_docs", "document_retriever", "semantic_search", "vector_search", "hybrid_search",
    "keyword_search", "dense_search", "bm25_search", "full_text_search", "similarity_search", "knowledge_search",
    "knowledge_base_search", "search_knowledge_base", "query_knowledge_base", "search_kb", "kb_search", "rag_search",
    "rag", "internet_search", "search_internet", "search_the_web", "online_search", "news_search", "search_news",
    "arxiv_search", "search_arxiv", "arxiv", "pubmed_search", "search_pubmed", "pubmed", "search_engine",
    "web_search_preview", "search_query", "do_search", "run_search", "perform_search",
    "search_the_internet_with_serper", "搜索", "网页搜索", "网络搜索",
    "联网搜索", "搜索引擎", "检索",
)  # fmt: skip
_BROWSES = (
    "get_document", "get_doc", "visit", "visit_webpage", "browse", "open", "fetch", "web_fetch", "fetch_url",
    "fetch_webpage", "fetch_web_page", "fetch_page", "fetch_content", "fetch_document", "fetch_doc", "url_fetch",
    "fetch_web_content", "fetch_website", "get_page", "get_page_content", "get_webpage", "get_webpage_content",
    "get_website", "get_url", "get_url_content", "open_url", "open_page", "open_webpage", "open_web_page",
    "open_link", "open_document", "open_doc", "open_website", "read_page", "read_url", "read_webpage",
    "read_web_page", "read_website", "read_document", "read_doc", "read_article", "read_passage", "view_page",
    "view_document", "view_webpage", "visit_url", "visit_page", "visit_link", "visit_site", "visit_website",
    "visit_document", "web_visit", "browse_webpage", "browse_web_page", "browse_page", "browse_url", "browse_website",
    "browse_link", "scrape", "scrape_url", "scrape_webpage", "scrape_page", "scrape_website", "scrape_web",
    "web_scrape", "web_scraper", "scrape_and_extract_info", "firecrawl_scrape", "tavily_extract", "jina_reader",
    "jina_scrape", "jina_read", "crawl", "crawl_webpage", "crawl_page", "crawl_url", "crawl_website", "crawl_web",
    "web_crawl", "web_crawler", "crawler", "crawling_exa", "load_webpage", "load_web_page", "load_page", "load_url",
    "load_document", "retrieve_document", "get_contents", "get_content", "get_article", "get_passage", "web_reader",
    "webpage_reader", "page_reader", "url_reader", "goto", "go_to_url", "navigate",
    "web_extractor", "read_website_content", "访问网页", "打开网页",
    "浏览网页", "阅读网页", "网页浏览", "访问",
)  # fmt: skip
_ANSWERS = ("final_answer", "answer", "submit_answer", "finish_with_answer", "give_final_answer", "最终答案")

NAMES: Mapping[str, Tool] = MappingProxyType(
    {**dict.fromkeys(_SEARCHES, SEARCH), **dict.fromkeys(_BROWSES, BROWSE), **dict.fromkeys(_ANSWERS, ANSWER)}
)


@dataclass(frozen=True)
class Field:
    """Where a record keeps something and how it is to be read.

    Args:
        paths: Paths of keys, the first that leads to a value counts.
        pattern: Takes a part out of a text, by its group that is called as the field.
        meanings: What values mean, by their text in lower case; without any, the usual words are understood.
    """

    name: FieldName
    paths: tuple[str, ...] = ()
    pattern: TextPattern | None = None
    meanings: Mapping[str, Any] = field(default_factory=dict)

    def find(self, record: Any) -> Any:
        """The value in a record, or None."""
        return first_at(record, self.paths)

    def extract(self, text: str) -> str | None:
        """The part of a text that the pattern names, the whole text without a pattern, or None."""
        if self.pattern is None:
            return text or None
        match = self.pattern.search(text)
        return (match[self.name] or "").strip() or None if match else None

    def meaning(self, value: Any) -> Any:
        """What a value means, or None where the file does not say."""
        return self.meanings.get(text_of(value).strip().casefold())


@dataclass(frozen=True)
class CallKeys:
    """Where tool calls are, and what their keys are called.

    Args:
        calls: Paths of keys in a message, to a call or a list of calls.
        name, arguments, id: Paths of keys in a call.
        result: Paths of keys in a call to what the tool showed, where the call itself holds it.
    """

    calls: tuple[str, ...] = ()
    name: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    id: tuple[str, ...] = ()
    result: tuple[str, ...] = ()


REASONING = "reasoning"
"""In the place of a role, for messages that hold what the agent thinks before its next call."""


@dataclass(frozen=True)
class MessageKeys:
    """What the keys and the roles of messages are called, where that is unusual.

    Args:
        role, content, reasoning, call_id: Paths of keys in a message; `call_id` leads to the call that a tool answers.
        roles: The usual role, or `REASONING`, by the text of an unusual one in lower case.
    """

    role: tuple[str, ...] = ()
    content: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    call_id: tuple[str, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LogMapping:
    """How the records of a log are to be understood.

    Args:
        by_name: Tools by name.
        failures: Patterns; an observation in which one is found is that of a failed call.
        fields: Where records keep what is not a call, for the fields that a mapping file names.
        message: What keys and roles of messages are called, where that is unusual.
        calls: Where messages keep their calls, where that is unusual.
        tags: What stands before and after the parts of texts in tags, by what they hold.
    """

    by_name: Mapping[str, Tool] = field(default_factory=lambda: NAMES)
    failures: tuple[TextPattern, ...] = ()
    fields: Mapping[FieldName, Field] = field(default_factory=dict)
    message: MessageKeys | None = None
    calls: CallKeys | None = None
    tags: Mapping[TagName, tuple[str, str]] = field(default_factory=dict)

    def find(self, name: Any) -> Tool | None:
        """A tool by its name, before which clients put namespaces: `browser.search`, `mcp__wiki__search`.

        Case, signs between words and an ending "tool" don't matter: `searchWeb` and `Search-Web-Tool` are the same.
        """
        if not isinstance(name, str):
            return None
        if name in self.by_name:
            return self.by_name[name]
        short = short_name(name)
        if short in self.by_name:
            return self.by_name[short]
        words = (letters_of(name), letters_of(short))
        known = (self._by_letters.get(word) or self._by_letters.get(word.removesuffix("tool")) for word in words)
        return next(filter(None, known), None)

    @cached_property
    def _by_letters(self) -> Mapping[str, Tool]:
        return {letters_of(name): tool for name, tool in self.by_name.items()}

    @property
    def reshapes(self) -> bool:
        """Whether records have to go through `lrat_hub.importers.mapped_records.chat_record` before they are read."""
        return bool(self.fields or self.message or self.calls or self.tags)

    @property
    def says_where_messages_are(self) -> bool:
        """Whether every record is a conversation by what the file says, whatever it looks like."""
        return "messages" in self.fields or bool(self.message or self.calls or self.tags)

    def is_run(self, value: Any) -> bool:
        """Whether a value has messages, or one text of the agent, where the file says that they are."""
        where = self.fields.get("messages")
        return where is not None and isinstance(where.find(value), list | str)


# MiroFlow's: `tool-searching-google_search` is a tool of the server `tool-searching`.
_NAMESPACE = re.compile(r"\Atool-[\w-]*-(?=\w+\Z)")


def short_name(name: str) -> str:
    """A tool's name without namespaces."""
    return _NAMESPACE.sub("", re.split(r"\.|__|/|:", name)[-1])


def letters_of(name: str) -> str:
    """What is the same in all ways to write a name of several words."""
    return "".join(filter(str.isalnum, name)).casefold()


def value_at(value: Any, path: str) -> Any:
    """What a path of keys leads to in objects within objects, or None; a number is a place in a list."""
    for key in path.split(".") if path else ():
        if isinstance(value, list) and key.isdecimal() and len(key) < 10:
            value = value[int(key)] if int(key) < len(value) else None
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def values_at(value: Any, paths: tuple[str, ...]) -> Iterator[Any]:
    """What paths of keys lead to, in the order of the paths, without those that lead to nothing."""
    if isinstance(value, dict) and len(value) <= _FEW_KEYS:
        paths = _paths_from(tuple(value), paths)
    for path in paths:
        if (inner := value_at(value, path)) is not None:
            yield inner


def first_at(value: Any, paths: tuple[str, ...]) -> Any:
    """What the first path leads to that leads to something, or None."""
    return next(values_at(value, paths), None)


_FEW_KEYS = 50


# The rows of a list have the same few keys, and of dozens of paths nearly none begins with one of them.
@lru_cache(maxsize=1024)
def _paths_from(keys: tuple[Any, ...], paths: tuple[str, ...]) -> tuple[str, ...]:
    """The paths that begin with a key of an object, or lead to the object itself."""
    return tuple(path for path in paths if not path or path.partition(".")[0] in keys)
