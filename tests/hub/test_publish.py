"""Publishing: one commit with data, card and lineage, and the way back along the lineage."""

import os
import subprocess
import sys

import pytest
from datasets import Dataset, load_dataset
from huggingface_hub import CommitOperationAdd, HfApi

from lrat_hub import HubRef
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import load_table, resolve
from lrat_hub.hub.kinds import check_kind
from lrat_hub.hub.lineage import Lineage, read_lineage, trace
from lrat_hub.hub.preflight import look_at_target
from lrat_hub.hub.publish import publish_dataset

CARD = "---\npretty_name: Test\n---\n\n# Test\n"


def rows(*docids):
    return {"train": Dataset.from_dict({"docid": list(docids), "title": [""] * len(docids), "text": list(docids)})}


def publish(name, tables, **lineage):
    fields = {"stage": "test", "inputs": {}, "recipe": {}} | lineage
    return publish_dataset(HubRef(name, "dataset"), tables, card=CARD, lineage=Lineage(**fields))


def test_who_will_see_what_is_published_is_said_before(hub):
    api = HfApi()
    api.create_repo("lrat/seen-by-all", repo_type="dataset")
    api.create_repo("lrat/seen-by-few", repo_type="dataset", private=True)
    said = {
        name: str(look_at_target(HubRef(f"lrat/{name}", "dataset")))
        for name in ("seen-by-all", "seen-by-few", "not-there-yet")
    }
    assert said["seen-by-all"].endswith("(public, empty so far)")
    assert said["seen-by-few"].endswith("(private, empty so far)")
    assert said["not-there-yet"].endswith("(new, public unless its namespace or an input is private)")


def test_data_card_and_lineage_arrive_in_one_commit(hub):
    pin = publish("lrat/one", {"corpus": rows("a"), "more": rows("b", "c")}, counts={"n": 3})
    commits = HfApi().list_repo_commits("lrat/one", repo_type="dataset")
    assert [commit.title for commit in commits][:-1] == ["lrat test"]
    assert commits[0].commit_id == pin.revision
    assert load_dataset("lrat/one", split="train", revision=pin.revision)["docid"] == ["a"]
    assert load_dataset("lrat/one", "more", split="train", revision=pin.revision)["docid"] == ["b", "c"]
    assert read_lineage(pin).counts == {"n": 3}


def test_the_same_content_again_gives_the_same_pin_and_other_content_replaces_it(hub):
    first = publish("lrat/published-again", {"corpus": rows("a"), "more": rows("b")})
    assert publish("lrat/published-again", {"corpus": rows("a"), "more": rows("b")}) == first
    second = publish("lrat/published-again", {"corpus": {"test": rows("z")["train"]}, "more": rows("b")})
    files = HfApi().list_repo_files("lrat/published-again", repo_type="dataset", revision=second.revision)
    assert [name for name in files if name.startswith("corpus/")] == ["corpus/test-00000-of-00001.parquet"]
    assert load_table(resolve(str(first), repo_type="dataset"), "corpus")["docid"] == ["a"]


def test_what_is_not_ours_and_configs_that_would_go_are_not_replaced(hub):
    publish("lrat/kept", {"corpus": rows("a"), "more": rows("b")})
    with pytest.raises(LratError, match="it has more, which this would remove"):
        publish("lrat/kept", {"corpus": rows("z")})
    HfApi().create_repo("lrat/foreign", repo_type="dataset")
    HfApi().upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id="lrat/foreign", repo_type="dataset")
    with pytest.raises(LratError, match="found other files"):
        publish("lrat/foreign", {"corpus": rows("z")})


@pytest.mark.parametrize("name", ["../x", "a b", "", ".."])
def test_names_of_configs_can_stand_in_a_reference(hub, name):
    with pytest.raises(LratError, match="expected names of letters"):
        publish("lrat/names", {name: rows("a")})


def test_a_commit_in_between_is_not_lost_and_not_kept(hub, monkeypatch):
    """Publishing replaces what is at the tip, also when the tip moved after it was looked at."""
    publish("lrat/race", {"corpus": rows("a")})
    create, raced = HfApi.create_commit, []

    def create_after_somebody_else(self, *args, **kwargs):
        if not raced:
            raced.append(True)
            create(self, "lrat/race", [CommitOperationAdd("stray.txt", b"x")], repo_type="dataset", commit_message="x")
        return create(self, *args, **kwargs)

    monkeypatch.setattr(HfApi, "create_commit", create_after_somebody_else)
    pin = publish("lrat/race", {"corpus": rows("b")})
    titles = [commit.title for commit in HfApi().list_repo_commits("lrat/race", repo_type="dataset")]
    assert titles[:3] == ["lrat test", "x", "lrat test"]
    assert "stray.txt" not in HfApi().list_repo_files("lrat/race", repo_type="dataset", revision=pin.revision)


