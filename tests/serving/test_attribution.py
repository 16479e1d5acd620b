"""Whose call it is."""

import pytest

from lrat_hub.errors import LratError
from lrat_hub.serving.attribution import caller_of
from lrat_hub.serving.service import Caller

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
OTHER = f"00-{'1' * 32}-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("headers", "told", "session", "by"),
    [
        ({"traceparent": OTHER, "mcp-session-id": "h"}, {"meta": {"traceparent": PARENT}}, TRACE, "traceparent"),
        ({"traceparent": PARENT, "mcp-session-id": "h"}, {"session_id": "a"}, TRACE, "traceparent"),
        ({"mcp-session-id": "h"}, {"session_id": "a", "subject": "t"}, "h", "session header"),
        ({}, {"session_id": " a ", "subject": "t"}, "a", "argument"),
        ({}, {"session_id": " ", "subject": "t"}, "t", "token"),
        ({}, {}, None, None),
        ({"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"}, {}, None, None),
        ({"traceparent": f"ff-{TRACE}-b7ad6b7169203331-01"}, {}, None, None),
        ({"traceparent": f"00-{TRACE}-{'0' * 16}-01"}, {}, None, None),
        ({"traceparent": PARENT.upper()}, {}, None, None),
        ({"traceparent": f"cc-{TRACE}-b7ad6b7169203331-01-what-comes-later"}, {}, TRACE, "traceparent"),
        ({"traceparent": PARENT + "\n"}, {"meta": {"traceparent": 5}}, None, None),
        ({"mcp-session-id": "h" * 300}, {}, None, None),
        ({"mcp-session-id": "h\x00"}, {"subject": "t"}, "t", "token"),
    ],
)
def test_the_first_that_tells_a_session_counts(headers, told, session, by):
    caller = caller_of(headers, **told)
    assert (caller.session, caller.attributed_by) == (session, by)


def test_reasoning_and_subject_come_with_the_caller():
    assert caller_of({}, session_id="a", reasoning="hm", subject="t") == Caller("a", "argument", "t", "hm")


@pytest.mark.parametrize(
    "told", [{"session_id": 5}, {"session_id": "a" * 300}, {"session_id": "a\x00b"}, {"reasoning": ["a"]}]
)
def test_arguments_that_are_none_are_refused(told):
    with pytest.raises(LratError, match=r"Call: expected `(session_id|reasoning)`"):
        caller_of({}, **told)
