"""What is written as session traces reads back as what it was, and looks like a conversation to others."""

import dataclasses
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrat_hub import mine_pairs
from lrat_hub.importers import load_trajectories, trace_files, trace_text
from lrat_hub.schema import Candidate, Sampling, Step, Trajectory
from lrat_hub.storage import trajectory_table
from tests.builders import answer, browse, search, trajectory

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
OPTIONAL = st.none() | TEXT
NUMBER = st.none() | st.floats(allow_nan=False, allow_infinity=False)
CANDIDATE = st.builds(Candidate, st.integers(0, 1), st.integers(1, 99), TEXT, TEXT, TEXT, NUMBER)
STEP = st.one_of(
    st.builds(
        Step, st.just(0), OPTIONAL, st.just("search"), st.tuples(TEXT, TEXT),
        st.lists(CANDIDATE, max_size=3).map(tuple), st.none(), TEXT, OPTIONAL,
    ),
    st.builds(Step, st.just(0), OPTIONAL, st.just("browse"), docid=TEXT, observation=TEXT, error=OPTIONAL,
              search_turn=st.none() | st.integers(0, 9)),
    st.builds(Step, st.just(0), OPTIONAL, st.just("answer"), observation=TEXT),
    st.builds(
        Step, st.just(0), OPTIONAL, st.just("invalid"), st.tuples(TEXT), docid=OPTIONAL, observation=TEXT, error=TEXT
    ),
)  # fmt: skip
RUN = st.builds(
    Trajectory, TEXT, TEXT, TEXT,
    st.lists(STEP, max_size=5).map(lambda steps: tuple(dataclasses.replace(s, turn=i) for i, s in enumerate(steps))),
    OPTIONAL, OPTIONAL, st.sampled_from(["completed", "limited", "failed"]), st.sampled_from([None, True, False]),
    TEXT, OPTIONAL, TEXT, OPTIONAL, st.builds(Sampling, NUMBER, NUMBER, NUMBER, st.none() | st.integers(0, 9)), TEXT,
)  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True)
@given(run=RUN)
def test_a_trajectory_that_was_written_reads_back_equal(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("traces") / "one.jsonl"
    path.write_text(trace_text(run), encoding="utf-8")
    assert list(load_trajectories(path)) == [run]


def both_kinds():
    """A run with two calls in one message, and an answer."""
    return trajectory(search("q", "1", "2"), browse("1"), browse("2", reasoning=None), answer(), name="a/../b")


def test_a_table_gives_a_file_a_trajectory_with_paths_that_are_safe(tmp_path):
    runs = [both_kinds(), dataclasses.replace(both_kinds(), question="Another?"), trajectory(name="plain")]
    files = trace_files(trajectory_table(runs))
    assert all(path.startswith("traces/") and ".." not in path for path in files)
    assert len(files) == 3
    assert "traces/plain.jsonl" in files
    assert dict(files) == dict(trace_files(runs))
    assert list(trace_files(runs, limit=1)) == list(files)[:1]
    for path, text in files.items():
        (tmp_path / path.rpartition("/")[2]).write_text(text)
    assert sorted(load_trajectories(tmp_path), key=str) == sorted(runs, key=str)


def test_lines_have_the_shape_of_the_hubs_session_traces():
    run = dataclasses.replace(both_kinds(), final_answer="A")
    session, *lines = map(json.loads, trace_text(run).splitlines())
    assert (session["type"], session["harness"], session["id"]) == ("session", "lrat-hub", "a/../b")
    assert [line["message"]["role"] for line in lines] == [
        "user", "assistant", "tool", "assistant", "tool", "tool", "assistant", "assistant",
    ]  # fmt: skip
    calls = [call for line in lines for call in line["message"].get("toolCalls", ())]
    assert [call["function"]["name"] for call in calls] == ["search", "get_document", "get_document"]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [
        {"query": ["q"]}, {"docid": "1"}, {"docid": "2"}
    ]  # fmt: skip
    spoken = [line["message"] for line in lines if line["message"]["role"] == "assistant"]
    assert [(one.get("reasoningContent"), one["content"]) for one in spoken] == [
        ("I search.", ""), ("I open it.", ""), ("Done.", ""), (None, "A")
    ]  # fmt: skip
    assert [call["id"] for call in calls] == [
        line["message"]["toolCallId"] for line in lines if line["message"]["role"] == "tool"
    ]
    assert lines[-1]["message"]["content"] == "A"


def test_a_trace_without_our_extras_is_still_a_run(tmp_path):
    session, *lines = map(json.loads, trace_text(dataclasses.replace(both_kinds(), final_answer="A")).splitlines())
    path = tmp_path / "foreign.jsonl"
    foreign = [{"type": "session", "harness": "other", "id": "x"}, *({**line, "lrat": None} for line in lines)]
    path.write_text("\n".join(map(json.dumps, foreign)))
    (run,) = load_trajectories(path)
    assert [(step.action, step.docid, step.reasoning) for step in run.steps] == [
        ("search", None, "I search."), ("browse", "1", "I open it."), ("browse", "2", None), ("answer", None, "Done."),
    ]  # fmt: skip
    assert (run.question, run.final_answer) == (session["name"], "A")


def test_mining_does_not_tell_an_import_of_an_export_from_the_original(tmp_path):
    run = both_kinds()
    path = tmp_path / "one.jsonl"
    path.write_text(trace_text(run))
    assert mine_pairs(load_trajectories(path)).pairs == mine_pairs([run]).pairs


def test_numbers_that_json_lacks_leave_a_trace_valid():
    hits = tuple(Candidate(0, rank, "7", score=score) for rank, score in enumerate((math.nan, math.inf, 1.5), start=1))
    step = Step(0, "", "search", ("one",), hits)
    run = Trajectory("1", "1", "Who?", (step,), sampling=Sampling(temperature=math.inf, top_p=0.9))
    lines = [json.loads(line, parse_constant=pytest.fail) for line in trace_text(run).splitlines()]
    assert [hit["score"] for hit in lines[-1]["lrat"]["results"]] == [None, None, 1.5]
    assert lines[0]["lrat"]["sampling"]["temperature"] is None


def test_traces_of_earlier_versions_are_read_as_they_were(tmp_path):
    """They had what was thought as the text of a message, and arguments as objects."""
    run = both_kinds()
    lines = [json.loads(line) for line in trace_text(run).splitlines()]
    for line in lines[1:]:
        message = line["message"]
        message["content"] = message.pop("reasoningContent", message["content"])
        for call in message.get("toolCalls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    path = tmp_path / "old.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    assert list(load_trajectories(path)) == [run]
