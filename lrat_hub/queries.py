"""The one place where a search becomes the retriever's input: the same bytes in mining, training, serving, evaluation.

A retriever trained on one style must be served with it, so the style is stored in the model. What a style renders
never changes: a better one gets a new name, or models that are published would read other inputs than they learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from lrat_hub.errors import LratError

if TYPE_CHECKING:
    from lrat_hub.schema import Pair

QueryStyle = Literal["plain", "question", "history", "reasoning", "history_reasoning"]
STYLES: tuple[QueryStyle, ...] = get_args(QueryStyle)

RECENT_QUERIES = 10
"""How many earlier queries are rendered: the last ones."""

REASONING_CHARACTERS = 1_200
"""How much of the reasoning before a search is rendered: its end, which is nearest to the query. About 300 tokens."""


@dataclass(frozen=True)
class QueryState:
    """What is known when an agent searches. A mined `Pair` has the same fields and can be used in its place.

    Args:
        query: What the agent sends to the retriever.
        question: What the agent was asked.
        previous_queries: Queries of its earlier searches, oldest first.
        reasoning_before: What it reasoned before it sent the query.
    """

    query: str
    question: str = ""
    previous_queries: tuple[str, ...] = ()
    reasoning_before: str = ""

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> QueryState:
        """The state in a row of config `pairs`, or in any other with these columns; `query` alone is enough."""
        return cls(
            query=row["query"],
            question=row.get("question") or "",
            previous_queries=tuple(row.get("previous_queries") or ()),
            reasoning_before=row.get("reasoning_before") or "",
        )


def render_query(state: QueryState | Pair, style: QueryStyle = "plain") -> str:
    """The text that is encoded as the query.

    "plain" is the query, byte for byte. The others are lines, of which those with nothing to say are left out, and
    runs of blanks count as one. The query comes first and the history last: a model cuts off the end of what is too
    long for it.

    | style | lines after `Query: ...` |
    | --- | --- |
    | question | `Question: ...` |
    | history | `Question: ...`, `Earlier queries: ... \\| ...`, the latest first |
    | reasoning | `Reasoning: ...` |
    | history_reasoning | `Question: ...`, `Reasoning: ...`, `Earlier queries: ... \\| ...` |

    Raises:
        LratError: There is no such style.
    """
    if style not in STYLES:
        raise LratError(f"Query style: expected one of {', '.join(STYLES)}, found {style!r}.")
    if style == "plain":
        return state.query
    lines = [("Query", _one_line(state.query))]
    if style != "reasoning":
        lines.append(("Question", _one_line(state.question)))
    if style in ("reasoning", "history_reasoning"):
        lines.append(("Reasoning", _end_of(_one_line(state.reasoning_before))))
    if style in ("history", "history_reasoning"):
        latest = dict.fromkeys(_one_line(query) for query in reversed(state.previous_queries))
        lines.append(("Earlier queries", " | ".join(list(latest)[:RECENT_QUERIES])))
    return "\n".join(f"{name}: {text}" for name, text in lines if text)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _end_of(text: str) -> str:
    """The last characters, from the start of a word on."""
    if len(text) <= REASONING_CHARACTERS:
        return text
    end = text[-REASONING_CHARACTERS:]
    return end.partition(" ")[2] or end
