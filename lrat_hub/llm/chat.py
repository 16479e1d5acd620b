"""Language models that agents and judges ask: one protocol, and the client of every server that speaks OpenAI's.

vLLM, SGLang, llama.cpp and hosted APIs answer `POST /v1/chat/completions`; their differences are in how a model's
reasoning arrives, and are settled here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from tenacity import AsyncRetrying

from lrat_hub.errors import LratError
from lrat_hub.hub.retries import backoff
from lrat_hub.schema import Sampling

if TYPE_CHECKING:
    from aiohttp import ClientSession

T = TypeVar("T")

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


class NoServerError(ChatError):
    """No server of a model answers, for longer than is waited: nothing that is asked of it would get a reply."""


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
        extra: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Gives the reply to a conversation.

        Args:
            sampling: Sent as it is; what is None is left to the server.
            tools: Functions the model may call, in OpenAI's format.
            tool_choice: "none" for a reply without calls, "required" for one with; None leaves it to the model.
            schema: A JSON schema that the reply's content must follow.
            stop: Strings that end the reply; they are not part of it.
            extra: Further fields of this request, such as a prompt's own sampling; they come before all others.

        Raises:
            ChatError: There was no reply.
        """
        ...


@dataclass
class ChatClient:
    """Asks a server that speaks OpenAI's chat completions.

    Requests that fail for a reason that may pass (no connection, no reply in time, 408, 409, 429, 5xx, something that
    is no reply, as of a proxy whose server restarts) are sent again, with growing pauses.

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
        self._connections = Connections(self.timeout, self.api_key)

    async def chat(
        self, messages: Sequence[Message], *, extra: Mapping[str, Any] | None = None, **options: Any
    ) -> Reply:
        """See `ChatBackend.chat`."""
        request = chat_request(self.model, messages, extra={**self.extra, **(extra or {})}, **options)
        retrying = AsyncRetrying(**backoff(_may_pass, attempts=self.attempts, longest_pause=8.0))
        try:
            return await retrying(self._send, request)
        except PassingError as error:
            # Records name errors by their class.
            raise ChatError(str(error), error.status) from error

    async def _send(self, request: Mapping[str, Any]) -> Reply:
        """The reply to a request; `PassingError` where it is worth sending it again."""
        import aiohttp

        url = f"{self.base_url.rstrip('/')}/chat/completions"
        try:
            session = await self._connections.session()
            async with session.post(url, json=request, proxy=_proxy_of(url)) as response:
                body = await response.text(errors="replace")
        except (TimeoutError, aiohttp.ClientError) as error:
            raise PassingError(self._says(error)) from error
        except ValueError as error:
            # A URL or a key that no request can carry.
            raise ChatError(self._says(error)) from error
        if response.status in PASSING or response.status >= 500:
            raise PassingError(self._says(f"{response.status} {body}"), response.status, response.headers)
        if response.status != 200:
            raise ChatError(self._says(f"{response.status} {body}"), response.status)
        try:
            return self._read(json.loads(body))
        except (ValueError, RecursionError) as error:
            raise PassingError(self._says(f"expected a reply in JSON, found {body[:100]!r}.")) from error

    def _says(self, problem: object) -> str:
        return f"{self.base_url}: {self.model}: {' '.join(str(problem).split())[:500] or type(problem).__name__}"

    def _read(self, completion: Any) -> Reply:
        # Servers can leave out any part.
        choice = next(iter(_list(_get(completion, "choices"))), None)
        message = _get(choice, "message")
        if not isinstance(message, dict):
            # Of proxies, some give the errors of the server behind them as if they were replies.
            problem = _get(completion, "error")
            raise PassingError(self._says(f"expected a reply with a message, found {problem or 'none'}."))
        usage = _get(completion, "usage")
        named = next((name for name in ("reasoning", "reasoning_content") if message.get(name)), None)
        functions = [(call, _get(call, "function")) for call in _list(message.get("tool_calls"))]
        return Reply(
            content=_text(message.get("content")),
            reasoning=_text(message[named]) if named else "",
            reasoning_field=named or "reasoning",
            tool_calls=tuple(
                ToolCall(_text(call.get("id")), _text(function.get("name")), _text(function.get("arguments")))
                for call, function in functions
                if isinstance(function, dict)
            ),
            finish_reason=_get(choice, "finish_reason") or "stop",
            prompt_tokens=_get(usage, "prompt_tokens"),
            completion_tokens=_get(usage, "completion_tokens"),
        )


def chat_request(
    model: str,
    messages: Sequence[Message],
    *,
    sampling: Sampling,
    max_tokens: int | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    tool_choice: str | None = None,
    schema: Mapping[str, Any] | None = None,
    stop: Sequence[str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A request of OpenAI's chat completions; see `ChatBackend.chat`."""
    request: dict[str, Any] = {
        "model": model,
        "messages": list(messages),
        **{name: value for name, value in asdict(sampling).items() if value is not None},
        **({"max_tokens": max_tokens} if max_tokens else {}),
        **({"tools": list(tools)} if tools else {}),
        **({"tool_choice": tool_choice} if tools and tool_choice else {}),
        **({"stop": list(stop)} if stop else {}),
    }
    if schema:
        request["response_format"] = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}
    return request | {**(extra or {})}


class Connections:
    """HTTP connections that many requests share, for as long as an event loop runs.

    Args:
        timeout: Seconds to wait for a reply.
        api_key: "" for servers that want none.
    """

    def __init__(self, timeout: float, api_key: str) -> None:
        self._timeout, self._api_key = timeout, api_key
        self._opened: ClientSession | None = None
        self._held: AsyncIterator[ClientSession] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def session(self) -> ClientSession:
        """The session of the event loop that runs."""
        # Connections belong to the event loop they were opened in.
        loop = asyncio.get_running_loop()
        if self._opened is None or self._loop is not loop:
            held = self._hold_session()
            self._opened = await anext(held)
            self._loop, self._held = loop, held
        return self._opened

    async def _hold_session(self) -> AsyncIterator[ClientSession]:
        """Gives a session and, once the event loop ends, which closes what its generators hold, closes it."""
        import aiohttp

        # Callers bound how many requests are under way.
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._timeout, sock_connect=30),
            headers={"Authorization": f"Bearer {self._api_key}"} if self._api_key else {},
        ) as session:
            yield session


PASSING = (408, 409, 429)
"""Answers of a server that is there, and has no time now."""


@lru_cache(maxsize=64)
def _proxy_of(url: str) -> str | None:
    """The proxy that the environment names for a URL. aiohttp's own way reads passwords from ~/.netrc as well."""
    parts = urlsplit(url)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


class PassingError(ChatError):
    """A request that failed for a reason that may pass, with the headers of the response, where there was one."""

    def __init__(self, message: str, status: int | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, status)
        self.headers = headers


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, PassingError)


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    """A text field as one string: some servers give a list of parts, and some null."""
    if isinstance(value, list):
        return "\n".join(_text(part.get("text") if isinstance(part, dict) else part) for part in value)
    return value if isinstance(value, str) else "" if value is None else str(value)


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end, also from a notebook, whose thread has an event loop of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()
