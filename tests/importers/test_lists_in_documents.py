"""Documents that a list shows hold what looks like entries of a list; none of it is one, and none divides theirs."""

from __future__ import annotations

import pytest

from lrat_hub.importers.results import read_results

ADDRESSES = [f"https://example.org/{name}" for name in ("one", "two", "three")]

# What stands above a list, an entry, and what stands between entries.
LISTS = {
    "tavily": ("Detailed Results:\n\n", "Title: T{i}\nURL: {u}\nContent: {x}\n", "\n"),
    "tavily raw": ("Detailed Results:\n\n", "Title: T{i}\nURL: {u}\nContent: short\nRaw Content: {x}\n", "\n"),
    "ddg mcp": ("Found 3 search results:\n\n", "{i}. T{i}\n   URL: {u}\n   Summary: {x}\n", "\n"),
    "jina": (
        "",
        "[{i}] Title: T{i}\n[{i}] URL Source: {u}\n[{i}] Description: d\n[{i}] Markdown Content:\n{x}\n",
        "\n",
    ),
    "exa": ("", "Title: T{i}\nAuthor: x\nPublished Date: 2024\nURL: {u}\nText: {x}", "\n\n"),
    "firecrawl": ("", "URL: {u}\nTitle: T{i}\nDescription: d\n\nContent:\n{x}", "\n\n"),
    "kimi": ("", "Title: T{i}\nDate: 2020\nURL: {u}\nSummary: s\n\n{x}", "\n\n---\n\n"),
    "odr": (
        "Search results: \n\n",
        "--- SOURCE {i}: T{i} ---\nURL: {u}\n\nSUMMARY:\n{x}\n\n--------------------",
        "\n\n",
    ),
    "tongyi": (
        "A Google search for 'who wrote it' found 3 results:\n\n## Web Results\n",
        "{i}. [T{i}]({u})\nDate published: 2020\nSource: S\n\n{x}",
        "\n\n",
    ),
    "smol": ("## Search Results\n\n", "[T{i}]({u})\n{x}", "\n\n"),
    "cf": ("", "<result>\n<url>{u}</url>\n<title>T{i}</title>\n<text>\n{x}\n</text>\n</result>", "\n"),
    "claude docs": (
        "<documents>\n",
        '<document index="{i}">\n<source>{u}</source>\n<document_content>\n{x}\n</document_content>\n</document>',
        "\n",
    ),
    "own": ('Results for "who wrote it":\n', "[{i}] DocID: {u}\nTitle: T{i}\n{x}", "\n\n"),
    "pi": ("", "--- Result {i} ---\nTitle: T{i}\nLink: {u}\nAge: 2 days\nSnippet: {x}", "\n\n"),
    "searxng": ("", "Title: T{i}\nDescription: {x}\nURL: {u}\nRelevance Score: 0.500", "\n\n"),
    "bullets": ("", "- [T{i}]({u}) - {x}", "\n"),
    "heading addr": ("", "### T{i}\n{u}\n{x}", "\n\n"),
    "bold addr": ("", "**T{i}**\nURL: {u}\n{x}", "\n\n"),
    "openmanus": (
        "Search results for 'who wrote it':\n\n",
        "{i}. T{i}\n   URL: {u}\n   Description: d\n   Content: {x}",
        "\n\n",
    ),
    "librechat": ("", '# Source {i}: "T{i}"\nURL: {u}\nSummary: {x}', "\n\n---\n\n"),
    "kagi": (
        '-----\nResults for search query "who wrote it":\n-----\n',
        "{i}: T{i}\n{u}\nPublished Date: 2020\n{x}",
        "\n\n",
    ),
    "plain num": ("", "{i}. T{i} - {u}\n{x}", "\n\n"),
}
"""Lists as search tools write them."""

