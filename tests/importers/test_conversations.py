"""What was said in conversations: questions, pages that show tags, calls that share results, ids."""

import json
import subprocess
import sys

import pytest

from lrat_hub.importers import Accounts, read_trajectories
from lrat_hub.importers.outcomes import UNCLEAR_ANSWERS
from tests.importers.fixtures import OPENAI, QUESTION


@pytest.fixture
def chat(tmp_path):
    """Reads a record as a conversation."""

    def parsed(record):
        path, accounts = tmp_path / "run.jsonl", Accounts()
        path.write_text(json.dumps(record))
        (run,) = read_trajectories(path, accounts, format="chat")
        return run, accounts

    return parsed


PAGE = (
    "On tags. Write <tool_response>\nshown\n</tool_response> after <tool_call>\n"
    '{"name": "search", "arguments": {"query": "of the page"}}\n</tool_call>, then <think>why</think>, '
    "<search>x</search> <information>y</information> and <answer>42</answer>. The end."
)
IN_TEXT = '<think>Go.</think><tool_call>\n{"name": "visit", "arguments": {"url": "https://a.org"}}\n</tool_call>'
VISIT = {
    "role": "assistant",
    "content": "Go.",
    "tool_calls": [{"function": {"name": "visit", "arguments": {"url": "a"}}}],
}
WRAPPED = f"<tool_response>\n{PAGE}\n</tool_response>"
PAGES = {
    "result of a call": [VISIT, {"role": "tool", "content": PAGE}],
    "in tags, by a user": [VISIT, {"role": "user", "content": WRAPPED}],
    "of a call in a text": [{"role": "assistant", "content": IN_TEXT}, {"role": "user", "content": PAGE}],
    "in tags, of a call in a text": [{"role": "assistant", "content": IN_TEXT}, {"role": "user", "content": WRAPPED}],
    "in tags, by a tool": [{"role": "assistant", "content": IN_TEXT}, {"role": "tool", "content": WRAPPED}],
    "with words around": [
        {"role": "assistant", "content": IN_TEXT},
        {"role": "user", "content": f"The tool says:\n{WRAPPED}\nYou have 3 calls left."},
    ],
    "in one text": [{"role": "assistant", "content": f"{IN_TEXT}\n{WRAPPED}\n"}],
    "of two calls": [
        {"role": "assistant", "content": IN_TEXT + IN_TEXT.partition("</think>")[2].replace("a.org", "b.org")},
        {"role": "user", "content": f"{WRAPPED}\n<tool_response>\nThe second.\n</tool_response>"},
    ],
}


@pytest.mark.parametrize("name", PAGES)
def test_tags_in_a_page_are_words_of_the_page(name, chat):
    run, accounts = chat(
        [{"role": "user", "content": QUESTION}, *PAGES[name], {"role": "assistant", "content": "Ada"}]
    )
    assert [step.action for step in run.steps] == ["browse"] * (2 if "two" in name else 1) + ["answer"]
    assert run.steps[0].observation.strip() == PAGE.strip()
    assert (run.final_answer, accounts.num_lost) == ("Ada", 0)


