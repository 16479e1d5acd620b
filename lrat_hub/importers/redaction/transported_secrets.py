"""Secrets of headers, addresses and commands: authorization, cookies, passwords of users, options."""

from __future__ import annotations

import re

from lrat_hub.importers.redaction.named_secrets import JUDGED, NAMED_SECRET, QUOTE, end_of_bare, whole_end
from lrat_hub.importers.redaction.names import Kind, words_of
from lrat_hub.importers.redaction.patterns import NOTHING, Finding, Pattern, Span, words
from lrat_hub.importers.redaction.quoting import start_after_escape
from lrat_hub.importers.redaction.values import (
    NAME_WORDS,
    drawn,
    number_or_hash,
    password_value,
    placeholder,
    secret_value,
    token_value,
)

_WORDS_FOLLOW = re.compile(r"[ \t]+(?![\w.-]{1,40}[ \t]?[=:])[\w(]")
_BEARER = re.compile(rf"(?:\s|%20|\+|\\{{1,16}}[nrt]){{1,8}}(?P<secret>[\w.~+/%-]{{8,{JUDGED}}}={{0,2}})")
_HEADER_BEFORE = re.compile(
    r"(?i:authorization|auth)(?:%22|\\{0,63}[\"'`])?\s*(?:[:=,]|%3[ad])\s*(?:%20|%22|\+|\\{0,63}[\"'`])?\Z"
)


def _find_bearer(text: str, start: int, end: int) -> Finding:
    match = _BEARER.match(text, end)
    if match is None or (text[start - 1 : start].isalnum() and not text[max(0, start - 3) : start].startswith("%")):
        return NOTHING
    span_end = end_of_bare(text, match.start("secret"), match.end())
    value = text[match.start("secret") : span_end]
    if placeholder(value):
        return NOTHING
    header = _HEADER_BEFORE.search(text, max(0, start - 40), start) is not None
    if not drawn(value, 8 if header else 16) or len(value) < (8 if header else 16):
        words_follow = _WORDS_FOLLOW.match(text, span_end) is not None
        if not header or len(value) < 12 or words_follow or number_or_hash(value):
            return NOTHING
        if not NAME_WORDS.isdisjoint(words_of(value)):
            return NOTHING
    span_end = whole_end(text, match.start("secret"), span_end)
    return Finding((Span(match.start("secret"), span_end),), span_end)


_AUTHORIZATION = re.compile(
    rf"(?P<name_quote>{QUOTE})?\s{{0,8}}(?:[:=,]|%3[AaDd])(?:\s|%20|\+){{0,8}}(?P<quote>{QUOTE})?"
    r"(?:(?P<scheme>(?i:basic|token|apikey|api-key|key|negotiate|digest|bot|ntlm|ssws|aws4-hmac-sha256))(?:\s|%20|\+){1,8})?"
    rf"(?P<secret>[\w.~+/%:-]{{8,{JUDGED}}}={{0,2}})"
)
_CREDENTIAL = re.compile(r"[^\"'\\\n]{0,400}?[Ss]ignature=(?P<secret>[0-9A-Fa-f]{32,})")


def _find_authorization(text: str, start: int, end: int) -> Finding:
    if start > 1 and text[start - 2].isalpha() and start_after_escape(text, start - 2) == start - 2:
        return NOTHING
    match = _AUTHORIZATION.match(text, end)
    if match is None or (match["name_quote"] and not match["quote"]):  # of JSON, a number
        return NOTHING
    if match["scheme"] and match["scheme"].lower().startswith("aws4"):
        signature = _CREDENTIAL.match(text, match.start("secret"))
        return Finding((Span(*signature.span("secret")),), signature.end()) if signature else NOTHING
    span_end = end_of_bare(text, match.start("secret"), match.end())
    value = text[match.start("secret") : span_end]
    if placeholder(value) or value.lower().startswith(("bearer", "basic")):
        return NOTHING
    if not drawn(value, 8) and not (match["scheme"] and len(value) >= 12 and not _WORDS_FOLLOW.match(text, span_end)):
        return NOTHING
    span_end = whole_end(text, match.start("secret"), span_end)
    return Finding((Span(match.start("secret"), span_end),), span_end)


