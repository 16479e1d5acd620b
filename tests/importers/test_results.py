"""Result lists are read under the query that listed them, in every way in which tools write them, or are counted."""

import json
import re
import subprocess
import sys

import pytest

from lrat_hub.importers.listings import NOT_NAMED, NOT_ONE_EACH, TOLD_APART, UNRECOGNISED
from lrat_hub.importers.mapping import ResultFormat
from lrat_hub.importers.results import read_results

A, B = "astrolabe maker", "museums of Turku"
X, Y, Z = (f"https://example.org/{name}" for name in "xyz")


def hits(text, asked=(A,), **keys):
    """The ids of each query's list."""
    results = read_results(text if isinstance(text, str) else json.dumps(text), asked, **keys)
    return {
        query: [hit.docid for hit in results.candidates if hit.query_index == index]
        for index, query in enumerate(results.queries)
    }


def links(*addresses, first=1):
    return "\n\n".join(f"{n}. [Title]({address})\nSource: S\n\nWords." for n, address in enumerate(addresses, first))


TEXTS = {
    "blocks": f"## Web Results\nDocID:{X}\n[One]\nWords\n\nDocID:{Y}\n[Two]\nWords",
    "numbered links": links(X, Y),
    "links": f"## Search Results\n\n[One]({X})\nWords\n\n[Two]({Y})\nWords",
    "bold bullets": f"- **[One]({X})** - words\n- **[Two]({Y})** - words",
    "jina": f"[1] Title: One\n[1] URL Source: {X}\n[1] Description: words\n\n[2] Title: Two\n[2] URL Source: {Y}\n",
    "duckduckgo server": f"Found 2 search results:\n\n1. One\n   URL: {X}\n   Summary: w\n\n2. Two\n"
    f"   URL: {Y}\n   Summary: w",
    "brave server": f"Title: One\nDescription: w\nURL: {X}\n\nTitle: Two\nDescription: w\nURL: {Y}",
    "exa server": f"Title: One\nAuthor: A\nURL: {X}\nText: w\nTitle: no title\nw\n\nTitle: Two\nURL: {Y}\nText: w",
    "sources": f"--- SOURCE 1: One ---\nURL: {X}\n\nSUMMARY:\nw\n\n-----\n\n--- SOURCE 2: Two ---\nURL: {Y}\n"
    f"\nSUMMARY:\nw\n",
    "bold keys": f"**Title:** One\n**URL:** {X}\n**Description:** w\n\n**Title:** Two\n**URL:** {Y}\n",
    "yaml": f"- title: One\n  url: {X}\n  snippet: w\n- title: Two\n  url: {Y}\n  snippet: w",
    "results": f"Result 1:\nTitle: One\nURL: {X}\nContent: w\n\nResult 2:\nTitle: Two\nURL: {Y}\nContent: w",
    "snippets": f"<snippet id=a-0>\nTitle: One\nURL: {X}\nSnippet: w\n</snippet>\n<snippet id=a-1>\n"
    f"Title: Two\nURL: {Y}\n</snippet>",
    "documents": f"<documents><document "
    f'index="1"><source>{X}</source><document_content>w</document_content></document>'
    f'<document index="2"><source>{Y}</source><document_content>w</document_content></document></documents>',
    "elements": f"<result><url>{X}</url><snippet>w</snippet></result><result><url>{Y}</url></result>",
    "langchain's duckduckgo": f"[snippet: w, w, title: One, link: {X}], [snippet: w, title: Two, link: {Y}]",
    "addresses": f"1. {X}\nwords\n2. {Y}",
    "titles and addresses": f"- One: {X}\n- Two ({Y})",
    "claude code": f'Web search results for query: "{A}"\n\n'
    f'Links: [{{"title":"One","url":"{X}"}},{{"title":"Two","url":"{Y}"}}]\n\nWords [1].',
    "webthinker": f'***Web Page 1:***\n{{\n "id": 1,\n "url": "{X}"\n}}\n***Web Page 2:***\n{{\n "id": 2,\n'
    f' "url": "{Y}"\n}}\n',
    "json lines": f'{{"url": "{X}"}}\n{{"url": "{Y}"}}',
    "json after words": f'Search results:\n[{{"url": "{X}"}}, {{"url": "{Y}"}}]',
    "json before words": f'[{{"url": "{X}"}}, {{"url": "{Y}"}}]\nThese were 2 results.',
    "repr": f"[{{'url': '{X}', 'score': nan}}, {{'url': '{Y}', 'score': np.float64(1.5)}}]",
    "chinese keys": f"标题：One\n链接：{X}\n摘要：w\n\n标题：Two\n链接：{Y}\n摘要：w",
    "chinese numbers": f"结果 1：\n标题: One\n网址: {X}\n内容: w\n\n结果 2：\n标题: Two\n网址: {Y}\n内容: w",
    "encoded twice": json.dumps(json.dumps([{"url": X}, {"url": Y}])),
}


