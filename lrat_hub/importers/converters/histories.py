"""Conversations out of model calls, each of which was given the history before it, or what was left of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lrat_hub.importers.chat_messages import Chat, assistant, tool_result
from lrat_hub.importers.converters.observations import Observation, keys_of
from lrat_hub.importers.mapping import short_name
from lrat_hub.importers.values import identifier_of, listed, object_of, text_of

Key = tuple[str, ...]
TEXT_LENGTH = 500
LOOKED_BACK = 50
"""Conversations of a trace that a model call may go on from: a trace can hold thousands of calls without a history."""


@dataclass(eq=False)
class _Entry:
    """A message and the number of the observation in which it was first seen."""

    chat: Chat
    order: int
    key: Key

    @cached_property
    def call_ids(self) -> frozenset[Any]:
        """What says to which calls it belongs. A history is compared with many conversations."""
        calls = listed(self.chat.get("tool_calls"))
        ids: list[Any] = [identifier_of(call.get("id")) for call in calls]
        if self.chat["role"] == "tool":
            ids.append(identifier_of(self.chat.get("tool_call_id")))
        if any(not call.get("id") for call in calls):
            ids.append(self.key)
        return frozenset(ids) - {None}


@dataclass
class PlacedCall:
    """A call in a conversation, and its result where there is one.

    Args:
        keys: What its arguments are known by; see `keys_of`.
        is_taken: Whether a tool's step has been found for it.
    """

    conversation: Conversation
    entry: _Entry
    id: str | None
    name: str
    keys: frozenset[str]
    result: Chat | None
    is_taken: bool = False

    @property
    def order(self) -> int:
        return self.entry.order

    def carried_out(self, tool: Observation) -> None:
        """Adds what a tool's step says of it. What the model was shown counts more than what the tool gave."""
        self.is_taken = True
        if self.result is None:
            self.result = tool_result(tool.shown, self.id)
            self.conversation.show(self.entry, self.result)
        _extend(self.result, tool)


@dataclass
class Conversation:
    """Messages without those of the system.

    Args:
        orders: Numbers of the model calls that it holds.
        parents: What those happened in.
    """

    entries: list[_Entry] = field(default_factory=list)
    orders: list[int] = field(default_factory=list)
    parents: set[str | None] = field(default_factory=set)
    model: str = ""
    sampling: dict[str, Any] = field(default_factory=dict)

    @property
    def has_calls(self) -> bool:
        return any(entry.chat.get("tool_calls") for entry in self.entries)

    @property
    def has_question(self) -> bool:
        return any(entry.chat["role"] == "user" and entry.chat["content"] for entry in self.entries)

    @property
    def last_text(self) -> str:
        """What the agent said last, "" where a call stands behind it."""
        last = self.entries[-1].chat if self.entries else {}
        is_text = last.get("role") == "assistant" and not last.get("tool_calls")
        return text_of(last.get("content")) if is_text else ""

    def chats(self) -> list[Chat]:
        return [entry.chat for entry in self.entries]

    def calls(self) -> Iterator[PlacedCall]:
        """Calls with their results: by id, or by order where one of the two has none."""
        for index, entry in enumerate(self.entries):
            calls = listed(entry.chat.get("tool_calls"))
            behind = self._after_results(index + 1) if calls else index + 1
            results = [following.chat for following in self.entries[index + 1 : behind]]
            for call in calls:
                call_id = identifier_of(call.get("id"))
                named = [result for result in results if call_id and result.get("tool_call_id") == call_id]
                unnamed = [result for result in results if not (call_id and result.get("tool_call_id"))]
                result = next(iter(named or unnamed), None)
                results = [other for other in results if other is not result]
                function = object_of(call.get("function"))
                name = short_name(text_of(function.get("name")))
                yield PlacedCall(self, entry, call_id, name, keys_of(function.get("arguments")), result)

    def show(self, entry: _Entry, result: Chat) -> None:
        """Puts the result of a call behind those of the calls before it."""
        index = self._after_results(self.entries.index(entry) + 1)
        self.entries.insert(index, _Entry(result, entry.order, _key(result)))

    def insert(self, call: Mapping[str, Any], tool: Observation, order: int) -> None:
        """Puts in a call that no model call holds, where it happened."""
        # Steps come in the order of time, so that the last message before one is near the end.
        before = (index for index in range(len(self.entries), 0, -1) if self.entries[index - 1].order < order)
        index = next(before, 0)
        if index == 0 and self.entries and self.entries[0].chat["role"] == "user":
            index = 1
        index = self._after_results(index)
        result = tool_result(tool.shown, identifier_of(call.get("id")))
        _extend(result, tool)
        made = [assistant("", "", [call]), result]
        self.entries[index:index] = [_Entry(chat, order, _key(chat)) for chat in made]

    def _after_results(self, index: int) -> int:
        while index < len(self.entries) and self.entries[index].chat["role"] == "tool":
            index += 1
        return index


def merged(models: Sequence[Observation], orders: Mapping[int, int]) -> Conversation:
    """What models said that do not call tools themselves, as one conversation: frameworks search for them."""
    conversation = Conversation()
    for number, item in enumerate(models):
        order = orders[id(item)]
        chats = [chat for chat in item.inputs if chat["role"] == "user"][:1] if number == 0 else []
        conversation.entries += _entries([*chats, *item.outputs], order)
        _adopt(conversation, item, order)
    return conversation


