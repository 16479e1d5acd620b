"""A file of one's own in the place of what a stage publishes, or of a folder: the message says what to do."""

from __future__ import annotations

import json
import shlex

import pytest

from lrat_hub import cli
from tests.importers.test_look import call, conversation, shown


@pytest.mark.parametrize("stage", ["mine", "analyze", "corpus"])
def test_a_log_in_the_place_of_trajectories_is_to_be_imported(hub, tmp_path, monkeypatch, capsys, stage):
    hits = json.dumps([{"docid": "d1", "title": "One"}, {"docid": "d2", "title": "Two"}])
    turns = (call("search", 1, query="who"), shown(1, hits), call("open", 2, docid="d1"), shown(2, "A page. " * 30))
    (tmp_path / "my runs.jsonl").write_text(json.dumps(conversation(*turns)) + "\n")
    monkeypatch.chdir(tmp_path)
    assert cli.main([stage, "--trajectories", "./my runs.jsonl", "--to", f"lrat/{stage}-of-a-file"]) == 1
    command = capsys.readouterr().err.partition("give what is published: ")[2].strip()
    assert command == "lrat import 'my runs.jsonl' --to me/runs"
    assert cli.main([*shlex.split(command)[1:-1], f"lrat/{stage}-runs"]) == 0


def test_documents_in_the_place_of_a_corpus_are_to_be_published(hub, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs.jsonl").write_text(json.dumps({"id": "d1", "contents": "Words."}) + "\n")
    assert cli.main(["index", "--bm25", "true", "--corpus", "docs.jsonl", "--to", "lrat/index-of-a-file"]) == 1
    assert "lrat corpus --documents docs.jsonl --to me/corpus" in capsys.readouterr().err


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_file_in_the_place_of_a_folder_is_named_in_one_line(tmp_path, capsys, below):
    file = tmp_path / "notes.txt"
    file.touch()
    assert cli.main(["quickstart", "--root", f"{file}{below}"]) == 1
    said = f"error: {file}: expected a folder, found a file. Give another folder, or remove the file.\n"
    assert capsys.readouterr().err == said