def test_lists_that_name_their_query_in_a_key_of_deep_researcher_are_told_apart():
    answer = [
        {"search_query": B, "web_page_info_list": [{"url": Y, "title": "Two", "quick_summary": "w"}]},
        {"search_query": A, "web_page_info_list": [{"url": X, "title": "One"}]},
    ]
    results = read_results(json.dumps(answer), [A, B])
    assert [(hit.query_index, hit.docid) for hit in results.candidates] == [(0, X), (1, Y)]


def test_titles_are_the_ids_of_passages_that_have_nothing_else():
    text = "(1)House of X   House of X is a house.\n- http://example.org/reference\n(2)Y (town)   Y lies in Z."
    assert hits(text) == {A: ["House of X", "Y (town)"]}


@pytest.mark.parametrize("name", TEXTS)
def test_a_list_is_read_in_every_way_of_writing_it(name):
    assert hits(TEXTS[name]) == {A: [X, Y]}


ROWS = [{"url": X, "title": "One", "content": "w"}, {"url": Y}]
DATA = {
    "rows": ROWS,
    "serper": {"searchParameters": {"q": A}, "knowledgeGraph": {"title": "k"}, "organic": [{"link": X}, {"link": Y}],
               "peopleAlsoAsk": [{"question": "?", "link": Z}]},
    "tavily": {"query": A, "answer": None, "images": [], "results": ROWS, "response_time": 1.2},
    "exa": {"requestId": "r", "results": [{"id": X, "url": X, "text": "w"}, {"id": Y, "url": Y}]},
    "brave": {"type": "search", "web": {"results": ROWS}, "news": {"results": [{"url": Z}]}},
    "bing": {"webPages": {"value": [{"id": "https://api.example/#WebPages.0", "url": X},
        {"id": "https://api.example/#1", "url": Y}]}},
    "serpapi": {"search_metadata": {}, "organic_results": [{"position": 1, "link": X}, {"position": 2, "link": Y}]},
    "google": {"kind": "customsearch#search", "items": [{"link": X, "snippet": "w"}, {"link": Y}]},
    "elasticsearch": {"hits": {"total": 2, "hits": [{"_id": X, "_score": 1.0, "_source": {"text": "w"}}, {"_id": Y}]}},
    "retriever": {"result": [[{"document": {"id": X, "contents": "w"}, "score": 0.5}, {"document": {"id": Y}}]]},
    "langchain": [{"page_content": "w", "metadata": {"source": X}}, {"page_content": "w", "metadata": {"source": Y}}],
    "chinese": {"查询": A, "搜索结果": [{"标题": "One", "链接": X, "摘要": "w"}, {"标题": "Two", "网址": Y}]},
    "chinese ids": {"结果": [{"文档编号": X, "内容": "w"}, {"文档编号": Y}]},
    "numbered": [{"id": 1, "url": X}, {"id": 2, "url": Y}],
    "addresses": [X, Y],
    "part for each hit": [{"type": "text", "text": json.dumps({"url": url})} for url in (X, Y)],
    "parts of text": [{"type": "text", "text": f"Title: T\nURL: {url}"} for url in (X, Y)],
    "one part": {"content": [{"type": "text", "text": links(X, Y)}], "isError": False},
    "under the query": {A: ROWS},
    "firecrawl": {"success": True, "data": {"web": ROWS}},
    "bocha": {"code": 200, "data": {"webPages": {"value": [{"id": "https://api.org/#1", **row} for row in ROWS]}}},
    "metaso": {"total": 2, "webpages": [{"link": X, "score": "high"}, {"link": Y}]},
    "solr": {"response": {"numFound": 2, "docs": [{"id": X, "title": ["One"]}, {"id": Y}]}},
    "vespa": {"root": {"id": "top", "children": [{"id": X, "fields": {"title": "One"}}, {"id": Y, "fields": {}}]}},
    "qdrant": {"result": {"points": [{"id": 1, "payload": {"url": X}}, {"id": 2, "payload": {"url": Y}}]}},
    "bedrock": {"retrievalResults": [{"content": {"text": "w"}, "location": {"webLocation": {"url": X}}},
        {"content": {"text": "w"}, "location": {"s3Location": {"uri": Y}}}]},
    "files": [{"file_id": X, "filename": "One", "content": [{"type": "text", "text": "w"}]}, {"file_id": Y}],
    "rows with a type": {"results": [{"type": "text", "name": "One", "url": X}, {"type": "text", "url": Y}]},
}  # fmt: skip


