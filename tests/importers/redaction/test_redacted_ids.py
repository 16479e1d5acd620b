"""What redaction does to ids is counted and said, and what it took out is shown masked."""

import json

import pytest

from lrat_hub import cli
from lrat_hub.importers import Redactor
from lrat_hub.importers.bulk import RecordImport, import_records
from lrat_hub.importers.look import look_at
from lrat_hub.importers.redaction.detection import EMAIL
from lrat_hub.importers.redaction.replacement import LEFT
from lrat_hub.ledger import Ledger
from tests.importers.test_look import call, conversation, shown

SESSIONS = ["0A1B2C3D4E5F60718293A4B5C6D7E8F9", "99887766554433221100AABBCCDDEEFF"]
PAGE = "https://archive.example.org/doc/7;jsessionid={}"
REDACTED = "https://archive.example.org/doc/7;jsessionid=[redacted: named secret]"


@pytest.fixture
def runs(tmp_path):
    """Two runs that list one page under an address with a session, and another without; the second lists it twice."""
    path = tmp_path / "runs.jsonl"
    lines = []
    for number, sessions in enumerate((SESSIONS[:1], SESSIONS)):
        listed = [{"url": PAGE.format(session), "title": "Seven"} for session in sessions]
        listed.append({"url": "https://archive.example.org/doc/8", "title": "Eight"})
        lines.append(
            conversation(
                call("search", 1, query="seven"), shown(1, json.dumps(listed)),
                call("visit", 2, url=listed[0]["url"]), shown(2, "A long page about the number seven. " * 9),
                question=f"Question {number}?",
            )
        )  # fmt: skip
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_ids_that_redaction_changed_are_counted_with_an_example_and_pairs_still_join(runs):
    look = look_at(runs, RecordImport(redactor=Redactor()))
    (warning,) = [text for text in look.concerns if "document ids" in text]
    assert "3 of 5 document ids (distinct in each run), of which 1 became equal to another" in warning
    assert REDACTED in warning
    assert look.mined is not None
    assert [pair.positive_id for pair in look.mined.pairs] == [REDACTED] * 2
    assert not any("document ids" in text for text in look_at(runs, RecordImport()).concerns)


def test_the_same_redaction_makes_the_ids_of_a_corpus_alike():
    assert Redactor().text(PAGE.format(SESSIONS[1]), Ledger("texts")) == REDACTED


@pytest.mark.parametrize("rest", ["?id=17", "#part-2", "?id=17&page=2#top", "%3Fid%3D17", ""])
def test_a_session_in_a_path_leaves_what_says_which_page_it_is(rest):
    assert Redactor().text(PAGE.format(SESSIONS[0]) + rest, Ledger("texts")) == REDACTED + rest
    query = f"https://archive.example.org/doc?id=17&sessionid={SESSIONS[0]}#part-2"
    assert Redactor().text(query, Ledger("texts")).endswith("?id=17&sessionid=[redacted: named secret]#part-2")


def test_pages_that_differ_behind_a_session_stay_apart():
    pages = [PAGE.format(SESSIONS[0]) + f"?id={number}" for number in range(3)]
    assert len({Redactor().text(page, Ledger("texts")) for page in pages}) == 3


def test_a_look_shows_what_was_redacted_with_four_characters_at_most(runs, capsys):
    cli.run(["import", str(runs), "--look"])
    page = capsys.readouterr().out
    assert "such as: 0A...F9 (32 characters)" in page
    assert not any(session[:3] in page or session[-3:] in page for session in SESSIONS)


@pytest.mark.parametrize(
    ("secret", "masked"), [("x7Qp9vT2", "... (8 characters)"), ("x7Qp9vT2mK4z", "x7...4z (12 ch")]
)
def test_short_secrets_are_shown_by_their_length_alone(secret, masked):
    texts = Ledger("texts")
    Redactor().value({"password": secret}, texts)
    assert masked in texts.examples["redacted, named secret"]
    Redactor().text(f"postgres://me:{secret}@db/x", texts)
    assert masked in texts.examples["redacted, password in an address"]
    assert secret not in json.dumps(texts.to_dict()), "examples are never published"


ADDRESSES = "Write to ada@example.org or bob@example.org, or postgres://ada:x7Qp9vT2mK4z@example.org:5432/db."


@pytest.mark.parametrize("processes", [1, 2])
def test_an_import_says_how_many_addresses_it_leaves_and_what_redacts_them(tmp_path, capsys, processes):
    path = tmp_path / "runs.jsonl"
    hits = json.dumps([{"docid": "d1", "title": "One"}, {"docid": "d2", "title": "Two"}])
    lines = [
        conversation(
            call("search", 1, query="who"), shown(1, hits),
            call("open", 2, docid="d1"), shown(2, f"{ADDRESSES} It is of run {number}."),
        )
        for number in range(3)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, lines)))
    cli.run(["import", str(path), "--look"])
    page = " ".join(capsys.readouterr().out.split())
    assert "6 e-mail addresses are left in the texts, such as ad...rg (15 characters); --redact_emails redacts" in page
    cli.run(["import", str(path), "--look", "--redact_emails"])
    page = " ".join(capsys.readouterr().out.split())
    assert "left in the texts" not in page
    assert "ada@example.org" not in page
    (folder := tmp_path / "out").mkdir()
    made = import_records(path, folder, RecordImport(redactor=Redactor(counted=(EMAIL,))), processes=processes)
    assert made.accounts.texts.notes[f"{LEFT}e-mail address"] == 6


def test_what_is_counted_changes_nothing_of_what_is_redacted():
    ledger = Ledger("texts")
    assert Redactor(counted=(EMAIL,)).text(ADDRESSES, ledger) == Redactor().text(ADDRESSES, Ledger("texts"))
    assert ledger.notes[f"{LEFT}e-mail address"] == 2, "the password before a host is no name before one"
