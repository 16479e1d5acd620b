"""Released LRAT files: what is read, and that a loss is never larger than the thing that is broken."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from lrat_hub import load_trajectories, mine_pairs
from lrat_hub.errors import LratError
from lrat_hub.importers import Accounts, read_trajectories
from lrat_hub.importers.runs import parse_release
from lrat_hub.schema import Trajectory

REAL = Path(__file__).parents[3] / "shared" / "data" / "lrat_release" / "trajectories"

RESULTS = (
    "A search for 'who's \"there\"' found 2 results:\n\n## Web Results\n"
    "DocID:7\n[A title]\nFirst snippet\nin two lines\n\nDocID:8\n[Another]\nSecond"
)


def parsed(name, value, accounts):
    """The one run in a value."""
    (run,) = parse_release(name, value, accounts)
    return run


def call(tool, arguments, output):
    return {"type": "tool_call", "tool_name": tool, "arguments": arguments, "output": output}


def thought(text):
    return {"type": "reasoning", "tool_name": None, "arguments": None, "output": text}


def released(*items, **fields):
    run = {
        "metadata": {"model": "/models/Agent-30B", "temperature": 0.85, "searcher_type": "bm25"},
        "query_id": 12, "query": "Q?", "answer": "A", "status": "completed", "result": list(items),
    }  # fmt: skip
    return run | fields


GOOD = released(
    thought("Let me search."),
    call("search", '{"query": ["who\'s \\"there\\"", "not run"]}', RESULTS),
    thought("Open 7."),
    call("get_document", '{"docid": "DocID:7"}', "Document 7:\n{'docid': '7', 'text': 'Long text'}"),
    thought(["It answers", "the question."]),
    {"type": "output_text", "output": "<think>Sure.</think><answer>A</answer>"},
)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real trajectories are not beside this checkout")
@pytest.mark.parametrize(
    ("name", "searches", "browses", "steps", "candidates", "pairs"),
    [("0", 46, 2, 48, 223, 2), ("1", 1, 1, 2, 10, 1), ("4", 10, 3, 13, 73, 1),
     ("5", 3, 3, 6, 28, 2), ("11", 3, 1, 4, 26, 1), ("15", 4, 3, 7, 32, 3)],
)  # fmt: skip
def test_real_trajectories_have_their_known_counts(name, searches, browses, steps, candidates, pairs):
    (run,) = load_trajectories(REAL / f"{name}.json")
    assert (run.count("search"), run.count("browse"), run.num_steps) == (searches, browses, steps)
    assert len({hit.docid for step in run.steps for hit in step.results}) == candidates
    assert len(mine_pairs([run], profile="paper").pairs) == pairs
    assert run.count("invalid") == 0
    assert Trajectory.from_dict(json.loads(json.dumps(run.to_dict()))) == run


def test_a_run_is_read_as_the_agent_saw_it():
    run = parsed("bm25_true/12_bm25", GOOD, Accounts())
    search, browse, answer = run.steps
    assert search.queries == ('who\'s "there"',)  # the header says what was run, not the call
    assert [(hit.rank, hit.docid, hit.title, hit.snippet) for hit in search.results] == [
        (1, "7", "A title", "First snippet\nin two lines"),
        (2, "8", "Another", "Second"),
    ]
    assert (browse.docid, browse.reasoning, browse.error) == ("7", "Open 7.", None)
    assert answer.reasoning == "It answers\nthe question.\nSure."
    assert (run.final_answer, run.gold_answer, run.query_id, run.agent) == ("A", "A", "12", "Agent-30B")
    assert run.correct is True  # archives keep correct runs in folders that end in _true


@pytest.mark.parametrize(
    ("arguments", "docid"),
    [({"docid": 8}, "8"), ('{"docid": [8]}', "8"), ('{"docid": 8.0}', "8"), ('{"docid": "8"}', "8")],
)
def test_document_ids_of_every_type_are_strings(arguments, docid):
    run = parsed("x", released(call("visit", arguments, "Document 8:\ntext")), Accounts())
    assert [step.docid for step in run.steps] == [docid]


def test_several_documents_in_one_call_are_browses_of_one_message():
    shown = "Document 1:\na\nDocument 3:\nc"
    run = parsed("x", released(thought("Both."), call("visit", {"docid": [1, 2, 3]}, shown)), Accounts())
    assert [(step.docid, step.reasoning) for step in run.steps] == [("1", "Both."), ("3", None)]


def test_results_of_openai_clients_are_json_arrays():
    rows = json.dumps([{"docid": 5, "snippet": "s", "score": 1.5}, "noise"])
    run = parsed("x", released(call("local_knowledge_base_retrieval", {"user_query": "q"}, rows)), Accounts())
    assert [(hit.docid, hit.score) for hit in run.steps[0].results] == [("5", 1.5)]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (call("search", "{not json", ""), "arguments are not JSON"),
        (call("search", "[1]", ""), "arguments are not an object"),
        (call("search", "{}", "No results"), "search without a query"),
        (call("get_document", {"docid": None}, ""), "browse without a docid"),
        (call("paint", {}, ""), "unknown tool"),
        ({"type": "surprise"}, "unknown kind of item"),
        (None, "unknown kind of item"),
    ],
)
def test_a_bad_step_costs_that_step_and_keeps_its_turn(item, reason):
    good, accounts = GOOD["result"], Accounts()
    run = parsed("x", GOOD | {"result": [*good[:2], item, *good[2:]]}, accounts)
    assert [step.action for step in run.steps] == ["search", "invalid", "browse", "answer"]
    assert [step.turn for step in run.steps] == [0, 1, 2, 3]
    assert run.steps[1].error.startswith(reason)
    assert accounts.steps.dropped == {reason: 1}


def test_a_failed_browse_is_no_positive():
    items = [*GOOD["result"][:3], call("get_document", {"docid": "7"}, "[Document not found] docid=7")]
    result = mine_pairs([parsed("x", released(*items), Accounts())])
    assert result.pairs == []
    assert result.ledger["browses"].dropped == {"failed": 1}


@pytest.mark.parametrize(
    ("fields", "status"),
    [({}, "completed"), ({"status": "generate an answer as token limit reached"}, "limited"),
     ({"status": "format error: x"}, "failed"), ({"status": "", "result": []}, "failed"),
     ({"status": None}, "completed")],
)  # fmt: skip
def test_statuses_of_the_release_are_told_apart(fields, status):
    assert parsed("x", GOOD | fields, Accounts()).status == status


def test_an_unreadable_file_costs_that_file(tmp_path):
    (tmp_path / "good.json").write_text(json.dumps(GOOD))
    (tmp_path / "cut.json").write_text(json.dumps(GOOD)[:100])
    (tmp_path / "bytes.json").write_bytes(b'{"a": "\xff"}')
    (tmp_path / "other.json").write_text('{"pairs": []}')
    accounts = Accounts()
    assert [run.trajectory_id for run in read_trajectories(tmp_path, accounts, format="lrat")] == ["good"]
    assert accounts.records.to_dict()["dropped"] == {
        "not JSON": 1, "not UTF-8": 1, "not a trajectory: no `result` list": 1,
    }  # fmt: skip


def test_an_archive_that_is_cut_off_gives_what_came_before_the_cut(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=0) as archive:
        for number in range(20):
            content = json.dumps(GOOD).encode()
            info = tarfile.TarInfo(f"bm25_false/{number}_bm25.json")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    path = tmp_path / "runs.tar.gz"
    path.write_bytes(buffer.getvalue())
    assert [run.correct for run in read_trajectories(path, Accounts(), format="lrat")] == [False] * 20

    path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    accounts = Accounts()
    assert 5 < len(list(read_trajectories(path, accounts, format="lrat"))) < 15
    assert accounts.records.dropped == {"archive is cut off or damaged": 1}


def test_an_archive_with_a_damaged_header_is_not_taken_for_its_end(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number in range(5):
            content = json.dumps(GOOD).encode()
            info = tarfile.TarInfo(f"{number}.json")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
            size = archive.offset // (number + 1)
    damaged = bytearray(buffer.getvalue())
    damaged[2 * size : 2 * size + 512] = b"\x01" * 512
    path = tmp_path / "runs.tar"
    path.write_bytes(damaged)
    accounts = Accounts()
    assert len(list(read_trajectories(path, accounts, format="lrat"))) == 2
    assert accounts.records.dropped == {"archive is cut off or damaged": 1}


def test_the_outcome_in_a_folders_name_is_kept_when_that_folder_or_its_file_is_the_source(tmp_path):
    folder = tmp_path / "bm25_false"
    folder.mkdir()
    (folder / "1.json").write_text(json.dumps(GOOD))
    for source in (tmp_path, folder, folder / "1.json"):
        assert [run.correct for run in load_trajectories(source)] == [False]


@pytest.mark.parametrize(
    ("observation", "candidates"),
    [("A search for 'x' found 0 results:\n\n## Web Results\n", 0), (RESULTS.replace("\n", "\r\n"), 2)],
)
def test_empty_lists_and_other_line_ends_are_read(observation, candidates):
    run = parsed("x", released(call("search", '{"query": ["x"]}', observation)), Accounts())
    assert [(step.action, len(step.results)) for step in run.steps] == [("search", candidates)]


def test_nothing_to_read_is_an_error(tmp_path):
    with pytest.raises(LratError, match=r"expected \.json files"):
        list(load_trajectories(tmp_path))
