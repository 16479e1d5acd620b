"""Rollouts that are texts with tags: of training runs, of inference scripts, and of ReAct agents.

- Search-R1's generations and those of its kin (ZeroSearch, ReSearch, R1-Searcher): PeterGriffinJin/Search-R1@a14dc3a:
  infer.py, search_r1/llm_agent/generation.py; Alibaba-NLP/ZeroSearch@2d4cdca: inference.py;
  RUCAIBox/R1-Searcher@631167c: evaluation/eval_search_loacl.py.
- verl's `rollout_data_dir` and `validation_data_dir`: verl/trainer/ppo/ray_trainer.py, `_dump_generations`: JSON lines
  with `input`, `output`, `gts`, `score` and `step`.
- ReAct as one text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lrat_hub.importers.chat_messages import assistant
from lrat_hub.importers.converters.native import (
    dialogues,
    native_messages,
    plain_text,
    role_of,
    template_messages,
    without_role_lines,
)
from lrat_hub.importers.converters.react import is_react, react_run
from lrat_hub.importers.converters.tagged import has_calls, has_open_result
from lrat_hub.importers.values import UnreadableRecord, object_of, text_of
from lrat_hub.ledger import Ledger

TEXTS = (
    "sequences_str", "gen_text_store", "full_response", "full_text", "response", "responses", "output", "outputs",
    "completion", "completions", "generation", "generations", "generated_text", "rollout", "trajectory",
    "model_output", "text",
)  # fmt: skip
"""Keys of what a model wrote, in order of preference."""
PROMPTS = ("prompt", "input", "inputs", "instruction")

EXAMPLES = "runs above the last question of a text, taken for examples of a prompt"

_QUESTION = re.compile(r"(?:\A|[\s.])Question:\s*")
_INSTRUCTS = ("<search>", "<answer>", "<|begin_of_query|>", "<|begin_search_query|>", "Thought:")


def recognise_rollout(value: Any) -> str | None:
    """Why a value is a rollout with calls in tags, or None."""
    if isinstance(value, str):
        return "a text with calls in tags" if _has_actions(value) else None
    if not isinstance(value, dict):
        return None
    if _is_other(value):
        return None
    for key in TEXTS:
        for text in _texts(value.get(key)):
            if _has_actions(text):
                verl = " of verl" if key == "output" and {"input", "step"} <= value.keys() else ""
                return f"a rollout{verl} with calls in the text of `{key}`"
    return None


def convert_rollout(value: Any, parts: Ledger) -> Iterator[dict[str, Any]]:
    """The runs of one record: several where it holds several samples.

    Raises:
        UnreadableRecord: It has no text and no messages.
    """
    record = object_of(value)
    texts = [value] if isinstance(value, str) else []
    key = next((key for key in TEXTS if any(_texts(record.get(key)))), None)
    if key is not None:
        texts = list(_texts(record[key]))
    if not texts:
        raise UnreadableRecord(f"not a rollout: no text of a model under {', '.join(TEXTS)}")
    for text in texts:
        for dialogue in [text] if _question_of(record) else dialogues(text):
            yield _of_text(record, dialogue, parts)


def _of_text(record: Mapping[str, Any], text: str, parts: Ledger) -> dict[str, Any]:
    prompt, text = _prompt_and_reply(record, text)
    question = _question_of(record) or question_in(prompt)
    react = react_run(text)
    if react is not None:
        messages, question = react.messages, question or react.question
        parts.note(EXAMPLES, react.num_before, example=text)
    else:
        template = template_messages(text)
        messages = native_messages(template or [assistant(without_role_lines(text))], parts)
        # A dialogue in the template may begin with the prompt.
        prompts = [message for message in messages if role_of(message) == "user"]
        question = question or (question_in(plain_text(prompts[0]) or "") if prompts else "")
    parts.keep(len(messages))
    return run_of(record, messages, question=question)


def run_of(record: Mapping[str, Any], messages: list[Any], *, question: str) -> dict[str, Any]:
    """A chat record of messages and of what a record says beside them."""
    texts = (*TEXTS, *PROMPTS, "chat_prompt")
    run = {key: record[key] for key in record if key not in texts}
    return {**run, **({"question": question} if question else {}), "messages": messages}


def question_in(prompt: str) -> str:
    """The question in a prompt that wraps it in instructions; the prompt itself where it does not."""
    messages = template_messages(prompt)
    if messages is not None:
        prompt = next((message["content"] for message in reversed(messages) if message["role"] == "user"), prompt)
    prompt = prompt.strip()
    _, user, asked = f"\n{prompt}".rpartition("\nUser:")
    asked, assistant, _ = asked.partition("\nAssistant:")
    if user and assistant and asked.strip():
        return asked.strip()
    marks = list(_QUESTION.finditer(prompt))
    return prompt[marks[-1].end() :].strip() if marks and prompt[marks[-1].end() :].strip() else prompt


def _prompt_and_reply(record: Mapping[str, Any], text: str) -> tuple[str, str]:
    """The prompt and what was written after it, which some scripts keep in one text."""
    prompt = next((record[key] for key in PROMPTS if record.get(key)), "")
    if isinstance(prompt, list):
        prompt = next((plain_text(part) or "" for part in reversed(prompt) if role_of(part) == "user"), "")
    prompt = text_of(prompt)
    if prompt and text.startswith(prompt):
        return prompt, text[len(prompt) :]
    template = template_messages(text)
    if template and template[0]["role"] in ("system", "user") and "<|" not in text[:2]:
        # Decoded without special tokens: the reply is one text, with lines of roles in it.
        reply = next((message["content"] for message in template if message["role"] == "assistant"), "")
        asked = next((message["content"] for message in template if message["role"] == "user"), prompt)
        return asked, reply
    mark = None if template or is_react(text) else _QUESTION.search(text)
    above = text[: mark.start() + 1] if mark is not None else ""
    # A document may hold questions, too.
    if mark is not None and any(word in above for word in _INSTRUCTS) and not has_open_result(above):
        question, _, reply = text[mark.end() :].partition("\n")
        return f"{text[: mark.end()]}{question}", reply
    return prompt, text


def _question_of(record: Mapping[str, Any]) -> str:
    keys = ("question", "query", "problem", "Question")
    return next((record[key].strip() for key in keys if isinstance(record.get(key), str) and record[key].strip()), "")


def _is_other(record: Mapping[str, Any]) -> bool:
    """Whether a record is a conversation, or one of the formats that keep a text with tags among other things."""
    return any(isinstance(record.get(key), (list, dict)) for key in ("messages", "conversations", "conversation",
        "completion", "full_traces", "result")) or ("Output" in record and "Question" in record)  # fmt: skip


def _has_actions(text: str) -> bool:
    return has_calls(text) or is_react(text)


def _texts(value: Any) -> Iterator[str]:
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, str) and part.strip():
            yield part