@pytest.mark.parametrize("name", DATA)
def test_a_list_is_found_in_the_answers_of_search_engines(name):
    assert hits(DATA[name]) == {A: [X, Y]}


def announced(query, *addresses):
    return f"A Google search for '{query}' found {len(addresses)} results:\n\n## Web Results\n{links(*addresses)}"


SEVERAL = {
    "announced": f"{announced(A, X)}\n=======\n{announced(B, Y, Z)}",
    "announced the other way round": f"{announced(B, Y, Z)}\n=======\n{announced(A, X)}",
    "scholar": announced(A, X).replace("search", "scholar") + "\n=======\n" + announced(B, Y, Z),
    "results for": f"Results for: {A}\n{links(X)}\n\nResults for: {B}\n{links(Y, Z)}",
    "chinese": f"查询：{A}\n{links(X)}\n\n查询：{B}\n{links(Y, Z)}",
    "chinese results": f"“{A}”的搜索结果：\n{links(X)}\n\n“{B}”的搜索结果：\n{links(Y, Z)}",
    "query": f"Query: {A}\n[{{\"url\": \"{X}\"}}]\nQuery: {B}\n[{{\"url\": \"{Y}\"}}, {{\"url\": \"{Z}\"}}]",
    "headings": f"## {A}\n\n{links(X)}\n\n## {B}\n\n{links(Y, Z)}",
    "web search results": f'Web search results for query: "{A}"\n{links(X)}\n'
    f'Web search results for query: "{B}"\n{links(Y, Z)}',
    "numbered": f"Results for query 1:\n- [One]({X})\n\nResults for query 2:\n- [Two]({Y})\n- [Three]({Z})",
    "rules": f"{links(X)}\n---\n{links(Y, Z)}",
    "equals": f"{links(X)}\n=======\n{links(Y, Z)}",
    "numbers begin again": f"{links(X)}\n\n{links(Y, Z)}",
    "json lists": f'[{{"url": "{X}"}}]\n[{{"url": "{Y}"}}, {{"url": "{Z}"}}]',
    "lists in a list": [[{"url": X}], [{"url": Y}, {"url": Z}]],
    "named": [{"query": B, "results": [{"url": Y}, {"url": Z}]}, {"query": A, "results": [{"url": X}]}],
    "serper for each": [{"searchParameters": {"q": A}, "organic": [{"link": X}]},
        {"searchParameters": {"q": B}, "organic": [{"link": Y}, {"link": Z}]}],
    "under the queries": {"results": {B: [{"url": Y}, {"url": Z}], A.upper(): [{"url": X}]}},
    "rows that name their query": [{"query": A, "url": X}, {"query": B, "url": Y}, {"query": B, "url": Z}],
    "a part for each query": [{"type": "text", "text": links(X)}, {"type": "text", "text": links(Y, Z)}],
}  # fmt: skip


