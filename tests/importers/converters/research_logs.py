"""Logs of research agents in the shapes of their sources, with words of our own."""

import json

PROMPT = (
    "Answer the given question. Write <think> and </think> first. You can call a search engine by <search> query "
    "</search>; it returns results between <information> and </information>. Answer inside <answer> and </answer>, "
    "for example, <answer> Beijing </answer>. Question: When was the mill built?\n"
)
REPLY = (
    "<think>I look for it.</think>\n<search> old mill </search>\n\n"
    '<information>Doc 1(Title: "Mill (old)") Stones.\nDoc 2(Title: "Wind") Sails.\n</information>\n\n'
    "<think>Now I know.</think>\n<answer> 1790 </answer>"
)
VERL_REPLY = (
    '<think>\nI look for it.\n</think>\n\n<tool_call>\n{"name": "search", "arguments": {"query": "old mill"}}\n'
    "</tool_call>\nuser\n<tool_response>\n"
    + json.dumps({"result": 'Doc 1 (Title: "Mill (old)")\nStones.\n\nDoc 2 (Title: "Wind")\nSails.'})
    + "\n</tool_response>\nassistant\n<think>\nNow I know.\n</think>\n\n<answer>1790</answer>"
)  # fmt: skip

ROLLOUTS = {
    "one text": {"sequences_str": PROMPT + REPLY, "ground_truth": {"target": ["1790"]}},
    "in a chat template": {
        "sequences_str": f"<|im_start|>user\n{PROMPT}<|im_end|>\n<|im_start|>assistant\n{REPLY}<|im_end|>",
        "golden_answers": ["1790"],
    },
    "prompt and response": {"prompt": PROMPT, "response": REPLY, "golden_answers": ["1790"]},
    "question and output": {"question": "When was the mill built?", "output": REPLY, "answer": "1790"},
    "verl, decoded without special tokens": {
        "input": f"system\nYou help. Call with <tool_call>\n{{}}\n</tool_call>\nuser\n{PROMPT}\nassistant\n",
        "output": VERL_REPLY, "gts": {"target": ["1790"]}, "score": 1.0, "step": 5,
    },
    "verl, with special tokens": {
        "input": f"<|im_start|>user\n{PROMPT}<|im_end|>\n<|im_start|>assistant\n",
        "output": VERL_REPLY.replace("\nuser\n", "<|im_end|>\n<|im_start|>user\n").replace(
            "\nassistant\n", "<|im_end|>\n<|im_start|>assistant\n"
        ) + "<|im_end|>",
        "gts": "1790", "score": 1.0, "step": 5,
    },
    "messages": {
        "messages": [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": REPLY}],
        "golden_answers": ["1790"],
    },
}  # fmt: skip

ROWS = [{"title": title, "url": f"https://a.org/{title}", "snippet": "s"} for title in ("mill", "wind")]
PAGES = "".join(f"***Web Page {number}:***\n{json.dumps(row, indent=2)}\n" for number, row in enumerate(ROWS, start=1))
WEBTHINKER = {
    "id": 3, "Question": "When was the mill built?", "answer": "1790", "prompt": "p",
    "Output": (
        "I look for it.\n<|begin_search_query|>old mill<|end_search_query|>\n\n<|begin_search_result|>Built in 1790."
        "<|end_search_result|>\n\nOnce more.\n<|begin_search_query|>old mill<|end_search_query|>\n\n"
        "<|begin_search_result|>You have already searched for this query.<|end_search_result|>\n\n"
        "So \\boxed{\\text{1790}}"
    ),
    "WebExplorer": [{
        "search_query": "old mill", "Extracted_info": "Built in 1790.",
        "Input": f"You explore. - **Searched Web Pages:**\n{PAGES}\n\nNow analyze them.",
        "Output": (
            "Open it.\n<|begin_click_link|>https://a.org/mill<|end_click_link|>\n<|begin_click_result|>\nStones.\n"
            "<|end_click_result|>\nIt says 1790.\n<|begin_search_query|>mill date<|end_search_query|>\n"
            f"<|begin_search_result|>\n{PAGES}\n<|end_search_result|>\n**Final Information** 1790."
        ),
    }],
}  # fmt: skip

SNIPPETS = "\n".join(
    f"<snippet id=ab12-{number}>\nTitle: {title}\nURL: https://a.org/{title}\nSnippet: s\n</snippet>"
    for number, title in enumerate(("mill", "wind"))
)
DR_TULU = {
    "example_id": "3", "problem": "When was the mill built?", "final_response": "1790",
    "original_data": {"id": "3", "problem": "When was the mill built?", "answer": "1790"},
    "full_traces": {
        "generated_text": (
            '<think>I look for it.</think>\n<call_tool name="google_search" gl="us">old mill</call_tool>\n'
            f"<tool_output>{SNIPPETS}</tool_output>\n<think>Open it.</think>\n"
            '<call_tool name="browse_webpage">https://a.org/mill</call_tool>\n<tool_output><webpage id=cd34-0>\n'
            "Title: mill\nURL: https://a.org/mill\nSnippet: Stones.\n</webpage></tool_output>\n"
            '<call_tool name="browse_webpage">https://a.org/wind</call_tool>\n<tool_output>Timeout</tool_output>\n'
            "<think>Now I know.</think>\n<answer>1790</answer>"
        ),
        "stopped_reason": "natural",
        "tool_calls": [
            {"tool_name": "google_search", "output": "...", "called": True, "error": None, "query": "old mill",
             "documents": [{"id": "0", "title": "mill", "url": "https://a.org/mill", "snippet": "s"},
                           {"id": "1", "title": "wind", "url": "https://a.org/wind", "snippet": "s"}]},
            {"tool_name": "browse_webpage", "output": "...", "called": True, "error": None, "query": "https://a.org/mill",
             "documents": [{"id": "0", "title": "mill", "url": "https://a.org/mill", "snippet": "Stones."}]},
            {"tool_name": "browse_webpage", "output": "...", "called": True, "error": "Timeout", "timeout": True,
             "query": "https://a.org/wind", "documents": []},
        ],
    },
}  # fmt: skip


def mcp(tool, arguments, thought):
    return {
        "role": "assistant",
        "content": [{"type": "text", "text": (
            f"<think>\n{thought}\n</think>\n\n<use_mcp_tool>\n<server_name>s</server_name>\n<tool_name>{tool}</tool_name>\n"
            f"<arguments>\n{json.dumps(arguments)}\n</arguments>\n</use_mcp_tool>"
        )}],
    }  # fmt: skip


ORGANIC = json.dumps({"organic": [{"title": name, "link": f"https://a.org/{name}"} for name in ("mill", "wind")]})
MIROTHINKER = {
    "status": "success", "task_id": "t3", "ground_truth": "1790", "final_boxed_answer": "1790",
    "final_judge_result": "CORRECT", "step_logs": [{"step_name": "x"}], "trace_data": {},
    "input": {"task_description": "When was the mill built?", "task_file_name": ""},
    "env_info": {"llm_model_name": "Miro-8B", "llm_temperature": 0.6},
    "main_agent_message_history": {"system_prompt": "s", "message_history": [
        {"role": "user", "content": "When was the mill built?\nWrap the final answer in \\boxed{}."},
        mcp("google_search", {"q": "old mill"}, "I look for it."),
        {"role": "user", "content": [{"type": "text", "text": ORGANIC}]},
        mcp("scrape_website", {"url": "https://a.org/mill"}, "Open it."),
        {"role": "user", "content": "Stones of 1790."},
        {"role": "assistant", "content": "It is 1790."},
        {"role": "user", "content": "Summarize the above conversation, and output the FINAL ANSWER."},
        {"role": "assistant", "content": "The year is \\boxed{1790}"},
    ]},
    "sub_agent_message_history_sessions": {"agent-browsing_1": {"system_prompt": "s", "message_history": [
        {"role": "user", "content": "Find the year."}, mcp("google_search", {"q": "year"}, "Look."),
        {"role": "user", "content": ORGANIC}, {"role": "assistant", "content": "A report."},
    ]}},
}  # fmt: skip

SKIMSEARCH = {
    "instance_id": "set__3", "question": "When was the mill built?", "gold_answer": "1790", "gold_ids": ["mill"],
    "final_answer": "1790", "judge_correct": True, "stopped": "answer", "retriever": "agent_research_snip",
    "retrieved": [{"rank": 1, "doc_id": "mill", "title": "Mill", "snippet": "s"}],
    "trajectory": [
        {"action": "search_s", "args": {"query": "old mill"}, "query": "old mill", "hit_ids": ["mill", "wind"],
         "observation": "search: old mill\n  1  mill  'Mill'  » Stones.\n  2  wind  'Wind'  » Sails.",
         "raw_output": '<think>I look for it.</think>\n<tool_call>{"name": "search_s"}</tool_call>'},
        {"action": "fetch_s", "args": {"specs": [["1", "History"]]}, "query": "", "raw_output": "Open it.",
         "observation": "fetch:\n  [mill §History] Stones of 1790."},
        {"action": "fetch_s", "args": {"doc": "2", "section": "x"}, "query": "", "raw_output": "And that.",
         "observation": "fetch:\n  [wind §x]  ERROR: no section 'x' on wind."},
        {"action": "answer", "args": {"answer": "1790"}, "observation": "", "raw_output": "<think>I know.</think>"},
    ],
}  # fmt: skip
