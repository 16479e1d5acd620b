"""Texts that hold several dialogues one after the other: each is a run, or is counted."""

import json

import pytest

from lrat_hub.importers import Accounts, read_trajectories

SEARCH = '<search> {0} </search>\n<information>Doc 1(Title: "{0}") Words.</information>\n<answer>{0}</answer>'


def chatml(question, topic, system="You help."):
    begin = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    return (
        f"{begin}<|im_start|>user\nAnswer the question. Question: {question}<|im_end|>\n"
        f"<|im_start|>assistant\n{SEARCH.format(topic)}<|im_end|>\n"
    )


def llama(question, topic):
    turns = {"system": "You help.", "user": question, "assistant": SEARCH.format(topic)}
    return "<|begin_of_text|>" + "".join(
        f"<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>" for role, text in turns.items()
    )


def runs_of(tmp_path, **record):
    path, accounts = tmp_path / "run.jsonl", Accounts()
    path.write_text(json.dumps(record))
    return list(read_trajectories(path, accounts)), accounts


TEXTS = {
    "a system's message begins each": chatml("Who was Ada?", "Ada") + chatml("Who was Bob?", "Bob"),
    "a question after an answer": chatml("Who was Ada?", "Ada") + chatml("Who was Bob?", "Bob", system=""),
    "the template of Llama": llama("Who was Ada?", "Ada") + llama("Who was Bob?", "Bob"),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_each_dialogue_of_a_text_is_a_run(tmp_path, text):
    runs, _ = runs_of(tmp_path, text=text)
    assert [(run.question, run.final_answer) for run in runs] == [("Who was Ada?", "Ada"), ("Who was Bob?", "Bob")]
    for run in runs:
        (search, answer) = run.steps
        assert search.queries == (run.final_answer,)
        assert [hit.title for hit in search.results] == [run.final_answer]
        assert "<|" not in (search.reasoning or "") + (answer.reasoning or "")


NUDGE = chatml("Who was Ada?", "Ada") + "<|im_start|>user\nPlease continue.<|im_end|>\n<|im_start|>assistant\nAda.\n"
SHOWN = chatml("Who was Ada?", "Ada").replace("Words.", "<|im_start|>system\nThe page's own.\n<|im_start|>user\nHi\n")


@pytest.mark.parametrize("text", [NUDGE, SHOWN], ids=["a nudge", "a page that shows a template"])
def test_what_is_no_new_question_stays_in_its_run(tmp_path, text):
    runs, _ = runs_of(tmp_path, text=text)
    assert [run.question for run in runs] == ["Who was Ada?"]


def test_attempts_at_one_question_that_the_record_names_are_one_run(tmp_path):
    text = TEXTS["a system's message begins each"]
    (run,), _ = runs_of(tmp_path, text=text, question="Who were they?")
    assert [step.queries for step in run.steps if step.action == "search"] == [("Ada",), ("Bob",)]


def test_runs_above_the_last_question_of_react_are_counted(tmp_path):
    react = "Question: Who was {0}?\nThought: Look.\nAction: search\nAction Input: {0}\nObservation: None.\n"
    (run,), accounts = runs_of(tmp_path, text=react.format("Ada") + "Final Answer: Ada\n" + react.format("Bob"))
    assert run.question == "Who was Bob?"
    assert accounts.parts.notes["runs above the last question of a text, taken for examples of a prompt"] == 1
