"""`lrat import --look`: what a source would become, on a page that is safe and readable everywhere."""

import json

import pytest

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.importers import SECRETS, Redactor, load_trajectories
from lrat_hub.importers.bulk import RecordImport
from lrat_hub.importers.look import look_at
from lrat_hub.importers.page import page_of, plain
from tests.importers.fixtures import OPENAI, RECORDS, record
from tests.importers.redaction.test_redaction import KEYS


def write(path, *records):
    path.write_text("\n".join(json.dumps(value) for value in records), encoding="utf-8")
    return path


def call(name, number=1, **arguments):
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": "", "tool_calls": [{"id": f"c{number}", "function": function}]}


def conversation(*messages, question="Who wrote it?", answer="Ada"):
    return {"messages": [{"role": "user", "content": question}, *messages, {"role": "assistant", "content": answer}]}


def shown(number, content):
    return {"role": "tool", "tool_call_id": f"c{number}", "content": content}


LISTED = json.dumps([{"docid": "7", "title": "A title"}, {"docid": "8", "title": "Another"}])


@pytest.fixture
def look(tmp_path, capsys, monkeypatch):
    """Looks at records by the command, and gives the page."""
    monkeypatch.setenv("COLUMNS", "100")

    def page(*records, words=()):
        path = write(tmp_path / "runs.jsonl", *records)
        assert cli.run(["import", str(path), "--look", *words]) is None
        return capsys.readouterr().out

    return page


@pytest.mark.parametrize("name", RECORDS)
def test_every_shape_is_shown_step_by_step(tmp_path, name):
    format_name, value = RECORDS[name][0], record(name)
    path = write(tmp_path / "runs.jsonl", *(value if format_name == "traces" else [value]))
    page = page_of(look_at(path, RecordImport()), 100)
    assert f"  {format_name}: " in page
    has_question = name != "browsecomp-plus"
    assert f"question:    {'Who wrote it?' if has_question else 'none'}" in page
    assert 'query: who\'s "there"' in page
    assert 'rank 1 of step 1, query: who\'s "there"' in page
    assert "answer Ada" in page
    assert ("No warnings." if has_question else "1 of 1 runs have no question") in page
    assert "pairs: 1, of which without a negative: 0" in page


def test_counts_say_what_mining_makes_of_it(look):
    page = look(
        conversation(
            call("search", 1, query="one"), shown(1, LISTED),
            call("get_document", 2, docid="7"), shown(2, "text"),
            call("get_document", 3, docid="99"), shown(3, "text"),
            call("get_document", 4, docid="8"), shown(4, json.dumps({"error": "no such page"})),
        ),
        {**OPENAI, "correct": False},
    )  # fmt: skip
    assert "in no list before it: makes no pair" in page
    assert "failed: no such page" in page
    assert "browses left out, never listed before: 1" in page
    assert "browses left out, failed: 1" in page
    assert "trajectories left out, outcome incorrect: 1" in page
    assert "pairs: 1, of which without a negative: 1" in page
    assert "mining would be refused: " not in page  # without any reasoning, pairs weigh 1


def test_what_is_not_understood_has_an_example_and_the_cure(look):
    page = look(*(conversation(call("peruse", 1, at="7"), shown(1, "text"), question=f"{n}?") for n in range(3)))
    assert "3 of 3 runs have no search and no browse: unknown tool 'peruse': 3 calls; say what it does" in page
    assert "--mapping" in page
    assert "the import would be refused: " in page


def test_the_same_question_in_all_of_many_runs_is_a_warning(look):
    runs = [{**OPENAI, "question": "agent/multiturn_search", "id": number} for number in range(6)]
    assert "all 6 runs have the same question, 'agent/multiturn_search'" in look(*runs)
    assert "No warnings." in look(*runs[:2])


def test_secrets_are_redacted_also_in_examples(look):
    secret = KEYS["Hugging Face token"]
    page = look(
        conversation(call("search", 1, query=f"{secret} one"), shown(1, LISTED), question=secret),
        {"messages": [{"role": "user", "content": secret}, secret, {"role": secret, "content": secret}]},
    )
    assert secret not in page
    assert "[redacted: Hugging Face token]" in page


