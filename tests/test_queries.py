"""What a retriever reads in each style. Models were trained on these bytes: they may not change."""

import dataclasses

import pytest

from lrat_hub import Pair, QueryState, render_query
from lrat_hub.errors import LratError
from lrat_hub.queries import REASONING_CHARACTERS, STYLES

STATE = QueryState(
    query="who  built\nit", question="Who built the tower?", previous_queries=("tower", "tower height", "tower"),
    reasoning_before="I know the height.\n\nNow the builder.",
)  # fmt: skip


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("plain", "who  built\nit"),
        ("question", "Query: who built it\nQuestion: Who built the tower?"),
        ("history", "Query: who built it\nQuestion: Who built the tower?\nEarlier queries: tower | tower height"),
        ("reasoning", "Query: who built it\nReasoning: I know the height. Now the builder."),
        (
            "history_reasoning",
            "Query: who built it\nQuestion: Who built the tower?\nReasoning: I know the height. Now the builder.\n"
            "Earlier queries: tower | tower height",
        ),
    ],
)
def test_each_style_has_its_lines(style, text):
    assert render_query(STATE, style) == text


def test_a_pair_its_row_and_the_state_it_came_from_render_alike():
    pair = Pair(
        "p", "t", "q", 1, 2, STATE.question, STATE.query, "d", (), (), "r", 1,
        previous_queries=STATE.previous_queries, reasoning_before=STATE.reasoning_before,
    )  # fmt: skip
    for style in STYLES:
        assert render_query(pair, style) == render_query(STATE, style)
        assert render_query(QueryState.from_dict(pair.to_dict()), style) == render_query(STATE, style)


def test_lines_with_nothing_to_say_are_left_out_and_long_ones_keep_what_is_nearest_to_the_query():
    assert render_query(QueryState("x"), "history_reasoning") == "Query: x"
    long = dataclasses.replace(STATE, reasoning_before="word " * 1000 + "end", previous_queries=tuple("abcdefghijkl"))
    lines = dict(line.split(": ", 1) for line in render_query(long, "history_reasoning").split("\n"))
    assert lines["Earlier queries"] == " | ".join("lkjihgfedc")
    assert lines["Reasoning"].startswith("word word")
    assert lines["Reasoning"].endswith("word end")
    assert REASONING_CHARACTERS - 5 <= len(lines["Reasoning"]) <= REASONING_CHARACTERS


def test_an_unknown_style_is_refused():
    with pytest.raises(LratError, match="Query style: expected one of plain, question"):
        render_query(STATE, "other")


def test_triplets_hold_the_query_as_the_style_renders_it():
    from lrat_hub.mining.tables import triplet_table
    from lrat_hub.schema import Document

    pair = Pair("p", "t", "q", 1, 2, "Q?", "query", "a", ("b",), ("list",), "r", 1, weight=1.0)
    documents = {docid: Document(docid, "", docid) for docid in "ab"}
    table = triplet_table([pair], documents, num_negatives=1, style="question")
    assert table["anchor"] == [render_query(pair, "question")] == ["Query: query\nQuestion: Q?"]
