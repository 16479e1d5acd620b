"""`lrat lineage`: a tree with every artifact once, and a branch that ends where something is gone."""

from __future__ import annotations

import shutil

from huggingface_hub import HfApi

from lrat_hub import cli
from lrat_hub.hub.integrity import snapshot_folder
from tests.artifacts.conftest import write_corpus


def test_the_tree_has_branches_and_the_inputs_of_what_is_used_twice_once(family, capsys):
    evaluation = ["eval", "retrieval", "--corpus", family.corpus, "--queries", family.corpus, "--qrels", family.corpus]
    pin, _ = cli.run([*evaluation, "--check_passages", "0", "--index", family.index, "--to", "lrat/family-results"])
    capsys.readouterr()
    assert cli.main(["lineage", str(pin)]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"{pin} <- lrat eval retrieval"
    assert lines[0] == f"├─ corpus: {family.corpus} <- lrat corpus"
    assert [line[:6] for line in lines[1:4]] == ["│  ├─ ", "│  ├─ ", "│  └─ "]
    assert sum("documents.jsonl" in line for line in lines) == 1
    assert f"└─ index_1: {family.index} <- lrat index" in lines
    assert f"   └─ corpus: {family.corpus} (see above)" in lines


def test_what_is_gone_ends_its_branch_and_no_other(hub, tmp_path, capsys):
    corpus = cli.run([*write_corpus(tmp_path, {"7": "one", "8": "two"}), "--to", "lrat/lineage-gone"])
    index = cli.run(["index", "--bm25", "--corpus", str(corpus), "--to", "lrat/lineage-gone-index"])
    HfApi().delete_repo(corpus.repo_id, repo_type="dataset")
    # The lineage that was read before is in the cache of this machine.
    shutil.rmtree(snapshot_folder(corpus).parents[1])
    capsys.readouterr()
    assert cli.main(["lineage", str(index)]) == 0
    assert f"└─ corpus: {corpus} (can't be read: {corpus}: no such dataset" in capsys.readouterr().out
