"""What a value looks like: drawn at random, written by a person, or a placeholder where a secret would stand."""

from __future__ import annotations

import re
from functools import lru_cache

from lrat_hub.importers.redaction.patterns import words

# Longer values are judged by their beginning, so that judging is never more than constant work.
JUDGED = 160

PLACEHOLDER_WORDS = words(
    """
    your example examples sample placeholder dummy changeme change replace insert enter put here redacted hidden
    masked removed omitted todo fixme tbd xxx xxxx foo bar baz foobar goes undefined
    """
)

NAME_WORDS = words(
    """
    password passwords passwd pwd pass passphrase passcode pw secret secrets token tokens key keys api apikey
    user username login auth credential credentials account db database field input param parameter new old
    current confirm confirmation hash hashed plain text plaintext raw value string str hint label type my your
    the value encrypted private public access client
    """
)

# Words that stand where a password would: types, states, and the word itself in other languages.
COMMON_WORDS = words(
    """
    str string text bytes int integer number float bool boolean char varchar any object dict list array optional
    union type secretstr none null nil nan true false yes no on off undefined infinity unknown empty blank
    missing required needed invalid valid incorrect correct wrong weak strong medium hidden visible encrypted
    hashed plain plaintext protected disabled enabled default same different expired forgotten changed updated
    reset policy protection manager management security strength generator length here below above see note the
    and or not your user users username login admin-only set unset todo tbd pass pwd password passwords passwort
    kennwort contrasena contraseña senha wachtwoord hasło salasana пароль mot redacted masked removed omitted
    example sample placeholder dummy changeme foo bar baz foobar authentication authorization authenticate
    internationalization documentation description credentials credential secret token prompt input await async
    return self this args config settings environ env variable variables function result response failed success
    error message field label hint title name value data random generated various multiple several something
    anything nothing everything recommended mandatory permitted accepted rejected entered provided stored
    generated sequence characters letters digits minimum maximum
    """
)

# Words of prose: a quoted sentence that has one is no passphrase.
_PROSE = words(
    """
    the a an is are was were be been to of for in on at by with and or not must should can could will would
    please your my our their his her its this that these those enter type choose set reset forgot forgotten show
    hide change confirm new old required invalid incorrect wrong if when use used as from it you i we they least
    characters than no all need needs password passwords passphrase token secret key user username login account
    mot de
    """
)

_TECHNICAL = re.compile(
    r"(?i)(?:base(?:16|32|36|58|62|64|64url)|(?:hmac|pbkdf2|rsa|ecdsa|hs|rs|es|ps)?[-_]?sha[-_]?\d{1,3}|md[245]|utf[-_]?\d{1,2}"
    r"|utf-?\d{1,2}-?[bl]e|ascii\d?|iso[-_]?\d+[-_]?\d*|oauth[12]?|http[123]|x509v?\d?|argon2(?:id|i|d)?|pbkdf2|rfc\d{3,5}"
    r"|[hrep]s(?:256|384|512)|ed25519|aes[-_]?\d{3}|rsa[-_]?\d{4}|p?256|win(?:dows)?\d{1,2}|ipv[46]|python[23]|level\d|step\d"
    r"|part\d|v\d+|\d+(?:st|nd|rd|th|bit|bits|chars?|px|kb|mb|gb|k|m|s|ms|min|h|d|x))"
    r"(?:[-_/ ](?:[a-z]+|\d{1,3}))*"
)
_PLACEHOLDER = re.compile(
    r"(?:[<\[({«].*|\$[({]?[A-Za-z_][\w.:-]*[)}]?.*|\$[({].*|%[A-Za-z_]+%|%[-+#0 ]?\d*[a-z]|%\(\w+\)s.*|#\{.*"
    r"|@[A-Za-z_]+@|:[a-z_]+|\{.*|\.{2,}.*|…|\W+|[xX*#.•_-]+|[a-z]{2,8}[_-][xX*.•…]{3,}.*"
    r"|\S{0,12}(?:\.{3,}|…|\*{3,}|•{3,}|[xX]{6,})"
    r"\S{0,12})",
    re.DOTALL,
)
# `PWD` is also the folder that a shell is in.
_PATH_OR_FORMAT = re.compile(r"(?:[/~]|\.{1,2}/|[A-Za-z]:[\\/]).*|(?:%[sdr]|\{\w*\}|\W)+", re.DOTALL)
_MARK = re.compile(r"[!@#%^&*?$+~]")
_CHUNK = re.compile(r"[A-Za-z0-9]+")
_RUN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_TURN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^A-Za-z0-9]")
_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{5,}")
# Pairs that are rare in English words and names of code; two of them make a run of letters unlikely to be written.
_RARE = re.compile(
    r"[jq][bcdfghjklmnpqrstvwxz]|[bcfghjklmprtvwxz]j|[bcdfghjklmnprtvwxz]q|[bcdfghjklmnpqrsvwz]x|x[bdgjkmnqrsvwxz]"
    r"|z[bcdfgjkmnpqrstvwx]|[bcdfghjkmpqsvwx]z|v[bcdfghjklmnpqtwxz]|[bcfghjkmpqtwx]v|w[gjmpqvwxz]|[cfgjkmpqvxz]w|[fjmvwxz]k"
)
_UUID = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_BREAK = re.compile(r"\\*\r?\n[ \t]*|\\+[rnt][ \t]*|%0[AaDd]")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_CODE = re.compile(
    r"[A-Za-z_$][\w$]*(?:\.[A-Za-z_]\w*)*[(\[].*|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|[A-Za-z_]\w*(?:->|::)\w.*", re.DOTALL
)


