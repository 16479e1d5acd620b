"""Runs as programs of many kinds write them: lists of steps, calls in texts, exports of chats, spans of trackers.

Each record is the same short run, made up in the shape of a public log: a search, a page, and an answer.
"""

import json
import random

import pytest

from lrat_hub.importers import Accounts, read_trajectories
from lrat_hub.importers.converters.chat_exports import NOT_LISTED
from lrat_hub.importers.converters.native import AFTER_ANSWER
from lrat_hub.importers.outcomes import NO_WORDS, UNCLEAR_ANSWERS
from lrat_hub.importers.recognition import recognise_format
from tests.importers.fuzz import mutated

QUESTION, ANSWER = "Who designed the Varrow lighthouse?", "Ada Lind"
QUERY = "Varrow lighthouse designer"
PAGES = ["https://wiki.example/varrow", "https://lights.example/list"]
ROWS = [
    {"title": "Varrow Light", "url": PAGES[0], "snippet": "A lighthouse."},
    {"title": "Lighthouses", "url": PAGES[1], "snippet": "A list."},
]
LINKS = "\n".join(f"[{row['title']}]({row['url']})" for row in ROWS)
PAGE = "Varrow Light was designed by Ada Lind. " * 12
TEXT = json.dumps


def read(tmp_path, *records):
    """The format and the runs of records, and the accounts."""
    path, accounts = tmp_path / "log.jsonl", Accounts()
    path.write_text("".join(TEXT(record) + "\n" for record in records), encoding="utf-8")
    runs = list(read_trajectories(path, accounts))
    for ledger in accounts.ledgers():
        ledger.to_dict()
    return recognise_format(path).format, runs, accounts


def check(run, *, answered=True):
    """That a run is the one above."""
    search, browse, *rest = run.steps
    assert run.question == QUESTION
    assert (search.action, search.queries) == ("search", (QUERY,))
    assert [(hit.query_index, hit.rank, hit.docid) for hit in search.results] == [(0, 1, PAGES[0]), (0, 2, PAGES[1])]
    assert (browse.action, browse.docid, browse.error) == ("browse", PAGES[0], None)
    if answered:
        assert run.final_answer == ANSWER
    assert [step.action for step in rest] in ([], ["answer"])


def lost(accounts):
    return {reason for ledger in accounts.ledgers() for reason in (*ledger.dropped, *ledger.lost)}


def step(thought, action, given, shown):
    return {"thought": thought, "action": action, "action_input": given, "observation": shown}


FLAT = [
    step("Look.", "search", {"query": QUERY}, ROWS),
    step("Open.", "visit", {"url": PAGES[0]}, PAGE),
    step("Done.", "finish", {"answer": ANSWER}, ""),
]
OBJECTS = [
    {"reasoning": "Look.", "action": {"tool_name": "web_search", "tool_args": {"query": QUERY}}, "result": TEXT(ROWS)},
    {"reasoning": "Open.", "action": {"type": "browse", "url": PAGES[0]}, "result": PAGE},
]
TEXTS = [
    {"thought": "Look.", "action": f"Search[{QUERY}]", "observation": LINKS},
    {"thought": "Open.", "action": f"open_url('{PAGES[0]}')", "observation": PAGE},
    {"thought": "Done.", "action": f"Finish[{ANSWER}]", "observation": "Episode finished, reward = 1"},
]  # fmt: skip
NAMED = [
    {"thought": "Look.", "tool": "web_search", "tool_input": TEXT({"q": QUERY}), "tool_output": TEXT(ROWS)},
    {"thought": "Open.", "tool": "fetch", "tool_input": PAGES[0], "tool_output": PAGE},
]  # fmt: skip


