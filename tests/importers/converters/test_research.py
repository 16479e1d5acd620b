"""Logs of research agents: rollouts, WebThinker, DR-Tulu, MiroThinker and SkimSearchAgent."""

import copy
import json
import random

import pytest

from lrat_hub.importers import Accounts, read_trajectories
from lrat_hub.importers.formats import FORMATS
from lrat_hub.importers.reading import trajectories_of
from lrat_hub.importers.recognition import recognise_format
from lrat_hub.importers.sources.records import Record
from tests.importers.converters import research_logs as logs

QUESTION = "When was the mill built?"
RECORDS = {
    **{f"tagged-text, {name}": log for name, log in logs.ROLLOUTS.items() if "messages" not in log},
    "webthinker": logs.WEBTHINKER, "dr-tulu": logs.DR_TULU, "mirothinker": logs.MIROTHINKER,
    "skimsearch": logs.SKIMSEARCH,
}  # fmt: skip


def read(folder, value):
    """The format, the runs and the accounts of a log."""
    path = folder / "log.jsonl"
    path.write_text(json.dumps(value) + "\n", encoding="utf-8")
    accounts = Accounts()
    recognised = recognise_format(path)
    return recognised.format, list(read_trajectories(path, accounts)), accounts


def steps_of(run):
    """What was done: the query and the ids of its list, or the document and whether it failed; and the reasoning."""
    return [
        (step.queries[0], [hit.docid for hit in step.results], step.reasoning) if step.action == "search"
        else (step.docid, step.error is not None, step.reasoning)
        for step in run.steps if step.action in ("search", "browse")
    ]  # fmt: skip


@pytest.mark.parametrize("name", logs.ROLLOUTS)
def test_a_rollout_is_read_wherever_its_text_stands(tmp_path, name):
    known, (run,), accounts = read(tmp_path, logs.ROLLOUTS[name])
    assert known == ("chat" if name == "messages" else "tagged-text")
    assert (run.question, run.final_answer, run.gold_answer) == (QUESTION, "1790", "1790")
    assert steps_of(run) == [("old mill", ["Mill (old)", "Wind"], "I look for it.")]
    assert run.correct is (True if "verl" in name else None)
    assert accounts.num_lost == 0


def test_each_sample_of_a_rollout_is_a_run(tmp_path):
    _, runs, _ = read(tmp_path, {"prompt": logs.PROMPT, "responses": [logs.REPLY, logs.REPLY.replace("1790", "1800")]})
    assert [(run.question, run.final_answer) for run in runs] == [(QUESTION, "1790"), (QUESTION, "1800")]
    assert runs[0].trajectory_id != runs[1].trajectory_id


def test_a_search_of_webthinker_has_its_list_and_what_was_opened_within_it(tmp_path):
    known, (run,), accounts = read(tmp_path, logs.WEBTHINKER)
    assert (known, run.question, run.final_answer, run.gold_answer) == ("webthinker", QUESTION, "1790", "1790")
    pages = ["https://a.org/mill", "https://a.org/wind"]
    assert steps_of(run) == [
        ("old mill", pages, "I look for it."),
        ("https://a.org/mill", False, "Open it."),
        ("mill date", pages, "It says 1790."),
        ("old mill", [], "**Final Information** 1790.\nOnce more."),
    ]  # fmt: skip
    assert run.steps[3].error is not None
    assert accounts.num_lost == 0
    _, (run,), accounts = read(tmp_path, {**logs.WEBTHINKER, "WebExplorer": [{"search_query": "other"}, 3]})
    assert accounts.parts.dropped == {"web explorer of no search": 1, "web explorer is not an object": 1}


@pytest.mark.parametrize("has_text", [True, False])
def test_dr_tulu_is_read_from_its_text_or_its_calls(tmp_path, has_text):
    log = copy.deepcopy(logs.DR_TULU)
    if not has_text:
        log["full_traces"]["generated_text"] = "It was in 1790."
    known, (run,), accounts = read(tmp_path, log)
    assert (known, run.question, run.gold_answer, run.status) == ("dr-tulu", QUESTION, "1790", "completed")
    assert [step[:2] for step in steps_of(run)] == [
        ("old mill", ["https://a.org/mill", "https://a.org/wind"]),
        ("https://a.org/mill", False), ("https://a.org/wind", True),
    ]  # fmt: skip
    if has_text:
        assert [step[2] for step in steps_of(run)] == ["I look for it.", "Open it.", ""]
        assert run.final_answer == "1790"
    assert accounts.num_lost == 0


