"""`lrat import`: what it says, what it publishes, and that what it published can be imported again."""

import json

import pytest
from datasets import load_dataset

from lrat_hub import cli, load_trajectories
from lrat_hub.errors import LratError
from tests.importers.fixtures import OPENAI, SMOLAGENTS
from tests.importers.redaction.test_redaction import KEYS


@pytest.fixture
def runs(tmp_path):
    """A file of two conversations, of which one shows a token, and a line that is cut."""
    secret = {**OPENAI, "question": f"Is {KEYS['Hugging Face token']} mine? ada@example.org"}
    path = tmp_path / "runs.jsonl"
    path.write_text(f"{json.dumps(OPENAI)}\n{json.dumps(secret)}\n{json.dumps(OPENAI)[:50]}")
    return path


@pytest.mark.slow
def test_an_import_says_its_format_redacts_and_comes_back_from_its_rows_or_its_traces(hub, runs, tmp_path, capsys):
    pin = cli.run(["import", str(runs), "--to", "lrat/chat-runs", "--redact_emails"])
    said = capsys.readouterr().out
    assert "format: chat: runs/1 is an object of messages with `role`" in said
    assert "redacted, Hugging Face token: 1" in said
    assert "redacted, e-mail address: 1" in said
    published = list(load_trajectories(pin))
    assert published[1].question == "Is [redacted: Hugging Face token] mine? [redacted: e-mail address]"
    again = cli.run(["import", f"datasets/{pin.repo_id}@{pin.revision}", "--strict", "--to", "lrat/again"])
    said = capsys.readouterr().out
    assert "format: rows: default/" in said
    assert "records: 2 read, 2 kept, 0 dropped" in said, "its traces are no further runs"
    assert list(load_trajectories(again)) == published
    traced = cli.run(["import", f"datasets/{pin.repo_id}@{pin.revision}", "--format", "traces", "--to", "lrat/traced"])
    assert sorted(load_trajectories(traced), key=str) == sorted(published, key=str)


def test_redaction_and_traces_can_be_left_out_and_the_same_import_is_the_same_commit(hub, runs):
    words = ["import", str(runs), "--to", "lrat/as-it-is", "--no_redact", "--traces", "0"]
    pin = cli.run(words)
    assert cli.run(words) == pin
    rows = load_dataset(pin.repo_id, revision=pin.revision, split="train")
    assert KEYS["Hugging Face token"] in rows[1]["question"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "smolagents"], "found none that can be read"),
        (["--strict"], "`strict` allows no loss"),
        (["--mapping", "nowhere.yaml"], "Mapping nowhere.yaml"),
        (["--redact_hook", "nowhere:hide"], "Redaction hook 'nowhere:hide'"),
        (["--traces", "-1"], "--traces: expected a number of at least 0"),
        (["--processes", "0"], "--processes: expected a number of at least 1"),
        (["--reader", "nowhere:read"], "Plug-in nowhere:read"),
        (["--queries", "nowhere.tsv"], "nowhere.tsv"),
    ],
)
def test_what_can_not_be_done_is_said(hub, runs, words, message):
    with pytest.raises(LratError, match=message):
        cli.run(["import", str(runs), "--to", "lrat/refused", *words])


def test_a_source_that_is_mixed_needs_its_format_named(hub, runs):
    runs.write_text(f"{json.dumps(OPENAI)}\n{json.dumps(SMOLAGENTS)}\n")
    with pytest.raises(LratError, match=r"found several: .*with its `format`"):
        cli.run(["import", str(runs), "--to", "lrat/mixed"])
    pin = cli.run(["import", str(runs), "--to", "lrat/mixed", "--format", "smolagents"])
    assert [run.final_answer for run in load_trajectories(pin)] == ["Ada"]


def read_session(record):
    """A reader, as a user writes one."""
    if "events" not in record:
        raise KeyError("events")
    return {"question": record["ask"], "messages": record["events"]}


READER = f"{__name__}:read_session"


@pytest.mark.slow
def test_a_format_of_ones_own_is_read_by_a_function(hub, tmp_path, capsys):
    path = tmp_path / "sessions.jsonl"
    path.write_text(f"{json.dumps({'ask': 'Who?', 'events': OPENAI['messages']})}\n{json.dumps({'ask': 'What?'})}")
    words = ["import", str(path), "--reader", READER, "--to", "lrat/read-by-reader"]
    pin = cli.run(words)
    printed = capsys.readouterr().out
    assert "dropped, the reader failed: KeyError: 1" in printed
    assert f"reader: {READER} (plug-in, unpinned, sha256:" in printed
    assert [run.question for run in load_trajectories(pin)] == ["Who?"]
    path.write_text(json.dumps({"ask": "What?"}))
    with pytest.raises(LratError, match=r"found none that can be read: 1 the reader failed.*py:\d+: KeyError: 'ev"):
        cli.run(words)


@pytest.mark.slow
def test_questions_are_joined_from_a_file_by_query_id(hub, tmp_path, capsys):
    messages = [message for message in OPENAI["messages"] if message["role"] != "user"]
    path, queries = tmp_path / "runs.jsonl", tmp_path / "queries.tsv"
    path.write_text("\n".join(json.dumps({"query_id": number, "messages": messages}) for number in (1, 2)))
    queries.write_text("1\tWho wrote it?\tAda\n3\tWho else?\tBob\n")
    pin = cli.run(["import", str(path), "--queries", str(queries), "--to", "lrat/joined"])
    assert "queries: 1 of 2 runs without a question got one" in capsys.readouterr().out
    joined, other = load_trajectories(pin)
    assert (joined.question, joined.gold_answer) == ("Who wrote it?", "Ada")
    assert other.question == ""
    queries.write_text("q-1\tWho wrote it?\tAda\n")
    with pytest.raises(LratError, match=r"`queries`: 0 of 2 runs were joined.*'1' in a run and 'q-1' in the quer"):
        cli.run(["import", str(path), "--queries", str(queries), "--to", "lrat/joined"])


def unknown_tools():
    """A conversation whose calls are of a tool that nobody knows."""
    function = {"name": "peruse\x1b[2J", "arguments": "{}"}
    return {
        "messages": [
            {"role": "user", "content": "Who?"},
            {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "function": function}]},
            {"role": "tool", "tool_call_id": "1", "content": "text"},
            {"role": "assistant", "content": "Ada"},
        ]
    }


def test_an_import_without_a_search_or_browse_is_refused_and_says_the_way_in(hub, tmp_path, capsys):
    from huggingface_hub import HfApi

    path = tmp_path / "runs.jsonl"
    path.write_text("\n".join(json.dumps(unknown_tools()) for _ in range(3)))
    with pytest.raises(LratError, match="found 3 runs without any"):
        cli.run(["import", str(path), "--to", "lrat/nothing-understood"])
    printed = capsys.readouterr().out
    assert "warning: 3 of 3 runs have no search and no browse: unknown tool 'peruse" in printed
    assert "3 calls; say what it does with --mapping" in printed
    assert "\x1b" not in printed
    assert not HfApi().repo_exists("lrat/nothing-understood", repo_type="dataset")
