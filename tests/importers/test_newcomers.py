"""Logs of agents that nobody here has seen: they are read right, or what is wrong with them is said with a cure."""

import json

import pytest

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.importers import Accounts, load_mapping, load_trajectories, read_trajectories
from lrat_hub.importers.concerns import concerns
from lrat_hub.importers.recognition import recognise_format
from lrat_hub.importers.summary import Summary


def write(path, *records):
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


def run(name, *visits, rows="docid", **columns):
    """A run with one search and visits: a tool's name, its arguments and what it showed."""
    listed = [{rows: "d1", "title": "A"}, {rows: "d2", "title": "B"}]
    search = {"id": "s", "function": {"name": "search", "arguments": {"query": "x"}}}
    messages = [
        {"role": "user", "content": f"Who wrote {name}?"},
        {"role": "assistant", "tool_calls": [search]},
        {"role": "tool", "tool_call_id": "s", "content": "", "results": [listed]},
    ]
    for number, (tool, arguments, shown) in enumerate(visits):
        call = {"id": str(number), "function": {"name": tool, "arguments": arguments}}
        messages.append({"role": "assistant", "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": str(number), "content": shown})
    return {"query_id": name, "messages": [*messages, {"role": "assistant", "content": "Ada"}], **columns}


def warnings(path, **settings):
    accounts, summary = Accounts(), Summary()
    for trajectory in read_trajectories(path, accounts, **settings):
        summary.count(trajectory)
    return list(concerns(summary, accounts))


PAGE = "Long text about the author. " * 9


@pytest.mark.parametrize("key", ["docid", "url", "document_id"])
def test_an_open_of_a_document_is_a_browse_whatever_its_argument(tmp_path, key):
    path = write(tmp_path / "runs.jsonl", run("a", ("open", {key: "d2"}, PAGE)))
    recognised = recognise_format(path)
    assert recognised is not None
    assert recognised.format == "chat"
    for form in (None, "openresearcher"):  # the same log, named as that of a browser
        (trajectory,) = load_trajectories(path, format=form)
        assert [(step.action, step.docid) for step in trajectory.steps][1] == ("browse", "d2")


def test_an_open_by_an_unknown_argument_is_no_look_and_a_mapping_cures_it(tmp_path):
    path = write(tmp_path / "runs.jsonl", run("a", ("open", {"paper": "d2"}, PAGE), ("find", {"paper": "d1"}, PAGE)))
    assert any("no run has a browse" in warning and "`mapping`" in warning for warning in warnings(path))
    (tmp_path / "m.yaml").write_text("browse: {tools: [open, find], docid: paper}")
    for form in (None, "openresearcher"):
        (trajectory,) = load_trajectories(path, mapping=load_mapping(tmp_path / "m.yaml"), format=form)
        assert [step.docid for step in trajectory.steps if step.action == "browse"] == ["d2", "d1"]


MARKED = [
    "!! HTTP 503 Service Unavailable", "** 404 **", "> Access denied", "!! timed out", "#ERR fetch failed",
    "FETCH_FAILED: 502", "Page not available (HTTP 410)", "<error>gone</error>", "None", "{}", "(empty)",
    "*** Page not found ***", ">>> 403 Forbidden", "--- Connection refused ---", "PAGE_NOT_FOUND",
    "READ_TIMEOUT (30 s)", "<failure>no answer from the host</failure>", "[empty]", "ERR: host unreachable",
]  # fmt: skip


@pytest.mark.parametrize("shown", MARKED)
def test_a_failed_visit_behind_marks_of_a_log_is_a_failure(tmp_path, shown):
    path = write(tmp_path / "runs.jsonl", run("a", ("open", {"docid": "d1"}, shown)))
    (trajectory,) = load_trajectories(path)
    assert trajectory.steps[1].error == shown


@pytest.mark.parametrize(
    "page",
    ["> Access denied is what the door said, and the play begins.", "**404** is a number.", "# Forbidden City",
     "!! Timed out is an album of 1999.", "* Gone with the Wind", "FETCH_FAILED is a macro of the library.",
     "<error>gone</error> is how the tag is written.", "(empty) set theory", '{"1": {}}', "--- a horizontal rule"],
)  # fmt: skip
def test_a_page_that_begins_with_marks_is_a_page(tmp_path, page):
    path = write(tmp_path / "runs.jsonl", run("a", ("open", {"docid": "d1"}, page)))
    (trajectory,) = load_trajectories(path)
    assert trajectory.steps[1].error is None


def test_pages_of_one_short_line_are_a_warning_that_names_the_cure(tmp_path):
    shown = "zzz the host was asleep"
    visits = [("open", {"docid": docid}, text) for docid, text in (("d1", shown), ("d2", PAGE), ("d1", shown))]
    path = write(tmp_path / "runs.jsonl", *(run(name, *visits) for name in "abc"))
    (warning,) = [text for text in warnings(path) if "one short line" in text]
    assert "6 of 9" in warning
    assert shown in warning
    assert "`failure`" in warning
    (tmp_path / "m.yaml").write_text("failure: ['^zzz']")
    cured = warnings(path, mapping=load_mapping(tmp_path / "m.yaml"))
    assert not any("one short line" in text for text in cured)
    assert any("6 of 9 browses failed" in text for text in cured)


