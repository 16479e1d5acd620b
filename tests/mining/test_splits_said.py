"""`lrat mine` says how many pairs and questions went to each split."""

import json
import re

import pytest
from datasets import load_dataset

from lrat_hub import cli
from tests.importers.test_look import LISTED, call, conversation, shown


@pytest.mark.slow
def test_pairs_and_questions_of_each_split_are_said(hub, tmp_path, capsys):
    def run(number):
        visits = []
        for docid in ("7", "8"):
            visits += [call("get_document", docid, docid=docid), shown(docid, "A page about the author. " * 9)]
        return conversation(call("search", 1, query="x"), shown(1, LISTED), *visits, question=f"Question {number}?")

    path = tmp_path / "runs.jsonl"
    path.write_text("\n".join(json.dumps(run(number)) for number in range(20)))
    runs = cli.run(["import", str(path), "--to", "lrat/split-runs"])
    capsys.readouterr()
    pairs = cli.run(["mine", "--trajectories", str(runs), "--test", "0.4", "--to", "lrat/split-pairs"])
    printed = capsys.readouterr().out
    assert "20 of 20 searches (100%) led to an opened document; 40 pairs before a judge, 2 a run" in printed
    said = {
        split: (int(size), int(questions))
        for split, size, questions in re.findall(r"(\w+): (\d+) pairs \(questions: (\d+)[,)]", printed)
    }
    rows = load_dataset(pairs.repo_id, "pairs", revision=pairs.revision)
    assert said == {split: (len(table), len(set(table["question"]))) for split, table in rows.items()}
    assert said.keys() == {"train", "test"}
    assert sum(questions for _, questions in said.values()) == 20
    assert f"(questions: {said['test'][1]}, {said['test'][1] / 20:.0%}, asked for 40%)" in printed
