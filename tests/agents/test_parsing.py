from __future__ import annotations

import json

import pytest

from lrat_hub.agents import Answer, Browse, Invalid, Search
from lrat_hub.agents.parsing import read_call, read_tags

GOOD = [
    ('{"name": "search", "arguments": {"query": ["a", "b"]}}', (Search(None, ("a", "b")),)),
    ('{"name": "search", "arguments": "{\\"queries\\": \\"a\\"}"}', (Search(None, ("a",)),)),
    ('{"name": "search", "arguments": {"query": "[\\"a\\", \\"b\\"]"}}', (Search(None, ("a", "b")),)),
    (
        '```json\n{"name": "functions.search", "arguments": {"query": ["a\nb", "", "a b"]}}\n```',
        (Search(None, ("a b",)),),
    ),
    ("{'name': 'search', 'arguments': {'query': ['it''s']}}", (Search(None, ("its",)),)),
    ('I search. {"name": "search", "query": "a"} So.', (Search(None, ("a",)),)),
    ('{"name": "search<|channel|>commentary", "arguments": {"query": 1984}}', (Search(None, ("1984",)),)),
    (
        '{"type": "function", "function": {"name": "get_document", "arguments": {"docid": 12.0}}}',
        (Browse(None, "12"),),
    ),
    ('{"name": "visit", "arguments": {"url": ["DocID: 7", "8"]}}', (Browse(None, "7"), Browse(None, "8"))),
    ('{"name": "final_answer", "arguments": {"answer": "x \\ud800"}}', (Answer(None, "x �"),)),
]

BAD = [
    ('{"name": "search", "arguments": {"query": ["a', "the tool call is not a complete JSON object"),
    ("search for a", "the tool call is not a complete JSON object"),
    ('["search"]', "the tool call is not a complete JSON object"),
    ("", "the tool call is not a complete JSON object"),
    ("[" * 100_000, "the tool call is not a complete JSON object"),
    ('{"name": "python", "arguments": {}}', "there is no tool 'python'"),
    ('{"arguments": {"query": "a"}}', "there is no tool 'None'"),
    ('{"name": "search", "arguments": [1]}', "the arguments of search are not a JSON object"),
    ('{"name": "search", "arguments": "{\\"query\\": "}', "the arguments of search are not a complete JSON object"),
    ('{"name": "search", "arguments": {"query": {"text": 3}}}', "a query must be a text or a list of texts"),
    ('{"name": "search", "arguments": {"query": ["a", {}]}}', "a query must be a text or a list of texts"),
    ('{"name": "search", "arguments": {"query": [" "]}}', "a search needs at least one query"),
    ('{"name": "get_document", "arguments": {"docid": {"id": 3}}}', "opening a document needs its DocID as a text"),
    ('{"name": "get_document", "arguments": {"docid": true}}', "opening a document needs its DocID as a text"),
]


@pytest.mark.parametrize(("body", "calls"), GOOD)
def test_what_can_be_understood_is(body, calls):
    assert read_call(body) == calls


@pytest.mark.parametrize(("body", "error"), BAD)
def test_what_cannot_says_why(body, error):
    assert read_call(body) == (Invalid(None, error),)


def test_too_many_queries_are_refused():
    (call,) = read_call(json.dumps({"name": "search", "arguments": {"query": list("abcdefghijklmno")}}))
    assert call == Invalid(None, "a search takes at most 10 queries, not 15")


@pytest.mark.parametrize(
    ("text", "reasoning", "calls", "answer", "rest"),
    [
        ("<think>\nI think.\n</think>\n<tool_call>\nX\n</tool_call>", "I think.", 1, None, ""),
        # Templates that end with <think> leave the opening tag out.
        ("I think.\n</think>\nI say.\n<tool_call>X</tool_call>", "I think.\nI say.", 1, None, "I say."),
        # The stop string can take the closing tag along, and the next call may begin before it.
        ("a</think><tool_call>X", "a", 1, None, ""),
        ("a</think><tool_call>X<tool_call>Y</tool_call>", "a", 2, None, ""),
        # A thought about a call is none; in a thought that never ends it is one.
        ("<think>I could <tool_call>X</tool_call></think><answer>A</answer>", None, 0, "A", ""),
        ("<think>I think. <tool_call>X</tool_call>", "I think.", 1, None, ""),
        ("<think>I think", "I think", 0, None, ""),
        ("a</think> It is A. <answer>A", "a\nIt is A.", 0, "A", "It is A."),
        ("It is A.", "", 0, None, "It is A."),
    ],
)
def test_texts_in_tags_are_taken_apart(text, reasoning, calls, answer, rest):
    tagged = read_tags(text)
    assert reasoning is None or tagged.reasoning == reasoning
    assert (len(tagged.calls), tagged.answer, tagged.rest) == (calls, answer, rest)
