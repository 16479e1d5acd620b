"""Secrets don't leave the house: what is replaced, where, and what is left alone."""

import ast
import itertools
import json
import pickle
import re
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrat_hub.errors import LratError
from lrat_hub.importers import EMAIL, SECRETS, Redactor, load_hook
from lrat_hub.importers.redaction.redactor import CHANGED_DOCIDS, CHANGED_QUERY_IDS
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Candidate, Step
from tests.builders import trajectory
from tests.importers.redaction.harmless_texts import HARMLESS
from tests.importers.redaction.secret_kinds import secrets

A, D = "aB3" * 20, "0123456789" * 4
# Put together here, so that scanners of this repository find nothing.
KEYS = {
    "private key": f"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n{A}=\n-----END RSA PRIVATE KEY-----",
    "Hugging Face token": "hf" + f"_{A[:34]}",
    "Anthropic key": "sk-" + f"ant-api03-{A}",
    "OpenAI key": "sk-" + f"proj-{A}",
    "AWS key": "AKIA" + "ABCDEFGHIJKLMNOP",
    "Google key": "AIza" + A[:35],
    "GitHub token": "ghp" + f"_{A[:36]}",
    "GitLab token": "glpat" + f"-{A[:20]}",
    "Slack token": "xoxb" + f"-{D[:12]}-{A[:12]}",
    "Stripe key": "sk_" + f"live_{A[:24]}",
    "npm token": "npm" + f"_{A[:36]}",
    "PyPI token": "pypi" + f"-AgE{A}",
    "search service key": "tvly" + f"-{A[:32]}",
    "JSON web token": f"eyJ{A[:20]}.eyJ{A[:20]}.{A[:20]}",
}


def redacted(text, **options):
    ledger = Ledger("texts")
    return Redactor(**options).text(text, ledger), ledger.notes


@pytest.mark.parametrize("name", KEYS)
def test_keys_of_known_forms_are_replaced_and_counted(name):
    text, notes = redacted(f"with <{KEYS[name]}> in it")
    assert text == f"with <[redacted: {name}]> in it"
    assert notes == {f"redacted, {name}": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Authorization: Bearer {A[:30]}", "Authorization: Bearer [redacted: bearer token]"),
        (
            f'Ocp-Apim-Subscription-Key: {D[:32]}%7B%22api_key%22%3A%22hunter2hunter2zz9%22%7D{{"a": "x"}}',
            "Ocp-Apim-Subscription-Key: [redacted: named secret]%7B%22api_key%22%3A%22[redacted: named secret]%22%7D"
            '{"a": "x"}',
        ),
        (f"api_key={A[:30]}(see below)", "api_key=[redacted: named secret](see below)"),
        (f"SharedAccessKey={A[:43]}=/KEY_ID=7", "SharedAccessKey=[redacted: named secret]/KEY_ID=7"),
        (f"HttpOnly:X-API-Key: {A[:30]}", "HttpOnly:X-API-Key: [redacted: named secret]"),
        (f"{{'api_key': '{A[:20]}'}}", "{'api_key': '[redacted: named secret]'}"),
        (f"SERPER_API_KEY={D}", "SERPER_API_KEY=[redacted: named secret]"),
        (f"AZURE_OPENAI_KEY: {D}", "AZURE_OPENAI_KEY: [redacted: named secret]"),
        (rf'"{{\"db_password\": \"{A[:20]}\"}}"', r'"{\"db_password\": \"[redacted: named secret]\"}"'),
        (f"Authorization: Basic {A[:20]}==", "Authorization: Basic [redacted: authorization header]"),
        (f"aws_secret_access_key = {A[:40]}", "aws_secret_access_key = [redacted: AWS secret]"),
        (
            f'Api-Key: {A[:30]}%7B%22api_key%22%3A%22{A[:20]}%22%7D{{"a": 1}}',
            'Api-Key: [redacted: named secret]%7B%22api_key%22%3A%22[redacted: named secret]%22%7D{"a": 1}',
        ),
        ("postgres://ada:hunter2@db/x", "postgres://ada:[redacted: password in an address]@db/x"),
    ],
)
def test_of_a_secret_with_a_name_only_the_secret_is_replaced(text, expected):
    assert redacted(text)[0] == expected