def test_what_a_log_holds_does_nothing_to_the_terminal(look):
    attack = "\x1b]0;title\x07\x1b[2J\x9b31m\u202egnp.exe\u2028next\rback\ttab"
    page = look(
        conversation(
            call("search", 1, query=attack), shown(1, json.dumps([{"docid": attack, "title": attack}])),
            call(attack, 2), shown(2, attack),
            question=attack, answer=attack,
        )
    )  # fmt: skip
    assert not any((character < " " and character != "\n") or "\x7f" <= character <= "\x9f" for character in page)
    assert not set("\u202e\u2028") & set(page)
    assert r"\x1b]0;title\x07\x1b[2J\x9b31m\u202egnp.exe" in page


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal(tmp_path, width):
    wide = "\u6771\u4eac\u90fd\u306e\u56f3\u66f8\u9928" * 60
    value = conversation(call("search", 1, query=wide), shown(1, LISTED), question=wide, answer="word " * 90)
    page = page_of(look_at(write(tmp_path / "runs.jsonl", value), RecordImport()), width)
    for line in page.splitlines():
        assert len(line) + sum(character in wide for character in line) <= width


def test_a_part_of_a_large_source_is_read_and_the_page_says_so(tmp_path):
    path = write(tmp_path / "runs.jsonl", *({**OPENAI, "question": f"{number}?"} for number in range(9)))
    look = look_at(path, RecordImport(), limit=4)
    assert len(look.runs) == 4
    assert "SOURCE, its first 4 runs" in page_of(look, 100)
    later = look_at(path, RecordImport(), limit=4, shown=7)
    assert "question:    6?" in page_of(later, 100)
    assert "there is no such run: 9 were read" in page_of(look_at(path, RecordImport(), shown=10), 100)


def test_a_source_without_a_run_is_shown_with_the_reason_and_ends_with_it(tmp_path, capsys):
    path = write(tmp_path / "runs.jsonl", {"a": 1})
    with pytest.raises(LratError, match="expected trajectories"):
        cli.run(["import", str(path), "--look", "--format", "chat"])
    page = capsys.readouterr().out
    assert "records: 1 read, 0 kept, 1 dropped" in page
    assert "the import would be refused: Import: expected trajectories" in page


def test_a_strict_look_ends_as_the_strict_import_would(tmp_path, capsys):
    lossy = conversation(call("search", 1, query="q"), shown(1, LISTED), call("unheard_of", 2, q="x"), shown(2, "t"))
    path = str(write(tmp_path / "runs.jsonl", lossy))
    assert cli.run(["import", path, "--look"]) is None
    with pytest.raises(LratError, match="`strict` allows no loss") as refused:
        cli.run(["import", path, "--look", "--strict"])
    assert "the import would be refused: " in capsys.readouterr().out
    with pytest.raises(LratError) as imported:
        list(load_trajectories(path, strict=True))
    assert str(imported.value) == str(refused.value)
    path = str(write(tmp_path / "fine.jsonl", conversation(call("search", 1, query="q"), shown(1, LISTED))))
    assert cli.run(["import", path, "--look", "--strict"]) is None


def test_a_look_publishes_nothing_and_needs_no_target(look, hub):
    from huggingface_hub import HfApi

    look(OPENAI, words=["--to", "lrat/looked-at"])
    assert not HfApi().repo_exists("lrat/looked-at", repo_type="dataset")


def test_without_a_target_an_import_names_the_look(tmp_path):
    path = write(tmp_path / "runs.jsonl", OPENAI)
    with pytest.raises(LratError, match=r"expected a repository to publish to, found none.*--look"):
        cli.run(["import", str(path)])


@pytest.mark.parametrize("words", [["{}", "--look"], ["--look", "{}"], ["--look", "true", "--source", "{}"]])
def test_the_source_stands_before_or_after_the_option(tmp_path, capsys, words):
    path = str(write(tmp_path / "runs.jsonl", OPENAI))
    cli.run(["import", *(word.format(path) for word in words), "--format", "chat"])
    assert "chat, as it was named" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["a", "b", "--look"], ["--look", "a", "b"], ["a", "--look", "b"]])
def test_of_several_sources_none_is_taken_for_an_option(words):
    with pytest.raises(LratError, match=r"expected one source, found 2: 'a', 'b'. Put files .* a folder"):
        cli.run(["import", *words])


def test_a_page_goes_to_an_output_of_few_characters(tmp_path, monkeypatch):
    import io
    import sys

    path = write(tmp_path / "runs.jsonl", conversation(question="\u6771\u4eac"))
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", output)
    cli.run(["import", str(path), "--look"])
    output.flush()
    assert b"\\u6771\\u4eac" in output.buffer.getvalue()


def test_texts_are_made_one_line():
    assert plain("a\n\n b\u00a0c\u200bd") == "a b c\\u200bd"


def test_a_hook_that_fails_ends_the_look(tmp_path):
    path = write(tmp_path / "runs.jsonl", OPENAI)

    def hook(text):
        raise ValueError("no")

    with pytest.raises(LratError, match="the hook failed"):
        look_at(path, RecordImport(redactor=Redactor(SECRETS, hook)))
