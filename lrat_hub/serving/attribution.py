"""Whose call it is: the session that a call belongs to, by what its client says, and never by a guess.

What is looked at, in this order: the trace of MCP's `_meta.traceparent`, or of the header `traceparent`; the header
`Mcp-Session-Id`; the argument `session_id`; the subject of the token. A call that has none of them is not attributed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lrat_hub.errors import LratError
from lrat_hub.serving.service import Caller

SESSION_LENGTH = 256
"""Most characters of a session's name."""

TRACE, HEADER, ARGUMENT, TOKEN = "traceparent", "session header", "argument", "token"
"""What a session can be told by."""

# https://www.w3.org/TR/trace-context/#traceparent-header: version, trace, parent and flags; a trace of zeros is none.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f]+")


def caller_of(
    headers: Mapping[str, str],
    session_id: str | None = None,
    subject: str | None = None,
    reasoning: str | None = None,
    *,
    meta: Mapping[str, object] | None = None,
) -> Caller:
    """Who calls.

    Args:
        headers: The request's, by names in lower case; empty for a transport without them.
        session_id, reasoning: Arguments of the call.
        subject: That of the token.
        meta: The `_meta` of an MCP request.

    Raises:
        LratError: The session's name is too long or has control characters, or an argument is no text.
    """
    _require_text("session_id", session_id, SESSION_LENGTH)
    _require_text("reasoning", reasoning)
    argument = _name(session_id)
    if argument is None and (session_id or "").strip():
        raise LratError(f"Call: expected `session_id` without control characters, found {session_id!r}.")
    traces = ((meta or {}).get("traceparent"), headers.get("traceparent"))
    told = (
        (TRACE, next(filter(None, map(_trace, traces)), None)),
        (HEADER, _name(headers.get("mcp-session-id"))),
        (ARGUMENT, argument),
        (TOKEN, subject),
    )
    attributed_by, session = next(((how, name) for how, name in told if name), (None, None))
    return Caller(session, attributed_by, subject, reasoning or None)


def _trace(value: object) -> str | None:
    match = _TRACEPARENT.fullmatch(value) if isinstance(value, str) else None
    return match[1] if match else None


def _name(value: str | None) -> str | None:
    """A session's name; None for an empty one, and for a header that is no name."""
    name = (value or "").strip()
    return name if len(name) <= SESSION_LENGTH and _PRINTABLE.fullmatch(name) else None


def _require_text(what: str, value: object, length: int | None = None) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        raise LratError(f"Call: expected `{what}` as a text, found {type(value).__name__}.")
    if length is not None and len(value) > length:
        raise LratError(f"Call: expected `{what}` of at most {length} characters, found {len(value)}.")
