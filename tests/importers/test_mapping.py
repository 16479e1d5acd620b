"""A mapping file teaches tools that are unknown, and says what is wrong with it."""

import json

import pytest

from lrat_hub.errors import LratError
from lrat_hub.importers import Accounts, load_mapping, read_trajectories
from tests.importers.fixtures import call

PATTERN = r"'^(?P<docid>\w+): (?P<title>.*)$'"


def mapped(folder, text):
    path = folder / "tools.yaml"
    path.write_text(text)
    return load_mapping(path)


def read(folder, tools, *calls):
    messages = [{"role": "user", "content": "Q?"}]
    for place, (name, arguments, result) in enumerate(calls):
        messages += [
            {"role": "assistant", "content": "", "tool_calls": [call(name, arguments, f"c{place}")]},
            {"role": "tool", "tool_call_id": f"c{place}", "content": result},
        ]
    path = folder / "run.json"
    path.write_text(json.dumps({"messages": messages}))
    (run,) = read_trajectories(path, Accounts(), mapping=tools)
    return run


def test_unknown_tools_arguments_and_result_lists_are_read_as_the_file_says(tmp_path):
    tools = mapped(
        tmp_path,
        "search: {tools: [find], query: [topics], results: {list: data.items, docid: paper.id, title: paper.name}}\n"
        "browse: {tools: read, docid: paper}\n"
        "answer: {tools: submit, text: verdict}\n",
    )
    rows = {"data": {"items": [{"paper": {"id": 7, "name": "T"}, "abstract": "unused"}]}}
    run = read(
        tmp_path, tools,
        ("find", {"topics": ["a"], "query": "not this"}, json.dumps(rows)),
        ("read", {"paper": 7}, "Text"),
        ("search", {"query": "b"}, '[{"docid": 8}]'),  # tools that the file does not name stay as they are
        ("submit", {"verdict": "A"}, ""),
    )  # fmt: skip
    assert [step.action for step in run.steps] == ["search", "browse", "search", "answer"]
    assert (run.steps[0].queries, run.steps[1].docid, run.final_answer) == (("a",), "7", "A")
    assert [(hit.docid, hit.title) for hit in run.steps[0].results] == [("7", "T")]


def test_lists_that_are_text_are_read_by_a_pattern(tmp_path):
    tools = mapped(tmp_path, f"search: {{results: {{pattern: {PATTERN}}}}}")
    run = read(tmp_path, tools, ("search", {"query": "q"}, "d1: One\nabout one\nd2: Two\nabout two"))
    assert [(hit.docid, hit.title, hit.snippet) for hit in run.steps[0].results] == [
        ("d1", "One", "about one"), ("d2", "Two", "about two"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("serch: {}", "the file: expected search, browse, answer, failure, messages, .*; found serch"),
        ("search: {querys: q}", "search: expected tools, query, results; found querys"),
        ("browse: {results: {}}", "browse: expected tools, docid, section; found results"),
        ("search: {results: {url: u}}", "search.results: expected list, docid, .*; found url"),
        (
            f"search: {{results: {{pattern: {PATTERN}, docid: id}}}}",
            "with a pattern: expected pattern, section, shared; found docid",
        ),
        ("search: {results: {pattern: '('}}", "expected a regular expression"),
        ("search: {results: {pattern: '(?P<id>x)'}}", "expected a group docid"),
        (
            "search: {results: {section: '(?P<docid>x)'}}",
            "search.results.section: expected no group, and query at will",
        ),
        ("search: {results: {list: a, shared: 1}}", "search.results.shared: expected true or false; found 1"),
        ("browse: {section: '(?P<query>x)'}", "browse.section: expected no group, and docid at will; found query"),
        ("failure: ['[']", "failure: expected a regular expression"),
        ("messages: {key: a}", "messages: expected a path of keys or a list of them"),
        ("question: {pattern: x}", "question.pattern: expected a group question; found no named group"),
        ("question: {}", "question: expected key or pattern; found nothing"),
        ("gold_answer: {pattern: '(?P<gold_answer>x)'}", "gold_answer: expected key; found pattern"),
        ("correct: {key: a, right: b}", "correct: expected key, true, false; found right"),
        ("status: {completed: b}", "status: expected key; found completed"),
        ("calls: {names: a}", "calls: expected list, name, arguments, id, result; found names"),
        ("tags: {look: a}", "tags: expected search, results, browse, page, answer, reasoning; found look"),
        ("tags: {search: [a]}", "tags.search: expected the name of a tag, or a list of what stands before and after"),
        ("search: {tools: [1]}", "search.tools: expected a name or a list of names"),
        ("search: [a]", "search: expected keys and values"),
        ("- a", "the file: expected keys and values"),
        ("a: [", "expected a YAML file"),
    ],
)
def test_what_is_wrong_with_a_mapping_file_is_said(text, message, tmp_path):
    with pytest.raises(LratError, match=message):
        mapped(tmp_path, text)