def test_lineage_leads_back_to_what_came_from_outside(hub):
    corpus = publish("lrat/l-corpus", {"corpus": rows("a")}, inputs={"documents": "docs.jsonl (unpinned, sha256:0)"})
    runs = publish("lrat/l-runs", {"runs": rows("r")}, inputs={"corpus": str(corpus)})
    pairs = publish("lrat/l-pairs", {"pairs": rows("p")}, inputs={"trajectories": str(runs), "corpus": str(corpus)})
    found = [
        (ancestor.path, str(ancestor.source), ancestor.seen) for ancestor in trace(HubRef("lrat/l-pairs", "dataset"))
    ]
    assert found == [
        ((), str(pairs), False),
        (("trajectories",), str(runs), False),
        (("trajectories", "corpus"), str(corpus), False),
        (("trajectories", "corpus", "documents"), "docs.jsonl (unpinned, sha256:0)", False),
        (("corpus",), str(corpus), True),
    ]  # fmt: skip


def test_publishing_to_a_commit_is_refused(hub):
    with pytest.raises(LratError, match="expected a branch"):
        publish_dataset(HubRef("lrat/one", "dataset", "0" * 40), {}, card=CARD, lineage=Lineage("test", {}, {}))


def test_another_kind_of_dataset_is_refused_with_its_columns(hub):
    pin = publish("lrat/kind", {"corpus": rows("a")})
    with pytest.raises(LratError, match=r"expected a pairs dataset with columns .*found docid, title, text"):
        load_table(pin, "pairs")
    with pytest.raises(LratError, match="expected a corpus dataset with a config 'nope'"):
        load_table(pin, "corpus", config="nope")
    with pytest.raises(LratError, match="expected a split 'test', found train"):
        load_table(pin, "corpus", split="test")


def test_ids_are_strings_whatever_the_dataset_has(hub):
    numbers = {"train": Dataset.from_dict({"docid": [7, 8]})}
    assert load_table(publish("lrat/numbers", {"held_out": numbers}), "document_ids")["docid"] == ["7", "8"]


@pytest.mark.parametrize(
    ("kind", "columns", "message"),
    [
        (
            "corpus",
            {"docid": ["a", None], "title": ["", ""], "text": ["t", "t"]},
            "a docid in every row, found none in 1",
        ),
        (
            "queries",
            {"query_id": ["a"], "query": [None], "answer": ["x"]},
            "a query in every row, found none in 1 of 1",
        ),
        ("qrels", {"query_id": ["a"], "docid": [None], "relevance": [1]}, "a docid in every row"),
        ("qrels", {"query_id": ["a"], "docid": ["b"], "relevance": [0.5]}, "relevance that are whole numbers"),
        ("qrels", {"query_id": ["a"], "docid": ["b"], "relevance": ["high"]}, "relevance that are whole numbers"),
        (
            "qrels",
            {"query_id": ["a"], "docid": ["b"], "relevance": [float("nan")]},
            "relevance that are whole numbers",
        ),
    ],
)
def test_rows_that_lack_what_none_may_lack_are_refused(kind, columns, message):
    with pytest.raises(LratError, match=message):
        check_kind(Dataset.from_dict(columns), kind, "datasets/me/data")


@pytest.mark.parametrize("grades", [[2.0, -1.0], ["2", "-1"], [2, -1]])
def test_grades_are_whole_numbers_whatever_the_dataset_has(grades):
    columns = {"query_id": ["a", "a"], "docid": ["b", "c"], "relevance": grades}
    assert check_kind(Dataset.from_dict(columns), "qrels", "datasets/me/data")["relevance"][:] == [2, -1]


@pytest.mark.slow
def test_offline_another_revision_never_stands_in_for_the_pin(hub, tmp_path):
    old = publish("lrat/moved", {"corpus": rows("old")})
    new = publish("lrat/moved", {"corpus": rows("new")})
    code = """
import sys
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import load_table, resolve
for text in sys.argv[1:]:
    try:
        print(load_table(resolve(text, repo_type="dataset"), "corpus")["docid"][0])
    except LratError as error:
        print("refused")
"""

    def load(*pins, **environment):
        command = [sys.executable, "-c", code, *map(str, pins)]
        environment = os.environ | {"HF_HOME": str(tmp_path)} | environment
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()

    assert load(old, new) == ["old", "new"]
    assert load(old, new, HF_HUB_OFFLINE="1") in (["old", "new"], ["refused", "new"])
