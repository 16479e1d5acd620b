"""Wikipedia articles as passages of whole sentences, out of a small dump that ships inside the gensim distribution.

The dump is 206 pages of the English Wikipedia of May 2016 (CC BY-SA 3.0). It is read where pip put it; gensim itself
is never imported, so its own dependencies are not needed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub.corpora.mediawiki import Rendering, parse_markup, read_pages, shown_text, text_sections, without_quotes
from lrat_hub.errors import LratError
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Document
from lrat_hub.text import split_sentences

if TYPE_CHECKING:
    from mwparserfromhell.wikicode import Wikicode

DUMP = "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
MIN_WORDS, MAX_WORDS = 25, 85
"""Words of a passage. The longest passages then fit into the 128 word pieces that MiniLM reads."""

_NO_ARTICLE = ("disambig", "hndis", "geodis", "surname", "given name")
_MARKED_LINE = re.compile(r"^[ \t]*[*#:;|!{].*$", re.MULTILINE)
_EMPTY_BRACKETS = re.compile(r"[(\[][\s;,:–-]*[)\]]")

# The anchors of links are carried through the clean-up between marks of the private use area, with a mark for the
# blanks inside them, so that no sentence ends within an anchor.
_OPEN, _CLOSE, _SPACE = "\ue000", "\ue001", "\ue002"
_ANCHOR = re.compile(f"{_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}")
_LINK_TRAIL = re.compile(f"{_CLOSE}([a-z]+)")  # MediaWiki shows "[[Bolshevik]]s" as one anchor


def _marked(anchor: str) -> str:
    return _OPEN + " ".join(_ANCHOR.sub(r"\1", anchor).split()).replace(" ", _SPACE) + _CLOSE


# Questions and runs name passages as these rules cut them, so they stay, though what `Rendering` does by default is
# better: it also reads a reference that is never closed, dashes from templates, and <p> and <div>.
_RENDERING = Rendering(
    hidden=(re.compile(r"<ref\b[^<>]*/>|<ref\b.*?</ref>", re.DOTALL | re.IGNORECASE),),
    templates={},
    tags=Rendering.tags - {"s", "p", "div", "center"},
    link=_marked,
    list_marks=True,
    line_break=" ",
)


def installed_dump() -> Path:
    """Where the installed gensim distribution keeps the dump.

    Raises:
        LratError: If gensim is not installed, or no longer ships the file.
    """
    advice = "Install it with pip, without its dependencies."
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


def read_documents(dump: Path | None = None) -> dict[str, Document]:
    """The passages of a dump's articles by docid, in its order; the docid is the page's number and the passage's.

    Redirects, lists and disambiguation pages are left out.

    Args:
        dump: A bzip2 file of MediaWiki's XML export; `installed_dump()` if None.
    """
    documents = {}
    for page in read_pages(dump or installed_dump(), Ledger("pages")):
        code = parse_markup(page.markup, _RENDERING)
        if page.title.startswith("List of ") or not _is_article(code):
            continue
        for number, (section, sentences) in enumerate(_cut(_sections(code, page.namespaces))):
            docid, body = f"{page.page_id}-{number}", " ".join(sentences)
            documents[docid] = Document(docid, page.title, f"{section}. {body}" if section else body)
    return documents


def _is_article(code: Wikicode) -> bool:
    templates = code.filter_templates(recursive=False)
    return not any(str(template.name).strip().lower().startswith(_NO_ARTICLE) for template in templates)


def _sections(code: Wikicode, namespaces: Collection[str]) -> Iterator[tuple[str, str]]:
    """Gives the heading and the plain text, anchors marked, of each section that holds text of the article."""
    for heading, section in text_sections(code):
        name = "" if heading is None else without_quotes(heading.strip_code().strip())
        yield name, shown_text(section, namespaces, _RENDERING)


def _cut(sections: Iterator[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    """Packs each section's sentences into passages of MIN_WORDS to MAX_WORDS words."""
    for name, text in sections:
        packed: list[str] = []
        size = 0
        for sentence in [*_sentences(text), None]:
            words = 0 if sentence is None else len(sentence.split())
            if sentence is None or size + words > MAX_WORDS:
                if size >= MIN_WORDS:
                    yield name, packed
                packed, size = [], 0
            # A sentence that is too long for any passage only ends the one before it.
            if sentence is not None and words <= MAX_WORDS:
                packed.append(sentence)
                size += words


def _sentences(marked_text: str) -> Iterator[str]:
    """Sentences of the running text: lines of lists, tables and indents are dropped."""
    text = without_quotes(_MARKED_LINE.sub("", marked_text))
    text = " ".join(_EMPTY_BRACKETS.sub("", text).split())
    text = _LINK_TRAIL.sub(rf"\1{_CLOSE}", re.sub(r" (?=[,.;:)])", "", text))
    for sentence in split_sentences(text):
        yield _ANCHOR.sub(r"\1", sentence).replace(_SPACE, " ")