def unbroken(value: str) -> str:
    """A value without the line breaks in it, written or escaped."""
    if "\n" in value or "\\" in value or "%0" in value:
        value = _BREAK.sub("", value)
    return value.strip()


@lru_cache(maxsize=4096)
def drawn(value: str, minimum: int = 8) -> bool:
    """Whether a value looks drawn at random: enough of it is in runs of letters and digits that nobody would write."""
    value = value[:JUDGED]
    chunks = _CHUNK.findall(value)
    if sum(map(len, chunks)) < minimum:
        return False
    if _UUID.fullmatch(value):
        return True
    random = sum(len(chunk) for chunk in chunks if _drawn_chunk(chunk))
    if random >= minimum and random * 5 >= len(value) * 2:
        return True
    if _many_turns(value, 16, 2.6, 2):
        return True
    joined = "".join(chunks)
    if len(chunks) > 12 or len(chunks) == 1 or joined.isdigit() or not any(map(str.isdigit, joined)):
        return False
    written = sum(len(run) for run in _RUN.findall(joined) if len(run) > 2)
    return len(_RUN.findall(joined)) * 2.6 >= len(joined) and written * 2 < len(joined)


def _drawn_chunk(chunk: str) -> bool:
    size = len(chunk)
    if size < 6 or chunk.isdigit():
        return False
    runs = _RUN.findall(chunk)
    digits = sum(run.isdigit() for run in runs)
    letters = len(runs) - digits
    if any(len(run) > 5 and not pronounceable(run) for run in runs if not run.isdigit()):
        return True
    odd = sum(map(_odd, runs))
    if (size >= 16 and size <= 3.6 * len(runs) and odd >= 2) or (size >= 20 and size <= 3 * len(runs) and odd):
        return True
    if not digits:
        return size >= 10 and size < 2.6 * letters
    if size >= 16 and _hexadecimal(chunk):
        return True
    return size >= 8 and (size <= 2.7 * len(runs) or (size >= 12 and digits >= 2 and size <= 4 * len(runs)))


def _many_turns(value: str, minimum: int, average: float, odd: int) -> bool:
    """Whether a value changes often between small letters, capitals, digits and signs."""
    letters = sum(map(str.isalpha, value))
    if len(value) < minimum or letters == len(value) or 2 * letters < len(value) or not any(map(str.isdigit, value)):
        return False
    turns = _TURN.findall(value)
    return len(value) <= average * len(turns) and sum(map(_odd, turns)) >= odd


def mixed_case(value: str) -> bool:
    """Whether a value turns every three or four letters from small ones to capitals, as no name of code does."""
    chunks = _CHUNK.findall(value)
    size, runs = sum(map(len, chunks)), sum(len(_RUN.findall(chunk)) for chunk in chunks)
    if 2 * sum(map(str.isalpha, value)) < size:
        return False
    return size >= 16 and size <= 3.6 * runs and not value.islower() and not value.isupper() and len(chunks) <= 3


def _odd(run: str) -> bool:
    """Whether a run of letters is no word: one letter, or letters without a vowel that are not all capitals."""
    return run.isalpha() and (len(run) == 1 or (not run.isupper() and _VOWELS.isdisjoint(run.lower())))


_VOWELS = frozenset("aeiouy")


def _hexadecimal(chunk: str) -> bool:
    return not chunk.lower().strip("0123456789abcdef")


def pronounceable(letters: str) -> bool:
    """Whether letters could be a word: no long run of consonants, and no two pairs of letters that are rare."""
    letters = letters.lower()[:JUDGED]
    if len(letters) > 3 and _VOWELS.isdisjoint(letters):
        return False
    return not _CONSONANTS.search(letters) and len(_RARE.findall(letters)) < 2 + len(letters) // 24


