"""Every entry of a list that is text is read as it was written, or is counted."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lrat_hub.importers.entries import entries_of
from lrat_hub.importers.listings import UNRECOGNISED
from lrat_hub.importers.results import read_results

U = "https://example.org"


def read(text):
    return [(entry.docid, entry.title, entry.snippet) for entry in entries_of(text)]


DANUBE, ULM = (f"{U}/Danube", "Danube", "a river (long)"), (f"{U}/Ulm", "Ulm", "")
RHINE = (f"{U}/Rhine", "Rhine", "it")
MERCURY = (f"{U}/Mercury_(planet)", "Mercury", "text")
LINKS = {
    "numbers": (f"1. [Danube]({U}/Danube) - a river (long)\n2. [Ulm]({U}/Ulm)\n3. [Rhine]({U}/Rhine) it",
                [DANUBE, ULM, RHINE]),
    "numbers in brackets": (f"[1] [Danube]({U}/Danube): a river (long)\n\n[2] [Ulm]({U}/Ulm)", [DANUBE, ULM]),
    "another link behind": (f"1. [Danube]({U}/Danube) - see [Ulm]({U}/Ulm)\n2. [Ulm]({U}/Ulm)",
                            [(f"{U}/Danube", "Danube", f"see [Ulm]({U}/Ulm)"), ULM]),
    "no marks": (f"[Danube]({U}/Danube) - a river (long)\n"
                 f"[Mercury]({U}/Mercury_(planet)) – text\n[Rhine]({U}/Rhine): it", [DANUBE, MERCURY, RHINE]),
    "no marks, with and without texts": (f"[Ulm]({U}/Ulm)\n[Mercury]({U}/Mercury_(planet)) - text", [ULM, MERCURY]),
    "bullets": (f"- [Mercury]({U}/Mercury_(planet)) - text\n- [Rhine](<{U}/Rhine>) it", [MERCURY, RHINE]),
    "bold": (f"* **[Mercury]({U}/Mercury_(planet))** - text\n* [**Rhine**]({U}/Rhine) it", [MERCURY, RHINE]),
    "headings": (f"### 1. [Mercury]({U}/Mercury_(planet))\ntext\n### 2. [Ulm]({U}/Ulm)", [MERCURY, ULM]),
    "titles of links": (f'1. [Ulm]({U}/Ulm "Ulm (city)")\n2. [Mercury]({U}/Mercury_(planet)) text', [ULM, MERCURY]),
    "references": (f"1. [Danube][1] - a river (long)\n2. [Ulm][u]\n\n[1]: {U}/Danube\n[u]: <{U}/Ulm>", [DANUBE, ULM]),
    "nested parentheses": (f"- [A]({U}/a_(b_(c))_(d))", [(f"{U}/a_(b_(c))_(d)", "A", "")]),
    "an open parenthesis": (f"- [A]({U}/a_(b)\n- [Ulm]({U}/Ulm)", [(f"{U}/a_(b", "A", ""), ULM]),
    "blanks": (f"- [A]({U}/a b (c).pdf)\n- [Ulm]({U}/Ulm)", [(f"{U}/a b (c).pdf", "A", ""), ULM]),
    "a sentence of a document": (f"[Ulm]({U}/Ulm)\n\n[Rhine]({U}/Rhine)\nit\n[Danube]({U}/Danube) is long.",
                                 [ULM, (f"{U}/Rhine", "Rhine", f"it\n[Danube]({U}/Danube) is long.")]),
}  # fmt: skip


@pytest.mark.parametrize("name", LINKS)
def test_a_link_ends_with_its_address_and_what_stands_behind_it_is_its_text(name):
    text, expected = LINKS[name]
    assert read(text) == expected


def test_links_behind_words_are_no_entries_and_are_counted():
    assert read_results(f"- see [Ulm]({U}/Ulm)\n- see [Rhine]({U}/Rhine)", ("q",)).dropped == ((UNRECOGNISED, 1),)


NOTED = (
    (f"{U}/Mercury_(planet)", "Mercury", "A planet.", ""), (f"{U}/Ulm", "Ulm", "A city.", " (cached)"),
    (f"{U}/Rhine", "Rhine", "A river.", " [PDF]"),
)  # fmt: skip


@pytest.mark.parametrize("line", ["{n}. {t}\n   {u}{b}\n   {s}", "{t}\n<{u}>{b}\n{s}", "- **{t}** ({u}){b}\n{s}"])
def test_a_note_behind_an_address_and_parentheses_in_it_lose_no_entry(line):
    text = "\n\n".join(line.format(n=n, u=u, t=t, s=s, b=b) for n, (u, t, s, b) in enumerate(NOTED, start=1))
    assert read(text) == [entry[:3] for entry in NOTED]


def test_an_address_behind_a_key_ends_before_a_note():
    text = f"1. Ulm\n   URL: {U}/Ulm (cached)\n   A city.\n\n2. Rhine\n   URL: <{U}/Rhine> (cached)\n   A river."
    assert read(text) == [(f"{U}/Ulm", "Ulm", "A city."), (f"{U}/Rhine", "Rhine", "A river.")]


@pytest.mark.parametrize("sign", ["- ", "| ", "– "])
def test_a_text_behind_an_address_in_its_line_is_that_of_its_entry(sign):
    text = f"1. {U}/Ulm\n2. {U}/Rhine {sign}A river.\n3. {U}/Danube {sign}Another."
    assert read(text) == [(f"{U}/Ulm", "", ""), (f"{U}/Rhine", "", "A river."), (f"{U}/Danube", "", "Another.")]


GAPS = {
    "links": f"1. [Ulm]({U}/Ulm) - w\n2. No link\nv\n3. [Rhine]({U}/Rhine) - u",
    "addresses": f"1. Ulm: {U}/Ulm\nw\n2. Danube: {U}/Danube with words\nv\n3. Rhine: {U}/Rhine\nu",
    "keys": f"[1] Title: Ulm\nURL: {U}/Ulm\nText: w\n[2] Danube\nv\n[3] Title: Rhine\nURL: {U}/Rhine\nText: u",
}


@pytest.mark.parametrize("name", GAPS)
def test_an_entry_that_cannot_be_read_between_others_is_counted_and_is_no_text_of_them(name):
    results = read_results(GAPS[name], ("q",))
    found = [(hit.docid, hit.title, hit.snippet, hit.rank) for hit in results.candidates]
    assert found == [(f"{U}/Ulm", "Ulm", "w", 1), (f"{U}/Rhine", "Rhine", "u", 3)]
    assert results.unread == 1


IDS = {
    "scores behind signs": ("[1] id: d1 | score: 0.9\nw\n\n[2] id: d2 | score: 0.8\nv", [("d1", ""), ("d2", "")]),
    "scores in brackets": ("DocID: d1 (score 0.9)\nw\nDocID: d2 (score 0.8)\nv", [("d1", ""), ("d2", "")]),
    "scores below numbers": ("[1] DocID: d1 (score 0.9)\nTitle: A\nw\n\n[2] DocID: d2 (score 0.8)\nTitle: B\nv",
                             [("d1", "A"), ("d2", "B")]),
    "titles behind keys": ("id: d1, title: A, b\nw\nid: d2, title: B\nv", [("d1", "A, b"), ("d2", "B")]),
    "scores and titles": ("- **ID:** d1 | title: A | score: 0.9\nw\n- **ID:** d2 | title: B | score: 0.8\nv",
                          [("d1", "A"), ("d2", "B")]),
    "titles behind dashes": ("ID: abc - A\nw\nID: d2 - B - c\nv", [("abc", "A"), ("d2", "B - c")]),
    "a note": ("DocID: d1\nw\n\nDocID: d2\nv\n\nDocID: d3 (archived)\nu", [("d1", ""), ("d2", ""), ("d3", "")]),
    "an id alone at the end": ("DocID: d1\nw\nDocID: d2", [("d1", ""), ("d2", "")]),
    "elements": ("<document>\nid: d1 | score: 0.9\nw\n</document><document>\nid: d2 | score: 0.8\n</document>",
                 [("d1", ""), ("d2", "")]),
    "chinese": ("文档编号：d1 | 得分：0.9\n内容：w\n\n文档编号：d2 | 得分：0.8\n内容：v", [("d1", ""), ("d2", "")]),
    "ids with blanks": ("id: my doc 1\nw\nid: my doc 2 (copy)\nv", [("my doc 1", ""), ("my doc 2 (copy)", "")]),
    "ids with blanks and scores": ("id: my doc 1 | score: 0.9\nw\nid: my doc 2 | score: 0.8\nv",
                                   [("my doc 1", ""), ("my doc 2", "")]),
    "names of pages": ("DocID: Mercury (planet)\nw\nDocID: Ulm\nv", [("Mercury (planet)", ""), ("Ulm", "")]),
    "notes of the ids": ("DocID: 1917 (film)\na\n\nDocID: 300 (film)\nb\n\nDocID: Apollo_13 (film)\nc",
                         [("1917 (film)", ""), ("300 (film)", ""), ("Apollo_13 (film)", "")]),
    "notes of one id": ("DocID: Apollo_13 (film)\nc", [("Apollo_13 (film)", "")]),
    "sections": ("DocID: RFC_2616 (section 3)\na\n\nDocID: RFC_7231 (section 3)\nb",
                 [("RFC_2616 (section 3)", ""), ("RFC_7231 (section 3)", "")]),
    "courts": ("DocID: 17-1234 (9th Cir. 2018)\na\n\nDocID: 18-99 (2d Cir. 2019)\nb",
               [("17-1234 (9th Cir. 2018)", ""), ("18-99 (2d Cir. 2019)", "")]),
    "pages of a file": ("DocID: a_1.pdf [1-3]\na\n\nDocID: b_1.pdf [4-5]\nb",
                        [("a_1.pdf [1-3]", ""), ("b_1.pdf [4-5]", "")]),
    "states of a file": ("DocID: report-7 - final\na\n\nDocID: report-8 - draft\nb",
                         [("report-7 - final", ""), ("report-8 - draft", "")]),
    "titles behind some": ("1. id: d1 - Alpha - first\n2. id: d2 - beta gamma\n3. id: d3\n",
                           [("d1", "Alpha - first"), ("d2", "beta gamma"), ("d3", "")]),
    "keys in brackets": ("1. id: d1 (confidence: 0.8)\nt\n2. id: d2 (confidence: 70%)\nt", [("d1", ""), ("d2", "")]),
    "versions": ("DocID: Python (3.11)\na\n\nDocID: Python (3.12)\nb", [("Python (3.11)", ""), ("Python (3.12)", "")]),
    "percentages": ("DocID: d1 (93%)\na\n\nDocID: d2 (91 %)\nb", [("d1", ""), ("d2", "")]),
    "texts behind keys": ("[1] id: d1, text: the first text\n[2] id: d2, text: the second text",
                          [("d1", ""), ("d2", "")]),
    "texts behind signs": ("1. id: d1 | snippet: the first\n2. id: d2 | snippet: the second",
                           [("d1", ""), ("d2", "")]),
    "numbers": ("1. id: d1 0.93\nt\n2. id: d2 0.91\nt", [("d1", ""), ("d2", "")]),
    "pages": ("1. id: d1, page 5\nt\n2. id: d2, page 6\nt", [("d1", ""), ("d2", "")]),
    "keys that are not known": ("1. id: d1; lang_id=en\nt\n2. id: d2; cosine=0.91\nt", [("d1", ""), ("d2", "")]),
    "names with signs": ("id: Rome, Italy: a guide\nt\nid: Ulm, http://example.org\nt",
                         [("Rome, Italy: a guide", ""), ("Ulm, http://example.org", "")]),
    "parts of a document": ("id: d1 (part 1)\nw\nid: d1 (part 2)\nv", [("d1 (part 1)", ""), ("d1 (part 2)", "")]),
}  # fmt: skip


@pytest.mark.parametrize("name", IDS)
def test_what_stands_behind_an_id_is_no_part_of_it_unless_the_ids_of_the_list_are_so(name):
    text, expected = IDS[name]
    assert [entry[:2] for entry in read(text)] == expected


def test_a_score_behind_an_id_is_that_of_its_entry():
    assert [entry.score for entry in entries_of(IDS["scores and titles"][0])] == [0.9, 0.8]


@pytest.mark.parametrize("line", ["d{} 0.9{}", "d{} [0.9{}]", "d{}; cosine=0.9{}"])
def test_a_number_behind_an_id_is_its_score(line):
    own = "".join(f"[{n}] DocID: {line.format(n, 4 - n)}\nTitle: A\nw\n\n" for n in (1, 2))
    by_key = "".join(f"{n}. id: {line.format(n, 4 - n)}\nw\n" for n in (1, 2))
    assert {tuple((entry.docid, entry.score) for entry in entries_of(text)) for text in (own, by_key)} == {
        (("d1", 0.93), ("d2", 0.92))
    }


def test_a_text_behind_an_id_is_that_of_its_entry():
    assert read("1. id: d1, text: a: b\nc\n2. id: d2") == [("d1", "", "a: b\nc"), ("d2", "", "")]


NO_IDS = {
    "blocks": "DocID: d1\nw\n\nDocID: None\nv\n\nDocID: d3\nu",
    "keys": "[1] id: d1\nw\n[2] id: N/A\nv\n[3] id: d3\nu",
    "rows": '[{"id": "d1"}, {"id": "null", "text": "v"}, {"id": "d3"}]',
    "addresses of rows": '[{"url": "d1"}, {"url": "N/A"}, {"url": "d3"}]',
    "links": "1. [A](d1) - w\n2. [B](#) - v\n3. [C](d3) - u",
    "links to nothing": "1. [A](d1) - w\n2. [B](None) - v\n3. [C](d3) - u",
}


@pytest.mark.parametrize("name", NO_IDS)
def test_what_programs_write_where_there_is_no_id_is_none(name):
    found = read_results(NO_IDS[name], ("q",))
    assert [(hit.docid, hit.rank) for hit in found.candidates] == [("d1", 1), ("d3", 3)]
    assert found.unread == 1


def test_a_row_without_an_id_has_its_address():
    (hit,) = read_results(f'[{{"docid": "nan", "url": "{U}"}}]', ("q",)).candidates
    assert hit.docid == U


A, B, C = ((f"{U}/{name}", name.upper()) for name in "abc")
LOST = {
    "headings with notes": (f"### [A]({U}/a)\ntext [x]({U}/x)\n### [B]({U}/b) (2021)\ntext\n### [C]({U}/c)\n",
                            [A, B, C], 0),
    "bold links with notes": (f"**[A]({U}/a)**\nta\n\n**[B]({U}/b)** (PDF)\ntb\n\n**[C]({U}/c)**\ntc", [A, B, C], 0),
    "links with notes": (f"[A]({U}/a)\ntext a\n[B]({U}/b) (PDF)\ntext b\n[C]({U}/c)\ntext c", [A, B, C], 0),
    "a bullet among numbers": (f"1. [A]({U}/a)\n- [B]({U}/b) - desc\n3. [C]({U}/c) - x", [A, B, C], 0),
    "a bullet in a text": (f"1. [A]({U}/a)\n   - [B]({U}/b) - desc\n3. [C]({U}/c) - x", [A, C], 0),
    "keys": (f"Title: A\nURL: {U}/a\nSnippet: sa\n\nTitle: B\nSnippet: sb no url\n\n"
             f"Title: C\nURL: {U}/c\nSnippet: sc", [A, None, C], 1),
    "keys at the end": (f"1. Title: A\n   URL: {U}/a\n   Snippet: sa\n2. Title: B\n   Snippet: sb no url\n", [A], 1),
    "keys without a value": (f"Title: A\nURL: \nSnippet: sa\n\nTitle: B\nURL: {U}/b\nSnippet: sb", [None, B], 1),
    "keys with none": (f"Title: A\nURL: N/A\nSnippet: sa\n\nTitle: B\nURL: {U}/b\nSnippet: sb", [None, B], 1),
    "a title above keys": (f"Title: Results\n\nTitle: A\nURL: {U}/a\nSnippet: sa", [A], 0),
    "elements": (f"<result><title>A</title><url>{U}/a</url></result><result><title>B</title><snippet>b</snippet>"
                 f"</result><result><title>C</title><url>{U}/c</url></result>", [A, None, C], 1),
    "links at the end": (f"1. [A]({U}/a)\n2. [B]({U}/b)\n3. C without link\n4. D without link", [A, B], 2),
    "bold titles at the end": (f"1. **[A]({U}/a)** - t\n2. **[B]({U}/b)** — t\n3. **C** — {U}/c", [A, B], 1),
    "a list in the last text": (f"1. [A]({U}/a)\n2. [B]({U}/b)\n1. x\n2. y\n3. z", [A, B], 0),
    "blocks": (f"DocID: {U}/a\n[A]\nta\n\nDocID:\n[B]\ntb\n\nDocID: {U}/c\n[C]\ntc", [A, None, C], 1),
    "titles above addresses": (f"Found 3 results:\n1. A\n{U}/a\nta\n\n2. No link here\njust text\n\n3. C\n{U}/c\nx",
                               [A, None, C], 1),
    "a number that is not there": (f"1. A\n{U}/a\nta\n\n3. C\n{U}/c\nx\n\n", [A, C], 0),
    "paths": (f"### 1. A\n**Source:** {U}/a\n> ta\n\n### 2. B\n**Source:** docs/b.md\n> tb\n\n"
              f"### 3. C\n**Source:** {U}/c\n> tc", [A, ("docs/b.md", "B"), C], 0),
}  # fmt: skip


@pytest.mark.parametrize("name", LOST)
def test_no_entry_is_lost_without_a_count(name):
    text, expected, unread = LOST[name]
    found = read_results(text, ("q",))
    ranked = [(rank, *row) for rank, row in enumerate(expected, start=1) if row is not None]
    assert [(hit.rank, hit.docid, hit.title) for hit in found.candidates] == ranked
    assert found.unread == unread


@pytest.mark.parametrize(
    ("link", "docid"),
    [
        (r"a\_b\_(x)", "a_b_(x)"),
        (r"a_\(x\)", "a_(x)"),
        (r'a "He said \"x\""', "a"),
        ('a "b "c" d"', "a"),
        ("a 'it''s'", "a"),
        ("a (t)", "a"),
    ],
)
def test_escapes_and_titles_of_links_are_no_part_of_the_address(link, docid):
    expected = [(f"{U}/{docid}", "A [x]", "w"), (f"{U}/z", "Z", "v")]
    assert read(f"1. [A \\[x\\]]({U}/{link}) - w\n2. [Z]({U}/z) - v") == expected


def test_an_id_of_the_librarys_own_lists_may_hold_anything_but_scores():
    assert read("[1] DocID: d1 (copy), title: A\nTitle: B\nw") == [("d1 (copy), title: A", "B", "w")]


WORST = """
import sys
from lrat_hub.importers.results import read_results
texts = {
    "open": "1. [a](https://x.org/" + "(a" * 300_000,
    "closed": "1. [a](https://x.org/(" + "(a)" * 300_000,
    "blanks": "- [a](https://x.org/" + " (a" * 300_000 + "\\n",
    "addresses": "https://x.org/" + "((a)(b" * 200_000,
    "titles": "- [a]" * 300_000 + "(b)\\n" + "[b](" * 300_000,
    "ids": "DocID: d1" + " (" * 300_000 + "\\nid: d2" + ", title" * 300_000 + "\\nid: " + "d | " * 249,
    "gaps": "1. [a](b)\\n" + "".join(f"{n}. c\\n" for n in range(2, 100_000)) + "100000. [a](b)",
    "quotes": "- [a](b " + '"' * 300_001,
}
read_results(texts[sys.argv[1]], ("q",))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["open", "closed", "blanks", "addresses", "titles", "ids", "gaps", "quotes"])
def test_the_worst_addresses_take_bounded_work(name):
    """They are read in a second; looking anew from each parenthesis takes hours. The limit is no measure of speed."""
    subprocess.run([sys.executable, "-c", WORST, name], check=True, timeout=60)