@pytest.mark.parametrize("key", ["steps", "trajectory", "iterations"])
@pytest.mark.parametrize("steps", [FLAT, OBJECTS, TEXTS, NAMED])
def test_a_list_of_steps_is_a_run(tmp_path, steps, key):
    record = {"id": "7", "question": QUESTION, key: steps, "ground_truth": "Ada", "answer": ANSWER, "em": 1}
    found, (run,), accounts = read(tmp_path, record)
    assert found == "steps"
    check(run)
    assert (run.query_id, run.gold_answer, run.correct) == ("7", "Ada", True)
    assert [part.reasoning for part in run.steps[:2]] == ["Look.", "Open."]
    assert not lost(accounts)


def test_an_answer_of_which_nothing_says_whose_it_is_is_a_loss_and_a_mapping_says_it(tmp_path):
    record = {"question": QUESTION, "steps": OBJECTS, "answer": ANSWER}
    _, (run,), accounts = read(tmp_path, record)
    assert (run.gold_answer, run.final_answer) == (None, None)
    assert UNCLEAR_ANSWERS in lost(accounts)
    for name, answers in (("final_answer", (None, ANSWER)), ("gold_answer", (ANSWER, None))):
        (tmp_path / "m.yaml").write_text(f"{name}: answer")
        (run,) = read_trajectories(tmp_path / "log.jsonl", Accounts(), mapping=tmp_path / "m.yaml")
        assert (run.gold_answer, run.final_answer) == answers


def test_a_run_of_which_tools_alone_are_logged_has_not_failed(tmp_path):
    silent = [{key: part for key, part in step.items() if key != "thought"} for step in NAMED]
    for beside, status in (({}, "completed"), ({"status": "error"}, "failed"), ({"termination": "limit"}, "limited")):
        _, (run,), accounts = read(tmp_path, {"question": QUESTION, "steps": silent, **beside})
        check(run, answered=False)
        assert (run.status, run.final_answer) == (status, None)
        assert accounts.records.notes[NO_WORDS] == (status == "completed")
    _, (run,), _ = read(tmp_path, {"question": QUESTION, "steps": NAMED})
    assert run.status == "failed", "an agent whose thoughts are logged would have had its answer logged, too"


MEMORY = [
    {"step_number": 1, "model_output": "Look.", "observations": TEXT(ROWS), "error": None,
     "tool_calls": [{"id": "1", "function": {"name": "web_search", "arguments": {"query": QUERY}}}]},
    {"step_number": 2, "model_output": "Open.", "observations": PAGE, "error": None,
     "tool_calls": [{"id": "2", "function": {"name": "visit_webpage", "arguments": {"url": PAGES[0]}}}]},
]  # fmt: skip
MESSAGES = [
    {"role": "user", "content": [{"type": "text", "text": f"New task:\n{QUESTION}"}]},
    {"role": "assistant", "content": "Look.", "tool_calls": MEMORY[0]["tool_calls"]},
    {"role": "tool-response", "content": f"Observation:\n{TEXT(ROWS)}"},
    {"role": "assistant", "content": "Open.", "tool_calls": MEMORY[1]["tool_calls"]},
    {"role": "tool-response", "content": f"Observation:\n{PAGE}"},
]


@pytest.mark.parametrize("steps", [MEMORY, MESSAGES], ids=["memory", "messages"])
@pytest.mark.parametrize("own", ["prediction", "answer"])
def test_scripts_for_gaia_keep_the_agents_answer_beside_the_true_one(tmp_path, steps, own):
    """As the example `open_deep_research` of smolagents and its descendants write them."""
    record = {"question": QUESTION, own: ANSWER, "true_answer": "Bea", "task_id": "7", "intermediate_steps": steps}
    _, (run,), accounts = read(tmp_path, record)
    check(run)
    assert (run.query_id, run.gold_answer, run.status) == ("7", "Bea", "completed")
    assert PAGE not in run.metadata
    assert not lost(accounts)


def test_the_question_of_steps_may_be_in_an_object(tmp_path):
    task = {"question": QUESTION, "ground_truth": ANSWER}
    _, (run,), _ = read(tmp_path, {"task": task, "steps": FLAT})
    check(run)
    assert run.gold_answer == ANSWER


