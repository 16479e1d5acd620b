"""One run in every format that is read, each in the shape in which its writer publishes it.

The agent searches, opens the first of two results, and answers.
"""

from __future__ import annotations

import copy
import json
from typing import Any

QUESTION, QUERY, ANSWER = "Who wrote it?", 'who\'s "there"', "Ada"
THOUGHTS = ("Let me search.", "Open the first.", "It says so.")
LISTING = "## Web Results\nDocID:7\n[A title]\nFirst snippet\n\nDocID:8\n[Another]\nSecond snippet"
FOUND = f"A search for '{QUERY}' found 2 results:\n\n{LISTING}"
DOCUMENT = "Document 7:\n{'docid': '7', 'text': 'Long text'}"
ROWS = [
    {"docid": "7", "title": "A title", "snippet": "First snippet", "score": 2.5},
    {"docid": "8", "title": "Another", "snippet": "Second snippet", "score": 1.5},
]


def item(kind: str, output: Any, tool: str | None = None, arguments: Any = None) -> dict[str, Any]:
    return {"type": kind, "tool_name": tool, "arguments": arguments, "output": output}


def run(*calls: dict[str, Any], metadata: dict[str, Any], **fields: Any) -> dict[str, Any]:
    thoughts = [item("reasoning", [thought]) for thought in THOUGHTS]
    result = [thoughts[0], calls[0], thoughts[1], calls[1], thoughts[2], item("output_text", ANSWER)]
    return {"metadata": metadata, "query_id": "12", "status": "completed", "result": result, **fields}


LRAT_METADATA = {"model": "/models/Agent-30B", "snippet_max_tokens": 64, "k": 10, "searcher_type": "bm25"}
LRAT = run(
    item(
        "tool_call", FOUND, "search",
        json.dumps({"query": [QUERY, "not run"]}),
    ),
    item("tool_call", DOCUMENT, "get_document", json.dumps({"docid": "DocID:7"})),
    metadata=LRAT_METADATA, query=QUESTION, answer="Ada", tool_call_counts_all={"search": 1, "get_document": 1},
)  # fmt: skip
LRAT_OPENAI = run(
    item("tool_call", json.dumps(ROWS), "search", {"user_query": QUERY}),
    item("tool_call", json.dumps({"docid": "7", "text": "Long text"}), "get_document", {"docid": 7}),
    metadata=LRAT_METADATA, query=QUESTION,
)  # fmt: skip
LRAT_GPT_OSS = run(
    item("tool_call", json.dumps(ROWS), "local_knowledge_base_retrieval", json.dumps({"user_query": QUERY})),
    item("tool_call", DOCUMENT, "get_document", json.dumps({"docid": 7})),
    metadata=LRAT_METADATA, query=QUESTION,
)  # fmt: skip
BROWSECOMP = run(
    item("tool_call", json.dumps(ROWS), "search", json.dumps({"query": QUERY})),
    item("tool_call", json.dumps({"docid": "7", "text": "Long text"}), "get_document", json.dumps({"docid": "7"})),
    metadata={"model": "gpt-oss-20b", "reasoning": {"effort": "high"}, "max_tokens": 10000},
    tool_call_counts={"search": 1, "get_document": 1}, retrieved_docids=["7", "8"],
)  # fmt: skip


