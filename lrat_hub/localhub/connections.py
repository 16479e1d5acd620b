"""Connections to the server: those that send nothing, half of a request, or take nothing are closed."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# From the first byte of a request, or from the start of a connection without any, to the end of its headers; and from
# an answer to the end of a body that nobody reads any more.
HEADER_SECONDS = 30.0
# How often connections are looked at whose clients have something to take, and what these take meanwhile at the least.
READER_SECONDS = 60.0
READER_BYTES = 32 * 1024
# Further ones take the place of those that have no request under way; without any, they are closed.
CONNECTIONS_MAX = 512


class Connection(H11Protocol):
    """A connection whose requests have to be there, up to their bodies, in time, and whose answers be taken."""

    header_seconds = HEADER_SECONDS
    reader_seconds = READER_SECONDS
    connections_max = CONNECTIONS_MAX

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._limit: asyncio.TimerHandle | None = None
        # What was left to take the last time; None since there was less than makes the server wait.
        self._left: int | None = None
        self._was_closing = False
        self._look_later()
        self._await_headers()
        if len(self.connections) > self.connections_max:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._await_headers()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await_headers()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._left = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_limit()
        self._next_look.cancel()
        super().connection_lost(exc)

    @property
    def _is_answering(self) -> bool:
        return self.conn.their_state is not h11.IDLE and self.conn.our_state is not h11.DONE

    def _await_headers(self) -> None:
        """Give what is still to come before the next answer a limit; once it runs, more bytes don't extend it."""
        if self._is_answering:
            self._forget_limit()
        elif self._limit is None:
            self._limit = self.loop.call_later(self.header_seconds, self._close)

    def _forget_limit(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _look_later(self) -> None:
        self._next_look = self.loop.call_later(self.reader_seconds, self._look)

    def _look(self) -> None:
        """End the connection if its client takes next to nothing of what it was sent.

        Closing would not do: it waits until everything is taken.
        """
        is_closing, left = self.transport.is_closing(), self.transport.get_write_buffer_size()
        if self._was_closing or (
            self.flow.write_paused and self._left is not None and self._left - left < READER_BYTES
        ):
            self.transport.abort()
            return
        self._was_closing, self._left = is_closing, left if self.flow.write_paused else None
        self._look_later()

    def _make_room(self) -> None:
        """End a connection that has no request under way; this one if there is none."""
        waiting = (each for each in self.connections if isinstance(each, Connection) and each is not self)
        idle = (each for each in waiting if not each._is_answering and not each.transport.is_closing())
        next(idle, self).transport.abort()