@pytest.mark.parametrize("name", SEVERAL)
def test_lists_of_several_queries_stand_under_the_query_that_listed_them(name):
    assert {query.casefold(): ids for query, ids in hits(SEVERAL[name], (A, B)).items()} == {
        A.casefold(): [X], B.casefold(): [Y, Z],
    }  # fmt: skip


MERGED = {
    "one list": links(X, Y, Z),
    "a rule after each entry": f"{links(X)}\n---\n{links(Y, first=2)}",
    "entries of one line each": f"- [One]({X})\n---\n- [Two]({Y})",
    "rows": [{"url": X}, {"url": Y}],
    "sources": TEXTS["sources"],
    "three lists": [[{"url": X}], [{"url": Y}], [{"url": Z}]],
    "a text for each hit": [{"type": "text", "text": links(url)} for url in (X, Y)],
}


@pytest.mark.parametrize("name", MERGED)
def test_a_list_that_may_be_any_querys_is_left_out_and_counted(name):
    text = MERGED[name] if isinstance(MERGED[name], str) else json.dumps(MERGED[name])
    results = read_results(text, (A, B))
    assert (results.queries, results.candidates, results.dropped) == ((A, B), (), ((TOLD_APART, 2),))


def test_a_mapping_can_say_that_the_list_is_shared_or_how_the_text_is_divided():
    import re

    assert hits(links(X, Y), (A, B), known=ResultFormat(shared=True)) == {A: [X, Y]}
    section = re.compile(r"^Papers on (?P<query>.*)$", re.MULTILINE)
    text = f"Papers on {B}\n{links(Y)}\nPapers on {A}\n{links(X)}"
    assert hits(text, (A, B), known=ResultFormat(section=section)) == {A: [X], B: [Y]}
    assert hits(f"{links(X)}\n%%\n{links(Y)}", (A, B), known=ResultFormat(section=re.compile("%%"))) == {
        A: [X],
        B: [Y],
    }


def test_a_list_without_the_line_that_a_mapping_says_begins_one_is_read_as_usual():
    section = ResultFormat(section=re.compile(r"^Papers on (?P<query>.*)$", re.MULTILINE))
    assert hits(links(X, Y), known=section) == {A: [X, Y]}
    assert hits(f"Papers on {A}\n{links(X)}", known=section) == {A: [X]}
    assert hits(announced(A, X) + "\n=======\n" + announced(B, Y), (A, B), known=section) == {A: [X], B: [Y]}
    assert read_results(links(X, Y), (A, B), section).dropped == ((TOLD_APART, 2),)
    assert hits(f"{links(X)}\nPapers on {B}\n{links(Y)}", (A, B), known=section) == {B: [Y]}
    assert read_results(f"{links(X)}\nPapers on {B}\n{links(Y)}", (A, B), section).dropped == ((NOT_NAMED, 1),)


def test_a_section_without_results_is_an_empty_list():
    text = f"No results found for '{A}'. Try with a more general query.\n=======\n{announced(B, Y)}"
    results = read_results(text, (A, B))
    assert (results.num_lists, results.dropped, hits(text, (A, B))) == (2, (), {A: [], B: [Y]})
    assert hits(f"{announced(A, X)}\n=======\nGoogle search Timeout, return None", (A, B)) == {A: [X], B: []}


def test_a_list_behind_a_line_of_signs_is_nobodys_when_nothing_names_it():
    text = f"{announced(A, X)}\n=======\n{links(Y)}\n=======\n{announced(B, Z)}"
    results = read_results(text, (A, B))
    assert hits(text, (A, B)) == {A: [X], B: [Z]}
    assert results.dropped == ((NOT_NAMED, 1),)


def test_queries_that_the_tool_did_not_run_are_none():
    results = read_results(announced(A, X), (A, B))
    assert (results.queries, results.not_run, results.dropped) == ((A,), 1, ())