def placeholder(value: str) -> bool:
    """Whether a value stands for one: `<token>`, `${TOKEN}`, `YOUR_API_KEY`, `****`."""
    value = value[:JUDGED]
    if _PLACEHOLDER.fullmatch(value):
        return True
    parts = [word.lower() for word in _RUN.findall(value)]
    return not PLACEHOLDER_WORDS.isdisjoint(parts) and not drawn(value) and not _MARK.search(value)


def number_or_hash(value: str) -> bool:
    """Whether a value is a number, the address of a contract or a digest: no token, unless its name is clear."""
    return value.isdigit() or value.startswith(
        ("0x", "sha1:", "sha256:", "sha256-", "sha512-", "md5:", "data:", "http")
    )


def secret_value(value: str, minimum: int = 8) -> bool:
    """Whether the value of a name such as `api_key` is the secret itself."""
    if len(value) < minimum:
        return False
    value = unbroken(value)
    if len(value) < minimum or not _random(value, minimum) or any(map(str.isspace, value)):
        return False
    return not placeholder(value) and not value.startswith(_REFERENCES)


# What names a secret or where it is, and is none.
_REFERENCES = ("arn:", "http:", "https:", "s3:", "gs:", "data:", "file:", "projects/", "vault:", "alias/", "op:")


def _random(value: str, minimum: int) -> bool:
    if drawn(value, minimum):
        return True
    return len(value) >= 16 and (
        value.isdigit() or mixed_case(value) or _LETTERS_AND_DIGITS.fullmatch(value) is not None
    )


# Without a separator, and other than a word with a number behind it.
_LETTERS_AND_DIGITS = re.compile(r"[A-Za-z]*[0-9]+[A-Za-z][A-Za-z0-9]*")


def token_value(value: str, minimum: int = 16) -> bool:
    """Whether the value of a name that may mean anything, such as `token`, is a secret."""
    if len(value) < minimum:
        return False
    value = unbroken(value)
    return drawn(value, minimum) and not number_or_hash(value) and secret_value(value, minimum)


def password_value(value: str, *, quoted: bool, prose: bool, exact: bool) -> bool:
    """Whether the value of a name such as `password` is one: a password need not look drawn.

    Args:
        quoted: It stands in quotes.
        prose: Words follow it, as in a sentence.
        exact: Its context is one of values, not of variables or prose: `DB_PASSWORD=...`, `?password=...`.
    """
    value = unbroken(value)[:JUDGED]
    lowered = value.lower()
    if len(value) < 4 or placeholder(value) or lowered in COMMON_WORDS:
        return False
    if _TECHNICAL.fullmatch(value) or _PATH_OR_FORMAT.fullmatch(value):
        return False
    if any(map(str.isspace, value)):
        return quoted and _passphrase(value)
    parts = [word.lower() for word in _RUN.findall(value)]
    if parts and NAME_WORDS.issuperset(parts):
        return False
    if quoted:
        return not value.startswith(("http://", "https://")) and any(map(str.isalnum, value))
    if _CODE.fullmatch(value) and not (drawn(value) and "(" not in value and "[" not in value):
        return False
    digit, letter = any(map(str.isdigit, value)), any(map(str.isalpha, value))
    special = not value.replace("_", "").replace("-", "").replace(".", "").replace("/", "").replace("+", "").isalnum()
    if (digit and letter) or (special and letter):
        return len(value) >= (6 if prose else 4) and not _word_with_number(value, prose)
    if digit:
        return not prose and len(value) >= 6
    if prose or len(value) < 6:
        return False
    known = [part in COMMON_WORDS or part in NAME_WORDS for part in parts]
    if all(known) or (any(known) and not exact):
        return False
    return exact or drawn(value)


def _word_with_number(value: str, prose: bool) -> bool:
    """Whether a value is an identifier such as `new_password2`, or in prose a range such as `8-character`."""
    parts = [word.lower() for word in _RUN.findall(value) if not word.isdigit()]
    if _IDENTIFIER.fullmatch(value) and parts and NAME_WORDS.issuperset(parts) and "_" in value:
        return True
    return prose and ("-" in value or "/" in value) and not drawn(value)


def _passphrase(value: str) -> bool:
    parts = value.split()
    if (
        any(map(str.isdigit, value))
        and len(parts) <= 4
        and value.isascii()
        and _PROSE.isdisjoint(value.lower().split())
    ):
        return len(value) >= 8 and "http" not in value
    return 3 <= len(parts) <= 10 and value.isascii() and value.replace(" ", "").isalpha() and value.islower() and (
        _PROSE.isdisjoint(parts)
    )  # fmt: skip
