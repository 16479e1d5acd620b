"""Cards: the YAML front matter of a README, and its text as HTML."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import escape
from typing import Any
from urllib.parse import quote, urlsplit

import yaml
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(?P<yaml>.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
# The parser in C is ten times faster, where PyYAML was built with it.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class CardError(ValueError):
    """Front matter that is not a YAML mapping."""


def parse_card(readme: str) -> dict[str, Any] | None:
    """The metadata of a README, as JSON can express it; None if it has no front matter.

    Raises:
        CardError: the front matter is not a YAML mapping.
    """
    match = _FRONT_MATTER.search(readme)
    if match is None:
        return None
    try:
        data = yaml.load(match["yaml"], Loader=_Loader)
    except yaml.YAMLError as error:
        raise CardError(f"invalid YAML: {error}") from None
    if data is None:
        return None
    if not isinstance(data, dict):
        raise CardError(f"expected a mapping, found {type(data).__name__}")
    return _jsonable(data)


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


def _jsonable(value: Any) -> Any:
    """YAML has dates, infinities and keys that are no text; JSON has not."""
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool | None) else str(value)


# Longer cards are shown as they are written.
CARD_MAX_CHARS = 300_000
# Tags that cards use for more than looks. Without attributes they can't do harm; all others show as text.
_HARMLESS = re.compile(r"&lt;(/?(?:details|summary|br|sub|sup|kbd|b|i))\s*/?&gt;", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@lru_cache(maxsize=64)
def render_card(readme: str, page: str, sha: str) -> str:
    """A card as HTML.

    Args:
        readme: The text of the card; its metadata are left out.
        page: The path of the repository's page, which relative links start from.
        sha: The commit that the card is from.
    """
    text = without_front_matter(readme)
    if len(text) > CARD_MAX_CHARS:
        return f"<pre>{escape(text)}</pre>"
    return _markdown().render(text, {"page": page, "sha": sha})


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    # Tags reach the two rules for them, which let nothing through but what is known to be harmless.
    markdown = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    for name, rule in (
        *(("html_block", _html), ("html_inline", _html)),
        *(("image", _image), ("link_open", _link), ("th_open", _cell), ("td_open", _cell)),
    ):
        markdown.add_render_rule(name, rule)
    return markdown


def _html(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return _HARMLESS.sub(r"<\1>", escape(_COMMENT.sub("", tokens[index].content)))


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