def test_a_step_that_failed_is_a_failed_browse(tmp_path):
    failed = {**NAMED[1], "success": False, "tool_output": "", "error": "HTTP 403"}
    _, (run,), _ = read(tmp_path, {"question": QUESTION, "steps": [NAMED[0], failed]})
    assert run.steps[1].error


def test_thoughts_of_dify_are_read_by_their_tools(tmp_path):
    thoughts = [
        {"position": 1, "thought": "Look.", "tool": "tavily_search",
         "tool_input": TEXT({"tavily_search": {"query": QUERY}}), "observation": TEXT({"tavily_search": TEXT(ROWS)})},
        {"position": 2, "thought": "Open.", "tool": "webscraper",
         "tool_input": TEXT({"webscraper": {"url": PAGES[0]}}), "observation": TEXT({"webscraper": PAGE})},
        {"position": 3, "thought": ANSWER, "tool": "", "tool_input": "", "observation": ""},
    ]  # fmt: skip
    messages = {"data": [{"id": "m", "query": QUESTION, "answer": ANSWER, "agent_thoughts": thoughts}], "limit": 20}
    found, (run,), accounts = read(tmp_path, messages)
    assert found == "steps"
    check(run)
    assert run.gold_answer is None
    assert not lost(accounts)


def as_xml(name, arguments):
    values = "".join(f"<parameter={key}>{value}</parameter>\n" for key, value in arguments.items())
    return f"<seed:tool_call>\n<function={name}>\n{values}</function>\n</seed:tool_call>"


def as_python(name, arguments):
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


TEXT_CALLS = {
    "mistral": lambda name, given: f"[TOOL_CALLS]{name}[ARGS]{TEXT(given)}",
    "mistral-list": lambda name, given: f"[TOOL_CALLS] [{TEXT({'name': name, 'arguments': given})}]",
    "llama": lambda name, given: f"<|python_tag|>{TEXT({'name': name, 'parameters': given})}<|eom_id|>",
    "llama-built-in": lambda name, given: f"<|python_tag|>{as_python(f'{name}.call', given)}",
    "llama-function": lambda name, given: f"<function={name}>{TEXT(given)}</function>",
    "granite": lambda name, given: f"<|tool_call|>[{TEXT({'name': name, 'arguments': given})}]",
    "lfm": lambda name, given: f"<|tool_call_start|>[{as_python(name, given)}]<|tool_call_end|>",
    "internlm": lambda name, given: (
        f"<|action_start|><|plugin|>{TEXT({'name': name, 'parameters': given})}<|action_end|>"
    ),
    "gemma": lambda name, given: f"```tool_code\nprint({as_python(name, given)})\n```",
    "seed": as_xml,
    "python": lambda name, given: f"[{as_python(name, given)}]",
    "json": lambda name, given: TEXT({"name": name, "arguments": given}),
    "json-list": lambda name, given: TEXT([{"tool": name, "args": given}]),
    "json-action": lambda name, given: TEXT({"thought": "Hm.", "action": name, "action_input": given}),
    "json-nested": lambda name, given: TEXT({"thought": "Hm.", "action": {"name": name, "args": given}}),
    "json-fence": lambda name, given: f"Hm.\n```json\n{TEXT({'tool': name, 'parameters': given})}\n```",
}  # fmt: skip


@pytest.mark.parametrize("role", ["tool", "user"])
@pytest.mark.parametrize("form", TEXT_CALLS)
def test_a_call_in_a_text_is_a_call(tmp_path, form, role):
    written = TEXT_CALLS[form]
    messages = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": written("search", {"query": QUERY})},
        {"role": role, "content": TEXT(ROWS)},
        {"role": "assistant", "content": written("visit", {"url": PAGES[0]})},
        {"role": role, "content": PAGE},
        {"role": "assistant", "content": ANSWER},
    ]
    _, (run,), accounts = read(tmp_path, {"messages": messages})
    check(run)
    assert not lost(accounts)
    assert run.steps[0].reasoning == ("Hm." if form in ("json-action", "json-nested", "json-fence") else "")


