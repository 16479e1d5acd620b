"""Secrets without a form of their own, but with a name before them: `api_key=...`, `"password": "..."`."""

from __future__ import annotations

import re

from lrat_hub.importers.redaction.names import ENDINGS, Kind, kind_of
from lrat_hub.importers.redaction.patterns import NOTHING, REDACTED, Finding, Pattern, Span, words
from lrat_hub.importers.redaction.quoting import backslashes_before, depth_of, end_of_quoted, start_after_escape
from lrat_hub.importers.redaction.values import drawn, password_value, secret_value, token_value

NAMED_SECRET = "named secret"
"""The name of the patterns whose secrets are known by what is written before them: a name, an option, a key."""

MAX_NAME, MAX_VALUE = 64, 2048
QUOTE = r"\\{0,63}[\"'`]|&quot;|&\#3[49];|%2[27]|\\{1,16}u002[27]"
"""A quote, as it is or in the escapes of JSON, HTML and addresses."""

# What may follow the ending of a name when a value follows: a separator, or the quote that ends the name.
_TAILS = (
    "=", ":", '"', "'", "`", "\\", "%3", "%2", "]", "*", "(", " =", " :", " is ", " was ", " |", "|", "&q", "&#", ">",
    ' "', " '", " `", "\n",
)  # fmt: skip
_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."
# The first words of names of two words in a sentence.
_FIRST_WORDS = words("api secret access auth private bot refresh session bearer db admin")
_BLANK = r"(?:\s|\\{1,16}[nrt]|%20)"
_SEPARATOR = re.compile(
    rf"""(?P<name_quote>{QUOTE})?\]?\*{{0,2}}[ \t]{{0,20}}
    (?:(?P<assigned>=>|:=|={{1,3}}|:(?!//|:)|\||%3[AaDd]|\\{{1,16}}u003[aAdD])
    (?:[ \t]*(?:str|string|String|SecretStr|Optional\[str\]|str\s\|\sNone)[ \t]*=(?!=))?
    |(?P<pair>,{_BLANK}{{0,20}}(?:{QUOTE})?[Vv]alue(?:{QUOTE})?\s{{0,8}}:
        |\s{{1,8}}[Vv]alue\s{{0,4}}=|{_BLANK}{{1,40}}[Vv]alue\s{{0,4}}:)
    |(?P<listed>,)
    |(?P<call>\()
    |(?P<verb>\s(?:is|was):?(?=\s))
    |(?P<shown>\s(?=["'`]))
    |(?P<element>>))\*{{0,2}}(?P<blank>{_BLANK}{{0,40}})
    (?P<block>[|>][+-]?\d?[ \t]*\r?\n[ \t]+)?
    (?:[bBrRuUfF]{{1,2}}(?=["']))?(?P<quote>\"\"\"|'''|{QUOTE})?
    (?:(?i:bearer|basic|token|apikey|digest)(?:\s|%20|\+)+)?""",
    re.VERBOSE,
)
_LITERAL = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?=\s*(?:\\+[nrt]\s*)*(?:[,}\]]|\Z))")
JUDGED = 160
"""Values without quotes are judged by so many characters, so that work at each mark is bounded."""
_BARE_CHARACTERS = r"[^\s\"'`\\<>&;,|]"
_BARE = re.compile(rf"{_BARE_CHARACTERS}{{1,{JUDGED}}}")
_BARE_ENCODED = re.compile(rf"(?:[^\s\"'`\\<>&;,|%]|%(?!2[0267cC]|7[dD]|0[aAdD]|3[bB]|5[dD])){{1,{JUDGED}}}")
_REST = re.compile(r"[A-Za-z0-9+/_=%.~-]*")
_WORDS_FOLLOW = re.compile(r"[ \t]+(?![\w.-]{1,40}[ \t]?[=:])[\w(]")
_NEXT_LINE = re.compile(r"(?:\\?\r?\n[ \t]*|\\{1,16}n[ \t]*)([A-Za-z0-9+/_=-]{8,2048})(?=\s|\\|[\"']|\Z)")
_LINE_END = re.compile(r"[ \t]*(?:\Z|[\r\n]|\\{1,16}[nr]|\\{0,63}[\"'`]|[}\]]|#)")
_OPENING = {")": "(", "]": "[", "}": "{"}
# What ends a value that is no password: brackets, what is encoded in addresses and ends values there, the next name
# with a value, and what stands behind the padding of base64.
_BORDER = re.compile(
    r"[(){}\[\]]|%(?:2[0267]|7[BbDd])|\W(?=[A-Za-z]{1,40}[_-][A-Za-z_-]{1,40}=)|(?P<padded>\w={1,2})(?=[^=])"
)
# The query behind a parameter of a path, such as `;jsessionid=...?id=17`, and the fragment behind either.
_NEXT_PART = re.compile(r"[?#]|%(?:3[Ff]|23)")
CUT_OFF = 16
"""Characters at least of a value with a border behind it: before brackets, there are more often names of functions."""