_USERINFO = re.compile(
    r"(?P<user>[\w.~!$*+%-]{0,128}?)(?::|%3[Aa])(?P<secret>[^\s/\"'`\\<>,()|{}\[\]@%]{1,256}(?:[@%][^\s/\"'`\\<>,()|{}\[\]@%]{0,256}){0,8}?)"
    r"(?:@|%40)(?=[A-Za-z0-9\[])(?![^\s/\"'`\\<>,()|{}\[\]@]{0,256}@)"
)
_USER_ONLY = re.compile(r"(?P<secret>[A-Za-z0-9_~.-]{20,256})(?::x-oauth-basic|:)?@(?=[A-Za-z0-9])")


def _find_userinfo(text: str, start: int, end: int) -> Finding:
    """In an address, after `://`."""
    if text.find("@", end, end + 600) < 0 and text.find("%40", end, end + 600) < 0:
        return NOTHING
    match = _USERINFO.match(text, end)
    if match is None:
        match = _USER_ONLY.match(text, end)
        if match is None or not drawn(match["secret"], 16) or placeholder(match["secret"]):
            return NOTHING
        return Finding((Span(*match.span("secret")),), match.end())
    secret, user = match["secret"], match["user"]
    if secret.lower() in _NO_USER_PASSWORDS or placeholder(secret) or len(secret) < 3:
        user_token = drawn(user, 20)
        return Finding((Span(*match.span("user")),), match.end()) if user_token else NOTHING
    if secret.isdigit() and len(secret) <= 5 and "." in user:
        return NOTHING  # a port, and an @ in what follows it
    return Finding((Span(*match.span("secret")),), match.end())


_NO_USER_PASSWORDS = words("password pass passwd pwd pw secret token x-oauth-basic")

# PHP and others escape slashes in JSON, and JSON within JSON doubles the escapes.
ESCAPED_SLASHES = tuple(":" + ("\\" * count + "/") * 2 for count in (1, 2, 4, 8))

_COOKIES = re.compile(
    rf"(?:{QUOTE})?\s{{0,4}}[:=]\s{{0,4}}(?:{QUOTE})?(?P<all>"
    rf"(?:[\w.%-]{{1,64}}=[^\s\"'`\\<>;,]{{0,2048}};?[ ]?){{1,40}})"
)
_COOKIE = re.compile(r"(?P<name>[\w.%-]{1,64})=(?P<secret>[^\s\"'`\\<>;,]{6,2048})")
_ITEM = (
    r"\\{0,63}[\"'][\w.-]{1,64}\\{0,63}[\"']\s{0,8}:\s{0,8}\\{0,63}[\"'][^\s\"'`\\<>;,]{0,2048}\\{0,63}[\"'],?\s{0,40}"
)
_COOKIE_OBJECT = re.compile(rf"[sS]?(?:{QUOTE})?\s{{0,4}}[:=]\s{{0,4}}\{{\s{{0,40}}(?P<all>(?:{_ITEM}){{1,40}})")
_COOKIE_ITEM = re.compile(
    r"(?P<name>[\w.-]{1,64})\\{0,63}[\"']\s{0,8}:\s{0,8}\\{0,63}[\"'](?P<secret>[^\s\"'`\\<>;,]{6,2048})"
)
_SESSION = re.compile(r"(?i)sess|sid|auth|token|login|remember|csrf|xsrf|jwt|cf_clearance|user|identity|secret")


def _find_cookies(text: str, start: int, end: int) -> Finding:
    match, form = _COOKIES.match(text, end), _COOKIE
    if match is None:
        match, form = _COOKIE_OBJECT.match(text, end), _COOKIE_ITEM
    if match is None:
        return NOTHING
    spans = []
    for cookie in form.finditer(text, match.start("all"), match.end()):
        value = cookie["secret"]
        named = _SESSION.search(cookie["name"]) is not None and any(map(str.isdigit, value)) and len(value) >= 8
        if not placeholder(value) and (drawn(value, 10) or named):
            spans.append(Span(*cookie.span("secret")))
    return Finding(tuple(spans), match.end())


