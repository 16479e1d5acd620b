"""Agents that are language models: a conversation by one of the protocols, kept within limits."""

from __future__ import annotations

import re
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lrat_hub.agents.calls import NOT_DONE, Answer, Browse, Call, Invalid, Search, identity, only_listed
from lrat_hub.agents.environment import Observation
from lrat_hub.agents.protocols import UNREAD, AgentPrompt, ChatProtocol, Turn, open_protocol
from lrat_hub.agents.settings import AgentSettings
from lrat_hub.errors import LratError
from lrat_hub.llm.chat import ChatBackend, ChatClient, ChatError, Reply
from lrat_hub.llm.serving import NamedModel, ServedModel, open_model
from lrat_hub.schema import Sampling

PAPER_SAMPLING = Sampling(temperature=0.85, top_p=0.95, presence_penalty=1.1, seed=2025)
"""Section 6.1.4: "we fix the random seed to 2025. Generation parameters are set to a temperature of 0.85,
top_p = 0.95, and a presence penalty of 1.1."""

MARGIN = 1_000
"""Tokens kept free for one more observation, however short it is cut, and for the message that asks for an answer."""

FIRST_REPLIES = 10
"""Number of first replies by which it is decided whether a server can read its model's calls."""

_TOO_LONG = re.compile(
    r"context (?:length|size|window)|maximum.{0,20}length|too long|input tokens|max_model_len", re.I
)
_LOOP_LENGTH = 2_000
_LOOP_SHARE = 0.1


@dataclass
class Usage:
    """What an agent's model was asked for by all runs together.

    Args:
        opened, opened_unread: Runs that have a first reply, and those whose first reply held the mark-up of a call
            that could not be read.
    """

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    opened: int = 0
    opened_unread: int = 0

    def require_parser(self, model: str) -> None:
        """Raises LratError once most runs have begun with a call that nobody could read: the rest would, too."""
        if self.opened >= FIRST_REPLIES and 2 * self.opened_unread > self.opened:
            raise LratError(
                f"{model}: expected calls of tools, found unread mark-up of calls in {self.opened_unread} of "
                f"{self.opened} first replies. The server has no tool parser for this model: start it with one."
            )


@dataclass
class LanguageAgent:
    """A language model that searches and browses until it answers.

    Args:
        backend: The model.
        protocol: How it calls tools; one of `lrat_hub.agents.protocols.PROTOCOLS`.
        prompt: Name or path of its prompt; the protocol's own when "".
        sampling: Sampling parameters, which are sent with every request and recorded.
        max_tokens: Maximum number of tokens of a reply, thinking included.
        context_tokens: Maximum number of tokens of prompt and reply together; 0 if it is unknown. The agent is asked
            for its answer while the answer still fits.
        max_repeats: Number of identical calls, or of messages in a row without a readable call, after which the
            agent is asked for its answer.
        extra_settings: Further settings to record, such as the server's version.

    Raises:
        LratError: There is no such protocol or prompt, or the context has no room for two replies.
    """

    backend: ChatBackend
    protocol: str
    prompt: str = ""
    sampling: Sampling = PAPER_SAMPLING
    max_tokens: int = 8_192
    context_tokens: int = 0
    max_repeats: int = 5
    extra_settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.name, self.revision = self.backend.name, self.backend.revision
        self.speaks: ChatProtocol = open_protocol(self.protocol)
        self.told = AgentPrompt.load(self.prompt or self.protocol)
        self.usage = Usage()
        if self.max_tokens < 1 or self.max_repeats < 2:
            raise LratError(
                "Agent: expected max_tokens of 1 and max_repeats of 2 or more, found "
                f"{self.max_tokens} and {self.max_repeats}. Raise them."
            )
        if 0 < self.context_tokens < 2 * self.max_tokens + 2 * MARGIN:
            raise LratError(
                f"Agent: expected a context of {2 * self.max_tokens + 2 * MARGIN} tokens or more for replies of "
                f"{self.max_tokens}, found {self.context_tokens}. Lower max_tokens."
            )

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "protocol": self.protocol,
            "prompt": self.prompt or self.protocol,
            "prompt_sha256": self.told.digest,
            "max_tokens": self.max_tokens,
            "context_tokens": self.context_tokens,
            "max_repeats": self.max_repeats,
            "extra": dict(getattr(self.backend, "extra", {})),
            **self.extra_settings,
        }

    def for_sample(self, sample: int) -> LanguageAgent:
        """The agent for the runs of that number: the first has the seed itself, others one of their own."""
        if sample == 0 or self.sampling.seed is None:
            return self
        agent = replace(self, sampling=replace(self.sampling, seed=self.sampling.seed + sample))
        agent.usage = self.usage
        return agent

    def start(self, question: str) -> Conversation:
        return Conversation(self, question)


