"""Tools of well-known agents that neither search nor open documents: their calls are read, and are no action of ours.

Tools that read or search files (`Read`, `Grep`) are not among them: where the files are the corpus, they are how the
agent searches, which a mapping says.
"""

from __future__ import annotations

import re
from typing import Any

from lrat_hub.importers.mapping import letters_of, short_name

LOOKS = frozenset({"find_in_page", "find", "page_down", "page_up", "find_on_page_ctrl_f", "find_next"})
"""Looks at a page that is open."""

ASKS = frozenset(
    {
        "ask_clarification", "ask_for_clarification", "ask_user", "ask_human", "ask_question", "ask_followup_question",
        "clarify", "clarify_with_user", "request_user_input", "human_input", "AskUserQuestion",
    }
)  # fmt: skip
"""Questions to the user, whose answer is no new question."""

OTHER_TOOLS = frozenset(
    {
        # OpenAI's hosted tools, and Codex
        "code_interpreter", "computer", "image_generation", "local_shell", "shell", "apply_patch", "tool_search",
        "program", "exec_command", "write_stdin", "update_plan", "view_image", "spawn_agent", "send_input",
        "close_agent", "wait",
        # Anthropic's server tools, and Claude Code
        "code_execution", "bash_code_execution", "text_editor_code_execution", "tool_search_tool_regex",
        "tool_search_tool_bm25", "advisor", "Bash", "BashOutput", "KillShell", "KillBash", "Task", "Agent",
        "TaskCreate", "TaskGet", "TaskList", "TaskOutput", "TaskStop", "TaskUpdate", "SendMessage", "TodoWrite",
        "TodoRead", "Write", "Edit", "MultiEdit", "NotebookEdit", "ExitPlanMode", "EnterPlanMode", 
        "Skill", "SlashCommand", "ToolSearch", "StructuredOutput", "Workflow", "Monitor", "ScheduleWakeup",
        "EnterWorktree", "ExitWorktree", "ListAgents",
        # Interpreters, plans and thoughts of research agents
        "PythonInterpreter", "python_interpreter", "python", "execute_code", "run_python_code", "calculator", "think",
        "think_tool", "sequentialthinking", "write_todos", "ResearchComplete", "ConductResearch",
        "search_and_browse",
        # Commands and files that agents write: Deep Agents, DeerFlow, OpenHands
        "write_file", "edit_file", "create_file", "str_replace", "str_replace_editor", "execute_bash",
        "execute_ipython_cell", "run_command", "run_ipython", "present_files", "task_tracker",
    }
)  # fmt: skip
"""Names of tools that do something else."""

_HANDOFF = re.compile(r"transfer_to_\w+$")
_LOOKS, _OTHER, _ASKS = (frozenset(map(letters_of, names)) for names in (LOOKS, OTHER_TOOLS, ASKS))


def asks_back(name: Any) -> bool:
    """Whether a tool asks the user something, whose answer is no new question."""
    return isinstance(name, str) and letters_of(short_name(name)) in _ASKS


def other_action(name: Any) -> str | None:
    """What a call of a tool does, where it is known that it neither searches nor opens a document; else None.

    Case and signs between words don't matter, as they don't in the names of tools that search.

    Args:
        name: The tool's name, which may have namespaces.
    """
    if not isinstance(name, str):
        return None
    short = short_name(name)
    letters = letters_of(short)
    if letters in _LOOKS:
        return "looks at a page that is open"
    if letters in _OTHER or letters in _ASKS:
        return f"calls of {short}"
    return "handoffs to another agent" if _HANDOFF.match(short) else None
