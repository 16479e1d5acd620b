"""Several servers of one model, asked as if they were one.

A conversation stays at one server, which has in its prefix cache what was said before; a new one goes to the server
that has the fewest. When a server is gone, its conversations go on at others: each request holds all that was said,
so none has to begin again. A server that comes back gets new conversations.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.llm.chat import PASSING, ChatClient, ChatError, Connections, Message, NoServerError, PassingError, Reply
from lrat_hub.llm.servers import ServerDescription, describe_server

CHECK_SECONDS = 10.0
"""A server that takes longer to list its models is gone."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds between two looks for a server that is gone: they double."""

REFUSALS = (401, 403, 404)
"""What a server answers whose key or models are others than its neighbours'."""

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Replica:
    """One of the servers.

    Args:
        is_up: Whether it answers, as far as is known.
        conversations: Number of those that are there.
        problem: What was said last of what is wrong with it.
    """

    base_url: str
    is_up: bool = True
    conversations: int = 0
    problem: str = ""
    check: asyncio.Task[bool] | None = field(default=None, repr=False)
    search: asyncio.Task[None] | None = field(default=None, repr=False)


class ReplicatedClient:
    """Asks several servers of one model.

    A server that does not answer at first is used once it does.

    Args:
        base_urls: Where the servers are, each up to and with `/v1`.
        model: As for `ChatClient`.
        options: Those of `ChatClient`. `timeout` is also how long a server may take to come back where none answers,
            and `attempts` how often a request is sent to servers that are there.

    Raises:
        NoServerError: By a request: no server answers for `timeout` seconds.
        LratError: By `describe`, and by the first request.
    """

    def __init__(self, base_urls: Sequence[str], model: str, **options: Any) -> None:
        asked = ChatClient("", model, **options)
        self.model, self.name, self.revision, self.timeout = model, asked.name, asked.revision, asked.timeout
        self.options = options
        self.connections = Connections(asked.timeout, asked.api_key)
        self.replicas = [Replica(base_url) for base_url in base_urls]
        self._described: ServerDescription | None = None

    async def chat(self, messages: Sequence[Message], **options: Any) -> Reply:
        """See `ChatBackend.chat`; a conversation of one request."""
        with closing(self.conversation()) as conversation:
            return await conversation.chat(messages, **options)

    def conversation(self) -> ReplicaConversation:
        """A `ChatBackend` for requests that follow one another; closed when there are no more."""
        return ReplicaConversation(self)

    def describe(self) -> ServerDescription:
        """What the servers say of themselves, asked once.

        Raises:
            LratError: None answers, or two differ in the model, its context, or vLLM's version.
        """
        if self._described is None:
            with ThreadPoolExecutor(len(self.replicas)) as pool:
                answers = list(pool.map(self._asked, self.replicas))
            found = [answer for answer in answers if isinstance(answer, ServerDescription)]
            if len(answers) == 1 and isinstance(answers[0], NoServerError):
                raise answers[0]
            if not found:
                raise NoServerError(
                    f"{self.model}: expected one of {len(self.replicas)} servers to list its models, found none that "
                    f"does. {answers[0]}"
                )
            for replica, answer in zip(self.replicas, answers, strict=True):
                if isinstance(answer, ServerDescription):
                    self._compare(replica, answer, found[0])
                else:
                    replica.is_up = False
                    logger.warning("%s It is used once it does.", answer)
            self._described = found[0]
        return self._described

    @property
    def _one_of_them(self) -> str:
        return f"one of its {len(self.replicas)} servers" if len(self.replicas) > 1 else self.replicas[0].base_url

    def _asked(self, replica: Replica) -> ServerDescription | NoServerError:
        try:
            return describe_server(replica.base_url, self.model, timeout=CHECK_SECONDS)
        except NoServerError as error:
            return error

    def _compare(self, replica: Replica, description: ServerDescription, expected: ServerDescription) -> None:
        if difference := description.difference(expected):
            raise LratError(
                f"{replica.base_url}: expected what the other servers of {self.model} serve, found {difference}. "
                "Leave it out, or serve the same."
            )

    async def take(self, avoided: Sequence[Replica] = ()) -> Replica:
        """The server with the fewest conversations, which has one more from now on.

        Args:
            avoided: Taken only if no other answers, the last of them last.

        Raises:
            NoServerError: None answers for `timeout` seconds.
        """
        self.describe()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.timeout
        while not (there := [replica for replica in self.replicas if replica.is_up]):
            searches = [self._search(replica) for replica in self.replicas]
            await asyncio.wait(searches, timeout=deadline - loop.time(), return_when=asyncio.FIRST_COMPLETED)
            if loop.time() >= deadline and not any(replica.is_up for replica in self.replicas):
                raise NoServerError(
                    f"{self.model}: expected {self._one_of_them} to answer within {self.timeout:g} s, found none. "
                    "Start one; the same command goes on with what is not done."
                )
        for replica in self.replicas:
            if not replica.is_up:
                self._search(replica)
        rank = {one: place for place, one in enumerate(avoided)}
        replica = min(there, key=lambda one: (rank.get(one, -1), one.conversations))
        replica.conversations += 1
        return replica

    async def is_there(self, replica: Replica) -> bool:
        """Whether a server that gave no reply to a request still answers. One that does not gets no more requests."""
        if not replica.is_up:
            return False
        # Many requests may fail at once: all wait for one look.
        if replica.check is None or replica.check.done() or _is_of_other_loop(replica.check):
            replica.check = asyncio.create_task(self._look(replica))
        is_there = await asyncio.shield(replica.check)
        if not is_there and replica.is_up:
            replica.is_up = False
            left = sum(one.is_up for one in self.replicas)
            logger.warning("%s: the server is gone; %d of %d are left", replica.base_url, left, len(self.replicas))
        return is_there

    async def _look(self, replica: Replica) -> bool:
        """Whether a server answers and serves what the others do."""

        def look() -> bool:
            try:
                answer = describe_server(replica.base_url, self.model, timeout=CHECK_SECONDS)
                self._compare(replica, answer, self.describe())
            except NoServerError:
                return False
            except LratError as error:
                self._warn_once(replica, str(error))
                return False
            return True

        return await asyncio.to_thread(look)

    def _warn_once(self, replica: Replica, problem: str) -> None:
        """Says what is wrong with a server that answers, which may be so for each of many requests."""
        if problem != replica.problem:
            replica.problem = problem
            logger.warning("%s", problem)

    def refuses(self, replica: Replica, error: ChatError) -> None:
        """Says that a server refuses what others may not."""
        self._warn_once(
            replica, f"{replica.base_url}: it refuses requests with status {error.status}; others get them"
        )

    def _search(self, replica: Replica) -> asyncio.Task[None]:
        """Looks for a server that is gone until it is there again."""
        if replica.search is None or replica.search.done() or _is_of_other_loop(replica.search):
            replica.search = asyncio.create_task(self._until_there(replica))
        return replica.search

    async def _until_there(self, replica: Replica) -> None:
        pause = FIRST_PAUSE
        while True:
            await asyncio.sleep(pause)
            if await self._look(replica):
                replica.is_up = True
                logger.warning("%s: the server is there", replica.base_url)
                return
            pause = min(2 * pause, LONGEST_PAUSE)