def test_json_at_the_end_of_a_conversation_is_the_answer(tmp_path):
    answer = TEXT({"name": "Ada Lind", "input": "a lighthouse"})
    messages = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": answer}]
    _, (run,), _ = read(tmp_path, {"messages": messages})
    assert run.final_answer == answer


def test_pages_that_an_agent_accesses_by_a_tag_are_browses(tmp_path):
    listed = "\n".join(f"{n}. [{row['title']}]({row['url']}) {row['snippet']}" for n, row in enumerate(ROWS, 1))
    output = (
        f"<think>Look.</think><search>{QUERY}</search>\n\n<information>\n{listed}\n</information>\n"
        f"<think>Open.</think><access>{PAGES[0]}</access>\n<information>{PAGE}</information>\n<answer>{ANSWER}</answer>"
    )
    found, (run,), accounts = read(tmp_path, {"question": QUESTION, "prompt": QUESTION, "output": output})
    assert found == "tagged-text"
    check(run)
    assert not lost(accounts)


@pytest.mark.parametrize("key", ["messages", "traj"])
def test_an_observation_after_the_answer_is_no_question(tmp_path, key):
    messages = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": f"Thought: Look.\nAction: search[{QUERY}]"},
        {"role": "user", "content": f"Observation: {TEXT(ROWS)}"},
        {"role": "assistant", "content": f"Thought: Open.\nAction: visit[{PAGES[0]}]"},
        {"role": "user", "content": f"Observation: {PAGE}"},
        {"role": "assistant", "content": f"Thought: I know.\nAction: finish[{ANSWER}]"},
        {"role": "user", "content": "Observation: Episode finished, reward = True"},
    ]
    _, (run,), accounts = read(tmp_path, {key: messages, "gt": ANSWER, "em": True, "prompt": []})
    check(run)
    assert (run.gold_answer, run.correct) == (ANSWER, True)
    assert accounts.parts.notes[AFTER_ANSWER] == 1
    assert not lost(accounts)


def test_choices_of_an_api_are_messages(tmp_path):
    def choice(text, *calls):
        return {
            "finish_reason": "stop",
            "index": 0,
            "message": {"role": "assistant", "content": text, "tool_calls": calls},
        }

    def call(name, **given):
        return {"id": name, "type": "function", "function": {"name": name, "arguments": TEXT(given)}}

    messages = [
        {"role": "user", "content": QUESTION}, choice(None, call("search", query=QUERY)),
        {"role": "tool", "tool_call_id": "search", "content": TEXT(ROWS)}, choice(None, call("visit", url=PAGES[0])),
        {"role": "tool", "tool_call_id": "visit", "content": PAGE}, choice(ANSWER),
    ]  # fmt: skip
    _, (run,), accounts = read(tmp_path, {"messages_and_choices": messages, "reward": 1.0})
    check(run)
    assert not lost(accounts)


