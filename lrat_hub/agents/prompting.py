"""What agents are told: YAML files in `prompts/`, or anyone's own of the same shape."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.llm.prompts import digest_of, read_prompt, shortened

TOOLS_MARK = "{tools}"
"""Stands in a system text where the tools are listed, a JSON object a line."""


@dataclass(frozen=True)
class AgentPrompt:
    """What an agent is told, and what it can call.

    Args:
        system: The system message; "" for none.
        question: The message with the question, with `{question}` where it goes.
        final: The message that asks for an answer at a limit.
        again: What a reply without a call or an answer is told.
        tools: Functions in OpenAI's format: one that searches, one that opens a document, maybe one that answers.
        tool_choice: "required" where each reply has to call a tool, which a server can hold any model to.
    """

    system: str
    question: str
    final: str
    again: str
    tools: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    tool_choice: str | None = None

    @classmethod
    def load(cls, name: str | Path) -> AgentPrompt:
        """A prompt of this package by its name ("tongyi"), or any YAML file by its path.

        Raises:
            LratError: There is none, or it is not of this shape.
        """
        content = read_prompt("lrat_hub.agents", name)
        try:
            prompt = cls(**content)
            if "{question}" not in prompt.question:
                raise ValueError("its question has no {question}")
            json.dumps(asdict(prompt))
        except (TypeError, ValueError) as error:
            raise LratError(
                f"Prompt {name}: expected the keys system, question, final, again; {shortened(error)}."
            ) from error
        return prompt

    @cached_property
    def digest(self) -> str:
        """Identifies the prompt, whatever file it came from: 16 hexadecimal digits."""
        return digest_of(self)

    def opening(self, question: str) -> list[dict[str, Any]]:
        """The messages that a conversation begins with."""
        tools = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in self.tools)
        system = self.system.strip().replace(TOOLS_MARK, tools)
        asked = self.question.strip().replace("{question}", question)
        return [
            *([{"role": "system", "content": system}] if system else []),
            {"role": "user", "content": asked},
        ]
