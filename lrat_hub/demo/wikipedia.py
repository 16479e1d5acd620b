"""Wikipedia articles as passages of whole sentences, out of a small dump that ships inside the gensim distribution.

The dump is 206 pages of the English Wikipedia of May 2016 (CC BY-SA 3.0). It is read where pip put it; gensim itself
is never imported, so `pip install --no-deps gensim` is enough.
"""

from __future__ import annotations

import bz2
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub.errors import LratError
from lrat_hub.schema import Document
from lrat_hub.text import split_sentences

if TYPE_CHECKING:
    from mwparserfromhell.wikicode import Wikicode

DUMP = "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
MIN_WORDS, MAX_WORDS = 25, 85
"""Words of a passage. The longest passages then fit into the 128 word pieces that MiniLM reads."""

# References are half of a dump's mark-up and never text: without them the parse takes half the time.
_REFERENCE = re.compile(r"<ref\b[^<>]*/>|<ref\b.*?</ref>", re.DOTALL | re.IGNORECASE)
_BACK_MATTER = frozenset(
    {
        *("see also", "references", "notes", "external links", "further reading", "bibliography", "footnotes"),
        *("notes and references", "references and notes", "citations", "sources", "works cited", "gallery"),
    }
)
_TEXT_TAGS = frozenset({"b", "i", "em", "strong", "u", "small", "big", "span", "sub", "sup", "nowiki", "blockquote"})
_NO_ARTICLE = ("disambig", "hndis", "geodis", "surname", "given name")
_MARKED_LINE = re.compile(r"^[ \t]*[*#:;|!{].*$", re.MULTILINE)
_NOT_LETTERS = re.compile(r"''+|__[A-Z]+__")
_EMPTY_BRACKETS = re.compile(r"[(\[][\s;,:–-]*[)\]]")

# The anchors of links are carried through the clean-up between marks of the private use area, with a mark for the
# blanks inside them, so that no sentence ends within an anchor.
_OPEN, _CLOSE, _SPACE = "\ue000", "\ue001", "\ue002"
_ANCHOR = re.compile(f"{_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}")
_LINK_TRAIL = re.compile(f"{_CLOSE}([a-z]+)")  # MediaWiki shows "[[Bolshevik]]s" as one anchor


@dataclass(frozen=True)
class Sentence:
    """A sentence and the anchors of the wiki links in it, as they stand in it."""

    text: str
    anchors: tuple[str, ...] = ()

    @property
    def num_words(self) -> int:
        return len(self.text.split())


@dataclass(frozen=True)
class Passage:
    """Consecutive sentences of one section; the lead section of an article has the name ""."""

    docid: str
    title: str
    section: str
    sentences: tuple[Sentence, ...]

    @property
    def document(self) -> Document:
        body = " ".join(sentence.text for sentence in self.sentences)
        return Document(self.docid, self.title, f"{self.section}. {body}" if self.section else body)


@dataclass(frozen=True)
class Article:
    """A page with running text, cut into passages; `page_id` is its number in Wikipedia."""

    page_id: int
    title: str
    passages: tuple[Passage, ...]


def installed_dump() -> Path:
    """Where the installed gensim distribution keeps the dump.

    Raises:
        LratError: If gensim is not installed, or no longer ships the file.
    """
    advice = "Install it with: pip install --no-deps gensim"
    try:
        path = Path(str(distribution("gensim").locate_file(DUMP)))
    except PackageNotFoundError as error:
        raise LratError(
            f"Finding the Wikipedia dump failed: it ships in gensim, which is not installed. {advice}"
        ) from error
    if not path.is_file():
        raise LratError(f"Finding the Wikipedia dump failed: expected {path}, found no such file. {advice}")
    return path


def dump_source() -> str:
    """The installed dump as lineage records it: distribution, version, file and sha256."""
    path = installed_dump()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"pypi:gensim=={distribution('gensim').version}/{path.name} (sha256:{digest})"


