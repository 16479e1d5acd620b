"""What calls ask for and open: arguments of every kind, several documents in one call, addresses, and counts."""

import json
import re

import pytest

from lrat_hub import mine_pairs
from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.actions import OTHER_NAME, Recorder
from lrat_hub.importers.mapping import BROWSE, LogMapping
from lrat_hub.importers.messages import Result
from lrat_hub.importers.opened import read_documents
from lrat_hub.mining.weights import Weighting
from lrat_hub.schema import Trajectory
from lrat_hub.walk.addresses import page_of

X, Y = "https://example.org/x", "https://example.org/y"


def recorded(*calls, mapping=None):
    """The steps of calls, each with a name, arguments, and what was shown; and the accounts."""
    accounts = Accounts()
    recorder = Recorder(mapping or LogMapping(), accounts)
    for name, arguments, shown in calls:
        recorder.reason("So.")
        recorder.call(name, arguments, shown if isinstance(shown, Result) else Result(shown))
    for ledger in accounts.ledgers():
        ledger.to_dict()
    return recorder.steps, accounts


@pytest.mark.parametrize(
    "arguments",
    [
        {"query": "q"}, '{"query": "q"}', json.dumps('{"query": "q"}'), "{'query': 'q', 'top': None}", "q",
        ["q"], '["q"]',
        {"query": "q", "queries": ["q"]}, {"query": None, "q": "q", "docid": None}, {"queries": '["q"]'},
        {"query": [{"query": "q"}]}, '{"query": "q", "goal": "cut o', '{"query": ["q"], "k"', '{"query": ["q"',
    ],
)  # fmt: skip
def test_arguments_are_read_in_every_way_of_writing_them(arguments):
    steps, accounts = recorded(("web_search", arguments, '[{"docid": 1}]'))
    assert [(step.action, step.queries) for step in steps] == [("search", ("q",))]
    is_cut = isinstance(arguments, str) and arguments.startswith('{"') and not arguments.endswith("}")
    assert accounts.calls.lost.total() == int(is_cut)


def test_a_browse_is_for_the_search_whose_name_it_gives():
    row = {"id": "d1", "title": "T", "text": "A text.", "search_id": "first"}
    for shown in (
        json.dumps({"results": [row]}), json.dumps({"results": [[{"docid": "d1"}]], "search_id": "first"}), str([row]),
        Result("", results=((row,),)),
    ):  # fmt: skip
        steps, _ = recorded(
            ("search", {"query": "q"}, shown),
            ("search", {"query": "r"}, json.dumps({"results": [{**row, "search_id": "second"}]})),
            ("fetch", {"id": "d1", "search_id": "first"}, "A text."),
            ("fetch", {"id": "d1"}, "A text."),
            ("fetch", {"id": "d1", "search_id": "third"}, "A text."),
        )
        assert [(step.docid, step.search_turn) for step in steps[2:]] == [
            ("d1", 0), ("d1", None), ("d1", None),
        ]  # fmt: skip
        run = Trajectory("t", "t", "Q?", tuple(steps))
        assert [pair.query for pair in mine_pairs([run], weighting=Weighting("uniform")).pairs] == ["q", "r"]


@pytest.mark.parametrize("arguments", ['{"query": "cut o', "{query}", 7, [1], [], True])
def test_arguments_that_can_not_be_read_cost_the_call(arguments):
    steps, accounts = recorded(("web_search", arguments, ""))
    assert [step.action for step in steps] == ["invalid"]
    assert (accounts.calls.read, accounts.calls.kept) == (1, 0)


@pytest.mark.parametrize(
    "name",
    ["google_search", "WebSearch", "tavily_search", "mcp__brave__brave_web_search", "brave-web-search",
     "browser.search", "functions.retrieve", "DuckDuckGoSearchTool"],
)  # fmt: skip
def test_common_names_search(name):
    assert recorded((name, {"q": "q"}, "[]"))[0][0].action == "search"


