"""Language models that agents and judges ask: one protocol, and the client of every server that speaks OpenAI's.

vLLM, SGLang, llama.cpp and hosted APIs answer `POST /v1/chat/completions`; their differences are in how a model's
reasoning arrives, and are settled here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from lrat_hub.errors import LratError
from lrat_hub.schema import Sampling

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion

Message = Mapping[str, Any]
"""A message as the protocol has it: `role`, `content`, and what else that role carries."""


class ChatError(LratError):
    """A request that got no reply.

    Args:
        status: The HTTP status, or None when the server could not be reached or did not answer in time.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class ToolCall:
    """A function call as the model wrote it: `arguments` is JSON, or what was meant to be."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Reply:
    """What a model answered.

    Args:
        reasoning: What a server that separates it gave as reasoning; "" where there is none.
        reasoning_field: The name that it came by, and goes back by.
        finish_reason: "stop", "length", "tool_calls", or what else the server says.
        prompt_tokens, completion_tokens: As the server counts them; None where it does not.
    """

    content: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_field: str = "reasoning"


class ChatBackend(Protocol):
    """A model that can be asked. `name` and `revision` are its repository and commit sha where they are known."""

    name: str
    revision: str | None

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        sampling: Sampling,
        max_tokens: int | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | None = None,
        schema: Mapping[str, Any] | None = None,
        stop: Sequence[str] | None = None,
    ) -> Reply:
        """Gives the reply to a conversation.

        Args:
            sampling: Sent as it is; what is None is left to the server.
            tools: Functions the model may call, in OpenAI's format.
            tool_choice: "none" for a reply without calls, "required" for one with; None leaves it to the model.
            schema: A JSON schema that the reply's content must follow.
            stop: Strings that end the reply; they are not part of it.

        Raises:
            ChatError: There was no reply.
        """
        ...


@dataclass
class ChatClient:
    """Asks a server that speaks OpenAI's chat completions.

    Requests that fail for a reason that may pass (no connection, no reply in time, 408, 409, 429, 5xx) are sent
    again, with growing pauses.

    Args:
        base_url: Where the server is, up to and with `/v1`.
        model: The model's name at the server.
        name: Its repository; `model` when "".
        revision: Its commit sha, where it is known.
        api_key: "" for servers that want none.
        timeout: Seconds to wait for a reply, each time.
        attempts: How often a request is sent before it has failed.
        extra: Further fields of every request, such as `{"top_k": 20}`.
    """

    base_url: str
    model: str
    name: str = ""
    revision: str | None = None
    api_key: str = field(default="", repr=False)
    timeout: float = 600.0
    attempts: int = 4
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.name = self.name or self.model
        self._client: AsyncOpenAI | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        sampling: Sampling,
        max_tokens: int | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | None = None,
        schema: Mapping[str, Any] | None = None,
        stop: Sequence[str] | None = None,
    ) -> Reply:
        """See `ChatBackend.chat`."""
        import openai
        from openai.types.chat import ChatCompletion

        request: dict[str, Any] = {
            "model": self.model,
            "messages": list(messages),
            **{name: value for name, value in asdict(sampling).items() if value is not None},
            **({"max_tokens": max_tokens} if max_tokens else {}),
            **({"tools": list(tools)} if tools else {}),
            **({"tool_choice": tool_choice} if tools and tool_choice else {}),
            **({"stop": list(stop)} if stop else {}),
        }
        if schema:
            request["response_format"] = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}
        request |= self.extra
        try:
            # Not `chat.completions.create`: it walks through all messages once more to find out what they are, which
            # costs more time than anything else here when conversations get long.
            completion = await self._connection().post("/chat/completions", body=request, cast_to=ChatCompletion)
        except openai.APIStatusError as error:
            raise ChatError(f"{self.base_url}: {self.model}: {_said(error)}", error.status_code) from error
        except (openai.APIError, ValueError) as error:
            # ValueError: a reply that is no JSON.
            raise ChatError(f"{self.base_url}: {self.model}: {_said(error)}") from error
        return self._read(completion)

    def _connection(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        # Connections belong to the event loop they were opened in.
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._loop = loop
            self._client = AsyncOpenAI(
                base_url=self.base_url,
                api_key=self.api_key or "none",
                max_retries=self.attempts - 1,
                timeout=self.timeout,
                # openai's own would, once it is collected, be closed in whatever loop runs by then.
                http_client=DefaultAsyncHttpxClient(timeout=self.timeout),
            )
        return self._client

    def _read(self, completion: ChatCompletion) -> Reply:
        # The client does not check what servers send, so that any part of it can be missing.
        choices = getattr(completion, "choices", None)
        message = getattr(choices[0], "message", None) if choices else None
        if message is None:
            raise ChatError(f"{self.base_url}: {self.model}: expected a reply with a message, found none.")
        usage = getattr(completion, "usage", None)
        named = next((name for name in ("reasoning", "reasoning_content") if getattr(message, name, None)), None)
        return Reply(
            content=_text(getattr(message, "content", None)),
            reasoning=_text(getattr(message, named)) if named else "",
            reasoning_field=named or "reasoning",
            tool_calls=tuple(
                ToolCall(call.id or "", call.function.name or "", _text(call.function.arguments))
                for call in getattr(message, "tool_calls", None) or ()
                if getattr(call, "function", None) is not None
            ),
            finish_reason=getattr(choices[0], "finish_reason", None) or "stop",
            prompt_tokens=getattr(usage, "prompt_tokens", None),
            completion_tokens=getattr(usage, "completion_tokens", None),
        )


def _text(value: Any) -> str:
    """A text field as one string: some servers give a list of parts, and some null."""
    if isinstance(value, list):
        return "\n".join(_text(part.get("text") if isinstance(part, dict) else part) for part in value)
    return value if isinstance(value, str) else "" if value is None else str(value)


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__
