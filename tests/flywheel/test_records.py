"""Tags of rounds and of the champion follow the record, wherever the flywheel started."""

from __future__ import annotations

import pytest
from huggingface_hub import HfApi

from lrat_hub.flywheel.records import Event, settle_tags
from lrat_hub.flywheel.steps import Champion
from lrat_hub.hub.lineage import LINEAGE_FILE, Lineage
from lrat_hub.hub.refs import HubRef
from lrat_hub.hub.tags import named_commits


def published(name: str, repo_type: str = "model", before: HubRef | None = None) -> HubRef:
    HfApi().create_repo(name, repo_type=repo_type, exist_ok=True)
    lineage = Lineage("test", {"before": str(before)} if before else {}, {})
    commit = HfApi().upload_file(
        path_or_fileobj=lineage.to_json().encode(), path_in_repo=LINEAGE_FILE, repo_id=name, repo_type=repo_type
    )
    return HubRef(name, repo_type, commit.oid)


def tags(ref: HubRef) -> dict[str, str]:
    return {name: sha for name, sha in named_commits(ref).items() if name != "main"}


@pytest.mark.parametrize("start", ["index:{index}", "index:{index}+bm25"])
def test_who_goes_back_to_the_index_of_another_repository_leaves_no_tag_behind(hub, start):
    index, model = published("lrat/others-index"), published("lrat/others-model")
    flywheel, record = HubRef("lrat/tagged", "dataset"), published("lrat/tagged", "dataset")
    own = [published(f"lrat/tagged-{name}") for name in ("model", "index")]
    begun = Champion(0, str(model), start.format(index=index))
    events = [Event("start", 0, begun), Event("round", 1, Champion(1, str(own[0]), f"index:{own[1]}"))]
    settle_tags(flywheel, record, events)
    assert [named_commits(ref).get("champion") for ref in own] == [ref.revision for ref in own]
    settle_tags(flywheel, record, [*events, Event("rollback", 0, begun)])
    assert [named_commits(ref).get("champion") for ref in (*own, index, model)] == [None] * 4


def test_every_round_has_its_tag_again_whoever_removed_or_moved_it(hub):
    gone = HubRef("lrat/retagged", "dataset", "0" * 40)
    squashed = published("lrat/retagged", "dataset", before=gone)
    begun = Champion(0, str(published("lrat/others-model")), "bm25")
    events = [Event("start", 0, begun), Event("round", 1, begun)]
    records = [squashed]
    for event in (Event("round", 2, begun), Event("rollback", 0, begun), Event("round", 3, begun)):
        events.append(event)
        records.append(published("lrat/retagged", "dataset", before=records[-1]))
        settle_tags(HubRef("lrat/retagged", "dataset"), records[-1], events)
    expected = {f"round-{number}": records[place].revision for number, place in ((1, 0), (2, 1), (3, 3))}
    assert tags(gone) == expected
    for number in expected:
        HfApi().delete_tag(gone.repo_id, repo_type="dataset", tag=number)
    HfApi().create_tag(gone.repo_id, repo_type="dataset", tag="round-2", revision=squashed.revision)
    settle_tags(HubRef("lrat/retagged", "dataset"), records[-1], events)
    assert tags(gone) == expected