def _is_of_other_loop(task: asyncio.Task[Any]) -> bool:
    return task.get_loop() is not asyncio.get_running_loop()


class ReplicaConversation(ChatClient):
    """Requests that follow one another, at one server as long as it is there. From `ReplicatedClient.conversation`."""

    def __init__(self, client: ReplicatedClient) -> None:
        super().__init__("", client.model, **client.options)
        self._client, self._connections = client, client.connections
        self._replica: Replica | None = None
        self._avoided: list[Replica] = []
        self._was_busy = False

    def close(self) -> None:
        """Ends the conversation: its server has one less."""
        if self._replica is not None:
            self._replica.conversations -= 1
            self._replica = None

    async def _send(self, request: Mapping[str, Any]) -> Reply:
        # A request that ends every server that it comes to must not be sent to them for ever.
        for others in reversed(range(len(self._client.replicas))):
            replica = self._replica = self._replica or await self._client.take(self._avoided)
            self.base_url = replica.base_url
            try:
                reply = await super()._send(request)
            except ChatError as error:
                if not await self._leaves(replica, error) or not others:
                    raise
            else:
                self._was_busy = False
                return reply
        raise AssertionError("the last one raises")

    async def _leaves(self, replica: Replica, error: ChatError) -> bool:
        """Goes away from a server that gave no reply; says whether another can be asked at once.

        One that is busy is asked a second time, as it has in its cache what was said; it may be busy for long.
        """
        if error.status in REFUSALS and len(self._client.replicas) > 1:
            self._client.refuses(replica, error)
            at_once = True
        elif not isinstance(error, PassingError):
            return False
        elif error.status in PASSING:
            self._was_busy, at_once = True, self._was_busy
            if not at_once:
                return False
        else:
            at_once = not await self._client.is_there(replica)
        self._avoided.append(replica)
        self.close()
        return at_once