@pytest.mark.parametrize(
    "name", ["WebFetch", "fetch_url", "read_page", "tavily_extract", "browse_webpage", "scrape_url", "mcp__x__fetch"]
)
def test_common_names_open(name):
    (step,), _ = recorded((name, {"urls": [X], "prompt": "p"}, "Words"))
    assert (step.action, step.docid) == ("browse", X)


def test_a_tool_that_is_unknown_is_counted_by_its_name_with_the_cure():
    _, accounts = recorded(*[("peruse", {"n": 1}, "Words")] * 3, (None, {}, ""))
    assert accounts.calls.dropped == {
        "unknown tool 'peruse', say what it does in a mapping file": 3,
        "unknown tool None, say what it does in a mapping file": 1,
    }
    assert accounts.calls.examples["unknown tool 'peruse', say what it does in a mapping file"] == '{"n": 1}'


def page(address, words="It is kept in Turku."):
    return f"The useful information in {address} for user goal g as follows: \n\nEvidence in page: \n{words}\n\n"


DIVIDED = {
    "named": page(X) + "=======\n" + page(Y),
    "named the other way round": page(Y) + "\n" + page(X),
    "headings": f"# {X}\nOne\n# {Y}\nTwo",
    "keys": f"URL: {X}\nOne\n\nURL: {Y}\nTwo",
    "contents": f"Contents of {X}:\nOne\n\nContents of {Y}:\nTwo",
    "rules": "One\n---\nTwo",
    "rows": json.dumps([{"url": Y, "content": "Two"}, {"url": X, "content": "One"}]),
    "tavily": json.dumps({"results": [{"url": X, "raw_content": "One"}, {"url": Y, "raw_content": "Two"}]}),
    "keys of an object": json.dumps({X: "One", Y: "Two"}),
    "parts": json.dumps([{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}]),
}


@pytest.mark.parametrize("name", DIVIDED)
def test_each_document_of_a_call_is_a_browse_with_its_own_text(name):
    steps, accounts = recorded(("visit", {"url": [X, Y], "goal": "g"}, DIVIDED[name]))
    assert [(step.docid, step.error, step.reasoning) for step in steps] == [(X, None, "So."), (Y, None, None)]
    assert all(step.observation for step in steps)
    assert ("One" in steps[0].observation) == ("One" in DIVIDED[name])
    assert (accounts.browses.read, accounts.browses.kept, accounts.browses.num_lost) == (2, 2, 0)
    assert (accounts.calls.read, accounts.calls.kept) == (1, 1)


@pytest.mark.parametrize("between", [", ", " ", "\n", "; "])
def test_addresses_in_one_text_are_a_browse_each(between):
    steps, accounts = recorded(("visit", {"url": f"{X}{between}{Y}"}, "Words without a name."))
    assert [step.docid for step in steps] == [X, Y]
    assert accounts.browses.read == 2


def test_documents_whose_texts_can_not_be_told_apart_are_browses_and_a_loss():
    steps, accounts = recorded(("visit", {"url": [X, Y]}, "Words without a name."))
    assert [(step.docid, step.observation) for step in steps] == [(X, "Words without a name."), (Y, "")]
    assert accounts.browses.lost == {"documents of one call whose texts can't be told apart": 1}


def test_a_number_in_a_document_names_no_other_document():
    text = "Document 7:\nFrom 8 to 9 and 8.\nId 8 of them.\nDocument 8:\nTwo"
    assert dict(read_documents(text, ["7", "8"]).texts)["8"] == "Document 8:\nTwo"


def test_a_document_that_the_text_does_not_show_is_no_browse():
    steps, accounts = recorded(("visit", {"url": [X, Y]}, page(Y)))
    assert [step.docid for step in steps] == [Y]
    assert accounts.browses.dropped == {"documents that the text does not show": 1}


