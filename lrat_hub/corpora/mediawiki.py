"""Articles of a MediaWiki XML dump as plain text, read a page at a time with mwxml and mwparserfromhell."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub.corpora.files import opened
from lrat_hub.errors import LratError
from lrat_hub.ledger import Ledger

if TYPE_CHECKING:
    from mwparserfromhell.wikicode import Wikicode

# References are half of a dump's mark-up and never text: without them the parse takes half the time. Comments go
# first, as they may hold one end of a reference; one that is never closed must not take text up to the next along.
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_REFERENCE = re.compile(r"<ref\b[^<>]*/>|<ref\b(?:(?!<ref\b).)*?</ref>", re.DOTALL | re.IGNORECASE)
_TEXT_TAGS = frozenset(
    {
        *("b", "i", "em", "strong", "u", "s", "small", "big", "span", "sub", "sup", "nowiki"),
        *("p", "div", "center", "blockquote"),
    }
)
_QUIET = re.compile(r"''+|__[A-Z]+__")
# What templates leave behind: "({{IPA|...}}; born 1879)", "({{lang|...}})", "Angola {{audio|...}}, a country".
_GAPS = re.compile(r" ?[(\[][\s;,:–-]*[)\]]|(?<=[(\[])[\s;,:]+| +(?=[,.;:)\]])")
_CHARACTERS = {"ndash": "–", "mdash": "—", "snd": " – ", "spaced ndash": " – ", "nbsp": " "}
_NO_TEXT = frozenset(
    {
        *("see also", "references", "notes", "external links", "further reading", "bibliography", "footnotes"),
        *("notes and references", "references and notes", "citations", "sources", "works cited", "gallery"),
    }
)


def read_articles(path: Path, ledger: Ledger) -> Iterator[dict[str, str]]:
    """Rows `docid, title, text` of the articles of a dump, in its order; `docid` is the number of the page.

    Redirects and pages outside the main namespace are no documents, and noted. Of a page with its history, the last
    revision in the dump counts.

    Args:
        path: A `.xml` file, also compressed with bzip2 or gzip.

    Raises:
        LratError: It is no dump, or damaged: what follows a broken place in XML can't be told.
    """
    import mwxml
    from mwparserfromhell.parser import ParserError
    from mwxml.errors import MalformedXML

    with opened(path) as file:
        # mwxml only asserts it.
        if b"<mediawiki" not in file.read(4096):
            raise LratError(f"{path}: expected a MediaWiki XML dump, found no <mediawiki> at its start.")
        file.seek(0)
        try:
            dump = mwxml.Dump.from_file(file)
            # Links to other namespaces (files, categories) show no text; the dump itself names its namespaces.
            namespaces = {"image", *(space.name.lower() for space in dump.site_info.namespaces or () if space.name)}
            for page in dump.pages:
                if page.namespace != 0 or page.redirect:
                    ledger.note("redirects left out" if page.redirect else "pages left out that are not articles")
                    continue
                markup = ""
                for revision in page:
                    markup = revision.text or ""
                try:
                    text = plain_text(markup, namespaces)
                except (ParserError, RecursionError):
                    ledger.drop("mark-up that can't be parsed")
                    continue
                yield {"docid": str(page.id), "title": page.title, "text": text}
        except (MalformedXML, SyntaxError) as error:
            raise LratError(f"{path}: expected a MediaWiki XML dump to its end; {error}. Is it complete?") from error


def plain_text(markup: str, namespaces: Collection[str] = ()) -> str:
    """Paragraphs, headings and items of lists, a line each.

    Templates, tables, references, files, formulas and the sections after the text (References, See also) are left out.

    Args:
        namespaces: Names in lower case; links to pages in these show no text.
    """
    import mwparserfromhell

    code = mwparserfromhell.parse(_REFERENCE.sub("", _COMMENT.sub("", markup)), skip_style_tags=True)
    parts = []
    for section in code.get_sections(flat=True, include_lead=True):
        headings = section.filter_headings(recursive=False)
        if not headings or headings[0].title.strip_code().strip().lower() not in _NO_TEXT:
            parts.append(_shown(section, namespaces))
    text = _GAPS.sub("", _QUIET.sub("", "\n".join(parts)))
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _shown(code: Wikicode, namespaces: Collection[str]) -> str:
    """What a reader sees of a list of nodes."""
    from mwparserfromhell import nodes

    parts: list[str] = []
    for node in code.nodes:
        if isinstance(node, nodes.Text):
            parts.append(node.value)
        elif isinstance(node, nodes.HTMLEntity):
            parts.append(node.normalize())
        elif isinstance(node, nodes.Template):
            parts.append(_CHARACTERS.get(str(node.name).strip().lower(), ""))
        elif isinstance(node, nodes.Heading):
            parts.append(f"\n{_shown(node.title, namespaces)}\n")
        elif isinstance(node, nodes.Wikilink):
            target = str(node.title).strip()
            if target.partition(":")[0].lower() not in namespaces:
                parts.append(target if node.text is None else _shown(node.text, namespaces))
        elif isinstance(node, nodes.ExternalLink) and node.title is not None:
            parts.append(_shown(node.title, namespaces))
        elif isinstance(node, nodes.Tag):
            if str(node.tag).lower() == "br":
                parts.append("\n")
            elif str(node.tag).lower() in _TEXT_TAGS and node.contents is not None:
                parts.append(_shown(node.contents, namespaces))
    return "".join(parts)