def test_parts_of_goose_are_calls_and_results(tmp_path):
    def called(name, **given):
        value = {"name": f"web__{name}", "arguments": given}
        return [{"type": "toolRequest", "id": name, "toolCall": {"status": "success", "value": value}}]

    def shown(name, text):
        value = {"status": "success", "value": [{"type": "text", "text": text}]}
        return [{"type": "toolResponse", "id": name, "toolResult": value}]

    _, (run,), accounts = read(
        tmp_path,
        {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
        {"role": "assistant", "content": called("search", query=QUERY)},
        {"role": "user", "content": shown("search", TEXT({"results": ROWS}))},
        {"role": "assistant", "content": called("fetch", url=PAGES[0])},
        {"role": "user", "content": shown("fetch", PAGE)},
        {"role": "assistant", "content": [{"type": "text", "text": ANSWER}]},
    )
    check(run)
    assert not lost(accounts)


def test_results_in_messages_of_the_system_are_read(tmp_path):
    """AgentScope's blocks: results have the id of the call and an output, in a message of the system."""

    def called(name, **given):
        return {"role": "assistant", "content": [{"type": "tool_use", "id": name, "name": name, "input": given}]}

    def shown(name, text):
        block = {"type": "tool_result", "id": name, "name": name, "output": [{"type": "text", "text": text}]}
        return {"role": "system", "content": [block]}

    messages = [
        {"role": "user", "content": QUESTION}, called("tavily_search", query=QUERY),
        shown("tavily_search", TEXT({"results": ROWS})), called("tavily_extract", urls=[PAGES[0]]),
        shown("tavily_extract", PAGE), {"role": "assistant", "content": ANSWER},
    ]  # fmt: skip
    _, (run,), accounts = read(tmp_path, {"messages": messages})
    check(run)
    assert not lost(accounts)


def test_the_question_of_a_response_may_stand_in_the_parameters_of_its_request(tmp_path):
    """NeMo Gym's rollouts."""
    output = [
        {"type": "function_call", "call_id": "1", "name": "search", "arguments": TEXT({"query": QUERY})},
        {"type": "function_call_output", "call_id": "1", "output": TEXT(ROWS)},
        {"type": "function_call", "call_id": "2", "name": "browse", "arguments": TEXT({"url": PAGES[0]})},
        {"type": "function_call_output", "call_id": "2", "output": PAGE},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": ANSWER}]},
    ]
    asked = {"input": [{"role": "user", "content": QUESTION}]}
    response = {"id": "r", "object": "response", "output": output}
    _, (run,), _ = read(tmp_path, {"responses_create_params": asked, "response": response, "reward": 1.0})
    check(run)


def opik(name, kind, given, made, parent="0"):
    span = {"name": name, "type": kind, "input": given, "output": {"output": made}, "id": name, "trace_id": "t"}
    return {**span, "parent_span_id": parent, "start_time": "2026-01-01T00:00:00Z"}


def braintrust(name, kind, given, made, parent="0"):
    span = {"span_attributes": {"name": name, "type": kind}, "input": given, "output": made, "span_id": name}
    return {**span, "id": name, "root_span_id": "t", "span_parents": [parent] if parent else None}


def weave(name, kind, given, made, parent="0"):
    span = {"op_name": f"weave:///team/project/op/{name}:abc", "inputs": given, "output": made, "trace_id": "t"}
    return {**span, "id": name, "parent_id": parent, "started_at": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("write", "task"), [(opik, "general"), (braintrust, "task"), (weave, "op")], ids=["opik", "braintrust", "weave"]
)
def test_spans_of_trackers_are_a_run(tmp_path, write, task):
    tools = [
        write("web_search", "tool", {"query": QUERY}, ROWS, "agent"),
        write("visit_page", "tool", {"url": PAGES[0]}, PAGE, "agent"),
    ]
    found, (run,), accounts = read(tmp_path, write("agent", task, {"question": QUESTION}, ANSWER, None), *tools)
    assert found == write.__name__
    check(run)
    assert not lost(accounts)
    # What a tool was asked and showed is no question and no answer.
    _, (run,), _ = read(tmp_path, *tools)
    assert (run.question, run.final_answer) == ("", None)


def test_scores_and_expected_answers_of_braintrust_are_verdicts_and_gold_answers(tmp_path):
    root = {**braintrust("agent", "task", QUESTION, ANSWER, None), "expected": ANSWER, "scores": {"Correctness": 0}}
    tool = braintrust("web_search", "tool", {"query": QUERY}, ROWS, "agent")
    _, (run,), _ = read(tmp_path, root, tool)
    assert (run.question, run.gold_answer, run.correct) == (QUESTION, ANSWER, False)


def groups(rows, kind, turn):
    """Pages as the export groups them, by domain and not by rank."""
    return [
        {"entries": [{**row, "ref_id": {"turn_index": turn, "ref_type": kind, "ref_index": number}}]}
        for number, row in reversed(list(enumerate(rows)))
    ]


def chatgpt(*messages):
    """A conversation of an export: each message is an author, a content, and what else it has."""
    nodes = {"root": {"id": "root", "parent": None, "children": ["0"], "message": None}}
    for number, (role, content, beside) in enumerate(messages):
        parent = str(number - 1) if number else "root"
        message = {"author": {"role": role}, "content": content, "recipient": "all", "metadata": {}, **beside}
        nodes[str(number)] = {"id": str(number), "parent": parent, "children": [str(number + 1)], "message": message}
    return {"title": "Light", "mapping": nodes, "current_node": str(len(messages) - 1), "conversation_id": "c"}


def said(role, text):
    return role, {"content_type": "text", "parts": [text]}, {}


def commanded(**command):
    return "assistant", {"content_type": "code", "text": TEXT(command)}, {"recipient": "web.run"}


def thought(text):
    return "assistant", {"content_type": "thoughts", "thoughts": [{"summary": "S", "content": text}]}, {}


def shown(found):
    return "tool", {"content_type": "text", "parts": [""]}, {"metadata": {"search_result_groups": found}}


def test_a_conversation_of_chatgpts_export_is_a_run(tmp_path):
    messages = [
        said("user", QUESTION),
        thought("Look."),
        commanded(search_query=[{"q": QUERY}]),
        shown(groups(ROWS, "search", 0)),
        thought("Open."),
        commanded(open=[{"ref_id": "turn0search0"}]),
        shown(groups(ROWS[:1], "view", 1)),
        said("assistant", f"{ANSWER} \ue200cite\ue202turn0search0\ue201"),
    ]
    conversation = chatgpt(*messages)
    conversation["mapping"]["other"] = {"parent": "0", "message": {"author": {"role": "assistant"}, "content": {}}}
    found, (run,), accounts = read(tmp_path, conversation)
    assert found == "chatgpt"
    check(run)
    assert [part.reasoning for part in run.steps[:2]] == ["Look.", "Open."]
    assert not lost(accounts)


def test_lists_may_stand_in_the_answer_of_chatgpt_and_twice(tmp_path):
    found = {"search_result_groups": groups(ROWS, "search", 0)}
    answer = ("assistant", {"content_type": "text", "parts": [ANSWER]}, {"metadata": found})
    for lists in ([shown([])], [shown(found["search_result_groups"])] * 2):
        call = ("assistant", {"content_type": "code", "text": f'search("{QUERY}")'}, {"recipient": "web"})
        _, (run,), _ = read(tmp_path, chatgpt(said("user", QUESTION), call, *lists, answer))
        assert [(hit.rank, hit.docid) for hit in run.steps[0].results] == [(1, PAGES[0]), (2, PAGES[1])]


def test_lists_of_several_queries_of_chatgpt_are_left_out_and_pages_that_nothing_lists_are_counted(tmp_path):
    messages = [
        said("user", QUESTION),
        commanded(search_query=[{"q": QUERY}, {"q": "Varrow"}]),
        shown(groups(ROWS, "search", 0)),
        commanded(open=[{"ref_id": "turn7search3"}]),
        said("assistant", ANSWER),
    ]
    _, (run,), accounts = read(tmp_path, chatgpt(*messages))
    assert (run.steps[0].queries, run.steps[0].results) == ((QUERY, "Varrow"), ())
    assert accounts.lists.dropped
    assert accounts.parts.notes[NOT_LISTED] == 1


@pytest.mark.parametrize("has_ids", [True, False])
def test_a_conversation_of_claude_ais_export_is_a_run(tmp_path, has_ids):
    def found(rows):
        return [
            {"type": "knowledge", "title": row["title"], "url": row["url"], "text": row["snippet"]} for row in rows
        ]

    def called(name, shown, failed=False, **given):
        names = ({"id": f"toolu_{len(given)}{name}{failed}"}, {"tool_use_id": f"toolu_{len(given)}{name}{failed}"})
        call = {"type": "tool_use", "name": name, "input": given}
        result = {"type": "tool_result", "name": name, "content": shown, "is_error": failed}
        return [call | names[0], result | names[1]] if has_ids else [call, result]

    refused = [{"type": "text", "text": '{"error_type": "PERMISSIONS_ERROR"}'}]
    blocks = [
        {"type": "thinking", "thinking": "Look."},
        *called("web_search", found(ROWS), query=QUERY),
        *called("web_fetch", [{**found(ROWS[:1])[0], "text": PAGE}], url=PAGES[0]),
        {"type": "text", "text": ANSWER},
    ]
    messages = [{"sender": "human", "text": QUESTION, "content": []}, {"sender": "assistant", "content": blocks}]
    form, (run,), accounts = read(tmp_path, {"uuid": "u", "name": "Light", "chat_messages": messages})
    assert form == "claude-ai"
    check(run)
    assert run.steps[1].observation.startswith("Varrow Light was designed")
    assert not lost(accounts)
    blocks[-1:-1] = called("web_fetch", refused, failed=True, url=PAGES[1])
    _, (run,), _ = read(tmp_path, {"uuid": "u", "name": "Light", "chat_messages": messages})
    assert [(part.docid, bool(part.error)) for part in run.steps[1:3]] == [(PAGES[0], False), (PAGES[1], True)]


@pytest.mark.parametrize(
    "text",
    [
        '"name":\n```json\n' + " " * (1 << 20), '"name":' + "```json\n" * (1 << 17), "[a(" + ")" * (1 << 20),
        "<|python_tag|>" + "f(" * (1 << 15), "<|python_tag|>f(" + "-" * 90_000 + "1)", "[TOOL_CALLS]" * (1 << 14),
        "```tool_code\n" + "a" + ".b" * 40_000 + "()", '{"action": ' + "[" * (1 << 20),
    ],
    ids=range(8),
)  # fmt: skip
def test_texts_that_are_no_calls_cost_nothing_else(tmp_path, text):
    messages = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": text}]
    messages += [{"role": "user", "content": "What?"}, {"role": "assistant", "content": ANSWER}]
    _, (run, *_), _ = read(tmp_path, {"messages": messages})
    assert run.question == QUESTION


def test_an_interaction_of_geminis_api_is_a_run(tmp_path):
    def called(kind, number, **arguments):
        return {"type": kind, "id": number, "arguments": arguments}

    def shown(kind, number, result, **beside):
        return {"type": kind, "call_id": number, "result": result, **beside}

    states = zip(PAGES, ("success", "error"), strict=True)
    steps = [
        {"type": "user_input", "content": [{"type": "text", "text": QUESTION}]},
        {"type": "thought", "summary": [{"type": "text", "text": "Look."}]},
        {**called("function_call", "1", query=QUERY), "name": "search"},
        shown("function_result", "1", ROWS),
        called("url_context_call", "2", urls=PAGES),
        shown("url_context_result", "2", [{"url": url, "status": state} for url, state in states]),
        called("google_search_call", "3", queries=["a", "b"]),
        shown("google_search_result", "3", [{"search_suggestions": "<div>"}]),
        called("url_context_call", "4", urls=PAGES[1:]),
        shown("url_context_result", "4", [{"url": PAGES[1], "status": "paywall"}]),
        {"type": "model_output", "content": [{"type": "text", "text": ANSWER}]},
        {"type": "of_tomorrow"},
    ]
    record = {"id": "v1", "status": "completed", "agent": "deep-research", "input": QUESTION, "steps": steps}
    found, (run,), accounts = read(tmp_path, record)
    assert found == "gemini-interactions"
    assert (run.question, run.final_answer, run.status, run.agent) == (QUESTION, ANSWER, "completed", "deep-research")
    assert [(part.action, part.docid, part.queries, bool(part.error)) for part in run.steps] == [
        ("search", None, (QUERY,), False),
        ("browse", PAGES[0], (), False),
        ("search", None, ("a", "b"), False),
        ("browse", PAGES[1], (), True),
        ("answer", None, (), False),
    ]
    assert [hit.docid for hit in run.steps[0].results] == PAGES
    assert accounts.parts.dropped == {"step of unknown type 'of_tomorrow'": 1}
    assert accounts.parts.notes["pages that could not be opened beside others"] == 1
    assert accounts.parts.notes["searches whose results the log does not keep"] == 1


def test_texts_that_mlflow_keeps_as_json_are_texts(tmp_path):
    def span(number, name, given, made, parent=None):
        attributes = {"mlflow.spanType": '"TOOL"' if parent else '"AGENT"', "mlflow.spanInputs": TEXT(given)}
        attributes["mlflow.spanOutputs"] = TEXT(made)
        return {"name": name, "context": {"span_id": number, "trace_id": "t"}, "parent_id": parent,
                "start_time": 1_700_000_000_000_000_000 + int(number), "attributes": attributes}  # fmt: skip

    page = f'{PAGE}\nShe said "no".'
    spans = [
        span("1", "agent", {"question": QUESTION}, ANSWER),
        span("2", "web_search", {"query": QUERY}, ROWS, "1"),
        span("3", "visit_page", {"url": PAGES[0]}, page, "1"),
    ]
    _, (run,), accounts = read(tmp_path, {"info": {"request_id": "t"}, "data": {"spans": spans}})
    check(run)
    assert run.steps[1].observation == page
    assert not lost(accounts)


CONVERSATION = chatgpt(
    said("user", QUESTION),
    thought("Look."),
    commanded(search_query=[{"q": QUERY}]),
    shown(groups(ROWS, "search", 0)),
    commanded(open=[{"ref_id": "turn0search0"}]),
    shown(groups(ROWS[:1], "view", 1)),
    said("assistant", ANSWER),
)
CHAT = {"uuid": "u", "chat_messages": [
    {"sender": "human", "text": QUESTION},
    {"sender": "assistant", "content": [
        {"type": "tool_use", "name": "web_search", "input": {"query": QUERY}},
        {"type": "tool_result", "name": "web_search", "content": [{"type": "knowledge", "url": PAGES[0]}]},
        {"type": "text", "text": ANSWER}]}]}  # fmt: skip
INTERACTION = {"status": "completed", "input": QUESTION, "steps": [
    {"type": "google_search_call", "id": "1", "arguments": {"queries": [QUERY]}},
    {"type": "google_search_result", "call_id": "1", "result": []},
    {"type": "url_context_call", "id": "2", "arguments": {"urls": PAGES}},
    {"type": "url_context_result", "call_id": "2", "result": [{"url": PAGES[0], "status": "success"}]},
    {"type": "model_output", "content": [{"type": "text", "text": ANSWER}]}]}  # fmt: skip
SPANS = [write("web_search", "tool", {"query": QUERY}, ROWS, None) for write in (opik, braintrust, weave)]


@pytest.mark.parametrize(
    ("form", "record"),
    [
        ("chatgpt", CONVERSATION), ("claude-ai", CHAT), ("gemini-interactions", INTERACTION), ("opik", SPANS[0]),
        ("braintrust", SPANS[1]), ("weave", SPANS[2]),
        *(("steps", {"question": QUESTION, "steps": steps}) for steps in (FLAT, OBJECTS, TEXTS, NAMED)),
    ],
)  # fmt: skip
def test_damaged_records_cost_their_own_part(tmp_path, form, record):
    rng, path = random.Random(form), tmp_path / "log.jsonl"
    damaged = [mutated(record, [FLAT, CONVERSATION, None, [None], {"type": [None]}], rng) for _ in range(300)]
    path.write_text("".join(TEXT(value) + "\n" for value in damaged))
    accounts = Accounts()
    for run in read_trajectories(path, accounts, format=form):
        run.to_dict()
    for ledger in accounts.ledgers():
        ledger.to_dict()