def test_of_several_documents_those_that_failed_are_failed_browses():
    failed = "The provided webpage content could not be accessed. Please check the URL or file format."
    steps, _ = recorded(("visit", {"url": [X, Y]}, page(X, failed) + "\n=======\n" + page(Y)))
    assert [(step.docid, step.error is not None) for step in steps] == [(X, True), (Y, False)]
    tavily = json.dumps(
        {"results": [{"url": X, "raw_content": "One"}], "failed_results": [{"url": Y, "error": "403"}]}
    )
    steps, _ = recorded(("tavily_extract", {"urls": [X, Y]}, tavily))
    assert [(step.docid, step.error) for step in steps] == [(X, None), (Y, "403")]
    steps, _ = recorded(("visit", {"url": [X, Y]}, "HTTP Error 403: Forbidden"))
    assert [step.error for step in steps] == ["HTTP Error 403: Forbidden"] * 2


def test_a_mapping_can_say_how_documents_are_divided():
    section = re.compile(r"^Paper (?P<docid>\S+)$", re.MULTILINE)
    opened = read_documents("Paper 8\nTwo\nPaper 7\nOne", ["7", "8"], section)
    assert dict(opened.texts) == {"8": "Two", "7": "One"}
    assert dict(read_documents("One%%Two", ["7", "8"], re.compile("%%")).texts) == {"7": "One", "8": "Two"}
    assert BROWSE.section is None


def test_ids_that_the_log_names_for_what_was_opened_are_those_of_the_browses():
    steps, accounts = recorded(("visit", {"url": [X]}, Result("Words", docids=("14",))))
    assert [step.docid for step in steps] == ["14"]
    assert accounts.browses.kept == 1


SAME = [
    "http://example.org/a/b", "https://www.example.org/a/b/", "https://example.org:443/a/b#life",
    "HTTPS://EXAMPLE.org/a/b", "https://example.org/a/b?utm_source=x&utm_medium=y", "https://example.org/a/b#:~:text=some%20words",
    "https://example.org/%61/b", "http://example.org:80/a/b?gclid=1",
]  # fmt: skip
OTHERS = [
    "https://example.org/a", "https://example.org/a/b?page=2", "https://example.org/A/b", "https://en.example.org/a/b",
    "https://example.org:8080/a/b", "ftp://example.org/a/b", "example.org/a/b", "https://example.org/a/b%2Fc", "7", "",
    "https://[bad", "https://example.org:port/a/b",
]  # fmt: skip


def test_addresses_of_one_page_are_the_same_and_others_are_not():
    assert {page_of(address) for address in SAME} == {"example.org/a/b"}
    assert "example.org/a/b" not in {page_of(address) for address in OTHERS}
    assert page_of("https://x.org/?q=%c3%a4") == page_of("http://x.org?q=%C3%A4")


@pytest.mark.parametrize(
    ("written", "encoded"),
    [("A b", "A%20b"), ("Zürich", "Z%C3%BCrich"), ("Foo_(bar)", "Foo_%28bar%29"), ("d'Or", "d%27Or"), ("a|b", "a%7Cb"),
     ("?q=A b", "?q=A%20b")],
)  # fmt: skip
def test_an_address_is_the_same_with_and_without_percent_encoding(written, encoded):
    assert page_of(f"https://example.org/{written}") == page_of(f"https://example.org/{encoded}")
    _, accounts = recorded(
        ("search", {"query": "q"}, json.dumps([{"url": f"https://example.org/{encoded}"}])),
        ("visit", {"url": f"https://example.org/{written}"}, "Words"),
    )
    assert accounts.browses.notes.total() == 1


TOOLS = {
    "search": "google wikipedia retriever semantic_search searchWeb duckduckgo_search DuckDuckGoSearchTool Bing "
    "vector-search knowledgeBaseSearch Search-Web-Tool mcp__brave__brave_web_search browser.search "
    "wikipedia_query_run 搜索",
    "browse": "open_page crawl getDocument WebFetch readPage get_page_content crawlUrl web-scraper "
    "open_web_page_tool 打开网页",
    "answer": "final_answer finalAnswer FinalAnswerTool",
    None: "Bash Read ToolSearch tool _ page_down search_and_browse find_in_page python Task think",
}  # fmt: skip