class Conversation:
    """An agent at work on one question: see `Episode`."""

    def __init__(self, agent: LanguageAgent, question: str) -> None:
        self._agent = agent
        # Of several servers one has the whole conversation.
        self._opened = ExitStack()
        begin = getattr(agent.backend, "conversation", None)
        self._backend: ChatBackend = self._opened.enter_context(closing(begin())) if begin else agent.backend
        self._messages = agent.told.opening(question)
        self._turn: Turn | None = None
        self._next = 0
        self._observed: list[str] = []
        self._shown: dict[str, None] = {}
        self._made: Counter[tuple[Any, ...]] = Counter()
        self._unread = 0
        self._limit: str | None = None
        self._used = 0
        self._chars = sum(len(message["content"]) for message in self._messages)
        self._usage = Usage()
        self._started = time.monotonic()

    @property
    def notes(self) -> Mapping[str, Any]:
        """See `Episode`. `seconds` have passed since the start, waiting for other runs included.

        They are this agent's to note and not the loop's: what offline agents do is the same each time, to the byte.
        """
        usage = self._usage
        return {
            "requests": usage.requests,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "seconds": round(time.monotonic() - self._started, 3),
        }

    async def act(self, observation: Observation | None) -> Call:
        """See `Episode.act`."""
        try:
            call = await self._act(observation)
        except BaseException:
            self._opened.close()
            raise
        if isinstance(call, Answer):
            self._opened.close()
        return call

    async def _act(self, observation: Observation | None) -> Call:
        if observation is not None:
            self._observed.append(observation.text)
            for candidate in observation.results:
                self._shown.pop(candidate.docid, None)
                self._shown[candidate.docid] = None
        is_last = observation is not None and observation.is_last
        if self._turn is not None and not is_last and self._next < len(self._turn.calls):
            return self._given()
        self._show_results()
        if not self._usage.requests:
            self._agent.usage.require_parser(self._agent.name)
        if is_last or self._limit or self._is_full():
            return await self._answer(self._limit or (None if is_last else "context"))
        try:
            reply = await self._ask(is_last=False)
        except ChatError as error:
            if not _is_too_long(error):
                raise
            return await self._answer("context")
        self._keep(reply)
        return self._given()

    def _given(self) -> Call:
        """The next call of the message, once it is known that it makes sense."""
        assert self._turn is not None
        call = only_listed(self._turn.calls[self._next], self._shown)
        self._next += 1
        if isinstance(call, (Search, Browse)):
            return replace(call, room=self._room())
        return call

    def _show_results(self) -> None:
        """Puts what the calls of the last message gave into the conversation."""
        if self._turn is None:
            return
        left = len(self._turn.calls) - len(self._observed)
        messages = self._agent.speaks.results(self._turn, [*self._observed, *[NOT_DONE] * left])
        self._add(*messages)
        self._turn = None

    def _keep(self, reply: Reply) -> None:
        """Puts a reply into the conversation and looks whether the agent goes in circles."""
        self._turn = self._agent.speaks.read(reply, self._agent.told)
        self._next, self._observed = 0, []
        if self._usage.requests == 1:
            first = self._turn.calls[0]
            self._agent.usage.opened += 1
            self._agent.usage.opened_unread += isinstance(first, Invalid) and first.error == UNREAD
        self._add(self._turn.message)
        readable = [call for call in self._turn.calls if not isinstance(call, Invalid)]
        self._unread = 0 if readable else self._unread + 1
        # What is counted is messages: a call that is repeated within one is carried out, and seen to be.
        self._made.update({identity(call) for call in readable})
        most = max(self._unread, *(self._made[identity(call)] for call in readable), 0)
        if most >= self._agent.max_repeats or (reply.finish_reason == "length" and _is_loop(reply)):
            self._limit = "repetition"

    async def _answer(self, limit: str | None) -> Call:
        """Asks for the answer in one more message, which overwrites nothing."""
        self._add({"role": "user", "content": self._agent.told.final.strip()})
        try:
            reply = await self._ask(is_last=True)
        except ChatError as error:
            if not _is_too_long(error):
                raise
            return Answer(None, None, limit="context")
        call = self._agent.speaks.read(reply, self._agent.told).calls[0]
        text = call.text if isinstance(call, Answer) else None
        return Answer(call.reasoning, text, limit=limit)

    async def _ask(self, *, is_last: bool) -> Reply:
        agent = self._agent
        options = agent.speaks.options(agent.told, list(self._shown), is_last=is_last)
        options = {name: value for name, value in options.items() if value is not None}
        for usage in (self._usage, agent.usage):
            usage.requests += 1
        try:
            reply = await self._backend.chat(
                self._messages, sampling=agent.sampling, max_tokens=agent.max_tokens, **options
            )
        except ChatError as error:
            agent.usage.errors[f"HTTP {error.status}" if error.status else "no reply"] += 1
            raise
        prompt, completion = reply.prompt_tokens or 0, reply.completion_tokens or 0
        self._used = prompt + completion
        self._chars = sum(len(message["content"] or "") for message in self._messages) + len(reply.content)
        for usage in (self._usage, agent.usage):
            usage.prompt_tokens += prompt
            usage.completion_tokens += completion
        return reply

    def _add(self, *messages: Mapping[str, Any]) -> None:
        self._messages.extend(dict(message) for message in messages)

    def _tokens(self, chars: int) -> int:
        """About how many tokens a text has, by what the server counted so far; three characters each before."""
        return int(chars * (self._used / self._chars if self._used and self._chars else 1 / 3))

    def _estimate(self) -> int:
        """About how many tokens the conversation has now."""
        chars = sum(len(message["content"] or "") for message in self._messages)
        return self._used + self._tokens(max(0, chars - self._chars)) if self._used else self._tokens(chars)

    def _is_full(self) -> bool:
        """Whether another reply and its result could leave no room for an answer."""
        agent = self._agent
        return 0 < agent.context_tokens < self._estimate() + 2 * agent.max_tokens + MARGIN

    def _room(self) -> int | None:
        """Characters of an observation that still fit in beside an answer."""
        agent = self._agent
        if not agent.context_tokens:
            return None
        waiting = sum(len(text) for text in self._observed)
        free = agent.context_tokens - self._estimate() - self._tokens(waiting) - agent.max_tokens - MARGIN // 2
        # A tenth is kept, since another text may have more tokens a character.
        return max(0, int(0.9 * free / max(self._tokens(1_000), 1) * 1_000))


