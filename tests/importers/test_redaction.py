"""Secrets don't leave the house: what is replaced, where, and what is left alone."""

import json

import pytest

from lrat_hub.errors import LratError
from lrat_hub.importers import EMAIL, SECRETS, Redactor, load_hook
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Candidate, Step
from tests.builders import trajectory

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
        (f"{{'api_key': '{A[:20]}'}}", "{'api_key': '[redacted: named secret]'}"),
        (f"SERPER_API_KEY={D}", "SERPER_API_KEY=[redacted: named secret]"),
        (f"AZURE_OPENAI_KEY: {D}", "AZURE_OPENAI_KEY: [redacted: named secret]"),
        (rf'"{{\"db_password\": \"{A[:20]}\"}}"', r'"{\"db_password\": \"[redacted: named secret]\"}"'),
        (f"Authorization: Basic {A[:20]}==", "Authorization: Basic [redacted: authorization header]"),
        (f"aws_secret_access_key = {A[:40]}", "aws_secret_access_key = [redacted: AWS secret]"),
        ("postgres://ada:hunter2@db/x", "postgres://ada:[redacted: password in an address]@db/x"),
    ],
)
def test_of_a_secret_with_a_name_only_the_secret_is_replaced(text, expected):
    assert redacted(text)[0] == expected


@pytest.mark.parametrize(
    "text",
    [
        "sk-hynix-announces-a-new-generation-of-memory-chips", "task-list of fc-barcelona-femeni-2024-season-squad",
        "The bearer of this letter", "An authorization token is needed", "MONKEY: 1234567890123456 of them",
        "PRIMARY_KEY: chosen-by-the-database",
        "password: see the notice board", "-----BEGIN PRIVATE KEY----- is how one starts",
        "9b3e1c0a7d5f4e2b8c6a1d3f5e7b9c0a", "https://example.org:8080/a@b", "ada@example.org",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_secret_stays(text):
    assert redacted(text)[0].replace("[redacted: private key]", "-----BEGIN PRIVATE KEY-----") == text


def test_addresses_go_when_that_is_asked_for():
    assert redacted("Write to ada@example.org.", patterns=(EMAIL,))[0] == "Write to [redacted: e-mail address]."


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
    assert ledger.to_dict()["notes"] == {"redacted, Hugging Face token": 15, "redacted, private key": 1}
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
