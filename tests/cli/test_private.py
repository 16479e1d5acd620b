"""What is made of private repositories stays private, where nobody has decided otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from datasets import Dataset
from huggingface_hub import HfApi

from lrat_hub import HubRef, cli
from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import Lineage
from lrat_hub.hub.outputs import Unpublished
from lrat_hub.hub.publish import is_private, publish_dataset
from lrat_hub.schema import trajectory_features
from tests.hub.test_publish import CARD
from tests.importers.test_look import call, conversation, shown
from tests.viewer.pages import run


@pytest.fixture(scope="module")
def private_runs(hub) -> str:
    HfApi().create_repo("lrat/private-runs", repo_type="dataset", private=True)
    table = Dataset.from_list([run(number).to_dict() for number in range(3)], features=trajectory_features())
    tables = {"trajectories": {"train": table}}
    lineage = Lineage("rollout", {}, {})
    return str(publish_dataset(HubRef("lrat/private-runs", "dataset"), tables, card=CARD, lineage=lineage))


def test_a_new_repository_is_private_where_an_input_is(private_runs, capsys):
    cli.run(["analyze", "--trajectories", private_runs, "--to", "lrat/made-of-private"])
    assert "lrat/private-runs is private, so datasets/lrat/made-of-private" in capsys.readouterr().out
    assert HfApi().dataset_info("lrat/made-of-private").private


def test_what_is_made_again_of_a_private_repository_is_private(hub, tmp_path):
    log = only_searches(tmp_path, texts=True)
    runs = cli.run(["import", log, "--private", "--to", "lrat/private-import"])
    again = cli.run(["reproduce", str(runs), "--given", f"source={log}"])
    assert is_private(again)


def test_a_public_repository_stays_public_with_a_warning(private_runs, capsys):
    HfApi().create_repo("lrat/public-of-private", repo_type="dataset")
    cli.run(["analyze", "--trajectories", private_runs, "--to", "lrat/public-of-private"])
    assert "warning: lrat/private-runs is private" in capsys.readouterr().out
    assert not HfApi().dataset_info("lrat/public-of-private").private


def exists(name: str, repo_type: str = "dataset") -> bool:
    return HfApi().repo_exists(f"lrat/{name}", repo_type=repo_type)


def only_searches(folder: Path, *, texts: bool) -> str:
    """A log of a hosted search: what it found has an address, and no text unless it is given one."""
    hits = [
        {"url": f"https://example.org/{number}", **({"title": "A", "snippet": "Words."} if texts else {})}
        for number in range(3)
    ]
    lines = [conversation(call("search", 1, query="who"), shown(1, json.dumps(hits)))]
    path = folder / "runs.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return str(path)


def test_a_stage_that_is_refused_leaves_no_private_repository(hub, private_runs, tmp_path):
    log = only_searches(tmp_path, texts=False)
    with pytest.raises(LratError, match="expected the name of a run at nowhere"):
        cli.run(["import", log, "--group_by", "nowhere", "--private", "--to", "lrat/left-by-import"])
    cli.run(["import", log, "--private", "--to", "lrat/private-without-texts"])
    with pytest.raises(LratError):
        cli.run(["corpus", "--trajectories", "lrat/private-without-texts", "--private", "--to", "lrat/left-by-corpus"])
    with pytest.raises(LratError):
        cli.run(["corpus", "--trajectories", "lrat/private-without-texts", "--to", "lrat/left-by-private-input"])
    mine = ["mine", "--trajectories", private_runs, "--corpus", "lrat/never-published", "--to", "lrat/left-by-mine"]
    with pytest.raises(LratError):
        cli.run(mine)
    names = ["left-by-import", "left-by-corpus", "left-by-private-input", "left-by-mine"]
    assert [name for name in names if exists(name)] == []


def test_a_public_repository_is_refused_at_once_for_what_must_be_private(hub, tmp_path):
    HfApi().create_repo("lrat/already-public", repo_type="dataset")
    with pytest.raises(LratError, match="expected a private repository"):
        cli.run(["import", str(tmp_path / "nothing-there"), "--private", "--to", "lrat/already-public"])


def test_what_a_private_dataset_is_imported_from_and_viewed_as_is_private(hub, private_runs, tmp_path, capsys):
    log = Path(only_searches(tmp_path, texts=True))
    HfApi().create_repo("lrat/private-logs", repo_type="dataset", private=True)
    HfApi().upload_file(
        path_or_fileobj=log, path_in_repo="runs.jsonl", repo_id="lrat/private-logs", repo_type="dataset"
    )
    cli.run(["import", "datasets/lrat/private-logs", "--to", "lrat/imported-from-private"])
    assert "lrat/private-logs is private, so" in capsys.readouterr().out
    assert HfApi().dataset_info("lrat/imported-from-private").private
    cli.run(["view", private_runs, "--to", "lrat/view-of-private"])
    assert HfApi().space_info("lrat/view-of-private").private


def test_an_output_that_was_to_be_private_is_never_published_where_others_read_it(hub, tmp_path):
    """It may be published later, by a command that says nothing of it."""
    table = Dataset.from_list([run(0).to_dict()], features=trajectory_features())
    lineage = Lineage("rollout", {}, {})
    HfApi().create_repo("lrat/public-target", repo_type="dataset")
    with pytest.raises(Unpublished, match="expected a private repository") as kept:
        publish_dataset(
            HubRef("lrat/public-target", "dataset"), {"t": {"train": table}}, card=CARD, lineage=lineage, private=True
        )
    with pytest.raises(LratError, match="expected a private repository"):
        cli.run(["publish", str(kept.value.folder), "--to", "lrat/public-target"])
    cli.run(["publish", str(kept.value.folder), "--to", "lrat/published-later"])
    assert HfApi().dataset_info("lrat/published-later").private
    assert ".lrat-private" not in HfApi().list_repo_files("lrat/published-later", repo_type="dataset")


def test_an_input_of_which_the_hub_says_nothing_is_no_public_one(hub):
    """Nothing may become public because a Hub could not be asked."""
    with pytest.raises(LratError, match="lrat/never-published"):
        is_private(HubRef("lrat/never-published", "dataset"))
