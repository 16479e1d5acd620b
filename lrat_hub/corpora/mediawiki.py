"""MediaWiki XML dumps: their articles a page at a time, and mark-up as the text that a reader sees."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub.corpora.rows import opened
from lrat_hub.errors import LratError
from lrat_hub.ledger import Ledger

if TYPE_CHECKING:
    from mwparserfromhell.wikicode import Wikicode

# References are half of a dump's mark-up and never text: without them the parse takes half the time. Comments go
# first, as they may hold one end of a reference; one that is never closed must not take text up to the next along.
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_REFERENCE = re.compile(r"<ref\b[^<>]*/>|<ref\b(?:(?!<ref\b).)*?</ref>", re.DOTALL | re.IGNORECASE)
_QUIET = re.compile(r"''+|__[A-Z]+__")
# What templates leave behind: "({{IPA|...}}; born 1879)", "({{lang|...}})", "Angola {{audio|...}}, a country".
_GAPS = re.compile(r" ?[(\[][\s;,:–-]*[)\]]|(?<=[(\[])[\s;,:]+| +(?=[,.;:)\]])")
_CHARACTERS = {"ndash": "–", "mdash": "—", "snd": " – ", "spaced ndash": " – ", "nbsp": " "}
_BACK_MATTER = frozenset(
    {
        *("see also", "references", "notes", "external links", "further reading", "bibliography", "footnotes"),
        *("notes and references", "references and notes", "citations", "sources", "works cited", "gallery"),
    }
)


@dataclass(frozen=True)
class Rendering:
    """What of the mark-up of a page is shown, and how.

    Args:
        hidden: What is taken out of the mark-up before it is parsed, in this order.
        templates: The text of templates by their names; others show none.
        tags: HTML tags whose content is text.
        link: Gets the text that a wiki link shows, and gives what to write for it.
        list_marks: Whether to keep the marks in front of the lines of lists.
        line_break: What to write for `<br>`.
    """

    hidden: tuple[re.Pattern[str], ...] = (_COMMENT, _REFERENCE)
    templates: Mapping[str, str] = field(default_factory=lambda: _CHARACTERS)
    tags: frozenset[str] = frozenset(
        {
            *("b", "i", "em", "strong", "u", "s", "small", "big", "span", "sub", "sup", "nowiki"),
            *("p", "div", "center", "blockquote"),
        }
    )
    link: Callable[[str], str] = str
    list_marks: bool = False
    line_break: str = "\n"


DOCUMENTS = Rendering()


@dataclass(frozen=True)
class Page:
    """An article of a dump.

    Args:
        markup: Of its last revision in the dump.
        namespaces: Namespaces of the dump in lower case; links to pages in these (files, categories) show no text.
    """

    page_id: int
    title: str
    markup: str
    namespaces: Collection[str]


def read_pages(path: Path, ledger: Ledger) -> Iterator[Page]:
    """The articles of a dump, in its order.

    Redirects and pages outside the main namespace are no articles, and noted.

    Args:
        path: A `.xml` file, also compressed with bzip2 or gzip.

    Raises:
        LratError: It is no dump, or damaged: what follows a broken place in XML can't be told.
    """
    import mwxml
    from mwxml.errors import MalformedXML

    with opened(path) as file:
        # mwxml only asserts it.
        if b"<mediawiki" not in file.read(4096):
            raise LratError(f"{path}: expected a MediaWiki XML dump, found no <mediawiki> at its start.")
        file.seek(0)
        try:
            dump = mwxml.Dump.from_file(file)
            namespaces = {"image", *(space.name.lower() for space in dump.site_info.namespaces or () if space.name)}
            for page in dump.pages:
                if page.namespace != 0 or page.redirect:
                    ledger.note("redirects left out" if page.redirect else "pages left out that are not articles")
                    continue
                markup = ""
                for revision in page:
                    markup = revision.text or ""
                yield Page(page.id or 0, page.title or "", markup, namespaces)
        except (MalformedXML, SyntaxError) as error:
            raise LratError(f"{path}: expected a MediaWiki XML dump to its end; {error}. Is it complete?") from error


def read_articles(path: Path, ledger: Ledger) -> Iterator[dict[str, str]]:
    """Rows `docid, title, text` of the articles of a dump; `docid` is the number of the page. See `read_pages`."""
    from mwparserfromhell.parser import ParserError

    for page in read_pages(path, ledger):
        try:
            text = plain_text(page.markup, page.namespaces)
        except (ParserError, RecursionError):
            ledger.drop("mark-up that can't be parsed")
        else:
            yield {"docid": str(page.page_id), "title": page.title, "text": text}


def plain_text(markup: str, namespaces: Collection[str] = ()) -> str:
    """Paragraphs, headings and items of lists, a line each.

    Templates, tables, references, files, formulas and the sections after the text (References, See also) are left out.

    Args:
        namespaces: Names in lower case; links to pages in these show no text.
    """
    parts = []
    for heading, section in text_sections(parse_markup(markup, DOCUMENTS)):
        title = "" if heading is None else f"\n{shown_text(heading, namespaces)}\n"
        parts.append(title + shown_text(section, namespaces))
    text = _GAPS.sub("", without_quotes("\n".join(parts)))
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def parse_markup(markup: str, rendering: Rendering) -> Wikicode:
    """The mark-up of a page as nodes, without what the rendering hides: comments and references."""
    import mwparserfromhell

    for hidden in rendering.hidden:
        markup = hidden.sub("", markup)
    return mwparserfromhell.parse(markup, skip_style_tags=True)


def text_sections(code: Wikicode) -> Iterator[tuple[Wikicode | None, Wikicode]]:
    """The heading and the nodes of each section but those after the text; the first has no heading."""
    for section in code.get_sections(flat=True, include_lead=True):
        headings = section.filter_headings(recursive=False)
        heading = headings[0].title if headings else None
        if heading is None or heading.strip_code().strip().lower() not in _BACK_MATTER:
            yield heading, section


def without_quotes(text: str) -> str:
    """The text without the quotes that mark bold and italics, and without switches such as __NOTOC__."""
    return _QUIET.sub("", text)


def shown_text(code: Wikicode, namespaces: Collection[str], rendering: Rendering = DOCUMENTS) -> str:
    """What a reader sees of nodes, without headings.

    Args:
        namespaces: Names in lower case; links to pages in these show no text.
    """
    from mwparserfromhell import nodes

    parts: list[str] = []
    for node in code.nodes:
        if isinstance(node, nodes.Text):
            parts.append(node.value)
        elif isinstance(node, nodes.HTMLEntity):
            parts.append(node.normalize())
        elif isinstance(node, nodes.Template):
            parts.append(rendering.templates.get(str(node.name).strip().lower(), ""))
        elif isinstance(node, nodes.Wikilink):
            target = str(node.title).strip()
            if target.partition(":")[0].lower() not in namespaces:
                text = target if node.text is None else shown_text(node.text, namespaces, rendering)
                parts.append(rendering.link(text))
        elif isinstance(node, nodes.ExternalLink) and node.title is not None:
            parts.append(shown_text(node.title, namespaces, rendering))
        elif isinstance(node, nodes.Tag):
            if rendering.list_marks and node.wiki_markup and node.self_closing:
                parts.append(str(node.wiki_markup))
            elif str(node.tag).lower() == "br":
                parts.append(rendering.line_break)
            elif str(node.tag).lower() in rendering.tags and node.contents is not None:
                parts.append(shown_text(node.contents, namespaces, rendering))
    return "".join(parts)