def call(name: str, arguments: Any, call_id: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


OPENAI = {
    "messages": [
        {"role": "system", "content": "You search."},
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": None, "reasoning_content": THOUGHTS[0],
         "tool_calls": [call("search", json.dumps({"query": QUERY}), "c1")]},
        {"role": "tool", "tool_call_id": "c1", "content": json.dumps({"results": ROWS})},
        {"role": "assistant", "content": THOUGHTS[1],
         "tool_calls": [call("get_document", json.dumps({"docid": 7}), "c2")]},
        {"role": "tool", "tool_call_id": "c2", "content": "Long text"},
        {"role": "assistant", "reasoning": THOUGHTS[2], "content": ANSWER},
    ]
}  # fmt: skip
TRL = {
    "prompt": OPENAI["messages"][:2],
    "completion": [
        {"role": "assistant", "content": THOUGHTS[0],
         "tool_calls": [{"type": "function", "function": {"name": "search", "arguments": {"query": QUERY}}}]},
        {"role": "tool", "name": "search", "content": LISTING},
        {"role": "assistant", "content": THOUGHTS[1], "tool_calls": [
            {"type": "function", "function": {"name": "visit", "arguments": {"docid": "7", "goal": None}}}]},
        {"role": "tool", "name": "visit", "content": DOCUMENT},
        {"role": "assistant", "content": f"<think>{THOUGHTS[2]}</think>\n{ANSWER}"},
    ],
    "tools": [{"type": "function", "function": {"name": "search", "parameters": {}}}],
}  # fmt: skip
PROTOCOL = {
    "question": QUESTION,
    "messages": [
        {"role": "user", "content": f"Answer this: {QUESTION}"},
        {"role": "assistant", "content": f"{THOUGHTS[0]}</think>\n<tool_call>\n"
         + json.dumps({"name": "search", "arguments": {"query": [QUERY]}}) + "\n</tool_call>"},
        {"role": "user", "content": f"<tool_response>\n{FOUND}\n</tool_response>"},
        {"role": "assistant", "content": f"<think>{THOUGHTS[1]}</think><tool_call>"
         + json.dumps({"name": "visit", "arguments": {"docid": "7"}}) + "</tool_call>"},
        {"role": "user", "content": f"<tool_response>{DOCUMENT}</tool_response>"},
        {"role": "assistant", "content": f"<think>{THOUGHTS[2]}</think><answer>{ANSWER}</answer>"},
    ],
}  # fmt: skip


def langchain(kind: str, content: Any, **data: Any) -> dict[str, Any]:
    data = {"content": content, "additional_kwargs": {}, "response_metadata": {}, "type": kind, "name": None} | data
    return {"type": kind, "data": {"id": None, **data}}


def langchain_call(name: str, args: dict[str, Any], call_id: str) -> dict[str, Any]:
    return {"name": name, "args": args, "id": call_id, "type": "tool_call"}


LANGCHAIN = [
    langchain("human", QUESTION),
    langchain("ai", [{"type": "text", "text": THOUGHTS[0]}], invalid_tool_calls=[],
              tool_calls=[langchain_call("search", {"query": QUERY}, "c1")]),
    langchain("tool", json.dumps(ROWS), tool_call_id="c1", status="success", artifact=None),
    langchain("ai", "", additional_kwargs={"reasoning_content": THOUGHTS[1]}, invalid_tool_calls=[],
              tool_calls=[langchain_call("fetch", {"id": "7"}, "c2")]),
    langchain("tool", "Long text", tool_call_id="c2", status="success", artifact=None),
    langchain("ai", [{"type": "thinking", "thinking": THOUGHTS[2]}, {"type": "text", "text": ANSWER}], tool_calls=[]),
]  # fmt: skip


def memory_step(
    number: int, output: str, observations: str | None, *calls: dict[str, Any], **fields: Any
) -> dict[str, Any]:
    return {
        "step_number": number, "timing": {"start_time": 1.0, "end_time": 2.0, "duration": 1.0},
        "model_input_messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}],
        "tool_calls": list(calls), "error": None, "model_output_message": None, "model_output": output,
        "code_action": None, "observations": observations, "observations_images": None, "action_output": None,
        "token_usage": None, "is_final_answer": False, **fields,
    }  # fmt: skip


TASK = {"task": QUESTION, "task_images": None}
SMOLAGENTS = [
    {"system_prompt": "You search."},
    TASK,
    memory_step(1, THOUGHTS[0], LISTING, call("web_search", {"query": QUERY}, "c1")),
    memory_step(2, THOUGHTS[1], "Long text", call("visit_webpage", {"url": "7"}, "c2")),
    memory_step(3, THOUGHTS[2], ANSWER, call("final_answer", {"answer": ANSWER}, "c3"), action_output=ANSWER,
                is_final_answer=True),
]  # fmt: skip


def code_step(number: int, thought: str, code: str, output: str, **fields: Any) -> dict[str, Any]:
    return memory_step(
        number, f"Thought: {thought}\n<code>\n{code}\n</code>",
        f"Execution logs:\n{output}\nLast output from code snippet:\nNone", call("python_interpreter", code, "c"),
        **fields,
    )  # fmt: skip