def test_a_few_pages_of_one_short_line_are_no_warning(tmp_path):
    visits = [("open", {"docid": "d1"}, "Short.")] + [("open", {"docid": "d2"}, PAGE)] * 9
    path = write(tmp_path / "runs.jsonl", *(run(name, *visits) for name in "abc"))
    assert not any("one short line" in text for text in warnings(path))


def test_verdicts_that_are_not_understood_are_a_warning_that_names_the_cure(tmp_path, capsys):
    visit = ("open", {"docid": "d1"}, PAGE)
    path = write(tmp_path / "runs.jsonl", *(run(name, visit, grade=f"class {name}") for name in "abc"))
    (warning,) = [text for text in warnings(path) if "verdict" in text]
    assert "3 of 3 runs" in warning
    assert "unjudged" in warning
    assert "correct: {key: grade, true: [...], false: [...]}" in warning
    assert cli.run(["import", str(path), "--look"]) is None
    assert "{key: grade, true:" in " ".join(capsys.readouterr().out.split())
    (tmp_path / "m.yaml").write_text("correct: {key: grade, true: [class a], false: [class b, class c]}")
    assert not any("verdict" in text for text in warnings(path, mapping=load_mapping(tmp_path / "m.yaml")))


def test_a_role_that_is_not_known_is_the_first_warning_and_roles_cure_it(tmp_path):
    text = json.dumps(run("a", ("open", {"docid": "d1"}, PAGE), ("open", {"docid": "d2"}, PAGE)))
    path = write(tmp_path / "runs.jsonl", json.loads(text.replace('"role": "tool"', '"role": "Env"')))
    first, *others = warnings(path)
    assert "3 messages" in first
    assert "'Env'" in first
    assert "roles: {tool: [Env]}" in first
    assert not any("how lists are written" in text for text in others)
    (tmp_path / "m.yaml").write_text("roles: {tool: [Env]}")
    assert not any("'Env'" in text for text in warnings(path, mapping=load_mapping(tmp_path / "m.yaml")))


def test_an_error_of_a_reader_names_the_line_of_its_file_and_the_grouping(tmp_path, monkeypatch):
    (tmp_path / "broken_reader.py").write_text(
        "import json\n\ndef read(record):\n    value = json.loads(record['text'])\n    return value\n"
        "\ndef gives(record):\n    yield {'messages': record['idd']}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    path = write(tmp_path / "runs.jsonl", {"text": "no JSON"})
    for name, place in (
        ("read", r"broken_reader\.py:4: JSONDecodeError"),
        ("gives", r"broken_reader\.py:8: KeyError"),
    ):
        with pytest.raises(LratError, match=rf"{place}.*`group_by`"):
            list(load_trajectories(path, reader=f"broken_reader:{name}"))


def test_lists_of_which_no_row_has_an_id_are_dropped_with_the_keys_that_were_found(tmp_path):
    path = write(tmp_path / "runs.jsonl", run("a", ("open", {"docid": "d1"}, PAGE), rows="doc"))
    accounts = Accounts()
    list(read_trajectories(path, accounts))
    assert (accounts.lists.read, accounts.lists.kept) == (1, 0)
    assert list(accounts.lists.dropped) == ["rows need `docid`, found the keys 'doc', 'title'"]
    assert any("rows need `docid`, found the keys 'doc', 'title'" in text for text in warnings(path))
    (tmp_path / "m.yaml").write_text("search: {results: {docid: doc}}")
    (trajectory,) = load_trajectories(path, mapping=tmp_path / "m.yaml")
    assert [hit.docid for hit in trajectory.steps[0].results] == ["d1", "d2"]


def test_a_plain_transcript_is_refused_with_the_way_in_also_by_a_look(tmp_path, capsys):
    path = tmp_path / "transcript.txt"
    path.write_text("== RUN 1\nQ> Who?\nSEARCH> x\n")
    with pytest.raises(LratError, match=r"not JSON.*write it as JSON lines first, a run a line"):
        cli.run(["import", str(path), "--look"])
    assert "no JSON" in " ".join(capsys.readouterr().out.split())


def test_lines_of_an_event_stream_are_named(tmp_path):
    path = tmp_path / "stream.jsonl"
    path.write_text('event: message\ndata: {"role": "user", "content": "Who?"}\n\ndata: [DONE]\n')
    with pytest.raises(LratError, match=r"event stream in place of JSON: write what stands behind `data:`"):
        list(load_trajectories(path))


def test_declarations_of_tools_are_not_taken_for_messages(tmp_path):
    tools = [{"name": name, "description": "d", "parameters": {}} for name in ("search", "open")]
    path = write(tmp_path / "runs.jsonl", {"answer_generation": {"function": tools, "final_answer": "Ada"}})
    with pytest.raises(LratError, match="no known format") as raised:
        recognise_format(path)
    assert "answer_generation.function" not in str(raised.value)