def _marks() -> tuple[str, ...]:
    names = {cased(ending) for ending in ENDINGS for cased in (str.lower, str.upper, str.capitalize)}
    return (*(name + tail for name in sorted(names) for tail in _TAILS),)


def _find_named(text: str, start: int, end: int) -> Finding:
    """At the ending of a name with the beginning of what separates it from its value."""
    name_end = end - 1
    while not text[name_end - 1].isalpha() or text[start:name_end].find(" ") >= 0:
        name_end -= 1
    window = text[max(0, name_end - MAX_NAME) : name_end]
    name_start = start_after_escape(text, name_end - len(window) + len(window.rstrip(_NAME_CHARACTERS)))
    name = text[name_start:name_end].strip("-._")
    before = text[max(0, name_start - 10) : name_start]
    if before.endswith(("//", "::")) or (text[name_end : name_end + 1] == "]" and REDACTED in window):
        return NOTHING  # a user in an address, or the name of a replacement
    kind = kind_of(name)
    if before.endswith(" ") and kind in (None, "token"):
        first = before[len(before[:-1].rstrip(_NAME_CHARACTERS)) : -1]
        if first.lower() in _FIRST_WORDS:
            name, name_start = f"{first}_{name}", name_start - len(first) - 1
            kind = kind_of(name)
    parameter = before.endswith(("?", "&", ";", "%26", "%3F", "%3f", "&amp;", "u0026", "--", "$env:"))
    if kind is None and parameter:
        kind = _kind_of_parameter(name)
    if kind is None:
        return NOTHING
    match = _SEPARATOR.match(text, name_end)
    if match is None:
        return NOTHING
    if match["assigned"] == ":" and not match["blank"] and before.endswith(":"):  # a path such as arn:...:secret:name
        return NOTHING
    if match["listed"] and not (match["name_quote"] and before.endswith(match["name_quote"][-1])):
        return NOTHING  # the name is not a text of its own
    if match["quote"]:
        if match["call"] and not name.lower().startswith(("set", "with")):
            return NOTHING
        if match["name_quote"] != match["quote"] and _CLOSED.match(text, match.end()):
            return NOTHING  # the quote ends a text that ends with the name
        if match["element"] and text[name_start - 1 : name_start] != "<":
            return NOTHING
        value_end = _end_of_quoted(text, match)
        if value_end is not None:
            return _quoted_value(text, match, value_end, kind, before[:-1].endswith("("))
    if match["listed"] or match["call"] or match["shown"]:
        return NOTHING
    in_address = before.endswith(("?", "&", ";", "%26", "%3F", "%3f", "%3B", "%3b"))
    return _bare_value(text, match, name, name_start, kind, parameter, in_address)


def _kind_of_parameter(name: str) -> Kind | None:
    """What a short name says that stands in an address or a form."""
    name = name.lower()
    if name in ("pass", "pw"):
        return "password"
    return "token" if name in ("key", "sig", "signature", "auth", "session") else None


def _end_of_quoted(text: str, match: re.Match[str]) -> int | None:
    start, quote = match.end(), match["quote"]
    if quote[-1] not in "\"'`" or quote in ('"""', "'''"):  # encoded, or of several lines
        end = text.find(quote, start, start + MAX_VALUE)
        return end if end >= 0 and not _INNER.search(text, start, end) else None
    depth = depth_of(backslashes_before(text, match.end("quote") - 1))
    sure = quote[-1] == '"' and match["name_quote"] == quote
    return end_of_quoted(text, start, quote[-1], depth, MAX_VALUE, sure=sure)


_INNER = re.compile(r"[\"'`\\]")


def _quoted_value(text: str, match: re.Match[str], end: int, kind: Kind, called: bool) -> Finding:
    value = text[match.end() : end]
    if match["shown"] and not drawn(value):
        return NOTHING
    if match["listed"]:  # `("password", "...")`, but neither the next key of an object nor a list of words
        if _COLON.match(text, end):
            return NOTHING
        if kind == "password" and not (drawn(value) or (called and any(map(str.isdigit, value)))):
            return NOTHING
    return Finding((Span(match.end(), end),), end) if _quoted_secret(kind, value) else NOTHING


