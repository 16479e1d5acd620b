"""What GRPO starts from: the rows that prompts come from, the tokenizer, and how much a run can be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datasets import Dataset

from lrat_hub.agent_training.environment import in_background
from lrat_hub.agent_training.rl_settings import GRPOSettings
from lrat_hub.agent_training.tokens import read_template
from lrat_hub.errors import LratError
from lrat_hub.llm.isolation import isolated

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from lrat_hub.agents import Question, SearchEnvironment
    from lrat_hub.agents.protocols import AgentPrompt


def question_rows(
    questions: Sequence[Question], prompt: AgentPrompt, evidence: Mapping[str, Mapping[str, int]] | None = None
) -> Dataset:
    """The rows that a trainer takes its prompts from, a question each.

    Args:
        evidence: Relevance judgements, as `load_qrels` gives them.
    """
    return Dataset.from_list(
        [
            {
                "prompt": prompt.opening(question.text),
                "query_id": question.query_id,
                "question": question.text,
                "gold_answer": question.gold_answer,
                "evidence": [
                    docid for docid, grade in (evidence or {}).get(question.query_id, {}).items() if grade > 0
                ],
            }
            for question in questions
        ]
    )


def prepare_tokenizer(tokenizer: PreTrainedTokenizerBase, chat_template: str = "", *, name: str = "the model") -> None:
    """Gives a tokenizer what TRL needs to read calls out of replies.

    Args:
        chat_template: A Jinja file, or the name of a template of this package; "" for the model's own.
        name: The model, for messages.

    Raises:
        LratError: The template shows no tools, or nobody knows how its calls are read.
    """
    from trl.chat_template_utils import add_response_schema, qwen3_template, supports_tool_calling

    if chat_template:
        tokenizer.chat_template = read_template(chat_template)
    if not supports_tool_calling(tokenizer):
        raise LratError(
            f"{name}: expected a chat template that shows calls and their results, found one without. Give one as "
            "`chat_template`, such as chatml."
        )
    if getattr(tokenizer, "response_template", None) is None:
        if tokenizer.chat_template == read_template("chatml"):
            # It writes calls as Qwen3's does.
            tokenizer.response_template = qwen3_template  # pyright: ignore[reportAttributeAccessIssue]
        else:
            try:
                add_response_schema(tokenizer)
            except ValueError as error:
                raise LratError(
                    f"{name}: expected a chat template whose calls TRL can read, found one that it does not know. "
                    "Set the tokenizer's `response_template`, or give `chat_template`, such as chatml."
                ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"


@dataclass(frozen=True)
class ResultSize:
    """How much a run is shown.

    Args:
        search: Tokens that a search shows, on average.
        shown: Tokens of results after which a run is asked for its answer.
        characters: About as many characters.
    """

    search: int
    shown: int
    characters: int

    def __str__(self) -> str:
        fit = self.shown // max(self.search, 1)
        return f"a search shows about {self.search} tokens; a run is shown up to {self.shown}, some {fit} searches"


def measure_results(
    tokenizer: PreTrainedTokenizerBase,
    environment: SearchEnvironment,
    questions: Sequence[str],
    sampling: GRPOSettings,
) -> ResultSize:
    """How much a search shows, measured on searches for questions, and how much a run may be shown.

    Raises:
        LratError: There is no question, a run could not see two searches, or the retriever raises it.
    """
    if not questions:
        raise LratError("GRPO: expected questions, found none.")
    texts = [isolated(in_background(environment.search([question])).text) for question in questions]
    tokens = sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts)
    size = ResultSize(
        round(tokens / len(texts)), sampling.shown_tokens, int(sampling.shown_tokens * sum(map(len, texts)) / tokens)
    )
    if 2 * size.search > size.shown:
        raise LratError(
            f"GRPO: expected room for the results of two searches, found that {size}. Raise max_completion_length, or "
            "lower k or snippet_tokens."
        )
    return size


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The tokens that end a reply."""
    declared: Any = getattr(model.generation_config, "eos_token_id", None)
    ids = declared if isinstance(declared, list) else [declared]
    return frozenset(token for token in [*ids, tokenizer.eos_token_id] if token is not None)
