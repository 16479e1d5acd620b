"""Chat records of what a tracing tool recorded of a run.

A model is given its whole history call after call, and tools are recorded both there and as steps of their own. Here
each message and each call counts once: the calls of a model whose histories go on from each other are one
conversation, and a tool's step adds to the call that it carried out. A call that no conversation holds is put in where
it happened. A model that is called inside of a tool is an agent of its own, whose conversation is a run of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from lrat_hub.importers.chat_messages import tool_call
from lrat_hub.importers.converters.histories import Conversation, PlacedCall, joined, merged
from lrat_hub.importers.converters.observations import Observation, Tree, keys_of
from lrat_hub.importers.converters.trace_values import parsed, told
from lrat_hub.importers.mapping import short_name
from lrat_hub.importers.outcomes import ONLY_TOOLS
from lrat_hub.importers.values import object_of, text_of
from lrat_hub.ledger import Ledger

SEARCH = "search"
"""The name that a retriever's calls go by: the log has none for them."""

FINAL_RESULT = "final_result"
"""The tool by which agents of pydantic-ai give an answer that is an object."""

APART = "result lists of a call that can't be told apart"
SHOWN = 60
"""Characters of a document that show that a text holds it."""


def runs_of(observations: Sequence[Observation], parts: Ledger) -> Iterator[tuple[bool, dict[str, Any]]]:
    """The chat records of one trace, and whether a record is the run itself or that of an agent that a tool is."""
    tree = Tree(observations)
    orders = {id(item): order for order, item in enumerate(tree.observations)}
    scopes: dict[int, tuple[Observation | None, list[Observation]]] = {}
    for item in tree.observations:
        scope = tree.scope(item)
        scopes.setdefault(id(scope), (scope, []))[1].append(item)
    is_alone = sum(any(item.kind == "model" for item in items) for _, items in scopes.values()) <= 1
    for scope, items in scopes.values():
        if scope is not None and not any(item.kind == "model" and item.outputs for item in items):
            continue  # what goes on inside of a tool is no action of the agent
        for item in items:
            if item.kind in ("tool", "retriever"):
                item.lists = _lists(item, scopes.get(id(item), (None, []))[1], parts)
        conversations = _conversations(items, tree, scope, orders)
        # A tool whose parent is missing was neither asked the question nor gave the answer.
        asked = [root for root in tree.roots if root.kind not in ("tool", "retriever")]
        roots = asked if scope is None else [scope]
        main = _main(conversations, roots)
        for number, conversation in enumerate(conversations):
            if conversation.has_calls or (is_alone and number == len(conversations) - 1):
                is_main = scope is None and number == main
                yield is_main, _record(conversation, roots if number == main else [], is_main=is_main)


def _main(conversations: Sequence[Conversation], roots: Sequence[Observation]) -> int | None:
    """Which conversation is what the run as a whole was asked and said: of several, the one with its answer."""
    if len(conversations) < 2:
        return 0
    answers = {" ".join(root.answer.split()) for root in roots} - {""}
    last_texts = [" ".join(conversation.last_text.split()) for conversation in conversations]
    return next((number for number, text in enumerate(last_texts) if text and text in answers), None)


def _conversations(
    items: Sequence[Observation], tree: Tree, scope: Observation | None, orders: Mapping[int, int]
) -> list[Conversation]:
    """The conversations of a scope with what its tools did; those without a call only where none has one."""
    models = _recorded_once([item for item in items if item.kind == "model"], tree)
    roots = set(map(id, tree.roots))
    outlines = [
        item
        for item in items
        if item.kind in ("agent", "other") and (item.kind == "agent" or id(item) in roots)
        and any(chat.get("tool_calls") for chat in item.outputs)
    ]  # fmt: skip
    tools = [item for item in items if item.kind in ("tool", "retriever")]
    conversations: list[Conversation] = []
    for item in models:
        joined(conversations, item.inputs, item.outputs, orders[id(item)], item)
    end = max((orders[id(item)] for item in items), default=0) + 1
    for item in outlines:
        joined(conversations, item.inputs, item.outputs, end, item)
    if tools and not any(conversation.has_calls for conversation in conversations):
        conversations = [merged(models, orders)]
    _carry_out(conversations, tools, orders)
    with_calls = [conversation for conversation in conversations if conversation.has_calls]
    return with_calls or conversations


def _recorded_once(models: Sequence[Observation], tree: Tree) -> list[Observation]:
    """Model calls without those that a client and the framework around it both recorded, one inside of the other."""
    inside: dict[int, list[Observation]] = {}
    for item in models:
        outer = next((above for above in tree.ancestors(item) if above.kind == "model"), None)
        if outer is not None:
            inside.setdefault(id(outer), []).append(item)
    dropped: set[int] = set()
    for outer in reversed(models):
        inner = inside.get(id(outer), [])
        if len(inner) == 1:
            outer.inputs = max(outer.inputs, inner[0].inputs, key=told)
            outer.outputs = max(outer.outputs, inner[0].outputs, key=told)
            outer.model = inner[0].model or outer.model
            dropped.add(id(inner[0]))
        elif any(item.outputs for item in inner):
            dropped.add(id(outer))
    return [item for item in models if id(item) not in dropped and (item.inputs or item.outputs)]