WORDS = {
    "plain": "words here",
    "para": "words here.\n\nMore words in a second paragraph.\n\nThird.",
    "title line": "words\nTitle: Inner\nwords",
    "title para": "words\n\nTitle: Inner\n\nwords",
    "source line": "words\nSource: Reuters\nwords",
    "source url": "words\nSource: https://else.org/s\nwords",
    "url line": "words\nURL: https://else.org/s\nwords",
    "url line text": "words\nURL: see below\nwords",
    "link line": "words\nLink: https://else.org/s",
    "bare url": "words\n\nhttps://else.org/s\n\nwords",
    "bare url end": "words\nhttps://else.org/s",
    "nav": "[Home](https://else.org/h)\n[About](https://else.org/a)\nwords",
    "nav bullets": "words\n* [Home](https://else.org/h)\n* [About](https://else.org/a)\nwords",
    "dash bullets": "words\n- [Home](https://else.org/h)\n- [About](https://else.org/a)",
    "num links": "words\n\n1. [Home](https://else.org/h)\n2. [About](https://else.org/a)\n\nwords",
    "num lines": "words\n1. First step\n2. Second step\nwords",
    "num para": "words\n\n1. First step\n\n2. Second step\n\nwords",
    "refs": "words\n\nReferences\n[1] Smith, J. (2020). https://else.org/r1\n[2] Lee. https://else.org/r2",
    "refs2": "words [1] and [2]\n[1]: https://else.org/r1\n[2]: https://else.org/r2",
    "heading": "# Heading\n\nwords\n\n## Sub\n\nwords",
    "heading link": "## [Sub](https://else.org/s)\nwords",
    "rule": "words\n\n---\n\nwords",
    "rule2": "words\n\n===\n\nwords",
    "rule long": "words\n========================================\nwords",
    "id line": "words\nID: 5\nwords",
    "docid line": "words\nDocID: 77\nwords",
    "name line": "Name: Bob\nAge: 7",
    "summary": "words\nSummary: more\nwords",
    "abstract": "Abstract: we do\n\nwords",
    "content": "words\nContent: more",
    "document n": "words\n\nDocument 3: words\n",
    "result n": "Result 2: the team won\nwords",
    "page n": "Page 2 of 7\nwords",
    "source n": "Source 4\nwords",
    "json": 'words\n{"id": "x", "title": "y", "url": "https://else.org/j"}\nwords',
    "json list": '[{"id": "x", "title": "y"}, {"id": "z"}]',
    "jsonld": 'words {"@context": "https://schema.org", "url": "https://else.org"} words',
    "py": "{'id': 'x', 'url': 'https://else.org'}",
    "html": '<a href="https://else.org">x</a> <item><link>https://else.org/1</link><title>t</title></item>',
    "doc tag": '<document id="5">x</document>',
    "source tag": '<source src="https://else.org/v.mp4">',
    "result tag": "<result>7</result>",
    "doc r1": 'Doc 1(Title: "In") words',
    "wiki": "Page: In\nSummary: words",
    "snip": "snippet: a, title: b, link: https://else.org",
    "query name": "words\nwho wrote it\nwords",
    "query head": "## who wrote it\nwords",
    "results for": "Search results for who wrote it:\nwords",
    "no results": "No results found.",
    "table": "| a | b |\n|---|---|\n| 1 | https://else.org |",
    "img": "![x](https://else.org/1.png)\nwords",
    "img link": "[![x](https://else.org/1.png)](https://else.org/p)",
    "published": "Published: 2020\nwords",
    "key val": "Director: X\nYear: 1999\nCountry: Y",
    "score": "Score: 5\nwords",
    "quote": "> quoted\n> more",
    "code": '```python\nx = [{"id": 1}]\n```',
    "url in sentence": "see https://else.org/a for more. words",
    "paren url": "Foo (https://else.org/p)\nwords",
    "title url pair": "Title: In\nURL: https://else.org/in\nwords",
    "title link pair": "Title: In\nLink: https://else.org/in\nwords",
    "bold": "**Bold title**\nwords",
    "num bold": "1. **Bold**\nwords\n2. **Bold2**\nwords",
    "brackets": "[2] words\n[3] words",
    "cn": "标题：内\n链接：https://else.org\n",
    "answer": "Answer: Bob",
    "url colon": "Website: https://else.org\nwords",
    "dash url": "Wiki - https://else.org/w\nwords",
    "num url": "1. https://else.org/1\n2. https://else.org/2",
    "empty": "",
}
"""Words of documents."""

AMBIGUOUS = {
    "bullets": {"dash bullets"},
    "exa": {"title url pair", "url line"},
    "firecrawl": {"title link pair", "title url pair", "url line"},
    "heading addr": {"bare url", "bare url end"},
    "kagi": {"bare url", "bare url end"},
    "kimi": {"title link pair", "title url pair", "url line"},
    "pi": {"title link pair"},
    "searxng": {
        "cn",
        "docid line",
        "id line",
        "link line",
        "source url",
        "title link pair",
        "title url pair",
        "url line",
    },
    "smol": {"nav"},
    "tavily": {"title url pair", "url line"},
    "tavily raw": {"title url pair", "url line"},
    "tongyi": {"num links"},
}
"""Words that are written as the entries of the list are, so that nobody can tell them apart."""

CASES = [(name, words) for name in LISTS for words in WORDS if words not in AMBIGUOUS.get(name, ())]


@pytest.mark.parametrize("places", [{1}, {3}, {1, 2, 3}], ids=["first", "last", "all"])
@pytest.mark.parametrize("name", LISTS)
def test_what_a_document_says_is_no_entry_of_the_list(name, places):
    head, entry, between = LISTS[name]
    for words in (words for listed, words in CASES if listed == name):
        shown = [WORDS[words] if number in places else "plain words" for number in (1, 2, 3)]
        entries = [
            entry.format(i=number, u=address, x=text)
            for number, address, text in zip((1, 2, 3), ADDRESSES, shown, strict=True)
        ]
        results = read_results(head + between.join(entries), ("who wrote it",))
        found = [hit.docid for hit in results.candidates]
        # What may be two lists is cut and counted.
        is_counted = bool(results.dropped or results.unread) and set(found) <= set(ADDRESSES)
        assert is_counted or found == ADDRESSES, words


def test_nearly_all_words_are_told_apart():
    assert len(CASES) > 0.96 * len(LISTS) * len(WORDS)


@pytest.mark.parametrize("name", ["tongyi", "smol", "jina", "ddg mcp", "cf", "kagi"])
@pytest.mark.parametrize("form", ['Results for "{}":\n', "## {}\n\n", "A Google search for '{}' found results:\n\n"])
def test_what_a_document_says_divides_no_lists_of_several_queries(name, form):
    queries = ("who wrote it", "when was it built")
    expected = [ADDRESSES[:2], [ADDRESSES[2], "https://example.org/four"]]
    _, entry, between = LISTS[name]
    for words in (words for listed, words in CASES if listed == name):
        lists = [
            between.join(entry.format(i=n, u=u, x=WORDS[words]) for n, u in enumerate(addresses, 1))
            for addresses in expected
        ]
        text = "\n=======\n".join(form.format(query) + listed for query, listed in zip(queries, lists, strict=True))
        results = read_results(text, queries)
        found = [[hit.docid for hit in results.candidates if hit.query_index == index] for index in (0, 1)]
        assert found == expected or results.dropped or results.unread, words
        assert set(found[0]) <= set(expected[0]), words