def test_a_line_of_a_document_that_names_an_announced_query_begins_no_other_list():
    text = announced(A, X, Y).replace("Words.", f"## {A}\nWords.", 1)
    assert hits(text) == {A: [X, Y]}
    results = read_results(text, (A,))
    assert (results.dropped, results.unread) == ((), 0)


def test_a_document_that_is_listed_twice_stays_listed_twice():
    assert hits([{"docid": 12}, {"docid": 11}, {"docid": 12}]) == {A: ["12", "11", "12"]}


def test_what_is_cut_off_or_has_no_id_is_counted():
    cut = read_results('{"results": [{"url": "u1"}, {"url": "u2"}, {"ur', (A,))
    assert ([hit.docid for hit in cut.candidates], cut.unread) == (["u1", "u2"], 1)
    unread = read_results('[{"title": "T"}, {"url": "u"}]', (A,))
    assert ([(hit.rank, hit.docid) for hit in unread.candidates], unread.unread) == ([(2, "u")], 1)
    assert read_results(announced(A, X).replace("found 1", "found 3"), (A,)).unread == 2


def test_a_form_that_is_not_known_is_counted_and_an_empty_one_is_empty():
    assert read_results("It was found in Turku, they say.", (A,)).dropped == ((UNRECOGNISED, 1),)
    for empty in ("[]", '{"results": []}', "No results found.", "Found 0 results", "No good results were found", ""):
        results = read_results(empty, (A,))
        assert (results.queries, results.candidates, results.dropped) == ((A,), (), ())


def test_ids_that_the_log_keeps_apart_go_to_the_entries_in_their_order():
    text = "A search for 'q' found 2 results:\n\n1. [One]\nWords\n\n2. [Two]\nMore"
    results = read_results(text, ("q",), docids=("11", "12"))
    assert [(hit.docid, hit.title, hit.snippet) for hit in results.candidates] == [
        ("11", "One", "Words"), ("12", "Two", "More"),
    ]  # fmt: skip
    assert hits("Words alone.", docids=["7"]) == {A: ["7"]}
    assert hits(links(X), docids=["7"]) == {A: [X]}


def test_lists_that_the_log_keeps_apart_are_those_of_the_queries_in_order():
    lists = [[{"docid": "7", "score": float("nan")}], [{"docid": 8, "title": "T"}]]
    assert hits("anything", (A, B), results=lists) == {A: ["7"], B: ["8"]}
    assert read_results("", (A, B), results=lists).candidates[0].score is None
    assert read_results("", (A, B), results=lists[:1]).dropped == ((NOT_ONE_EACH, 2),)


def test_a_line_of_a_document_that_repeats_the_query_does_not_divide_its_list():
    assert hits(f"{links(X)}\nSearch results for {A}\n{links(Y, first=2)}") == {A: [X, Y]}