@pytest.mark.parametrize(("action", "name"), [(action, name) for action in TOOLS for name in TOOLS[action].split()])
def test_tools_are_known_by_their_words_however_they_are_written(action, name):
    tool = LogMapping().find(name)
    assert (tool.action if tool else None) == action


def test_a_browse_of_a_listed_page_is_a_pair_with_the_address_that_was_listed():
    steps, accounts = recorded(
        ("search", {"query": "q"}, json.dumps([{"url": "https://example.org/a"}, {"url": f"{X}/"}])),
        ("visit", {"url": f"{X}#life"}, "Words"),
        ("visit", {"url": f"{X}?page=2"}, "Words"),
    )
    run = Trajectory("t", "q", "?", tuple(steps))
    assert steps[1].docid == f"{X}#life"
    result = mine_pairs([run], weighting=Weighting("uniform"))
    assert [(pair.positive_id, pair.negative_ids) for pair in result.pairs] == [(f"{X}/", ("https://example.org/a",))]
    assert accounts.browses.notes == {"browses of a listed page under an address that is written otherwise": 1}


LISTED_TWICE = {
    "json": json.dumps([{"id": "a7", "url": X, "text": "w"}, {"id": "b2", "url": f"{X}/b"}]),
    "other keys": json.dumps({"results": [{"doc_id": "a7", "link": X}, {"doc_id": "b2", "link": f"{X}/b"}]}),
    "metadata": json.dumps([{"docid": name, "metadata": {"source": url}}
                            for name, url in (("a7", X), ("b2", f"{X}/b"))]),
    "lines": f"[1] ID: a7\nURL: {X}\nw\n\n[2] ID: b2\nURL: <{X}/b> (cached)\nv",
    "elements": f"<document><docid>a7</docid><url>{X}</url></document>"
    f"<document><docid>b2</docid><url>{X}/b</url></document>",
}  # fmt: skip


@pytest.mark.parametrize("opened", [X, f"{X}/#top"])
@pytest.mark.parametrize("name", LISTED_TWICE)
def test_a_browse_of_the_address_of_a_listed_row_is_one_of_its_id(name, opened):
    steps, accounts = recorded(
        ("search", {"query": "q"}, LISTED_TWICE[name]),
        ("visit", {"url": opened}, "Words"),
        ("visit", {"url": Y}, "Words"),
    )
    assert [step.docid for step in steps[1:]] == ["a7", Y]
    assert accounts.browses.notes == {OTHER_NAME: 1}
    (pair,) = mine_pairs([Trajectory("t", "q", "?", tuple(steps))], weighting=Weighting("uniform")).pairs
    assert (pair.positive_id, pair.negative_ids) == ("a7", ("b2",))


def test_a_browse_of_the_number_of_a_listed_row_is_one_of_its_address_in_the_last_list():
    first, second = (json.dumps([{"id": n, "url": f"{X}/{name}{n}"} for n in (1, 2)]) for name in "ab")
    steps, _ = recorded(
        ("search", {"query": "q"}, first), ("open_page", {"id": 2}, "Words"),
        ("search", {"query": "r"}, second), ("open_page", {"id": "2"}, "Words"),
        ("search", {"query": ["s", "t"]}, f"[{first}, {second}]"), ("open_page", {"id": 2}, "Words"),
    )  # fmt: skip
    assert [step.docid for step in steps if step.action == "browse"] == [f"{X}/a2", f"{X}/b2", "2"]