def _carry_out(conversations: Sequence[Conversation], tools: Sequence[Observation], orders: Mapping[int, int]) -> None:
    """Gives each tool's step to the call that it carried out, or puts it in as a call."""
    calls = [call for conversation in conversations for call in conversation.calls()]
    left = list(tools)
    for is_sure, keys_of_tool, keys_of_call in _MATCHES:
        waiting: dict[Any, deque[PlacedCall]] = {}
        for call in calls:
            for key in () if call.is_taken else keys_of_call(call):
                waiting.setdefault(key, deque()).append(call)
        unmatched: list[Observation] = []
        for tool in left:
            order = None if is_sure else orders[id(tool)]
            call = next((call for key in keys_of_tool(tool) for call in _free(waiting.get(key), order)), None)
            if call is None:
                unmatched.append(tool)
            else:
                call.carried_out(tool)
        left = unmatched
    for tool in left:
        order = orders[id(tool)]
        # The conversation whose last model call before it is the latest.
        before = (bisect_left(held.orders, order) for held in conversations)
        latest = [held.orders[at - 1] if at else -1 for at, held in zip(before, conversations, strict=True)]
        holder = conversations[latest.index(max(latest))]
        name = SEARCH if tool.kind == "retriever" else tool.name
        holder.insert(tool_call(name, _named(tool), f"step-{order}"), tool, order)


def _free(calls: deque[PlacedCall] | None, before: int | None) -> Iterator[PlacedCall]:
    """The calls that no step has been found for yet, of those that were made before an observation."""
    while calls:
        if before is not None and calls[0].order >= before and not calls[0].is_taken:
            return
        call = calls.popleft()
        if not call.is_taken:
            yield call


# What a tool's step and a call are matched by, the surest first, and whether that needs no look at the times.
_MATCHES: tuple[tuple[bool, Callable[[Observation], Iterable[Any]], Callable[[PlacedCall], Iterable[Any]]], ...] = (
    (True, lambda tool: [tool.call_id] if tool.call_id else [], lambda call: [call.id] if call.id else []),
    (
        True,
        lambda tool: [(short_name(tool.name), key) for key in keys_of(tool.arguments)],
        lambda call: [(call.name, key) for key in call.keys],
    ),
    (True, lambda tool: keys_of(tool.arguments), lambda call: call.keys),
    (True, lambda tool: [] if keys_of(tool.arguments) else [short_name(tool.name)], lambda call: [call.name]),
    (False, lambda tool: [] if tool.call_id else [short_name(tool.name)], lambda call: [call.name]),
)


def _named(tool: Observation) -> Any:
    """A call's arguments. A step may have the value of the only one alone: a query, or a document."""
    if isinstance(tool.arguments, list) or (
        isinstance(tool.arguments, str) and not tool.arguments.lstrip().startswith("{")
    ):
        return {"query": tool.arguments, "docid": tool.arguments}
    return tool.arguments


def _lists(tool: Observation, inside: Sequence[Observation], parts: Ledger) -> list[list[dict[str, Any]]] | None:
    """The lists that a tool's searches gave, as far as the tool showed them."""
    if tool.documents is not None:
        return [tool.documents]
    lists = [item.documents for item in inside if item.kind == "retriever" and item.documents is not None]
    if not lists:
        return None
    queries = max((len(part) for part in object_of(tool.arguments).values() if isinstance(part, list)), default=1)
    if len(lists) not in (1, queries):
        parts.lose(APART, example=text_of(tool.arguments))
        return None
    shown = [[row for row in rows if _is_shown(row, tool.shown)] for rows in lists]
    return shown if any(shown) or not any(lists) else None


def _is_shown(row: Mapping[str, Any], text: str) -> bool:
    docid, snippet = text_of(row.get("docid")), text_of(row.get("snippet")).strip()[:SHOWN]
    return not text.strip() or (len(docid) > 3 and docid in text) or (snippet != "" and snippet in text)


def _record(conversation: Conversation, roots: Sequence[Observation], *, is_main: bool) -> dict[str, Any]:
    chats = conversation.chats()
    for call in (call for chat in chats for call in chat.get("tool_calls", ())):
        function = object_of(call.get("function"))
        if function.get("name") == FINAL_RESULT:
            # The text of an object is what it says where it has one value.
            values = list(object_of(parsed(function.get("arguments"))).values())
            answer = values[0] if len(values) == 1 else function.get("arguments")
            call["function"] = tool_call("final_answer", {"answer": text_of(answer)})["function"]
    record: dict[str, Any] = {"messages": chats}
    question = next((asked for root in roots if (asked := _question(root))), "")
    if question and (is_main or not conversation.has_question):
        record["question"] = question
    answer = next((root.answer for root in roots if root.answer), "")
    if answer and not conversation.last_text:
        record["final_answer"] = answer
    if any(root.failed for root in roots):
        record["status"] = "failed"
    elif not conversation.orders:
        record["status"] = ONLY_TOOLS
    if conversation.model:
        record["agent"] = conversation.model
    return record | conversation.sampling


def _question(root: Observation) -> str:
    """What a run was asked: the text that went into it, or the only message of the user."""
    asked = [chat["content"] for chat in root.inputs if chat["role"] == "user"]
    return root.question or (text_of(asked[0]) if len(asked) == 1 and root.kind != "model" else "")
