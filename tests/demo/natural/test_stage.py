from __future__ import annotations

import json

import pytest
from datasets import load_dataset

from lrat_hub import cli
from tests.demo.natural.test_reader import DOCUMENTS


@pytest.mark.slow
def test_the_reader_s_rollout_is_published_judged_and_mined(hub, tmp_path):
    rows = [json.dumps({"docid": each.docid, "title": each.title, "text": each.text}) for each in DOCUMENTS]
    (tmp_path / "corpus.jsonl").write_text("\n".join(rows))
    (tmp_path / "queries.tsv").write_text("q1\tWhen did the director of film Red Lamps die?\t1971\n")
    corpus = ["--documents", str(tmp_path / "corpus.jsonl"), "--queries", str(tmp_path / "queries.tsv")]
    wiki = str(cli.run(["corpus", *corpus, "--to", "lrat/natural-wiki"]))
    runs = cli.run(
        [
            *("rollout", "--agent", "reader", "--corpus", wiki, "--queries", wiki, "--k", "2", "--hide_seen", "true"),
            *("--browse_tokens", "12", "--to", "lrat/natural-runs"),
        ]
    )
    (run,) = load_dataset(runs.repo_id, revision=runs.revision, split="train")
    assert (run["agent"], run["final_answer"], run["correct"]) == ("reader", "1971", True)
    environment = json.loads(run["metadata"])["environment"]
    assert (environment["hide_seen"], environment["browse_tokens"]) == (True, 12)
    pairs = cli.run(
        ["mine", "--trajectories", str(runs), "--corpus", wiki, "--judge", "rule", "--to", "lrat/natural-pairs"]
    )
    mined = load_dataset(pairs.repo_id, "pairs", revision=pairs.revision, split="train")
    assert set(mined["verdict"]) == {"relevant"}
    assert {"Red Lamps", "Karl Berg (director)"} == set(mined["positive_id"])
