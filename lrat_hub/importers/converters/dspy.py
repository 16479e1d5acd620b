"""DSPy: predictions of `dspy.ReAct`, whose trajectory is an object with `thought_0`, `tool_name_0` and so on.

Source: what `dspy` 3.4.1 (PyPI) gives with `Prediction.toDict` (`dspy/predict/react.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from lrat_hub.importers.converters.contents import tool_text
from lrat_hub.importers.converters.turns import Turns, chat_record
from lrat_hub.importers.values import UnreadableRecord, object_of, text_of
from lrat_hub.ledger import Ledger

_FINISH = "finish"


def recognise_dspy(value: Any) -> str | None:
    """Why a record is a prediction of DSPy's ReAct, or None."""
    trajectory = object_of(object_of(value).get("trajectory"))
    return "a prediction with a `trajectory` of `tool_name_0` (DSPy)" if "tool_name_0" in trajectory else None


def convert_dspy(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """A prediction as a chat record.

    Raises:
        UnreadableRecord: It has no trajectory.
    """
    if recognise_dspy(value) is None:
        raise UnreadableRecord("not a prediction of DSPy: no `trajectory` with `tool_name_0`")
    trajectory = value["trajectory"]
    turns = Turns()
    for number in count():
        if not {f"thought_{number}", f"tool_name_{number}"} & trajectory.keys():
            break
        parts.keep()
        if thought := text_of(trajectory.get(f"thought_{number}")):
            turns.reason(thought)
        name = trajectory.get(f"tool_name_{number}")
        if name is None or name == _FINISH:
            continue
        turns.call(name, trajectory.get(f"tool_args_{number}"), number)
        text, failed = tool_text(trajectory.get(f"observation_{number}"))
        # What the agent sees where a tool raised.
        failed = failed or text.startswith("Execution error in ")
        turns.result(text, number, failed=failed)
    if reasoning := value.get("reasoning"):
        turns.reason(text_of(reasoning))
    if isinstance(answer := value.get("answer"), (str, int, float)):
        turns.text(text_of(answer))
    beside = {key: part for key, part in value.items() if key not in ("trajectory", "reasoning", "answer")}
    yield chat_record(turns, beside)
