"""A conversation by the questions that it answers: turns of the agent, and to each call the result that is its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.messages import Message, Result
from lrat_hub.importers.other_tools import asks_back
from lrat_hub.importers.prompts import is_greeting, is_nudge
from lrat_hub.ledger import Ledger

GREETED = "answers to a greeting before the question, which are no part of a run"


@dataclass
class Turn:
    """A message of the agent, and what the tools answered: a result for each call, None where there is none."""

    message: Message
    results: list[Result | None] = field(default_factory=list)
    unmatched: list[Result] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.results = [None] * len(self.message.calls)


@dataclass
class Run:
    """The part of a conversation that answers one question.

    Args:
        num_heard: How many turns there were when the user last spoke.
    """

    question: str = ""
    turns: list[Turn] = field(default_factory=list)
    num_heard: int = 0
    # The last turn with calls, and calls by their ids, the next to get a result last: a run can have many turns.
    _called: int | None = None
    _waiting: dict[str | None, list[tuple[Turn, int]]] = field(default_factory=dict)

    def add(self, message: Message) -> None:
        """Adds a message of the agent."""
        turn = Turn(message)
        if message.calls:
            self._called = len(self.turns)
        for index, call in reversed(list(enumerate(message.calls))):
            self._waiting.setdefault(call.id, []).append((turn, index))
        self.turns.append(turn)

    def match_id(self, result: Result) -> bool:
        """Gives a result to the latest call of its id that has none. Whether there is such a call."""
        waiting = self._waiting.get(result.call_id, [])
        while waiting:
            turn, index = waiting.pop()
            if turn.results[index] is None:
                turn.results[index] = result
                return True
        return False

    @property
    def is_answered(self) -> bool:
        """Whether tools were called, and the agent then spoke to the user, and did not ask something back."""
        if self._called is None or self._called == len(self.turns) - 1:
            return False
        # Until the user speaks, what follows a question of the agent may be that question again.
        if self._called >= self.num_heard and any(
            asks_back(call.name) for call in self.turns[self._called].message.calls
        ):
            return False
        last = self.turns[-1].message
        return last.text != "" or last.answer is not None


def runs_of(messages: Sequence[Message], accounts: Accounts, *, whole: bool) -> list[Run]:
    """A conversation by the questions that it answers.

    Args:
        whole: Whether everything belongs to one question, because the record names it.
    """
    runs = [Run()]
    for message in messages:
        run = runs[-1]
        if message.role == "assistant":
            run.add(message)
        elif message.results and (run.turns or message.role == "tool"):
            for result in message.results:
                _match(run, result, accounts.parts)
        elif message.role == "user" and message.text:
            # A context that was cut down begins again with the question and what is known by then.
            is_again = run.question != "" and run.question != message.text and run.question in message.text
            if not whole and run.is_answered and not is_again and not is_nudge(message.text):
                runs.append(Run(message.text))
            elif run.question and run._called is None and is_greeting(run.question):
                accounts.parts.note(GREETED, len(run.turns))
                runs[-1] = Run(message.text)
            elif not run.question and not run.turns:
                run.question = message.text
            elif not run.turns and "?" not in run.question and "?" in message.text:
                # What stands before the question, such as the date.
                run.question = message.text
            run.num_heard = len(run.turns)
    return runs


def _match(run: Run, result: Result, parts: Ledger) -> None:
    """Gives a result to its call: by id to the nearest that has none yet, or by order where there are no ids."""
    last = run.turns[-1] if run.turns else None
    if result.call_id is not None and run.match_id(result):
        return
    if last is not None and (result.call_id is None or not any(call.id for call in last.message.calls)):
        if len(last.message.calls) > 1 and all(call.id for call in last.message.calls) and result.call_id is None:
            # Nothing says which of the calls it answers: it may be all of them.
            last.unmatched.append(result)
            return
        index = in_order(last, last.results, result)
        if index is not None:
            last.results[index] = result
            return
    parts.lose("tool results without a call", example=result.text)


def in_order(turn: Turn, results: Sequence[Result | None], result: Result) -> int | None:
    """The first call without a result, of those of the tool that the result names where there are any."""
    waiting = [index for index, known in enumerate(results) if known is None]
    named = [index for index in waiting if result.tool is not None and turn.message.calls[index].name == result.tool]
    return next(iter(named or waiting), None)