def joined(
    conversations: list[Conversation], inputs: Sequence[Chat], outputs: Sequence[Chat], order: int, item: Observation
) -> None:
    """Adds a model call to the conversation whose history it was given, or begins one with it."""
    history, given = _entries(inputs, order), _entries(outputs, order)
    if given[: len(history)] and _keys(given)[: len(history)] == _keys(history):
        history, given = given, []  # an agent's whole conversation, with what it began with
    if not history and not given:
        return
    for go_on in (_continue, _go_on_without_history):
        for conversation in reversed(conversations[-LOOKED_BACK:]):
            if go_on(conversation, history, given, item.parent):
                _adopt(conversation, item, order)
                return
    conversation = Conversation(history + given)
    _adopt(conversation, item, order)
    conversations.append(conversation)


def _go_on_without_history(
    conversation: Conversation, history: Sequence[_Entry], given: Sequence[_Entry], parent: str | None
) -> bool:
    """Adds a model call whose history was not recorded, where it goes on from a call of the same agent or question."""
    known = conversation.entries
    if any(entry.chat["role"] != "user" for entry in history) or not known:
        return False
    is_open = known[-1].chat["role"] == "tool" or bool(known[-1].chat.get("tool_calls"))
    if not is_open and not any(entry.chat.get("tool_calls") for entry in given):
        return False
    asked = set(_keys(history))
    if history and not (is_open and parent in conversation.parents) and not any(entry.key in asked for entry in known):
        return False
    known += given
    return True


def _continue(
    conversation: Conversation, history: Sequence[_Entry], given: Sequence[_Entry], parent: str | None
) -> bool:
    """Adds what is new to a conversation; False where the history is that of another."""
    known = conversation.entries
    common = 0
    while common < min(len(known), len(history)) and known[common].key == history[common].key:
        common += 1
    for mine, theirs in zip(known[:common], history[:common], strict=True):
        _complete(mine.chat, theirs.chat)
    if common == len(known):
        known += [*history[common:], *given]
        return True
    if common == len(history):
        return _branch(conversation, common, given)
    # The history was cut or edited on the way, but its calls are those of this conversation.
    mine = frozenset[Any]().union(*(entry.call_ids for entry in known))
    shared = [index for index, entry in enumerate(history) if not mine.isdisjoint(entry.call_ids)]
    if not shared:
        return False
    if _calls(known) <= _calls(history):
        # Nothing was cut: the history has all of it in the order in which the model saw it.
        orders = {entry.key: entry for entry in reversed(known)}
        for entry in history:
            if (before := orders.get(entry.key)) is not None:
                entry.order = before.order
                _complete(entry.chat, before.chat)
        known[:] = [*history, *given]
        return True
    seen = set(_keys(known))
    known += [entry for entry in history[shared[-1] + 1 :] if entry.key not in seen]
    # A result that is given to the model for the first time stands behind its call.
    for entry in history[: shared[-1] + 1]:
        if entry.chat["role"] == "tool" and entry.key not in seen:
            known.append(entry)
    known += given
    return True


def _branch(conversation: Conversation, common: int, given: Sequence[_Entry]) -> bool:
    """Adds what a model said once more to a history that has gone on since."""
    known = conversation.entries
    rest = known[common:]
    for mine, theirs in zip(rest, given, strict=False):
        if mine.key == theirs.key:
            _complete(mine.chat, theirs.chat)
    calls = {entry.key for entry in given if entry.chat.get("tool_calls")}
    # A trace can have thousands of calls: their keys are compared, as hashing them all takes longer.
    if _keys(rest[: len(given)]) == _keys(given) or (
        calls and all(any(entry.key == key for entry in rest) for key in calls)
    ):
        return True  # the same call, recorded by two tools or at two levels
    has_calls = bool(calls)
    if not any(entry.chat.get("tool_calls") or entry.chat["role"] == "tool" for entry in rest):
        known[common:] = given  # another try
        return True
    if common > 1 and has_calls:
        known += given
    return common > 1


def _entries(chats: Sequence[Chat], order: int) -> list[_Entry]:
    return [_Entry(chat, order, _key(chat)) for chat in chats if chat["role"] != "system"]


def _keys(entries: Sequence[_Entry]) -> list[Key]:
    return [entry.key for entry in entries]


def _key(chat: Chat) -> Key:
    """What a message is known by. Histories drop reasoning, and cut what tools showed."""
    role, text = chat["role"], text_of(chat.get("content"))
    if role == "tool":
        return ("tool", identifier_of(chat.get("tool_call_id")) or text[:TEXT_LENGTH])
    if calls := chat.get("tool_calls"):
        return ("calls", *(part for call in calls for part in sorted(_call_key(call))))
    return (role, " ".join(text.split()))


def _call_key(call: Mapping[str, Any]) -> Iterator[str]:
    function = object_of(call.get("function"))
    yield short_name(text_of(function.get("name")))
    yield max(keys_of(function.get("arguments")), key=len, default="")


def _calls(entries: Sequence[_Entry]) -> set[Key]:
    return {
        (*_call_key(call), identifier_of(call.get("id")) or "")
        for entry in entries
        for call in listed(entry.chat.get("tool_calls"))
    }


def _complete(mine: Chat, theirs: Chat) -> None:
    for key in ("reasoning_content", "content"):
        if theirs.get(key) and not mine.get(key):
            mine[key] = theirs[key]


def _extend(result: Chat, tool: Observation) -> None:
    if tool.failed:
        result["is_error"] = True
    if tool.lists is not None:
        result["results"] = tool.lists


def _adopt(conversation: Conversation, item: Observation, order: int) -> None:
    conversation.orders.append(order)
    conversation.parents.add(item.parent)
    conversation.model = item.model or conversation.model
    conversation.sampling |= item.sampling
