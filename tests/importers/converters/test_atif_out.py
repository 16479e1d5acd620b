"""Runs as ATIF: what its own models take, and what an import of it gives back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lrat_hub import cli, load_trajectories, mine_pairs
from lrat_hub.errors import LratError
from lrat_hub.importers.converters.atif import atif_of, atif_text
from lrat_hub.importers.traces import trace_text
from lrat_hub.obfuscation import OBFUSCATED_WITH
from lrat_hub.schema import Candidate, Step
from tests.importers.test_traces import both_kinds
from tests.viewer.pages import CANARY, hostile_run, run
from tests.viewer.test_view import published


@pytest.mark.parametrize("made", [run(0), run(2), both_kinds(), hostile_run(""), run(1, final_answer=None, steps=())])
def test_the_models_of_the_format_take_every_run(made):
    atif = pytest.importorskip("atif")
    document = atif.Trajectory.model_validate_json(atif_text(made))
    assert (document.trajectory_id, document.steps[0].message) == (made.trajectory_id, made.question)
    calls = [call for step in document.steps for call in step.tool_calls or ()]
    acted = [step for step in made.steps if step.action != "answer"]
    assert [call.tool_call_id for call in calls] == [f"call-{step.turn}" for step in acted]
    shown = [result for step in document.steps if step.observation for result in step.observation.results]
    assert [one.content for one in shown] == [step.observation for step in acted]
    # Nothing is lost on the way back out.
    assert document.to_json_dict() == json.loads(json.dumps(atif_of(made)))


def test_an_import_gives_the_same_actions_and_reasoning_back(tmp_path):
    from lrat_hub.demo.recorded import read_runs
    from lrat_hub.schema import Document

    class Passages(dict):
        def __missing__(self, docid):
            return Document(docid, f"Title of {docid}", f"A text that is about {docid} and nothing else.")

    recorded = [one for one in read_runs(Passages()) if not one.num_invalid][:40]
    for one in recorded:
        (tmp_path / f"{one.trajectory_id}.json").write_text(atif_text(one))
    back = {one.question: one for one in load_trajectories(tmp_path)}
    assert len(back) == len(recorded)

    def said(one):
        return [(step.turn, step.action, step.queries, step.docid, step.reasoning) for step in one.steps]

    for one in recorded:
        assert said(back[one.question]) == said(one)
        assert back[one.question].final_answer == one.final_answer
    # Lists come back from the text that the agent was shown: the same pairs are mined, but for what identifies a run.
    pairs = [mine_pairs(runs).pairs for runs in (recorded, [back[one.question] for one in recorded])]
    first, second = ([(p.question, p.query, p.positive_id, p.negative_ids, p.weight) for p in one] for one in pairs)
    assert sorted(first) == sorted(second) != []


def test_a_browse_that_says_for_which_search_it_is_still_says_so_when_it_is_read_back(tmp_path):
    hits = tuple(Candidate(0, rank, docid, f"Title of {docid}", "A text.") for rank, docid in ((1, "d1"), (2, "d2")))
    rows = json.dumps([{"docid": hit.docid, "title": hit.title, "snippet": hit.snippet} for hit in hits])
    steps = (
        Step(0, "I look.", "search", ("lamps",), hits, None, rows),
        Step(1, "I look again.", "search", ("lanterns",), hits, None, rows),
        Step(2, "The first list had it.", "browse", docid="d2", observation="A page.", search_turn=0),
        Step(3, "The latest list has it, too.", "browse", docid="d1", observation="A page."),
        Step(4, "Done.", "answer"),
    )
    (tmp_path / "run.json").write_text(atif_text(run(0, steps=steps)))
    (back,) = load_trajectories(tmp_path)
    assert [(step.action, step.search_turn) for step in back.steps] == [
        ("search", None), ("search", None), ("browse", 0), ("browse", None), ("answer", None),
    ]  # fmt: skip


def test_runs_are_exported_for_the_viewers_of_others(hub, tmp_path, capsys):
    secret = replace(run(7), metadata=json.dumps({OBFUSCATED_WITH: CANARY}))
    runs = [run(0), run(1), hostile_run("")]
    source = published("lrat/runs-to-export", [*runs, secret])
    for format, write in (("traces", trace_text), ("atif", atif_text)):
        words = ["export", "--trajectories", source, "--format", format, "--output", str(tmp_path / format)]
        cli.run(words)
        written = sorted(path.read_text() for path in (tmp_path / format).iterdir())
        expected = [write(one).encode(errors="backslashreplace").decode() for one in runs]
        assert written == sorted(expected)
        assert "3 runs; 1 on questions that are published obfuscated are left out" in capsys.readouterr().out
        with pytest.raises(LratError, match="expected a new or empty folder"):
            cli.run(words)
    assert [path.suffix for path in (tmp_path / "atif").iterdir()] == [".json"] * 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "atif"], "expected --pairs or --trajectories"),
        (["--pairs", "a/b", "--format", "atif"], "expected --format released, flagembedding, tevatron for --pairs"),
        (["--trajectories", "a/b", "--format", "released"], "expected --format traces, atif for --trajectories"),
    ],
)
def test_formats_of_the_other_kind_are_refused(words, message):
    with pytest.raises(LratError, match=message):
        cli.run(["export", *words, "--output", "x"])
