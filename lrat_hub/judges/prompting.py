"""Questions that have a verdict as their answer: prompts in YAML, and verdicts out of what models write to them.

Verdicts come as JSON, one bold word, or a line at the end, with or without thinking before it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.llm.chat import Message
from lrat_hub.llm.prompts import digest_of, read_prompt, shortened
from lrat_hub.plugins import described

THINKING_ENDS = ("</think>", "</thinking>", "</seed:think>", "[/THINK]", "<|channel|>final<|message|>")
"""What stands between a model's thinking and its reply, where the server does not separate them."""

THINKING_STARTS = ("<think>", "<thinking>", "<seed:think>", "[THINK]", "<|channel|>analysis<|message|>")


@dataclass(frozen=True)
class VerdictPrompt:
    """A question that has one of a few verdicts as its answer.

    Args:
        system, user: The two messages; `user` is a Jinja template over the fields of a case.
        again: What is said to a model whose reply held no verdict.
        schema: JSON schema of the reply, for servers that can hold a model to it.
        field: The property of the schema that holds the verdict.
        labels: Each verdict with the words that mean it, in lower case ("relevant": "relevant", "yes").
    """

    system: str
    user: str
    again: str
    schema: Mapping[str, Any]
    field: str
    labels: Mapping[str, tuple[str, ...]]

    @classmethod
    def load(cls, name: str | Path) -> VerdictPrompt:
        """A prompt of this package by its name ("document"), or any YAML file by its path.

        Raises:
            LratError: There is none, or it is not of this shape.
        """
        content = read_prompt("lrat_hub.judges", name)
        try:
            labels = {label: tuple(str(word).lower() for word in words) for label, words in content["labels"].items()}
            prompt = cls(**{**content, "labels": labels})
            prompt.messages(dict.fromkeys(prompt.fields, ""))
        except Exception as error:
            # Other keys, or a template that Jinja can't read, which has exceptions of its own.
            raise LratError(f"Prompt {name}: expected a verdict prompt; {shortened(error)}") from error
        return prompt

    @cached_property
    def digest(self) -> str:
        """Identifies the prompt, whatever file it came from: 16 hexadecimal digits."""
        return digest_of(self)

    @cached_property
    def fields(self) -> frozenset[str]:
        """Names of the fields that a case must have."""
        from jinja2 import Environment, meta

        return frozenset(meta.find_undeclared_variables(Environment().parse(self.user)))

    @cached_property
    def _template(self) -> Any:
        from jinja2 import Environment, StrictUndefined

        return Environment(undefined=StrictUndefined, keep_trailing_newline=False).from_string(self.user)

    def messages(self, case: Mapping[str, str]) -> list[Message]:
        """The conversation that asks about one case."""
        return [
            {"role": "system", "content": self.system.strip()},
            {"role": "user", "content": self._template.render(case).strip()},
        ]


def after_thinking(text: str) -> str | None:
    """What a model said after it thought; None when it was cut off while thinking.

    The opening tag is often missing, as chat templates put it into the prompt.
    """
    end = max((text.rfind(tag) + len(tag) for tag in THINKING_ENDS if tag in text), default=0)
    rest = text[end:]
    return None if any(tag in rest for tag in THINKING_STARTS) else rest


def read_verdict(text: str, labels: Mapping[str, tuple[str, ...]], field: str) -> str | None:
    """The verdict in a reply, or None when there is none, or more than one.

    In this order: the named field of a JSON object; the field's name, a colon and a verdict; a line that is nothing
    but a verdict. Case, Markdown, quotes and the full stop don't matter. A verdict in the middle of a sentence is not
    read: "not quite irrelevant" can't be.

    Args:
        labels: Each verdict with the words that mean it, in lower case.
        field: Name of the JSON property that holds it.
    """
    reply = after_thinking(text)
    if reply is None:
        return None
    by_word = {word: label for label, words in labels.items() for word in words}
    verdicts = [by_word.get(_bare(value[field])) for value in _objects(reply) if field in value]
    if not verdicts:
        lines = [_bare(line) for line in reply.splitlines()]
        named = [line.partition(":") for line in lines]
        verdicts = [by_word.get(value.strip()) for name, _, value in named if name.strip().endswith(field.lower())]
        if not verdicts:
            verdicts = [by_word[line] for line in lines if line in by_word]
    return verdicts[0] if len(set(verdicts)) == 1 else None


def checked_verdicts(judge: str, ask: Callable[[], Iterable[Any]], allowed: Sequence[str], count: int) -> list[Any]:
    """The verdicts of a plug-in.

    Args:
        judge: The plug-in's name, for messages.
        ask: Calls the plug-in.

    Raises:
        LratError: It raised, or gave another number of verdicts, or one that is not allowed.
    """
    try:
        given = list(ask())
    except LratError:
        raise
    except (Exception, SystemExit) as error:
        raise LratError(f"Judge {judge}: it failed; {described(error)}") from error
    wrong = [repr(verdict) for verdict in given if verdict not in allowed]
    if len(given) != count or wrong:
        raise LratError(
            f"Judge {judge}: expected {count} verdicts out of {', '.join(allowed)}, "
            f"found {wrong[0] if wrong else len(given)}."
        )
    return given


def _bare(value: Any) -> str:
    """Lower case and one blank between words, without Markdown, quotes and punctuation around or behind."""
    text = re.sub(r"[*_`#>\"'“”‘’]|^\s*[-•]\s+", "", str(value)).lower()
    return " ".join(text.strip(" \t\r\n.!()[]{}").split())


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder, start = json.JSONDecoder(), 0
    while (start := text.find("{", start)) >= 0:
        try:
            value, start = decoder.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            start += 1
        else:
            yield value