@pytest.mark.parametrize(
    ("before", "name"),
    [("Api-Key: ", "named secret"), ("tool --token ", "named secret"), ("Cookie: session=", "cookie")],
)
def test_a_replacement_that_touches_a_secret_stays_whole(before, name):
    text = redacted(f"{before}{A[:30]}[redacted: AWS key]; more")[0]
    assert text == f"{before}[redacted: {name}][redacted: AWS key]; more"
    assert redacted(text)[0] == text


REPLACED = r"\[redacted: [^\]]+\]"


def test_every_kind_of_secret_is_replaced_and_nothing_around_it():
    rounds, missed = 25, {}
    for seed in range(rounds):
        for name, (before, secret, after) in secrets(seed).items():
            text = redacted(before + secret + after)[0]
            if not re.fullmatch(re.escape(before) + REPLACED + re.escape(after), text):
                missed[name] = (before + secret + after, text)
    kinds = len(secrets(0))
    print(f"recall: {1 - len(missed) / kinds:.1%} of {kinds} kinds, each drawn {rounds} times")
    assert kinds >= 200
    assert missed == {}


# Between two texts that have nothing to do with each other; what glues words to those before them comes last.
APART = (
    " ", "\n", "\r\n", "\n\n", "\t", ", ", "; ", " and ", "|", "&", "?", "!", "/", "%20", "%7B%22", "%22%7D{", "{",
    "}", '{"a": "x"}', '"}, {"a": "', '"', "'", "`", '", "', '","', "', '", '\\"', "\\n", "(", ")", "[", "]", "<br>",
    "</a>", "\0", "\uff0c", "\u3002",
)  # fmt: skip
GLUED = ("", ":", ".", "-", "_", "=", "@", "#")


@pytest.mark.slow
def test_every_two_secrets_are_redacted_side_by_side_and_once_is_enough():
    drawn = list(secrets(0).values())
    betweens = itertools.cycle((*APART, *GLUED))
    left, twice = [], []
    # Each secret meets a fifth of the others before and behind itself, each of these with another separator.
    for first, second in itertools.product(range(len(drawn)), repeat=2):
        if (first + second) % 5:
            continue
        between = next(betweens)
        text = "".join((*drawn[first], between, *drawn[second]))
        clean, _ = redacted(text)
        parts = [
            secret[at : at + 12]
            for _, secret, _ in (drawn[first], drawn[second])
            for at in range(0, len(secret) - 11, 12)
        ]
        left += [(text, clean)] if between in APART and any(part in clean for part in parts) else []
        twice += [(text, clean)] if redacted(clean)[0] != clean else []
    assert left == []
    assert twice == []


def json_texts(text: str) -> dict[str, str]:
    """A text as it stands in other texts."""
    compact = json.dumps({"text": text, "n": 1}, separators=(",", ":"))
    return {
        "JSON": json.dumps([text, {"a": text}]),
        "compact": compact,
        "nested": json.dumps({"x": compact}),
        "repr": repr([text]),
    }


def test_harmless_texts_stay_as_they_are_also_within_other_texts():
    changed = {text: redacted(text)[0] for text in HARMLESS if redacted(text)[0] != text}
    print(f"false alarms: {len(changed) / len(HARMLESS):.1%} of {len(HARMLESS)} texts")
    assert len({*HARMLESS}) == len(HARMLESS) >= 380
    assert changed == {}
    nested = [text for harmless in HARMLESS for text in json_texts(harmless).values()]
    assert [text for text in nested if redacted(text)[0] != text] == []


def test_secrets_are_found_within_json_and_reprs_of_their_texts():
    missed = []
    for before, secret, after in secrets(0).values():
        for text in json_texts(f"{before}{secret}{after}").values():
            clean = redacted(text)[0]
            kept = [secret[start : start + 12] for start in range(0, len(secret) - 12, 12)]
            missed += [(text, clean) for part in kept if "\n" not in part and "\\" not in part and part in clean]
    assert missed == []


EXAMPLES = [before + secret + after for seed in range(3) for before, secret, after in secrets(seed).values()]