def read_articles(dump: Path | None = None) -> list[Article]:
    """Reads the articles of a dump, in its order; redirects, lists and disambiguation pages are left out.

    Args:
        dump: A bzip2 file of MediaWiki's XML export; `installed_dump()` if None.
    """
    import mwparserfromhell
    import mwxml

    articles = []
    with bz2.open(dump or installed_dump(), "rt", encoding="utf-8") as file:
        export = mwxml.Dump.from_file(file)
        # Links to other namespaces (files, categories) show no text; the dump itself names its namespaces.
        namespaces = {"image", *(space.name.lower() for space in export.site_info.namespaces or () if space.name)}
        for page in export.pages:
            if page.namespace != 0 or page.redirect or page.title.startswith("List of "):
                continue
            text = next(iter(page)).text or ""
            code = mwparserfromhell.parse(_REFERENCE.sub("", text), skip_style_tags=True)
            if not _is_article(code):
                continue
            passages = [
                Passage(f"{page.id}-{number}", page.title, section, sentences)
                for number, (section, sentences) in enumerate(_cut(_sections(code, namespaces)))
            ]
            articles.append(Article(page.id, page.title, tuple(passages)))
    return articles


def _is_article(code: Wikicode) -> bool:
    templates = code.filter_templates(recursive=False)
    return not any(str(template.name).strip().lower().startswith(_NO_ARTICLE) for template in templates)


def _sections(code: Wikicode, namespaces: set[str]) -> Iterator[tuple[str, str]]:
    """Gives the heading and the marked plain text of each section that holds text of the article."""
    for section in code.get_sections(flat=True, include_lead=True):
        headings = section.filter_headings(recursive=False)
        name = headings[0].title.strip_code().strip() if headings else ""
        if name.lower() not in _BACK_MATTER:
            yield _NOT_LETTERS.sub("", name), _plain(section, namespaces)


def _plain(code: Wikicode, namespaces: set[str]) -> str:
    """The text of a node list, anchors marked; templates, tables, files, comments and formulas are dropped."""
    from mwparserfromhell import nodes

    parts: list[str] = []
    for node in code.nodes:
        if isinstance(node, nodes.Text):
            parts.append(node.value)
        elif isinstance(node, nodes.HTMLEntity):
            parts.append(node.normalize())
        elif isinstance(node, nodes.Wikilink):
            target = str(node.title).strip()
            if target.partition(":")[0].lower() in namespaces:
                continue
            anchor = _plain(node.text, namespaces) if node.text is not None else target
            parts.append(_OPEN + " ".join(_ANCHOR.sub(r"\1", anchor).split()).replace(" ", _SPACE) + _CLOSE)
        elif isinstance(node, nodes.ExternalLink) and node.title is not None:
            parts.append(_plain(node.title, namespaces))
        elif isinstance(node, nodes.Tag):
            if node.wiki_markup and node.self_closing:
                parts.append(str(node.wiki_markup))  # "*" and the like: they mark the lines of lists
            elif str(node.tag).lower() == "br":
                parts.append(" ")
            elif str(node.tag).lower() in _TEXT_TAGS and node.contents is not None:
                parts.append(_plain(node.contents, namespaces))
    return "".join(parts)


def _cut(sections: Iterator[tuple[str, str]]) -> Iterator[tuple[str, tuple[Sentence, ...]]]:
    """Packs each section's sentences into passages of MIN_WORDS to MAX_WORDS words."""
    for name, text in sections:
        packed: list[Sentence] = []
        size = 0
        for sentence in [*_sentences(text), None]:
            if sentence is None or size + sentence.num_words > MAX_WORDS:
                if size >= MIN_WORDS:
                    yield name, tuple(packed)
                packed, size = [], 0
            # A sentence that is too long for any passage only ends the one before it.
            if sentence is not None and sentence.num_words <= MAX_WORDS:
                packed.append(sentence)
                size += sentence.num_words


def _sentences(marked_text: str) -> Iterator[Sentence]:
    """Sentences of the running text: lines of lists, tables and indents are dropped."""
    text = _NOT_LETTERS.sub("", _MARKED_LINE.sub("", marked_text))
    text = " ".join(_EMPTY_BRACKETS.sub("", text).split())
    text = _LINK_TRAIL.sub(rf"\1{_CLOSE}", re.sub(r" (?=[,.;:)])", "", text))
    for sentence in split_sentences(text):
        plain = _ANCHOR.sub(r"\1", sentence).replace(_SPACE, " ")
        anchors = tuple(anchor.replace(_SPACE, " ") for anchor in _ANCHOR.findall(sentence))
        yield Sentence(plain, anchors)