SMOLAGENTS_CODE = {
    "output": ANSWER,
    "state": "success",
    "steps": [
        TASK,
        code_step(1, THOUGHTS[0], f"found = search(query={QUERY!r})\nprint(found)", LISTING),
        code_step(2, THOUGHTS[1], 'print(visit_webpage("7"))', "Long text"),
        code_step(3, THOUGHTS[2], "final_answer(name)", "", action_output=ANSWER, is_final_answer=True),
    ],
}


def harmony(role: str, text: str, **fields: Any) -> dict[str, Any]:
    return {"role": role, "name": None, "content": [{"type": "text", "text": text}], "channel": None,
            "recipient": None, "content_type": None, **fields}  # fmt: skip


def browser_call(action: str, **arguments: Any) -> dict[str, Any]:
    return harmony("assistant", json.dumps(arguments), channel="commentary", recipient=f"browser.{action}",
                   content_type="<|constrain|>json")  # fmt: skip


def page(action: str, cursor: int, title: str, *lines: str) -> dict[str, Any]:
    head = f"[{cursor}] {title}\n**viewing lines [0 - {len(lines) - 1}] of {len(lines) - 1}**\n\n"
    body = "\n".join(f"L{number}: {line}" for number, line in enumerate(lines))
    return harmony("tool", head + body, name=f"browser.{action}", channel="commentary", recipient="assistant")


OPENRESEARCHER = {
    "qid": "12",
    "question": QUESTION,
    "answer": "Ada",
    "messages": [
        harmony("system", "Reasoning: high"),
        harmony("user", QUESTION),
        harmony("assistant", THOUGHTS[0], channel="analysis"),
        browser_call("search", query=QUERY),
        page("search", 0, f"{QUERY} (web-search://ts=1)", "", "# Search Results", "",
             "  * 【0†A title†example.org】 First snippet", "  * 【1†Another†other.org】 Second snippet"),
        harmony("assistant", THOUGHTS[1], channel="analysis"),
        browser_call("open", id=0, cursor=0),
        page("open", 1, "A title (https://example.org/7)", "Long text"),
        harmony("assistant", THOUGHTS[2], channel="analysis"),
        harmony("assistant", ANSWER, channel="final"),
    ],
}  # fmt: skip


def line(role: str, content: str, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "message": {"role": role, "content": content, **fields}}


def trace_call(name: str, arguments: Any, call_id: str) -> dict[str, Any]:
    return {"id": call_id, "function": {"name": name, "arguments": arguments}}


TRACE = [
    {"type": "session", "harness": "some-agent", "id": "5f3c", "name": "Who wrote it"},
    line("user", QUESTION),
    line("assistant", THOUGHTS[0], toolCalls=[trace_call("mcp__wiki__search", json.dumps({"query": QUERY}), "t1")]),
    line("tool", json.dumps(ROWS), toolCallId="t1"),
    line("assistant", THOUGHTS[1], toolCalls=[trace_call("get_document", {"docid": "7"}, "t2")]),
    line("tool", "Long text", toolCallId="t2"),
    line("assistant", THOUGHTS[2]),
    line("assistant", ANSWER),
]

RECORDS: dict[str, tuple[str, Any]] = {
    "lrat": ("lrat", LRAT),
    "lrat, openai client": ("lrat", LRAT_OPENAI),
    "lrat, gpt-oss client": ("lrat", LRAT_GPT_OSS),
    "browsecomp-plus": ("browsecomp-plus", BROWSECOMP),
    "openai": ("chat", OPENAI),
    "bare list": ("chat", OPENAI["messages"]),
    "trl": ("chat", TRL),
    "text protocol": ("chat", PROTOCOL),
    "langchain": ("langchain", LANGCHAIN),
    "langchain, flat": ("langchain", {"messages": [message["data"] for message in LANGCHAIN]}),
    "smolagents": ("smolagents", SMOLAGENTS),
    "smolagents, code": ("smolagents", SMOLAGENTS_CODE),
    "openresearcher": ("openresearcher", OPENRESEARCHER),
    "traces": ("traces", TRACE),
}
"""Name of a shape to its format and a run in it."""


def record(name: str) -> Any:
    """A run of its own, to be changed at will."""
    return copy.deepcopy(RECORDS[name][1])