BOLD = f"\n**{B}**\n"
SHOWN = {
    "announced": f"{announced(A, X)}{BOLD}{{more}}=======\n{announced(B, Z)}",
    "with words": f"Results for {A}:\n{links(X)}{BOLD}{{more}}Results for {B}:\n{links(Z)}",
    "headings": f"## {A}\n\n{links(X)}{BOLD}{{more}}## {B}\n\n{links(Z)}",
    "rules": f"{links(X)}{BOLD}{{more}}=======\n{links(Z)}",
    "only one named": f"{announced(A, X)}{BOLD}{{more}}",
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_line_of_a_document_that_is_another_query_begins_no_list(name):
    more = links(Y, first=2) + "\n\n"
    expected = {A: [X, Y], **({} if name == "only one named" else {B: [Z]})}
    assert hits(SHOWN[name].replace("{more}", "Its words.\n\n" + more), (A, B)) == expected


def test_what_may_be_the_list_of_a_query_or_a_document_with_its_name_is_left_out_and_counted():
    text = f"{announced(A, X)}{BOLD}- [Two]({Y})\n"
    results = read_results(text, (A, B))
    assert (hits(text, (A, B)), results.dropped) == ({A: [X]}, ((NOT_NAMED, 1),))
    assert read_results(f"{links(X)}{BOLD}{links(Y, first=2)}", (A, B)).dropped == ((TOLD_APART, 2),)


def test_the_lists_of_a_search_that_looked_further_are_one():
    one, two = (json.dumps([{"title": "T", "url": address}]) for address in (X, Y))
    text = f'Web search results for query: "{A}"\n\nLinks: {one}\n\nWords.\n\nLinks: {two}\n\nReminder'
    assert hits(text) == {A: [X, Y]}
    assert read_results(f"Links: {one}\n\nLinks: {two}", (A, B)).candidates[0].docid == X


@pytest.mark.parametrize("words", [["a", "b"], [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\nb"])
def test_the_text_of_a_row_may_be_in_parts(words):
    rows = [{"type": "search_result", "source": X, "title": "One", "content": words}, {"url": Y, "excerpts": words}]
    found = read_results(json.dumps(rows), (A,)).candidates
    assert [(hit.docid, hit.snippet) for hit in found] == [(X, "a\nb"), (Y, "a\nb")]


INNER = f"1. [In]({Z}/1)\n2. [In]({Z}/2)"
NUMBERED = {
    "without a gap": f"{links(X)}\n{INNER}\n\n{links(Y, first=2)}",
    "with a gap": f"{links(X)}\n\n{INNER}\n\n{links(Y, first=2)}",
    "one alone": f"{links(X)}\n1. [In]({Z}/1)\n\n{links(Y, first=2)}",
    "further in": f"1. [One]({X})\nwords\n   1. [In]({Z}/1)\n   2. [In]({Z}/2)\n2. [Two]({Y})",
    "a line each": f"1. [One]({X})\n{INNER}\n2. [Two]({Y})",
    "at the end": f"{links(X, Y)}\n{INNER}",
}


@pytest.mark.parametrize("name", NUMBERED)
def test_a_list_in_a_snippet_is_none_of_the_search(name):
    text = NUMBERED[name]
    assert hits(text) == {A: [X, Y]}
    assert hits(f"{announced(A, X)[: -len(links(X))]}{text}\n=======\n{announced(B, Z)}", (A, B)) == {
        A: [X, Y],
        B: [Z],
    }
    two = f"{text}\n\n{links(Z)}"
    if name in ("further in", "a line each"):  # nothing parts its entries, so a gap says nothing
        assert read_results(two, (A, B)).dropped == ((TOLD_APART, 2),)
    else:
        assert hits(two, (A, B)) == {A: [X, Y], B: [Z]}
    snippets = "".join(hit.snippet for hit in read_results(text, (A,)).candidates)
    assert f"{Z}/1" in snippets
    assert read_results(text, (A, B)).candidates == ()


# Lists in lists without an end, and lines of documents that may name a query.
WORST = """
import sys
from lrat_hub.importers.results import read_results
once = "1. [In](https://x.org/i)\\n"
texts = {
    "begin again": once * 100_000,
    "go on": "".join(f"{n}. [Out](https://x.org/{n})\\n\\n{once}" for n in range(1, 50_000)),
    "headings": f"Results for p q\\n{once}**r s**\\n" * 30_000,
    "stars": "".join(f"{n}. x{' *' * 300_000} y\\nhttps://x.org/{n}\\n\\n" for n in (1, 2)),
}
read_results(texts[sys.argv[1]], ("p q", "r s") if sys.argv[1] == "headings" else ("p q",))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["begin again", "go on", "headings", "stars"])
def test_the_worst_texts_of_results_take_bounded_work(name):
    """They are read in seconds; comparing each entry with all others takes hours. The limit is no measure of speed."""
    subprocess.run([sys.executable, "-c", WORST, name], check=True, timeout=90)


def test_lists_of_which_one_lacks_an_entry_are_not_told_apart():
    text = f"{links(X, Y)}\n\n{links(Z)}\n\n{links(X, first=3)}"
    assert read_results(text, (A, B)).dropped == ((TOLD_APART, 2),)
