"""Logs of agents that nobody here has seen: they are read right, or what is wrong with them is said with a cure."""

import json

import pytest

from lrat_hub.importers import Accounts, load_mapping, load_trajectories, read_trajectories
from lrat_hub.importers.recognition import recognise_format
from lrat_hub.importers.summary import Summary, concerns


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
    assert recognise_format(path).format == "chat"
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