def test_ids_that_go_on_over_searches_number_the_rows_and_the_addresses_are_the_ids():
    lists = [json.dumps([{"id": n, "url": f"{X}/{n}"} for n in (first, first + 1)]) for first in (1, 3, 5)]
    others = json.dumps([{"id": 7, "title": "A row without an address"}])
    steps, _ = recorded(
        *(("search", {"query": f"q{n}"}, text) for n, text in enumerate(lists)),
        ("search", {"query": "r"}, others),
        ("visit", {"url": "4"}, "Words"),
        ("visit", {"url": f"{X}/6"}, "Words"),
    )
    found = [[hit.docid for hit in step.results] for step in steps]
    assert found == [[f"{X}/1", f"{X}/2"], [f"{X}/3", f"{X}/4"], [f"{X}/5", f"{X}/6"], ["7"], [], []]
    assert [step.docid for step in steps[4:]] == [f"{X}/4", f"{X}/6"]


def test_what_stood_behind_an_id_opens_its_document_too():
    text = "DocID: d1 (archived)\nw\n\nDocID: d2, url: https://example.org/d2\nv"
    steps, _ = recorded(
        ("search", {"query": "q"}, text),
        *(("visit", {"url": opened}, "Words") for opened in ("d1 (archived)", "d1", "https://example.org/d2")),
    )
    assert [step.docid for step in steps[1:]] == ["d1", "d1", "d2"]


def test_an_address_of_several_parts_is_the_part_that_was_ranked_best():
    rows = [{"id": "c1", "url": X}, {"id": "c2", "url": X}, {"id": "d1", "url": Y}]
    steps, _ = recorded(("search", {"query": "q"}, json.dumps(rows)), ("visit", {"url": X}, "Words"))
    assert steps[1].docid == "c1"


PARTS = {
    "parts": (f"{X}#install", f"{X}#config", f"{X}#config", "k2"),
    "routes": (f"{X}/#/one", f"{X}/#/two", f"{X}/#/two", "k2"),
    "campaigns": (f"{X}?utm_source=a#s1", f"{X}#s2", f"{X}#s2", "k2"),
    "a part that no row has": (f"{X}#install", f"{X}#config", f"{X}#more", f"{X}#more"),
    "the whole page": (f"{X}#install", f"{X}#config", X, X),
    "a part of the page of one row": (f"{X}#install", Y, f"{X}#more", "k1"),
    "one address in all rows": (X, X, X, X),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_a_browse_of_a_part_of_a_page_is_one_of_the_row_with_this_part(name):
    first, second, opened, expected = PARTS[name]
    rows = [{"id": "k1", "url": first}, {"id": "k2", "url": second}]
    steps, _ = recorded(("search", {"query": "q"}, json.dumps(rows)), ("visit", {"url": opened}, "Words"))
    assert steps[1].docid == expected


def test_patterns_of_a_mapping_make_failures():
    mapping = LogMapping(failures=(re.compile("^Oops"),))
    steps, _ = recorded(("visit", {"url": X}, "Oops, all gone"), mapping=mapping)
    assert steps[0].error == "Oops, all gone"


def test_a_search_that_failed_has_no_list_that_could_be_lost():
    steps, accounts = recorded(("search", {"query": ["a", "b"]}, "Error: rate limit exceeded (429). Try again."))
    assert (steps[0].queries, steps[0].error is not None) == (("a", "b"), True)
    assert accounts.lists.num_lost == 0


A, B = "https://example.org/a", "https://example.org/b"


@pytest.mark.parametrize("form", ["URL: {u}\n{x}", "## {u}\n\n{x}", "[1] {u}\n{x}", "<source>{u}</source>\n{x}",
                                  "--- {u} ---\n{x}", "Contents of {u}:\n{x}"])  # fmt: skip
@pytest.mark.parametrize("words", [f"see\n{B}\nend", f"Source: {B}\nend"])
def test_a_page_that_names_another_that_was_opened_keeps_its_text(form, words):
    shown = "\n\n".join(form.format(u=address, x=text) for address, text in ((A, words), (B, "Two")))
    opened = read_documents(shown, [A, B])
    assert opened.is_divided
    assert opened.texts[A].endswith("end")
    assert opened.texts[B] == form.format(u=B, x="Two")