def test_a_mentioned_tag_ends_no_result_of_a_text_with_tags(chat):
    first = 'Doc 1(Title: "T") In <information>pairs</information> or </information> alone. <answer>no</answer>'
    text = f'<search>q</search>\n<information>{first}\nDoc 2(Title: "U") u</information>\n<think>So.</think>'
    run, accounts = chat(
        [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": f"{text}<answer>Ada</answer>"}]
    )
    assert [hit.docid for hit in run.steps[0].results] == ["T", "U"]
    assert ([step.action for step in run.steps], run.final_answer, accounts.num_lost) == (
        ["search", "answer"],
        "Ada",
        0,
    )


def functions(*calls):
    listed = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return {"from": "function_call", "value": json.dumps(listed)}


OBSERVED = {
    "a list": json.dumps(["One", "Two"]),
    "objects": json.dumps([{"url": "a", "content": "One"}, {"url": "b", "content": "Two"}]),
    "one behind the other": '{"content": "One"}\n{"content": "Two"}',
}


@pytest.mark.parametrize("name", OBSERVED)
def test_several_calls_with_one_observation_each_have_their_part_of_it(name, chat):
    calls = functions(("visit", {"url": "https://a.org"}), ("visit", {"url": "https://b.org"}))
    run, accounts = chat(
        [{"from": "human", "value": QUESTION}, calls, {"from": "observation", "value": OBSERVED[name]},
         {"from": "gpt", "value": "Ada"}]
    )  # fmt: skip
    assert [(step.action, step.docid) for step in run.steps] == [
        ("browse", "https://a.org"), ("browse", "https://b.org"), ("answer", None),
    ]  # fmt: skip
    assert ["One" in run.steps[0].observation, "Two" in run.steps[1].observation] == [True, True]
    assert "Two" not in run.steps[0].observation
    assert accounts.num_lost == 0


def test_one_list_of_several_searches_is_no_part_for_each(chat):
    calls = functions(("search", {"query": "x"}), ("search", {"query": "y"}))
    hits = [{"docid": "1", "title": "One"}, {"docid": "2", "title": "Two"}]
    messages = [{"from": "human", "value": QUESTION}, calls, {"from": "observation", "value": json.dumps(hits)}]
    run, accounts = chat([*messages, {"from": "gpt", "value": "Ada"}])
    assert [step.results for step in run.steps] == [(), (), ()]
    assert accounts.lists.num_lost == 2
    run, accounts = chat([*messages[:2], {"from": "observation", "value": json.dumps([hits, hits[:1]])}])
    assert [[hit.docid for hit in step.results] for step in run.steps[:2]] == [["1", "2"], ["1"]]


@pytest.mark.parametrize("key", ["query", "user_query"])
def test_a_query_beside_a_conversation_is_its_question_only_where_the_user_asked_it(key, chat):
    run, _ = chat({key: "capital Finland", "messages": OPENAI["messages"]})
    assert run.question == QUESTION
    assert json.loads(run.metadata)[key] == "capital Finland"
    prompt = [{"role": "user", "content": f"Search well. {QUESTION} Think."}, *OPENAI["messages"][2:]]
    run, _ = chat({key: QUESTION, "messages": prompt})
    assert (run.question, key in json.loads(run.metadata)) == (QUESTION, False)
    run, _ = chat({key: QUESTION, "messages": OPENAI["messages"][2:]})
    assert run.question == QUESTION


@pytest.mark.parametrize(
    "prompt",
    ["你是一个搜索助手，请使用搜索工具回答用户的问题。\n\n问题：{}",
     "请一步一步地思考。问题:{}\n请用<answer>标签给出答案。",
     "请搜索。\n【问题】{}", "问题：{}", "用户问题：{}\n你必须使用工具。", "**问题**：{}"],
)  # fmt: skip
def test_a_question_in_a_chinese_prompt_is_found(prompt, chat):
    messages = [{"role": "user", "content": prompt.format("谁写了《红楼梦》？")}, *OPENAI["messages"][2:]]
    assert chat(messages)[0].question == "谁写了《红楼梦》？"


FORM = "\n\nYour response should be in the following format:\nExplanation: why\nExact Answer: answer\nConfidence: n"


@pytest.mark.parametrize(
    ("prompt", "question"),
    [("{}" + FORM, "Who wrote it?"), ("{}" + FORM, "I read a book.\n\nWho wrote it?"),
     ("You are an agent. " * 20 + "\n\nQuestion: {}" + FORM, "I read a book.\n\nWho wrote it?"),
     ("Current date: 2026-01-31\n\n{}", "Who wrote it?"), ("Today is Monday, 3 May 2027.\nQuestion: {}", "Who?"),
     ("当前日期：2026-01-31\n\n问题：{}", "谁写了《红楼梦》？"), ("{}", "Today is the day of which saint?")],
)  # fmt: skip
def test_a_date_before_and_a_form_behind_are_no_part_of_a_question(prompt, question, chat):
    messages = [{"role": "user", "content": prompt.format(question)}, *OPENAI["messages"][2:]]
    assert chat(messages)[0].question == question


@pytest.mark.parametrize("key", ["metadata", "meta", "extra_info"])
def test_what_the_metadata_say_of_the_question_alone_is_taken_from_them(key, chat):
    named = {"query_id": "q7", "question": "Who?", "ground_truth": "Bob", "is_correct": False, "score": 9}
    run, accounts = chat({"messages": OPENAI["messages"], key: named})
    assert (run.query_id, run.question, run.gold_answer, run.correct) == ("q7", "Who?", "Bob", False)
    assert accounts.num_lost == 0
    assert chat({"messages": OPENAI["messages"], key: named, "query_id": "q1"})[0].query_id == "q1"


@pytest.mark.parametrize("answer", ["response", "record"])
def test_an_answers_id_is_none_of_the_question(tmp_path, answer):
    response = {
        "id": "resp_0123456789abcdef", "object": "response", "model": "m", "status": "completed",
        "output": [
            {"type": "function_call", "call_id": "c", "name": "search", "arguments": json.dumps({"query": "x"})},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Ada"}]},
        ],
    }  # fmt: skip
    record = response if answer == "response" else {"id": "chatcmpl-0123456789", **OPENAI}
    path = tmp_path / "runs.json"
    other = json.loads(json.dumps(record).replace("Ada", "Bob").replace(QUESTION, "Where?").replace("0123", "9876"))
    path.write_text(json.dumps({"q1": record, "q2": other}))
    assert [run.query_id for run in read_trajectories(path, Accounts())] == ["q1", "q2"]
    path.write_text(json.dumps(record))
    assert [run.query_id for run in read_trajectories(path, Accounts())] == ["runs"]


def test_a_run_that_a_limit_stopped_without_an_answer_is_limited(chat):
    messages = OPENAI["messages"][:-1]
    for said, status in (("limited", "limited"), ("max_turns", "limited"), ("completed", "failed")):
        assert chat({"status": said, "messages": messages})[0].status == status


LONG_ANSWER = "It was Ada, as the page says. " * 5


@pytest.mark.parametrize(
    ("said", "beside", "gold", "final"),
    [
        ("Ada, then.", {"answer": "Ada"}, "Ada", "Ada, then."),
        ("Ada", {"answer": "Ada"}, "Ada", "Ada"),
        (LONG_ANSWER, {"answer": LONG_ANSWER}, None, LONG_ANSWER),
        (LONG_ANSWER, {"answer": LONG_ANSWER.upper()}, LONG_ANSWER.upper(), LONG_ANSWER),
        (LONG_ANSWER, {"answer": LONG_ANSWER, "ground_truth": "Ada"}, "Ada", LONG_ANSWER),
        (LONG_ANSWER, {"answer": f"**{LONG_ANSWER}**"}, None, LONG_ANSWER),
        ("", {"answer": "Ada", "prediction": "Bob"}, "Ada", "Bob"),
        ("", {"answer": "Bob", "response": "Bob", "expected": "Ada"}, "Ada", "Bob"),
        ("", {"answer": "Ada", "gold": "Bob"}, "Bob", "Ada"),
        ("", {"answer": ["Ada", "Countess"]}, "Ada\nCountess", None),
        ("", {"answer": "Ada", "status": "max_turns"}, "Ada", None),
    ],
)
def test_an_answer_beside_messages_is_the_gold_one_only_where_that_of_the_agent_is_known(
    chat, said, beside, gold, final
):
    messages = OPENAI["messages"][:-1] + ([{"role": "assistant", "content": said}] if said else [])
    run, accounts = chat({"messages": messages, **beside})
    assert (run.gold_answer, run.final_answer) == (gold, final if final is None else final.strip())
    assert not accounts.records.lost


def test_an_answer_of_which_nothing_says_whose_it_is_is_kept_in_the_metadata_and_counted(chat):
    run, accounts = chat({"messages": OPENAI["messages"][:-1], "answer": "Ada"})
    assert (run.gold_answer, run.final_answer) == (None, None)
    assert json.loads(run.metadata)["answer"] == "Ada"
    assert accounts.records.lost == {UNCLEAR_ANSWERS: 1}


@pytest.mark.parametrize(
    ("said", "runs"),
    [("Who is no. 2, and was he ok?", 2), ("Where is it, yes or no?", 2), ("Is a < b?", 2), ("Please continue.", 1),
     ("No, go on.", 1), ("请继续", 1), ("Give the final answer in <answer> tags.", 1)],
)  # fmt: skip
def test_words_to_go_on_are_no_question_and_a_question_that_has_such_words_is_one(tmp_path, said, runs):
    path = tmp_path / "run.json"
    path.write_text(json.dumps([*OPENAI["messages"], {"role": "user", "content": said}, *OPENAI["messages"][2:]]))
    assert len(list(read_trajectories(path, Accounts()))) == runs


ASKED = {"id": "1", "function": {"name": "AskClarification", "arguments": '{"question": "Which Ada?"}'}}
FOUND = {"id": "2", "function": {"name": "search", "arguments": '{"query": "Ada"}'}}
TALK = [
    {"role": "user", "content": QUESTION},
    {"role": "assistant", "content": "", "tool_calls": [ASKED]},
    {"role": "tool", "tool_call_id": "1", "content": "Which Ada?"},
    {"role": "assistant", "content": "Which Ada?"},
    {"role": "user", "content": "The one of engines."},
    {"role": "assistant", "content": "Ada Lovelace, then."},
    {"role": "user", "content": "Where was she born?"},
    {"role": "assistant", "content": "", "tool_calls": [FOUND]},
    {"role": "tool", "tool_call_id": "2", "content": '[{"docid": "d1"}]'},
    {"role": "assistant", "content": "In London."},
]


def items():
    """The same conversation as items of the Responses API."""
    for message in TALK:
        if message["role"] == "tool":
            yield {"type": "function_call_output", "call_id": message["tool_call_id"], "output": message["content"]}
        elif calls := message.get("tool_calls"):
            for call in calls:
                yield {"type": "function_call", "call_id": call["id"], **call["function"]}
        else:
            yield message


@pytest.mark.parametrize("record", [TALK, list(items())], ids=["chat", "items"])
def test_what_follows_the_answer_to_a_question_of_the_agent_is_a_new_question(record, tmp_path):
    path, accounts = tmp_path / "run.jsonl", Accounts()
    path.write_text(json.dumps({"messages": record}))
    runs = list(read_trajectories(path, accounts))
    assert [run.question for run in runs] == [QUESTION, "Where was she born?"]
    assert [run.final_answer for run in runs] == ["Ada Lovelace, then.", "In London."]
    assert not accounts.calls.dropped
    assert [step.action for step in runs[1].steps] == ["search", "answer"]


# What was said without an end, with results of which no call is known.
LONG = """
from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.conversation_runs import runs_of
from lrat_hub.importers.messages import Call, Message, Result
asked, said = Message("user", "Go on."), Message("assistant", "Well.")
called = Message("assistant", calls=(Call("search", {}, "c"),))
shown = Message("tool", results=(Result("Words", "nowhere"),))
(run,) = runs_of([asked, called, shown, said] * 30_000, Accounts(), whole=False)
assert len(run.turns) == 60_000
"""


@pytest.mark.slow
def test_a_conversation_of_any_length_takes_bounded_work():
    """It is read in seconds; looking back over all turns at each message takes hours."""
    subprocess.run([sys.executable, "-c", LONG], check=True, timeout=90)


def test_tools_of_servers_and_tasks_behind_the_question_are_read_as_miroflow_writes_them(chat):
    prompt = f"{QUESTION}\n\nYour task is to collect what the web has on the question. {'Be thorough. ' * 20}"
    search = {"id": "1", "function": {"name": "tool-searching-google_search", "arguments": '{"q": "Ada"}'}}
    visit = {"id": "2", "function": {"name": "tool-reading-scrape_website", "arguments": '{"url": "https://a.org"}'}}
    run, accounts = chat(
        {
            "messages": [
                {"role": "user", "content": prompt},
                {"role": "assistant", "content": "", "tool_calls": [search]},
                {"role": "tool", "tool_call_id": "1", "content": '{"organic": [{"link": "https://a.org"}]}'},
                {"role": "assistant", "content": "", "tool_calls": [visit]},
                {"role": "tool", "tool_call_id": "2", "content": "A page."},
            ]
        }
    )
    assert run.question == QUESTION
    assert [(step.action, step.docid) for step in run.steps] == [("search", None), ("browse", "https://a.org")]
    assert not accounts.calls.dropped


@pytest.mark.parametrize("name", ["bash", "write_file", "Write-File", "functions.execute_bash", "todo_write"])
def test_tools_that_do_something_else_are_known_however_they_are_written(chat, name):
    aside = {"id": "1", "function": {"name": name, "arguments": "{}"}}
    run, accounts = chat(
        {
            "messages": [
                {"role": "user", "content": QUESTION},
                {"role": "assistant", "content": "", "tool_calls": [aside, FOUND]},
                {"role": "tool", "tool_call_id": "1", "content": "done"},
                {"role": "tool", "tool_call_id": "2", "content": '[{"docid": "d1"}]'},
            ]
        }
    )
    assert [step.action for step in run.steps] == ["invalid", "search"]
    assert not accounts.calls.dropped