_CLOSED = re.compile(r"\s{0,40}(?:\\{1,16}[nrt]\s{0,20}){0,8}[,:}\])]")
_COLON = re.compile(r"\\{0,63}[\"'`]\s{0,20}(?:\\{1,16}[nrt]\s{0,20}){0,4}:")


def _quoted_secret(kind: Kind, value: str) -> bool:
    if value.startswith(REDACTED):
        return False
    if kind == "password":
        return password_value(value, quoted=True, prose=False, exact=True)
    return secret_value(value) if kind == "secret" else token_value(value)


def secret_under(name: str, value: str) -> bool:
    """Whether a value of a mapping is a secret because of its key."""
    if not name[-1:].isalpha() or len(name) > MAX_NAME or len(value) < 4:
        return False
    kind = kind_of(name)
    return kind is not None and _quoted_secret(kind, value)


def _bare_value(
    text: str, match: re.Match[str], name: str, name_start: int, kind: Kind, parameter: bool, in_address: bool
) -> Finding:
    """A value without quotes, or with one that has no end."""
    start = match.end()
    if match["element"] and text[name_start - 1 : name_start] != "<":
        return NOTHING
    if match["name_quote"] and not match["quote"]:
        literal = _LITERAL.match(text, start)
        if literal:  # a number in JSON, of which a text is made
            secret = kind == "password" and len(literal[0]) >= 4
            return Finding((Span(start, literal.end(), match["name_quote"]),), literal.end()) if secret else NOTHING
    assigned = match["assigned"] or ""
    bare = (_BARE_ENCODED if assigned.startswith(("%", "\\")) else _BARE).match(text, start)
    if bare is None:
        return NOTHING
    end, least = end_of_bare(text, start, bare.end()), 4
    if in_address and kind != "password" and (next_part := _NEXT_PART.search(text, start, end)):
        end = next_part.start()
    if kind != "password" and (border := _BORDER.search(text, start, end)):
        end, least = border.end() if border["padded"] else border.start(), CUT_OFF
    value = text[start:end]
    if len(value) < least or (match["element"] and not text.startswith("</", end)):
        return NOTHING
    if kind == "password":
        if not _bare_password(text, match, name, name_start, end, parameter):
            return NOTHING
    elif not (secret_value(value) if kind == "secret" else token_value(value)):
        return NOTHING
    end = whole_end(text, start, end)
    return Finding((Span(start, end),), end)


def _bare_password(text: str, match: re.Match[str], name: str, name_start: int, end: int, parameter: bool) -> bool:
    value, assigned = text[match.end() : end], match["assigned"] or ""
    if (match["verb"] or assigned == "|") and value.isalpha() and not drawn(value):
        return False
    tight = assigned == "=" and not match["blank"]
    if tight:
        exact = name.isupper() or parameter or (not text.startswith((")", ",", "(", "."), end) and "_" not in value)
    elif assigned and not assigned.startswith(("%", "\\")):
        enough = 8 if assigned == "=" else 6
        word = value.isalpha() and len(value) >= enough and (value.islower() or not value[0].islower())
        exact = word and _own_line(text, name_start, end)
    else:
        exact = bool(assigned or match["element"])
    if "\n" in match["blank"] and not match["block"] and not _LINE_END.match(text, end):
        return False
    prose = not tight and _WORDS_FOLLOW.match(text, end) is not None
    return password_value(value, quoted=False, prose=prose, exact=exact or bool(match["block"]))


def whole_end(text: str, start: int, end: int) -> int:
    """Where a value ends that was judged by its beginning, or that goes on in the next line.

    It does when both parts look drawn, and the next line has nothing else.
    """
    if end - start >= JUDGED - 1:
        rest = _REST.match(text, end)
        end = rest.end() if rest else end
    following = _NEXT_LINE.match(text, end)
    return following.end() if following and drawn(following[1]) and drawn(text[start:end]) else end


def end_of_bare(text: str, start: int, end: int) -> int:
    """Without the marks that end a sentence, or that close what was opened before the value."""
    while end > start:
        last = text[end - 1]
        if last not in ")]}.:*":
            break
        if last in _OPENING and text.count(_OPENING[last], start, end) >= text.count(last, start, end):
            break
        end -= 1
    return end


def _own_line(text: str, name_start: int, end: int) -> bool:
    """Whether name and value have their line to themselves, as in YAML and .env files."""
    before = text[max(0, name_start - 80) : name_start].rpartition("\n")[2].rpartition("\\n")[2]
    before = before.strip(" \t-\"'`\\{*>$#").removeprefix("export").strip()
    return not before and _LINE_END.match(text, end) is not None


NAMED: tuple[Pattern, ...] = (Pattern(NAMED_SECRET, _marks(), _find_named),)
