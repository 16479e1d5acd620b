"""Cards: the YAML front matter of a README, and its text as HTML."""

from __future__ import annotations

import contextlib
import datetime
import math
import re
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import escape
from typing import Any
from urllib.parse import quote, urlsplit

import yaml
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from lrat_hub.localhub.protocol import is_text

_FRONT_MATTER = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n(?P<yaml>.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
# Far above what cards have: a dataset with a thousand configurations has 200 kB and 20,000 values.
METADATA_MAX_CHARS = 1024 * 1024
METADATA_MAX_VALUES = 50_000
METADATA_MAX_DEPTH = 32
# What JSON numbers hold everywhere.
_NUMBER_MAX = 2**63
# The parser in C is ten times faster, where PyYAML was built with it.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class CardError(ValueError):
    """Front matter that is not a YAML mapping, or more than a card has."""


def parse_card(readme: str) -> dict[str, Any] | None:
    """The metadata of a README, as JSON can express it; None if it has no front matter.

    Raises:
        CardError: the front matter is not a YAML mapping, or too large.
    """
    match = _FRONT_MATTER.search(readme)
    if match is None:
        return None
    text = match["yaml"]
    if len(text) > METADATA_MAX_CHARS:
        raise CardError(f"expected at most {METADATA_MAX_CHARS} characters of metadata, found {len(text)}")
    try:
        _check_size(text)
        data = yaml.load(text, Loader=_Loader)
    except CardError:
        raise
    except yaml.YAMLError as error:
        raise CardError(f"invalid YAML: {error}") from None
    except Exception as error:
        # Its constructors raise whatever the values make them raise: the month 13, a tag on what it is not for.
        raise CardError(f"invalid YAML: {type(error).__name__}: {error}") from None
    if data is None:
        return None
    if not isinstance(data, dict):
        raise CardError(f"expected a mapping, found {type(data).__name__}")
    return _Json().of(data)


def _check_size(text: str) -> None:
    """Refuse YAML that would take long, or much memory, to make values of. Reading events takes neither."""
    depth = values = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > METADATA_MAX_DEPTH:
                raise CardError(f"expected at most {METADATA_MAX_DEPTH} levels, found more")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        values += isinstance(event, yaml.NodeEvent)
        if values > METADATA_MAX_VALUES:
            raise CardError(f"expected at most {METADATA_MAX_VALUES} values, found more")
        if isinstance(event, yaml.ScalarEvent):
            # Merges of merges multiply what they merge, before anybody can count it.
            if (event.value == "<<" and event.implicit[0]) or (event.tag or "").endswith(":merge"):
                raise CardError("expected each mapping in full, found a merge (<<)")
            # A number of that many digits takes long to read.
            if len(event.value) > 1000 and event.value[:1] in "+-.0123456789" and " " not in event.value.strip():
                raise CardError("expected numbers of up to 1000 digits, found a longer one")


class _Json:
    """Makes values of YAML such of JSON, which has no dates, infinities, references, and keys that are no text."""

    def __init__(self) -> None:
        self._left = METADATA_MAX_VALUES

    def of(self, value: Any, depth: int = 0) -> Any:
        # Aliases make one value many, and can make it a part of itself.
        self._left -= 1
        if self._left < 0 or depth > METADATA_MAX_DEPTH:
            raise CardError(f"expected at most {METADATA_MAX_VALUES} values, found more behind its aliases")
        if isinstance(value, dict):
            return {self._text(str(key)): self.of(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set):
            return [self.of(item, depth + 1) for item in value]
        if isinstance(value, bool | None):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, int):
            if abs(value) >= _NUMBER_MAX:
                raise CardError("expected numbers below 2^63, found a larger one")
            return value
        return self._text(value.isoformat() if isinstance(value, datetime.date) else str(value))

    def _text(self, text: str) -> str:
        if not is_text(text):
            raise CardError("expected text, found halves of characters")
        return text


def without_front_matter(readme: str) -> str:
    """The text of a README that people read."""
    return _FRONT_MATTER.sub("", readme, count=1)


@lru_cache(maxsize=1024)
def card_data(readme: bytes) -> dict[str, Any] | None:
    """The metadata of a committed README; None if it has none that can be read. Not to be changed by callers."""
    try:
        return parse_card(readme.decode(errors="replace"))
    except CardError:
        return None


# Longer cards are shown as they are written.
CARD_MAX_CHARS = 300_000
# Tags that cards use for more than looks. Without attributes they can't do harm; all others show as text.
_HARMLESS = re.compile(r"&lt;(/?(?:details|summary|br|sub|sup|kbd|b|i))\s*/?&gt;", re.IGNORECASE)
# Rendering a card that is written to take long ends here, and it shows as text.
RENDER_SECONDS = 1.0


@lru_cache(maxsize=64)
def render_card(readme: str, page: str, sha: str) -> str:
    """A card as HTML.

    Args:
        readme: The text of the card; its metadata are left out.
        page: The path of the repository's page, which relative links start from.
        sha: The commit that the card is from.
    """
    text = without_front_matter(readme)
    if len(text) <= CARD_MAX_CHARS:
        with contextlib.suppress(_TakesLong, RecursionError):
            return _markdown().render(text, {"page": page, "sha": sha, "end": time.monotonic() + RENDER_SECONDS})
    return f"<pre>{escape(text)}</pre>"


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    # Tags reach the two rules for them, which let nothing through but what is known to be harmless.
    markdown = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    for name, rule in (
        *(("html_block", _html), ("html_inline", _html)),
        *(("image", _image), ("link_open", _link), ("th_open", _cell), ("td_open", _cell)),
    ):
        markdown.add_render_rule(name, rule)
    # These run at each block and each piece of text, and let the others do the work.
    markdown.block.ruler.before("table", "end", _end_of_block)
    markdown.inline.ruler.before("text", "end", _end_of_inline)
    return markdown


class _TakesLong(Exception):
    pass


def _check_time(env: Any) -> None:
    if time.monotonic() > env["end"]:
        raise _TakesLong


def _end_of_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    _check_time(state.env)
    return False


def _end_of_inline(state: StateInline, silent: bool) -> bool:
    _check_time(state.env)
    return False


def _without_comments(text: str) -> str:
    """HTML without its comments. A pattern would look for the end of each that has none."""
    kept, start = [], 0
    while (begin := text.find("<!--", start)) >= 0 and (end := text.find("-->", begin + 4)) >= 0:
        kept.append(text[start:begin])
        start = end + 3
    return "".join([*kept, text[start:]])


def _html(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return _HARMLESS.sub(r"<\1>", escape(_without_comments(tokens[index].content)))


def _link(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    token.attrSet("href", _address(str(token.attrGet("href") or ""), "blob", env))
    # The page of a link learns nothing of where it was.
    token.attrSet("rel", "noreferrer nofollow")
    return renderer.renderToken(tokens, index, options, env)


def _image(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    source, text = str(token.attrGet("src") or ""), token.content or "picture"
    if urlsplit(source).scheme or source.startswith("//"):
        # Loading it would tell another server who reads this card.
        return f'<a href="{escape(source)}" rel="noreferrer nofollow">[{escape(text)}]</a>'
    return f'<img src="{escape(_address(source, "resolve", env))}" alt="{escape(text)}">'


def _cell(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    # The parser writes the alignment of a column as a style, and pages allow none in attributes.
    style = str(token.attrs.pop("style", ""))
    if style:
        token.attrSet("class", style.rpartition(":")[2])
    return renderer.renderToken(tokens, index, options, env)


def _address(target: str, view: str, env: Mapping[str, str]) -> str:
    """Where a link of a card leads: relative ones to the file in the card's own commit."""
    if target.startswith(("/", "#")) or urlsplit(target).scheme:
        return target
    path = target.removeprefix("./")
    return f"{env['page']}/{view}/{env['sha']}/{quote(path, safe='/%#?=&')}"
