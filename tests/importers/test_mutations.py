"""Whatever tools showed, were called with or mean: nothing is raised but our own errors, and the counts add up."""

import contextlib
import json
import re

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from lrat_hub.errors import LratError
from lrat_hub.importers import load_mapping
from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.actions import Recorder
from lrat_hub.importers.mapped_records import chat_record
from lrat_hub.importers.mapping import LogMapping
from lrat_hub.importers.messages import Result
from lrat_hub.importers.values import UnreadableRecord
from tests.importers.test_actions import DIVIDED
from tests.importers.test_failures import FAILURES, HARMLESS
from tests.importers.test_results import DATA, MERGED, SEVERAL, TEXTS, A, B

SHOWN = [
    text if isinstance(text, str) else json.dumps(text)
    for texts in (TEXTS, DATA, SEVERAL, MERGED, DIVIDED, dict(enumerate(FAILURES + HARMLESS)))
    for text in texts.values()
]
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from([A, B, "\ud800", 10**400, "https://example.org/x", "[1]", "DocID:", "=======", "7"])
)  # fmt: skip
KEYS = st.sampled_from(
    ["query", "queries", "q", "url", "docid", "id", "results", "organic", "hits", "text", "type", "content", "error",
     "success", "status", "title", "score", "document", "metadata", "source", A, B]
)  # fmt: skip
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
NAMES = st.sampled_from(["search", "visit", "final_answer", "open_page", "mcp__x__search", ""]) | VALUES


@st.composite
def observations(draw):
    """A text of a tool that was cut, glued to another, or broken in the middle; or data of any kind."""
    if draw(st.booleans()):
        return json.dumps(draw(VALUES))
    one, other = draw(st.sampled_from(SHOWN)), draw(st.sampled_from(SHOWN))
    start, end = sorted((draw(st.integers(0, len(one))), draw(st.integers(0, len(one)))))
    glue = draw(st.sampled_from(["", "\n", "\n=======\n", "\n---\n", "\r\n", "\ud800", "\x00", f"\n{A}:\n"]))
    return draw(st.sampled_from([one[start:], one[:end], one[:start] + one[end:], one])) + glue + draw(
        st.sampled_from(["", other, draw(st.text(max_size=30))])
    )  # fmt: skip


@st.composite
def results(draw):
    lists = draw(st.none() | st.lists(st.lists(VALUES, max_size=3).map(tuple), max_size=3).map(tuple))
    docids = tuple(draw(st.lists(st.sampled_from(["7", "8", "https://example.org/x"]), max_size=3)))
    return Result(draw(observations()), failed=draw(st.booleans()), results=lists, docids=docids)


@pytest.mark.slow
@settings(max_examples=1500, derandomize=True, deadline=None)
@given(
    st.lists(
        st.tuples(NAMES, VALUES | observations() | st.just({"query": [A, B], "url": ["7", "8"]}), results()),
        max_size=4,
    )
)
def test_whatever_tools_were_called_with_and_showed_costs_its_own_step(calls):
    accounts = Accounts()
    recorder = Recorder(LogMapping(), accounts)
    for number, (name, arguments, result) in enumerate(calls):
        recorder.call(name, arguments, result, joined=number % 2 == 1, shared=number == 3)
    steps = recorder.finish()
    for ledger in accounts.ledgers():
        ledger.to_dict()
    assert accounts.calls.read == len(calls)
    assert accounts.steps.read == len(steps)
    assert accounts.browses.kept == sum(step.action == "browse" for step in steps)
    for step in steps:
        assert all(0 <= hit.query_index < len(step.queries) and hit.docid for hit in step.results)
        ranks = [(hit.query_index, hit.rank) for hit in step.results]
        assert ranks == sorted(set(ranks))
        json.dumps(step.results and [hit.score for hit in step.results], allow_nan=False)


@pytest.mark.slow
@settings(max_examples=1500, derandomize=True, deadline=None)
@given(observations(), observations(), st.sampled_from(["\n=======\n", "\n\n", "\n"]))
def test_a_hit_stands_under_no_query_that_another_section_names(one, other, glue):
    """Two sections that name their queries stay apart, whatever they hold."""
    accounts = Accounts()
    recorder = Recorder(LogMapping(), accounts)
    sections = [f"A search for '{query}' found 9 results:\n\n" for query in (A, B)]
    if any(A in text or B in text or "esults" in text for text in (one, other)):
        return  # its own lines name a query, too
    recorder.call("search", {"query": [A, B]}, Result(f"{sections[0]}{one}{glue}{sections[1]}{other}"))
    (step,) = recorder.steps
    for hit in step.results:
        text = one if step.queries[hit.query_index] == A else other
        assert hit.docid in text or not re.fullmatch(r"https://example\.org/[xyz]", hit.docid)


SECTIONS = ["search", "browse", "answer", "failure", "messages", "question", "gold_answer", "final_answer",
            "correct", "status", "query_id", "calls", "tags", "other"]  # fmt: skip
INNER = ["tools", "query", "docid", "text", "results", "list", "pattern", "section", "shared", "key", "true", True,
         False, "completed", "name", "arguments", "result", "search", "page"]  # fmt: skip
WORDS = st.sampled_from(["(?P<docid>x)", "(?P<query>x)", "(", "a.b", "", "x", r"\d+", "messages", "role"])
MAPPINGS = st.dictionaries(
    st.sampled_from(SECTIONS),
    st.recursive(
        WORDS | LEAVES.filter(lambda leaf: not (isinstance(leaf, str) and not leaf.isprintable())),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=3,
)


@pytest.mark.slow
@settings(max_examples=1500, derandomize=True, deadline=None)
@given(MAPPINGS, VALUES)
def test_a_mapping_file_is_read_or_refused_and_records_by_it_are_too(tmp_path_factory, content, record):
    path = tmp_path_factory.getbasetemp() / "mapping.yaml"
    path.write_text(json.dumps(content), encoding="utf-8")
    try:
        mapping = load_mapping(path)
    except LratError:
        return
    messages = [{"role": "assistant", "content": "<x>y</x> x"}, record, {"role": "user", "content": "x"}]
    for value in (record, {"messages": messages, "a": {"b": record}}, messages):
        with contextlib.suppress(UnreadableRecord):
            chat_record(value, mapping)
