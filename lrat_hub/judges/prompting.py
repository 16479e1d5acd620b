"""Questions that have a verdict as their answer: prompts in YAML, and the verdicts of plug-ins, checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.llm.chat import Message
from lrat_hub.llm.isolation import isolated, tags_in
from lrat_hub.llm.prompts import digest_of, read_prompt, shortened
from lrat_hub.plugins import described


@dataclass(frozen=True)
class VerdictPrompt:
    """A question that has one of a few verdicts as its answer.

    Args:
        system, user: The two messages; `user` is a Jinja template over the fields of a case, and an empty `system` is
            left out.
        again: What is said to a model whose reply held no verdict.
        schema: JSON schema of the reply, for servers that can hold a model to it; none is sent if it is empty.
        field: The property of the schema that holds the verdict.
        labels: Each verdict with the words that mean it, in lower case ("relevant": "relevant", "yes").
        request: Fields of the request that belong to the prompt, such as the sampling that it is published with.
    """

    system: str
    user: str
    again: str
    schema: Mapping[str, Any]
    field: str
    labels: Mapping[str, tuple[str, ...]]
    request: Mapping[str, Any] = dataclasses.field(default_factory=dict)

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

    @cached_property
    def _tags(self) -> frozenset[str]:
        return tags_in(self.system, self.user)

    def messages(self, case: Mapping[str, str]) -> list[Message]:
        """The conversation that asks about one case; its texts are isolated, so that none ends its section."""
        texts = {name: isolated(text, self._tags) for name, text in case.items()}
        asked = {"role": "user", "content": self._template.render(texts).strip()}
        system = self.system.strip()
        return [{"role": "system", "content": system}, asked] if system else [asked]


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