def test_papers_without_an_address_are_called_by_their_titles(tmp_path):
    text = (
        '<think>\nI look.\n</think>\n<call_tool name="snippet_search" limit="5" year="2012-2025">old mills</call_tool>'
        "<tool_output><snippet id=75aa-0>\nTitle: On mills\nSnippet: Stones\n \nand sails.\n</snippet>\n"
        "<snippet id=75aa-1>\nTitle: On wind\nSnippet: It blows.\n</snippet></tool_output>"
        "<think>\nSo.\n</think>\n<answer>1790</answer>"
    )
    log = {"example_id": "1", "problem": QUESTION, "final_response": "1790", "full_traces": {"generated_text": text}}
    _, (run,), accounts = read(tmp_path, log)
    assert steps_of(run) == [("old mills", ["On mills", "On wind"], "I look.")]
    assert accounts.num_lost == 0


def test_mirothinker_has_a_run_for_each_agent(tmp_path):
    known, (main, sub), accounts = read(tmp_path, logs.MIROTHINKER)
    assert known == "mirothinker"
    assert (main.question, main.final_answer, main.gold_answer) == (QUESTION, "1790", "1790")
    assert (main.correct, main.status, main.agent, main.query_id) == (True, "completed", "Miro-8B", "t3")
    pages = ["https://a.org/mill", "https://a.org/wind"]
    assert steps_of(main) == [("old mill", pages, "I look for it."), ("https://a.org/mill", False, "Open it.")]
    assert (sub.question, sub.final_answer, sub.correct) == ("Find the year.", "A report.", None)
    assert (sub.query_id, steps_of(sub)) == ("t3/agent-browsing_1", [("year", pages, "Look.")])
    assert accounts.num_lost == 0


def test_skimsearch_names_documents_by_their_place_in_the_last_list(tmp_path):
    known, (run,), accounts = read(tmp_path, logs.SKIMSEARCH)
    assert (known, run.question, run.final_answer, run.gold_answer) == ("skimsearch", QUESTION, "1790", "1790")
    assert (run.correct, run.status, run.query_id) == (True, "completed", "set__3")
    assert steps_of(run) == [
        ("old mill", ["mill", "wind"], "I look for it."), ("mill", False, "Open it."), ("wind", True, "And that."),
    ]  # fmt: skip
    assert [(hit.title, hit.snippet) for hit in run.steps[0].results] == [("Mill", "Stones."), ("Wind", "Sails.")]
    assert accounts.num_lost == 0


def test_rows_of_instances_that_were_skipped_say_why(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [logs.SKIMSEARCH, {"instance_id": "set__4", "skipped": "no_gold"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    accounts = Accounts()
    assert len(list(read_trajectories(path, accounts))) == 1
    assert accounts.records.dropped == {"an instance that the run skipped: no_gold": 1}


def paths_in(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield from paths_in(part, (*path, key))


VALUES = (
    None, True, 0, -1, 2**70, 1.5, float("nan"), "", "x", "\ud800", [], {}, [None], [[]], [{}], {"a": []}, "<search>",
    "<think>", "</think>", "<tool_call>{", '<invoke name="a">', "***Web Page 1:***\n{", "<snippet id=a-1>\nURL: ",
    "Action: Search[", "\\boxed{", {"role": 7}, "system\nx\nuser\ny\n", "<|im_start|>user\n", "<use_mcp_tool>",
)  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_damage_costs_what_is_damaged(name):
    rng = random.Random(name)
    known = FORMATS[name.partition(",")[0]]
    for _ in range(60):
        value = copy.deepcopy(RECORDS[name])
        for _ in range(rng.choice((1, 1, 3))):
            path = rng.choice([path for path in paths_in(value) if path])
            holder = value
            for key in path[:-1]:
                holder = holder[key]
            if rng.random() < 0.3:
                del holder[path[-1]]
                if not value:
                    break
            elif isinstance(text := holder[path[-1]], str) and rng.random() < 0.5:
                cut = rng.randrange(len(text) + 1)
                holder[path[-1]] = text[:cut] + rng.choice([junk for junk in VALUES if isinstance(junk, str)])
            else:
                holder[path[-1]] = copy.deepcopy(rng.choice(VALUES))
        accounts = Accounts()
        for other in FORMATS.values():
            other.recognise(value)
        list(trajectories_of(Record("a/b", None, value), known, accounts))
        assert accounts.records.read == 1
        for ledger in accounts.ledgers():
            ledger.to_dict()