ONE, TWO, IN = f"{U}/one", f"{U}/two", f"[In]({U}/in)"
JSON = '{"id": "x1", "title": "In"}'
OF_A_DOCUMENT = {
    "links": f"- {IN}\n+ {IN} - words",
    "objects": f"{JSON}\n{JSON}",
    "a list of objects": f"[{JSON}, {JSON}]",
    "elements": f"<item><title>In</title><link>{U}/in</link></item>",
    "blocks": "DocID: 77\nwords",
    "blocks of titles": 'Doc 1(Title: "In") words',
    "keys written otherwise": f"Title: In\n\nURL Source: {U}/in\n\nMarkdown Content:\nwords",
    "addresses": f"{U}/in\n- {U}/in/2",
}
"""What documents may hold that looks like entries of another list."""
SHOWN = {
    "Tavily": "Detailed Results:\n\nTitle: One\nURL: {one}\nContent: {inner}\n\nTitle: Two\nURL: {two}\nContent: text",
    "Jina": "[1] Title: One\n[1] URL Source: {one}\n[1] Markdown Content:\n{inner}\n\n"
            "[2] Title: Two\n[2] URL Source: {two}\n[2] Markdown Content:\nwords",
    "Firecrawl": "URL: {one}\nTitle: One\nDescription: words\n\nContent:\n{inner}\n\n"
                 "URL: {two}\nTitle: Two\nDescription: words",
    "numbered links": "1. [One]({one})\n{inner}\n\n2. [Two]({two})\nwords",
    "numbered links and texts": "1. [One]({one}) - words\n{inner}\n\n2. [Two]({two}) - words",
    "bullets": "* [One]({one}) - words\n{inner}\n* [Two]({two}) - words",
    "links": "[One]({one})\n{inner}\n\n[Two]({two})\nwords",
    "numbered addresses": "1. One - {one}\n{inner}\n\n2. Two - {two}\nwords",
    "elements": "<result>\n<url>{one}</url>\n<title>One</title>\n<text>\n{inner}\n</text>\n</result>\n"
                "<result>\n<url>{two}</url>\n<title>Two</title>\n</result>",
    "blocks": "DocID: one\n[One]\nwords\n{inner}\n\nDocID: two\n[Two]\nwords",
    "blocks of titles": 'Doc 1(Title: "one") words\n{inner}\nDoc 2(Title: "two") words',
    "Wikipedia": "Page: one\nSummary: words\n{inner}\n\nPage: two\nSummary: words",
}  # fmt: skip


