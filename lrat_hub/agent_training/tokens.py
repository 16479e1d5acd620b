"""Conversations as tokens, with the loss on the assistant's replies alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lrat_hub.agent_training.conversations import Conversation
from lrat_hub.agents.protocols import AgentPrompt, ToolsProtocol, open_protocol
from lrat_hub.agents.writing import ReasoningPlace
from lrat_hub.errors import LratError
from lrat_hub.ledger import Ledger

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""The label of a token that is not learned."""

_PROBE = "lrat-probe"
_PROBED = [
    {"role": "user", "content": "Question"},
    {
        "role": "assistant",
        "content": "",
        "reasoning_content": f"{_PROBE}-reasoning",
        "tool_calls": [
            {
                "id": "call00000",
                "type": "function",
                "function": {"name": f"{_PROBE}-call", "arguments": {"docid": "1"}},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call00000", "content": f"{_PROBE}-result"},
    {"role": "assistant", "content": "Answer"},
]


class ConversationTokenizer:
    """A model's tokenizer with the chat template that it is trained with.

    Args:
        tokenizer: The model's own.
        chat_template: A Jinja file, or the name of a template of this package; "" for the model's own template where
            it marks the assistant's replies, and else for the variant of it that TRL has.
        name: The model, for messages.

    Raises:
        LratError: No template marks the replies, or a reply's end is not marked.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, chat_template: str = "", *, name: str = "the model"
    ) -> None:
        from trl.chat_template_utils import is_chat_template_stop_token_trained

        self.tokenizer, self.name = tokenizer, name
        self.template = read_template(chat_template) if chat_template else _of_model(tokenizer, name)
        self.given = bool(chat_template)
        if not is_chat_template_stop_token_trained(tokenizer, chat_template=self.template):
            raise LratError(
                f"{chat_template or name}: expected a chat template that marks the replies of the assistant and the "
                "token that ends them, within {% generation %}, found another. Give such a template as "
                "`chat_template`."
            )

    def reasoning_place(self, protocol: str) -> ReasoningPlace:
        """Where the template shows the reasoning of function calls.

        Raises:
            LratError: The template shows no tools, calls or results, which function calling needs.
        """
        if not isinstance(open_protocol(protocol), ToolsProtocol):
            return "content"
        tools = [*AgentPrompt.load("tools").tools]
        text = self._render(_PROBED, tools)
        missing = [
            what
            for what, mark in (("tools", '"search"'), ("calls", f"{_PROBE}-call"), ("results", f"{_PROBE}-result"))
            if mark not in text and mark.replace('"', "") not in text
        ]
        if missing:
            raise LratError(
                f"{self.name}: expected a chat template that shows tools, calls and results, found one without "
                f"{', '.join(missing)}. Give another as `chat_template`, or take a protocol in tags, such as tongyi."
            )
        return "field" if f"{_PROBE}-reasoning" in text else "content"

    def __call__(self, conversation: Conversation) -> tuple[list[int], list[int]]:
        """The tokens of a conversation and their labels.

        Raises:
            LratError: The template leaves a reply or its reasoning out.
        """
        messages = conversation.for_template()
        tools: list[Any] = [*conversation.tools]
        encoded: Any = self.tokenizer.apply_chat_template(
            messages, tools=tools or None, chat_template=self.template, tokenize=True, return_dict=True,
            return_assistant_tokens_mask=True,
        )  # fmt: skip
        ids, mask = encoded["input_ids"], encoded["assistant_masks"]
        spans = sum(bool(marked) for marked, _ in groupby(mask))
        if spans != conversation.replies:
            raise LratError(
                f"{self.name}: expected a chat template that marks {conversation.replies} replies, found {spans}."
            )
        text = self._render(messages, tools)
        for message in messages:
            thought = message.get("reasoning_content") or message["content"].partition("</think>")[0]
            if message["role"] == "assistant" and thought.removeprefix("<think>").strip() not in text:
                raise LratError(
                    f"{self.name}: expected a chat template that keeps reasoning, found one that drops it. Give "
                    "another as `chat_template`."
                )
        return ids, [token if marked else IGNORED for token, marked in zip(ids, mask, strict=True)]

    def save_pretrained(self, folder: Path) -> None:
        """Writes the tokenizer, with the template that it was given, or else with its own."""
        if self.given:
            self.tokenizer.chat_template = self.template
        self.tokenizer.save_pretrained(str(folder))

    def _render(self, messages: list[dict[str, Any]], tools: list[Any]) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                messages, tools=tools or None, chat_template=self.template, tokenize=False
            )
        )


def read_template(chat_template: str) -> str:
    """A chat template of this package by its name, or any Jinja file.

    Raises:
        LratError: It can't be read.
    """
    packaged = files("lrat_hub.agent_training") / "templates" / f"{chat_template}.jinja"
    path = packaged if packaged.is_file() else Path(chat_template).expanduser()
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LratError(f"Chat template {chat_template}: expected `chatml` or a Jinja file; {error}.") from error


def _of_model(tokenizer: PreTrainedTokenizerBase, name: str) -> str:
    from trl.chat_template_utils import get_training_chat_template

    own: Any = tokenizer.chat_template
    own = own.get("default") if isinstance(own, dict) else own
    try:
        if own:
            return get_training_chat_template(tokenizer) or own
    except ValueError:
        pass
    raise LratError(
        f"{name}: expected a chat template that marks the replies of the assistant with {{% generation %}}, or one "
        f"that TRL has a variant of, found {'another' if own else 'none'}. Give `chat_template`, such as chatml."
    )


@dataclass(frozen=True)
class TokenizedRuns:
    """Runs as the trainer takes them.

    Args:
        rows: `input_ids` and `labels` of each run.
        places: Which of the conversations each row is.
        ledger: Every conversation, kept, cut or left out.
    """

    rows: list[dict[str, list[int]]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    ledger: Ledger = field(default_factory=lambda: Ledger("conversations"))

    @property
    def tokens(self) -> int:
        return sum(len(row["input_ids"]) for row in self.rows)

    @property
    def learned(self) -> int:
        """Tokens with a loss."""
        return sum(label != IGNORED for row in self.rows for label in row["labels"])

    def to_dict(self) -> dict[str, int]:
        return {"runs": len(self.rows), "tokens": self.tokens, "learned_tokens": self.learned}

    def __str__(self) -> str:
        return f"{len(self.rows)} runs, {self.tokens:,} tokens, {self.learned:,} of them learned"


def tokenize_runs(
    conversations: Sequence[Conversation],
    tokenizer: ConversationTokenizer,
    *,
    max_length: int,
    over_length: Literal["drop", "cut"] = "drop",
) -> TokenizedRuns:
    """Conversations as tokens. What is longer than `max_length` is left out, or ends after a reply that fits.

    Raises:
        LratError: The template can't say a conversation.
    """
    made = TokenizedRuns()
    for place, conversation in enumerate(conversations):
        ids, labels = tokenizer(conversation)
        if len(ids) > max_length:
            if over_length == "drop":
                made.ledger.drop("longer than max_length", example=conversation.trajectory_id)
                continue
            ends = [index + 1 for index, label in enumerate(labels)
                    if label != IGNORED and (index + 1 == len(labels) or labels[index + 1] == IGNORED)]  # fmt: skip
            fits = [end for end in ends if end <= max_length]
            if not fits:
                made.ledger.drop("no reply within max_length", example=conversation.trajectory_id)
                continue
            made.ledger.lose("replies after max_length", len(ends) - len(fits), example=conversation.trajectory_id)
            made.ledger.note("cut after a reply within max_length")
            ids, labels = ids[: fits[-1]], labels[: fits[-1]]
        made.ledger.keep()
        made.rows.append({"input_ids": ids, "labels": labels})
        made.places.append(place)
    return made


def split_runs(
    runs: TokenizedRuns, questions: Sequence[str], share: float, *, seed: int = 0
) -> tuple[TokenizedRuns, TokenizedRuns | None]:
    """Runs to train on, and runs of other questions to validate on; see `lrat_hub.fitting.split_questions`.

    Args:
        questions: Of the conversations that were tokenized.
    """
    if not share:
        return runs, None
    from datasets import Dataset

    from lrat_hub.fitting import split_questions

    own = [questions[place] for place in runs.places]
    table = Dataset.from_dict({"query": own, "question": own, "row": range(len(own))})
    sides = [side["row"] for side in split_questions(table, share, seed=seed) if side is not None]
    trained, held_out = (
        TokenizedRuns([runs.rows[row] for row in side], [runs.places[row] for row in side], runs.ledger)
        for side in sides
    )
    return trained, held_out
