"""Markdown of cards as HTML that is safe in a page of this Hub: no script, no style, nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import escape
from typing import Any
from urllib.parse import quote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from lrat_hub.localhub.cards import without_front_matter

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