@pytest.mark.parametrize("inner", OF_A_DOCUMENT)
@pytest.mark.parametrize("name", SHOWN)
def test_a_list_of_another_form_in_a_document_is_none_of_the_search(name, inner):
    if name == inner or (name, inner) in {("Jina", "keys written otherwise"), ("Wikipedia", "blocks")}:
        pytest.skip("a list of the same form")
    text = SHOWN[name].format(one=ONE, two=TWO, inner=OF_A_DOCUMENT[inner])
    found = read_results(text, ("who",)).candidates
    expected = [ONE, TWO] if "{one}" in SHOWN[name] else ["one", "two"]
    assert [hit.docid for hit in found] == expected


def test_what_stands_above_a_list_of_another_form_is_none_of_it():
    answer = f"Summary: It was Bob.\nSource: {U}/bob\n\n"
    assert read(f"{answer}1. [Ulm]({U}/Ulm)\n2. [Rhine]({U}/Rhine) it") == [ULM, RHINE]


def test_pictures_below_a_list_are_none_of_its_documents():
    text = f"Title: Ulm\nURL: {U}/Ulm\nContent: words\n\nImages:\n\n[1] URL: {U}/1.png\n   Description: a tower\n"
    assert read(text) == [(f"{U}/Ulm", "Ulm", "words")]


def test_an_address_that_is_the_name_of_an_element_is_its_id():
    assert read(f'<source id="1" name="{U}/Ulm">words</source>')[0][0] == f"{U}/Ulm"