def _is_too_long(error: ChatError) -> bool:
    return error.status in (400, 413, 422) and bool(_TOO_LONG.search(str(error)))


def _is_loop(reply: Reply) -> bool:
    """Whether a reply that did not end says the same over and over: such a text compresses to next to nothing."""
    tail = (reply.reasoning + reply.content)[-_LOOP_LENGTH:].encode()
    return len(tail) >= _LOOP_LENGTH // 2 and len(zlib.compress(tail)) < _LOOP_SHARE * len(tail)


SERVER_SETTINGS = ("agent.settings.context_tokens", "agent.settings.vllm")
"""Settings of runs that an agent without a server lacks."""


@contextmanager
def open_agent(model: NamedModel, settings: AgentSettings, *, log: Path) -> Iterator[LanguageAgent]:
    """The agent, whose server runs while inside `with`.

    Args:
        model: From `lrat_hub.llm.serving.pin_model`.
        log: The server's output, when the settings name no file.

    Raises:
        LratError: The server can't be started or reached, or the settings don't fit together.
    """
    with open_model(model, settings.server, log=log, extra=settings.extra_fields()) as served:
        yield _agent(served, settings)


def absent_agent(model: NamedModel, settings: AgentSettings) -> LanguageAgent:
    """The agent without a server, for its records: see `SERVER_SETTINGS`."""
    client = ChatClient("", model.name, revision=model.revision, extra=settings.extra_fields())
    return _agent(ServedModel(client, None, None), settings)


def _agent(served: ServedModel, settings: AgentSettings) -> LanguageAgent:
    return LanguageAgent(
        served.client,
        settings.protocol,
        settings.prompt,
        sampling=settings.sampling,
        max_tokens=settings.max_tokens,
        context_tokens=settings.context_tokens or served.context_tokens or 0,
        max_repeats=settings.max_repeats,
        extra_settings={"vllm": served.vllm, "vllm_args": settings.server.vllm_options()},
    )
