"""Which tools search, browse and answer, and which of their arguments say what: defaults, and a mapping file.

A mapping file is YAML with a section an action, each of which may be left out::

    search:
      tools: [find_papers]          # names of tools
      query: topic                  # argument with the query or queries; or a list, in order of preference
      results:                      # how the result list is written; known ways are tried when this is left out
        list: data.items            # observations that are JSON: path of keys to the list, and keys of a row
        docid: paper.id
        title: paper.name
        snippet: abstract
        # pattern: '^(?P<docid>\\d+): (?P<title>.*)$'     or, for text: a regex with named groups, found line by line
    browse:
      tools: [read_paper]
      docid: paper_id
    answer:
      tools: [submit]
      text: verdict

Tools that the file does not name keep their defaults.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from lrat_hub.errors import LratError

ToolAction = Literal["search", "browse", "answer"]

ARGUMENTS: Mapping[str, str] = {"search": "query", "browse": "docid", "answer": "text"}
"""For each action, the key of its section that names the argument."""


@dataclass(frozen=True)
class ResultFormat:
    """How a result list is written.

    Args:
        pattern: Finds each entry of a list that is text, with the groups `docid`, and `title` and `snippet` if it
            has them. Without a group `snippet`, the text up to the next entry is it.
        rows: Paths of keys ("data.items") to the list in an observation that is JSON, the first that leads to one
            counts; "" when the observation is the list.
        docid, title, snippet, score: Paths of keys in one of its rows, in order of preference.
    """

    pattern: re.Pattern[str] | None = None
    rows: tuple[str, ...] = ("", "results", "documents", "hits", "data", "items", "organic")
    docid: tuple[str, ...] = ("docid", "doc_id", "document_id", "id", "url", "link", "href")
    title: tuple[str, ...] = ("title", "name")
    snippet: tuple[str, ...] = ("snippet", "text", "content", "contents", "description", "body", "summary")
    score: tuple[str, ...] = ("score",)


BLOCKS = re.compile(r"^DocID:[ \t]*(?P<docid>\S+)[ \t]*\n(?:\[(?P<title>.*)\][ \t]*\n)?", re.MULTILINE)
"""Entries of the lists of the LRAT release."""

LINKS = re.compile(r"^(?:\d+\. )?\[(?P<title>.+)\]\((?P<docid>\S+)\)[ \t]*$\n?", re.MULTILINE)
"""Markdown links with a snippet below: the lists of smolagents' search tools."""


@dataclass(frozen=True)
class Tool:
    """What calls of a tool mean.

    Args:
        keys: Arguments that hold the queries, the document or the answer, in order of preference.
        result_format: How a search's results are written; None to look for every way that is known.
    """

    action: ToolAction
    keys: tuple[str, ...]
    result_format: ResultFormat | None = None

    def argument(self, arguments: Mapping[str, Any]) -> Any:
        """The argument that counts, or None."""
        return next((arguments[key] for key in self.keys if arguments.get(key) not in (None, "", [])), None)


SEARCH = Tool("search", ("user_query", "query", "queries", "q", "search_query", "input"))
BROWSE = Tool("browse", ("docid", "docids", "doc_id", "document_id", "id", "url", "urls"))
ANSWER = Tool("answer", ("answer", "final_answer", "text", "output"))

NAMES: Mapping[str, Tool] = MappingProxyType(
    {
        **dict.fromkeys(("search", "local_knowledge_base_retrieval", "web_search", "wikipedia_search"), SEARCH),
        **dict.fromkeys(("get_document", "visit", "visit_webpage", "browse", "open", "fetch"), BROWSE),
        **dict.fromkeys(("final_answer", "answer", "submit_answer"), ANSWER),
    }
)


@dataclass(frozen=True)
class Tools:
    """Tools by name."""

    by_name: Mapping[str, Tool] = field(default_factory=lambda: NAMES)

    def find(self, name: Any) -> Tool | None:
        """A tool by its name, before which clients put namespaces: `browser.search`, `mcp__wiki__search`."""
        if not isinstance(name, str):
            return None
        return self.by_name.get(name) or self.by_name.get(short_name(name))


def short_name(name: str) -> str:
    """A tool's name without namespaces."""
    return re.split(r"\.|__|/", name)[-1]


def load_mapping(path: Path) -> Tools:
    """The default tools, changed as a mapping file says.

    Raises:
        LratError: The file can't be read, or has unknown keys or values of another type.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LratError(f"Mapping {path}: expected a YAML file; {' '.join(str(error).split())}") from error
    _check_keys(path, "the file", content, ARGUMENTS)
    tools = dict(NAMES)
    for default in (SEARCH, BROWSE, ANSWER):
        if default.action in content:
            tools.update(_section(path, default, content[default.action]))
    return Tools(MappingProxyType(tools))


def _section(path: Path, default: Tool, section: Any) -> dict[str, Tool]:
    action, argument = default.action, ARGUMENTS[default.action]
    allowed = ("tools", argument, "results") if action == "search" else ("tools", argument)
    _check_keys(path, action, section, allowed)
    tool = default
    if argument in section:
        tool = replace(tool, keys=_names(path, f"{action}.{argument}", section[argument]))
    if "results" in section:
        tool = replace(tool, result_format=_result_format(path, section["results"]))
    names = _names(path, f"{action}.tools", section.get("tools", [name for name in NAMES if NAMES[name] is default]))
    return dict.fromkeys(names, tool)


def _result_format(path: Path, section: Any) -> ResultFormat:
    keys = {"list": "rows"} | {
        item.name: item.name for item in fields(ResultFormat) if item.name not in ("rows", "pattern")
    }
    if isinstance(section, dict) and "pattern" in section:
        _check_keys(path, "search.results with a pattern", section, ("pattern",))
        return ResultFormat(_pattern(path, section["pattern"]))
    _check_keys(path, "search.results", section, (*keys, "pattern"))
    paths: dict[str, Any] = {keys[key]: _names(path, f"search.results.{key}", value) for key, value in section.items()}
    return ResultFormat(**paths)


def _pattern(path: Path, pattern: Any) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern, re.MULTILINE)
    except (re.error, TypeError) as error:
        raise LratError(f"Mapping {path}: search.results.pattern: expected a regular expression; {error}.") from error
    if "docid" not in compiled.groupindex or set(compiled.groupindex) - {"docid", "title", "snippet"}:
        raise LratError(
            f"Mapping {path}: search.results.pattern: expected a group docid, and title and snippet at will; "
            f"found {', '.join(compiled.groupindex) or 'no named group'}."
        )
    return compiled


def _names(path: Path, where: str, value: Any) -> tuple[str, ...]:
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) for name in names):
        raise LratError(f"Mapping {path}: {where}: expected a name or a list of names, found {value!r}.")
    return tuple(names)


def _check_keys(path: Path, where: str, section: Any, allowed: Iterable[str]) -> None:
    if not isinstance(section, dict):
        raise LratError(f"Mapping {path}: {where}: expected keys and values, found {section!r}.")
    if unknown := sorted(map(str, set(section) - set(allowed))):
        raise LratError(f"Mapping {path}: {where}: expected {', '.join(allowed)}; found {', '.join(unknown)}.")