_OPTION = re.compile(rf"(?P<quote>{QUOTE})?(?P<secret>[^\s\"'`\\<>&;|]{{4,2048}})(?:{QUOTE})?")
_OPTIONS: dict[str, Kind] = {
    "-password ": "password", "-passwd ": "password", "-passphrase ": "password", "-pass ": "password",
    "-pwd ": "password", "-token ": "secret", "-api-key ": "secret", "-api_key ": "secret", "-apikey ": "secret",
    "-secret ": "secret", "-secret-key ": "secret", "-access-key ": "secret", "-access-token ": "secret",
    "-auth-token ": "secret", "-secret-access-key ": "secret", "-key ": "token", "sshpass -p ": "password",
    "sshpass -p": "password", "_KEY ": "token", "_TOKEN ": "token", "_SECRET ": "token", "_PASSWORD ": "secret",
    "SETX ": "token", "_authToken ": "token",
}  # fmt: skip


# What may stand before the dashes of an option.
_BEFORE_OPTION = " \t\n\r\"'`,[("


def _find_option(text: str, start: int, end: int) -> Finding:
    """After an option of a command, or a name in a Dockerfile: `--token ...`, `ENV API_KEY ...`."""
    match = _OPTION.match(text, end)
    if match is None:
        return NOTHING
    if text[start] == "-" and text[max(0, start - 2) : start].lstrip(_BEFORE_OPTION) != "-":
        return NOTHING  # dashes in a sentence
    kind, value = _OPTIONS[text[start:end]], match["secret"]
    if value.startswith("-"):
        return NOTHING
    quoted = match["quote"] is not None
    if kind == "password":
        exact = text[start - 1 : start] == "-" or text.startswith("sshpass", start)
        accepted = exact and password_value(value, quoted=quoted, prose=False, exact=True)
    else:
        accepted = secret_value(value) if kind == "secret" and text[start - 1 : start] == "-" else token_value(value)
    return Finding((Span(*match.span("secret")),), match.end()) if accepted else NOTHING


_NETRC = re.compile(r"[\w.-]{1,100}\s{1,8}login\s{1,8}\S{1,100}\s{1,8}password\s{1,8}(?P<secret>[^\s\"'\\]{3,256})")
_CURL_USER = re.compile(rf"(?:{QUOTE})?[\w.@%+-]{{1,100}}:(?P<secret>[^\s\"'`\\<>|]{{3,256}})")


def _find_netrc(text: str, start: int, end: int) -> Finding:
    match = _NETRC.match(text, end)
    if match is None or placeholder(match["secret"]):
        return NOTHING
    return Finding((Span(*match.span("secret")),), match.end())


def _find_curl_user(text: str, start: int, end: int) -> Finding:
    match = _CURL_USER.match(text, end)
    if match is None or not any(tool in text[max(0, start - 200) : start] for tool in ("curl", "wget", "http")):
        return NOTHING
    secret = match["secret"]
    if placeholder(secret) or secret.lower() in _NO_USER_PASSWORDS or (secret.isdigit() and len(secret) < 6):
        return NOTHING
    return Finding((Span(*match.span("secret")),), match.end())


TRANSPORTED: tuple[Pattern, ...] = (
    Pattern("bearer token", ("Bearer", "bearer", "BEARER"), _find_bearer),
    Pattern("authorization header", ("uthorization", "UTHORIZATION"), _find_authorization),
    Pattern("cookie", ("ookie", "OOKIE"), _find_cookies),
    Pattern("password in an address", ("://", *ESCAPED_SLASHES, "%3A%2F%2F", "%3a%2f%2f"), _find_userinfo),
    Pattern(NAMED_SECRET, tuple(_OPTIONS), _find_option),
    Pattern(NAMED_SECRET, ("machine ",), _find_netrc),
    Pattern(NAMED_SECRET, (" -u ", " --user "), _find_curl_user),
)