def one_of(texts):
    """A strategy whose repr is short, however many texts there are."""
    return st.integers(0, len(texts) - 1).map(lambda index: texts[index])


PIECES = st.one_of(
    one_of(EXAMPLES),
    one_of(HARMLESS),
    st.text(max_size=8),
    st.sampled_from(
        [*"\"'`\\{}[]:,=@%&<>|*\n\t ", "password", "api_key", "token", "://", "Bearer ", "\\n", '\\"', "': '", '": "']
    ),
)
TEXTS = st.lists(PIECES, max_size=4).map("".join)
NAMES = st.one_of(
    st.sampled_from(["password", "api_key", "token", "a", "Cookie", "Authorization"]), st.text(max_size=5)
)
SCALARS = st.one_of(TEXTS, st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
PROPERTY = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
EVERYTHING = (*SECRETS, EMAIL)


def structure(value):
    """The keys and the number of items of a value."""
    if isinstance(value, dict):
        return [(key, structure(part)) for key, part in value.items()]
    return [structure(part) for part in value] if isinstance(value, list) else None


@PROPERTY
@given(VALUES, st.sampled_from([{}, {"indent": 2}, {"separators": (",", ":")}]), st.booleans(), st.integers(0, 2))
def test_redacted_json_is_json_with_the_same_structure_at_any_depth(value, form, ascii_only, depth):
    text = json.dumps(value, ensure_ascii=ascii_only, **form)
    for _ in range(depth):
        text = json.dumps({"inner": text, "n": [1]}, ensure_ascii=ascii_only)
    clean = redacted(text, patterns=EVERYTHING)[0]
    loaded = json.loads(clean)
    for _ in range(depth):
        loaded = json.loads(loaded["inner"])
    assert structure(loaded) == structure(value)
    assert redacted(clean, patterns=EVERYTHING)[0] == clean


@PROPERTY
@given(VALUES)
def test_redacted_reprs_are_reprs_with_the_same_structure(value):
    assert structure(ast.literal_eval(redacted(repr(value), patterns=EVERYTHING)[0])) == structure(value)


@PROPERTY
@given(
    st.lists(one_of(HARMLESS), max_size=3),
    one_of(EXAMPLES),
    st.lists(one_of(HARMLESS), max_size=3),
)
def test_texts_beside_a_secret_in_json_stay_whole(before, example, after):
    clean = json.loads(redacted(json.dumps([*before, example, *after]))[0])
    assert clean[: len(before)] == before
    assert clean[len(before) + 1 :] == after
    assert clean[len(before)] != example


@PROPERTY
@given(st.lists(st.one_of(PIECES, st.characters(categories=["Cs"])), max_size=5).map("".join))
def test_any_text_is_redacted_without_an_error_even_lone_surrogates(text):
    clean = redacted(text, patterns=EVERYTHING)[0]
    assert redacted(clean, patterns=EVERYTHING)[0] == clean


@PROPERTY
@given(st.lists(st.lists(st.text("a é中𐍈\ud800", max_size=4), min_size=1, max_size=5), max_size=4))
def test_secrets_are_found_at_their_places_among_characters_of_any_width(texts):
    before = [f" {KEYS['AWS key']} ".join(parts) for parts in texts]
    after = [" [redacted: AWS key] ".join(parts) for parts in texts]
    assert Redactor(SECRETS).value(before, Ledger("texts")) == after


# Each pattern's own worst input: marks without an end, each of which could begin a secret in what follows.
WORST = """
import sys
from lrat_hub.importers import EMAIL, SECRETS, Redactor
from lrat_hub.ledger import Ledger
part, parts = map(int, sys.argv[1:])
redactor = Redactor((*SECRETS, EMAIL))
for pattern in redactor.patterns[part::parts]:
    unit = "-" + pattern.marks[0]
    redactor.text(unit * (1_000_000 // len(unit)), Ledger("texts"))
TAILS = (
    "-", "a1", "\\\\", '\\\\"', " ", "\\n", "aB3/" * 19 + "\\n", ".", "%2F", "a:b@",
    "' ", "-----BEGIN PRIVATE KEY-----",
)
for tail in TAILS[part::parts]:
    text = "-----BEGIN RSA PRIVATE KEY-----\\npassword: \\"'" + tail * (1_000_000 // len(tail))
    redactor.text(text, Ledger("texts"))
if part == 0:
    keys = [f"AKIA{number:016d}" for number in range(50_000)]
    Redactor(counted=(EMAIL,)).text(" ada@example.org ".join(keys), Ledger("texts"))
    assert len(redactor.value(dict.fromkeys(keys, 1), Ledger("texts"))) == len(keys)
"""


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_a_megabyte_of_the_worst_input_of_a_pattern_takes_bounded_work(part):
    """It is done in seconds; a quadratic pattern takes hours. The limit is no measure of speed."""
    subprocess.run([sys.executable, "-c", WORST, str(part), "10"], check=True, timeout=90)


def test_addresses_go_when_that_is_asked_for():
    assert redacted("Write to ada@example.org.", patterns=(EMAIL,))[0] == "Write to [redacted: e-mail address]."


def test_a_redactor_goes_to_another_process():
    redactor = Redactor(EVERYTHING, load_hook("builtins:str"))
    copy = pickle.loads(pickle.dumps(redactor))
    assert copy == redactor
    assert copy.text(KEYS["AWS key"], Ledger("texts")) == "[redacted: AWS key]"


def test_values_of_json_are_redacted_by_their_keys_too():
    ledger = Ledger("texts")
    value = {
        "api_key": "a1B2" * 8,
        "password": "velvet",
        "n": [1, {"token": "the"}],
        KEYS["AWS key"]: 1,
        "PRIMARY_KEY": "id",
    }
    assert Redactor().value(value, ledger) == {
        "api_key": "[redacted: named secret]", "password": "[redacted: named secret]", "n": [1, {"token": "the"}],
        "[redacted: AWS key]": 1, "PRIMARY_KEY": "id",
    }  # fmt: skip
    assert ledger.to_dict()["notes"] == {"redacted, AWS key": 1, "redacted, named secret": 2}
    many = {"AKIA" + letter * 16: 1 for letter in "ABC"}
    assert len(Redactor().value(many, ledger)) == 3


def test_every_text_of_a_trajectory_is_redacted_and_a_clean_one_stays_as_it_is():
    key = KEYS["Hugging Face token"]
    results = (Candidate(0, 1, key, key, key),)
    steps = [Step(0, key, "search", (key,), results, None, key, key), Step(0, None, "browse", docid=key)]
    many_lines = json.dumps({"format": "x", key: [KEYS["private key"]]})
    run = trajectory(*steps, name=key)
    run = type(run)(**{**vars(run), "gold_answer": key, "final_answer": key, "agent": key, "metadata": many_lines})
    ledger = Ledger("texts")
    clean = Redactor().redact(run, ledger)
    shown = json.dumps(clean.to_dict())
    assert key not in shown
    assert "PRIVATE" not in shown
    assert [step.action for step in clean.steps] == ["search", "browse"]
    assert clean.steps[1].reasoning is None
    assert ledger.to_dict()["notes"] == {
        "redacted, Hugging Face token": 15, "redacted, private key": 1, CHANGED_DOCIDS: 1, CHANGED_QUERY_IDS: 1,
    }  # fmt: skip
    assert Redactor().redact(clean, Ledger("texts")) == clean


def test_a_hook_sees_every_text_last_and_its_failure_stops_everything(tmp_path, monkeypatch):
    (tmp_path / "house_rules.py").write_text(
        "def hide(text): return text.replace('Project X', '...')\ndef broken(text): return None\nvalue = 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    text, notes = redacted("On Project X", patterns=SECRETS, hook=load_hook("house_rules:hide"))
    assert (text, notes) == ("On ...", {"redacted, hook": 1})
    with pytest.raises(LratError, match="expected a text from the hook, found NoneType"):
        redacted("x", hook=load_hook("house_rules:broken"))
    with pytest.raises(LratError, match="the hook failed; ZeroDivisionError"):
        redacted("x", hook=lambda text: 1 / 0)
    for name in ("house_rules:value", "house_rules:nothing", "nowhere:hide", "hide", ""):
        with pytest.raises(LratError, match="Redaction hook"):
            load_hook(name)
