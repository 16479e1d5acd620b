r"""Mapping files: how a log is to be understood, said in YAML. Each section and each key may be left out::

    search:
      tools: [find_papers]          # names of tools
      query: topic                  # argument with the query or queries; or a list, in order of preference
      results:                      # how the result list is written; known ways are tried when this is left out
        list: data.items            # observations that are JSON: path of keys to the list, and keys of a row
        docid: paper.id
        title: paper.name
        snippet: abstract
        # pattern: '^(?P<docid>\d+): (?P<title>.*)$'      or, for text: a regex with named groups
        section: '^Papers on "(?P<query>.*)":$'           # begins the list of a query; or what stands between lists
        shared: false               # true: the queries of a call have one list, which counts as that of the first
    browse:
      tools: [read_paper]
      docid: paper_id
      section: '^Paper (?P<docid>\S+)$'                   # begins a document; or what stands between documents
    answer:
      tools: [submit]
      text: verdict

    failure: ['^The archive is closed']   # an observation in which it is found is that of a failed call

    messages: run.turns             # path of keys to the list of messages, or to one text of the agent
    question: {pattern: 'Question: (?P<question>.*)'}     # a path; a pattern for the first message of the user;
                                    # or both, {key: prompt, pattern: ...}; so for the next two
    gold_answer: label
    final_answer: prediction
    query_id: task.number
    correct: {key: grade, true: [A, CORRECT], false: [B, C]}
    status: {key: stopped, completed: [done], limited: [max_turns], failed: [crash]}
    message: {role: speaker, content: text, reasoning: thought, call_id: answers}           # keys of messages
    roles: {user: [Customer], assistant: [Bot], tool: [Env], reasoning: [Mind]}             # values of the role; also
                                    # system. A message of `reasoning` is what the agent thinks before its next call
    calls: {list: actions, name: tool, arguments: tool_input, id: number, result: output}   # keys of messages, calls
    tags:                           # parts of texts; a name is <name>...</name>, a list what stands before and after
                                    # (['Answer: ', ''] for all that comes after it)
      search: query
      results: ['[DOCS]', '[/DOCS]']
      browse: open
      page: page
      answer: final
      reasoning: think

Paths are keys with dots between them, `choices.0.message`. What the file does not name keeps its default.
Patterns are Python's, read by the package `regex`; `^` and `$` stand for the begin and end of a line. They run over
texts of a megabyte: one that takes more than ten seconds for a text, as it goes back over it again and again, is an
error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import regex

from lrat_hub.errors import LratError
from lrat_hub.importers.mapped_patterns import BoundedPattern
from lrat_hub.importers.mapping import (
    ANSWER,
    ARGUMENTS,
    BROWSE,
    NAMES,
    REASONING,
    SEARCH,
    CallKeys,
    Field,
    FieldName,
    LogMapping,
    MessageKeys,
    ResultFormat,
    TagName,
    Tool,
    letters_of,
)
from lrat_hub.importers.values import text_of

_ROW_KEYS = {"list": "rows", "docid": "docid", "title": "title", "snippet": "snippet", "score": "score"}
_MEANINGS: Mapping[FieldName, Mapping[str, Any]] = {
    "correct": {"true": True, "false": False},
    "status": {"completed": "completed", "limited": "limited", "failed": "failed"},
}
_CALL_KEYS = ("list", "name", "arguments", "id", "result")
_MESSAGE_KEYS = ("role", "content", "reasoning", "call_id")
_ROLES = ("system", "user", "assistant", "tool", REASONING)
_SECTIONS = (*ARGUMENTS, "failure", *get_args(FieldName), "message", "roles", "calls", "tags")


def mapping_of(mapping: LogMapping | str | Path | None) -> LogMapping | None:
    """A mapping as it is, or that of the file that a path names.

    Raises:
        LratError: It is neither, or the file is none; see `load_mapping`.
    """
    if mapping is None or isinstance(mapping, LogMapping):
        return mapping
    if not isinstance(mapping, (str, Path)):
        found = type(mapping).__name__
        raise LratError(
            f"Import: `mapping`: expected the path of a mapping file or what `load_mapping` gives, found a {found}."
        )
    return load_mapping(mapping)


def load_mapping(path: str | Path) -> LogMapping:
    """The default understanding of logs, changed as a mapping file says.

    Raises:
        LratError: The file can't be read, or has unknown keys or values of another type.
    """
    import yaml

    path = Path(path).expanduser()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise LratError(f"Mapping {path}: expected a YAML file; {' '.join(str(error).split())}") from error
    return _File(path).mapping(content)


class _File:
    """Checks the values of a file; whatever is wrong names the file and the section."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mapping(self, content: Any) -> LogMapping:
        self._check_keys("the file", content, _SECTIONS)
        named: dict[str, Tool] = {}
        for default in (SEARCH, BROWSE, ANSWER):
            if default.action in content:
                named.update(self._tools(default, content[default.action]))
        # A tool that we know in another spelling is the file's as well: `Search KB` is read as `search_kb`.
        own = set(map(letters_of, named))
        tools = {name: tool for name, tool in NAMES.items() if letters_of(name) not in own} | named
        names: tuple[FieldName, ...] = get_args(FieldName)
        fields: dict[FieldName, Field] = {name: self._field(name, content[name]) for name in names if name in content}
        return LogMapping(
            MappingProxyType(tools),
            tuple(self._patterns("failure", content["failure"])) if "failure" in content else (),
            fields,
            self._message(content.get("message", {}), content.get("roles", {})),
            self._calls(content["calls"]) if "calls" in content else None,
            self._tags(content["tags"]) if "tags" in content else {},
        )

    def _tools(self, default: Tool, section: Any) -> dict[str, Tool]:
        action, argument = default.action, ARGUMENTS[default.action]
        extra = {"search": ("results",), "browse": ("section",), "answer": ()}[action]
        self._check_keys(action, section, ("tools", argument, *extra))
        tool = default
        if argument in section:
            tool = replace(tool, keys=self._names(f"{action}.{argument}", section[argument]))
        if "results" in section:
            tool = replace(tool, result_format=self._result_format(section["results"]))
        if "section" in section:
            tool = replace(tool, section=self._pattern("browse.section", section["section"], optional=("docid",)))
        usual = [name for name in NAMES if NAMES[name] is default]
        return dict.fromkeys(self._names(f"{action}.tools", section.get("tools", usual)), tool)

    def _result_format(self, section: Any) -> ResultFormat:
        where = "search.results"
        if isinstance(section, dict) and "pattern" in section:
            self._check_keys(f"{where} with a pattern", section, ("pattern", "section", "shared"))
        else:
            self._check_keys(where, section, (*_ROW_KEYS, "pattern", "section", "shared"))
        keys: dict[str, Any] = {
            _ROW_KEYS[key]: self._names(f"{where}.{key}", value, is_path=True)
            for key, value in section.items()
            if key in _ROW_KEYS
        }
        if "pattern" in section:
            name, known = f"{where}.pattern", ("title", "snippet")
            keys["pattern"] = self._pattern(name, section["pattern"], needed=("docid",), optional=known)
        if "section" in section:
            keys["section"] = self._pattern(f"{where}.section", section["section"], optional=("query",))
        shared = section.get("shared", False)
        if not isinstance(shared, bool):
            raise self._error(f"{where}.shared", "true or false", repr(shared))
        return ResultFormat(**keys, shared=shared)

    def _field(self, name: FieldName, value: Any) -> Field:
        if isinstance(value, (str, list)):
            return Field(name, self._names(name, value))
        meanings = _MEANINGS.get(name)
        allowed = ("key", "pattern") if meanings is None else ("key", *meanings)
        if name == "messages":
            raise self._error(name, "a path of keys or a list of them", repr(value))
        # YAML reads a bare true and a bare yes as a value, not as the word.
        section = {_word(key): inner for key, inner in value.items()} if isinstance(value, dict) else value
        self._check_keys(name, section, allowed)
        # A question can stand in the first message, an answer in the last; everything else needs a key.
        needed = {"key", "pattern"} if name in ("question", "final_answer") else {"key"}
        if not section.keys() & needed:
            raise self._error(name, " or ".join(sorted(needed)), ", ".join(section) or "nothing")
        paths = self._names(f"{name}.key", section["key"]) if "key" in section else ()
        pattern = (
            self._pattern(f"{name}.pattern", section["pattern"], needed=(name,)) if "pattern" in section else None
        )
        words = {
            word: meaning
            for key, meaning in (meanings or {}).items()
            for word in self._words(f"{name}.{key}", section.get(key, []))
        }
        return Field(name, paths, pattern, words)

    def _message(self, section: Any, roles: Any) -> MessageKeys | None:
        self._check_keys("message", section, _MESSAGE_KEYS)
        self._check_keys("roles", roles, _ROLES)
        paths = {key: self._names(f"message.{key}", value, is_path=True) for key, value in section.items()}
        words = {word: role for role, value in roles.items() for word in self._words(f"roles.{role}", value)}
        return MessageKeys(**paths, roles=words) if paths or words else None

    def _words(self, where: str, value: Any) -> Iterable[str]:
        """Values that a log may have, without case."""
        for word in _listed(value):
            if isinstance(word, (dict, list)):
                raise self._error(where, "a value or a list of values", repr(word))
            yield text_of(word).strip().casefold()

    def _calls(self, section: Any) -> CallKeys:
        self._check_keys("calls", section, _CALL_KEYS)
        paths = {key: self._names(f"calls.{key}", value, is_path=True) for key, value in section.items()}
        return CallKeys(*(paths.get(key, ()) for key in _CALL_KEYS))

    def _tags(self, section: Any) -> dict[TagName, tuple[str, str]]:
        known: tuple[TagName, ...] = get_args(TagName)
        self._check_keys("tags", section, known)
        tags: dict[TagName, tuple[str, str]] = {}
        for name in known:
            if name not in section:
                continue
            match section[name]:
                case str(tag) if re.fullmatch(r"[\w-]+", tag):
                    tags[name] = (f"<{tag}>", f"</{tag}>")
                case [str(before), str(after)] if before:
                    tags[name] = (before, after)
                case value:
                    expected = "the name of a tag, or a list of what stands before and after"
                    raise self._error(f"tags.{name}", expected, repr(value))
        return tags

    def _patterns(self, where: str, value: Any) -> Iterable[BoundedPattern]:
        for pattern in _listed(value):
            yield self._pattern(where, pattern, optional=None)

    def _pattern(
        self, where: str, pattern: Any, *, needed: tuple[str, ...] = (), optional: tuple[str, ...] | None = ()
    ) -> BoundedPattern:
        """A pattern with the groups it needs, and out of others only the optional ones; None for any."""
        if not isinstance(pattern, str) or not pattern:
            raise self._error(where, "a regular expression", repr(pattern))
        compiled = BoundedPattern(pattern, f"{self._path}: {where}")
        try:
            groups = set(compiled.groupindex)
        except (regex.error, ValueError, RecursionError, OverflowError) as error:
            raise LratError(f"Mapping {self._path}: {where}: expected a regular expression; {error}.") from error
        if set(needed) - groups or (optional is not None and groups - {*needed, *optional}):
            others = f", and {' and '.join(optional)} at will" if optional else ""
            expected = f"a group {', '.join(needed)}{others}" if needed else f"no group{others}"
            raise self._error(where, expected, ", ".join(compiled.groupindex) or "no named group")
        return compiled

    def _names(self, where: str, value: Any, *, is_path: bool = False) -> tuple[str, ...]:
        names = _listed(value)
        if not names or not all(isinstance(name, str) and (name or is_path) for name in names):
            raise self._error(where, "a name or a list of names", repr(value))
        return tuple(names)

    def _check_keys(self, where: str, section: Any, allowed: Iterable[str]) -> None:
        if not isinstance(section, dict):
            raise self._error(where, "keys and values", repr(section))
        if unknown := sorted(map(str, set(section) - set(allowed))):
            raise self._error(where, ", ".join(allowed), ", ".join(unknown))

    def _error(self, where: str, expected: str, found_instead: str) -> LratError:
        return LratError(f"Mapping {self._path}: {where}: expected {expected}; found {found_instead}.")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _word(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)
