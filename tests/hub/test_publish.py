"""Publishing: one commit with data, card and lineage, and the way back along the lineage."""

import pytest
from datasets import Dataset, load_dataset
from huggingface_hub import CommitOperationAdd, HfApi

from lrat_hub import HubRef
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import load_table, resolve
from lrat_hub.hub.lineage import Lineage, read_lineage, trace
from lrat_hub.hub.publish import publish_dataset

CARD = "---\npretty_name: Test\n---\n\n# Test\n"


def rows(*docids):
    return {"train": Dataset.from_dict({"docid": list(docids), "title": [""] * len(docids), "text": list(docids)})}


def publish(name, tables, **lineage):
    fields = {"stage": "test", "inputs": {}, "recipe": {}} | lineage
    return publish_dataset(HubRef(name, "dataset"), tables, card=CARD, lineage=Lineage(**fields))


def test_data_card_and_lineage_arrive_in_one_commit(hub):
    pin = publish("lrat/one", {"corpus": rows("a"), "more": rows("b", "c")}, counts={"n": 3})
    commits = HfApi().list_repo_commits("lrat/one", repo_type="dataset")
    assert [commit.title for commit in commits][:-1] == ["lrat test"]
    assert commits[0].commit_id == pin.revision
    assert load_dataset("lrat/one", split="train", revision=pin.revision)["docid"] == ["a"]
    assert load_dataset("lrat/one", "more", split="train", revision=pin.revision)["docid"] == ["b", "c"]
    assert read_lineage(pin).counts == {"n": 3}


def test_the_same_content_again_gives_the_same_pin_and_other_content_replaces_it(hub):
    first = publish("lrat/again", {"corpus": rows("a"), "more": rows("b")})
    assert publish("lrat/again", {"corpus": rows("a"), "more": rows("b")}) == first
    second = publish("lrat/again", {"corpus": rows("z")})
    files = HfApi().list_repo_files("lrat/again", repo_type="dataset", revision=second.revision)
    assert [name for name in files if name.endswith(".parquet")] == ["corpus/train-00000-of-00001.parquet"]
    assert load_table(resolve(str(first), repo_type="dataset"), "corpus")["docid"] == ["a"]


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
