from __future__ import annotations

import bz2
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from lrat_hub.demo import wikipedia
from lrat_hub.demo.wikipedia import MAX_WORDS, MIN_WORDS, read_documents
from lrat_hub.errors import LratError
from lrat_hub.schema import Document

LONG = "The bear walks through the old forest every single morning and nobody in the village minds it at all."


def read(folder: Path, **pages: str) -> list[Document]:
    body = "".join(
        f"<page><title>{title.replace('_', ' ')}</title><ns>0</ns><id>{number}</id>"
        f"<revision><id>1</id><timestamp>2016-05-01T00:00:00Z</timestamp><text>{escape(text)}</text></revision></page>"
        for number, (title, text) in enumerate(pages.items(), start=1)
    )
    namespaces = "".join(f'<namespace key="{key}">{name}</namespace>' for key, name in [(0, ""), (6, "File")])
    site = f"<siteinfo><sitename>Wiki</sitename><namespaces>{namespaces}</namespaces></siteinfo>"
    path = folder / "dump.xml.bz2"
    path.write_bytes(bz2.compress(f'<mediawiki xml:lang="en">{site}{body}</mediawiki>'.encode()))
    return list(read_documents(path).values())


def test_running_text_stays_and_the_rest_of_the_page_goes(tmp_path):
    text = f"""{{{{Infobox animal|name=Bear}}}}
[[File:Bear.jpg|thumb|A [[bear]] in a wood]]
The '''bear'''<ref name="x">A {{{{cite|book}}}}.</ref> of [[Russia|Old Russia]] fears [[Bolshevik]]s &amp; ( ) ants.
{LONG}<ref name="x"/>
* a line of a list
{{| class="wikitable"
| a cell
|}}
== ''Food'' ==
It eats <math>x^2</math> [[honey]]. {LONG} It [[St. Louis|sleeps in St. Louis]] in the winter, deep under the snow.
== References ==
{LONG} {LONG}
"""
    lead, food = read(tmp_path, Bear=text)
    assert (lead.docid, lead.title) == ("1-0", "Bear")
    assert lead.text == f"The bear of Old Russia fears Bolsheviks & ants. {LONG}"
    assert food.text == f"Food. It eats honey. {LONG} It sleeps in St. Louis in the winter, deep under the snow."


def test_passages_are_whole_sentences_within_the_limits(tmp_path):
    endless = "It goes on " + "and on " * MAX_WORDS + "here."
    passages = read(tmp_path, Bear=" ".join([LONG] * 7 + [endless] + [LONG] * 2 + ["Too short."]))
    expected = [[LONG] * 4, [LONG] * 3, [LONG, LONG, "Too short."]]
    assert [passage.text for passage in passages] == [" ".join(sentences) for sentences in expected]
    assert all(MIN_WORDS <= len(passage.text.split()) <= MAX_WORDS for passage in passages)


def test_pages_that_are_no_articles_are_left_out(tmp_path):
    passages = read(
        tmp_path, Bear_disambiguated=f"{LONG}\n{{{{Disambiguation}}}}", List_of_bears=LONG, Bear=f"{LONG} {LONG}"
    )
    assert [(passage.docid, passage.title) for passage in passages] == [("3-0", "Bear")]


def test_a_missing_gensim_is_named_with_the_way_to_install_it(monkeypatch):
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(wikipedia, "distribution", missing)
    with pytest.raises(LratError, match="Install it with pip, without its dependencies"):
        read_documents()
