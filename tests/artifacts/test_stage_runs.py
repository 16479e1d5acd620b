"""What a stage would make is found where it is there already, and nothing else is taken for it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from huggingface_hub import HfApi

from lrat_hub import cli
from lrat_hub.artifacts.stage_runs import existing
from lrat_hub.cli.stage_runs import execute, stage_run
from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import Lineage, read_lineage
from lrat_hub.hub.refs import HubRef

PIN = "a" * 40


def dataset(name):
    return HubRef.parse(name, repo_type="dataset")


@pytest.fixture(scope="module")
def mined(family):
    """The run that made the family's pairs."""
    options = {"trajectories": ["lrat/family-runs"], "corpus": "datasets/lrat/family-corpus", "judge": "rule"}
    return stage_run("mine", options, dataset("lrat/family-pairs"))


def test_what_is_there_is_found_whatever_its_references_looked_like(family, mined):
    assert mined.options["trajectories"] == [family.runs]
    assert mined.options["corpus"] == family.corpus
    assert existing(mined) == HubRef.parse(family.pairs)
    # Where and how the work is done tells no run from another.
    options = {"trajectories": [family.runs], "corpus": family.corpus, "judge": "rule", "processes": 2}
    assert existing(stage_run("mine", options, dataset("lrat/family-pairs"))) == HubRef.parse(family.pairs)
    index = HubRef.parse("lrat/family-index")
    assert existing(stage_run("index", {"bm25": True, "corpus": family.corpus}, index)) == HubRef.parse(family.index)
    files = {name: str(family.folder / file) for name, file in
             {"documents": "documents.jsonl", "queries": "queries.tsv", "qrels": "qrels.txt"}.items()}  # fmt: skip
    assert existing(stage_run("corpus", files, dataset("lrat/family-corpus"))) == HubRef.parse(family.corpus)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"profile": "paper"}, "profile is 'paper', and was 'episode'"),
        ({"seed": 1}, "seed is 1, and was 0"),
        ({"judge": "none"}, "judge is 'none', and was 'rule'"),
        ({"corpus": ""}, "is no input now"),
        ({"qrels": "lrat/family-corpus"}, "qrels is 'datasets/lrat/family-corpus"),
    ],
)
def test_another_option_or_input_makes_something_else(family, change, why):
    options = {"trajectories": [family.runs], "corpus": family.corpus, "judge": "rule"} | change
    run = stage_run("mine", options, dataset("lrat/family-pairs"))
    assert existing(run) is None
    assert why in "; ".join(run.differences(read_lineage(HubRef.parse(family.pairs)))).replace("is ''", "was ''")


def test_the_order_of_inputs_the_stage_and_the_version_of_the_code_count(mined, family):
    lineage = read_lineage(HubRef.parse(family.pairs))
    assert mined.differences(lineage) == []
    assert mined.differences(replace(lineage, stage="export")) == ["it was made by lrat export"]
    (older,) = mined.differences(replace(lineage, versions=lineage.versions | {"lrat-hub": "0.0.1"}))
    assert older.startswith("lrat-hub is ")
    pins = [f"datasets/a/b@{digit * 40}" for digit in "12"]
    two = replace(mined, options=mined.options | {"trajectories": pins})
    inputs = {"corpus": family.corpus} | {f"trajectories_{number}": pin for number, pin in enumerate(pins, start=1)}
    assert two.differences(replace(lineage, inputs=inputs)) == []
    swapped = inputs | {"trajectories_1": pins[1], "trajectories_2": pins[0]}
    assert two.differences(replace(lineage, inputs=swapped)) == ["trajectories has another order"]


def test_settings_that_a_training_chooses_are_left_open(family):
    run = stage_run("train", {"pairs": family.pairs, "model": family.index}, HubRef.parse("lrat/family-model"))
    recipe = {name: value for name, value in run.options.items() if name not in ("pairs", "model")}
    chosen = Lineage("train", {"pairs": family.pairs, "model": family.index}, recipe | {"learning_rate": 1e-4},
                     {"chosen": {"learning_rate": "0.0001: small"}})  # fmt: skip
    assert run.differences(chosen) == []
    assert run.differences(replace(chosen, counts={})) == ["learning_rate is None, and was 0.0001"]


def test_agents_are_told_by_what_they_are_and_not_by_where_they_are_served(family):
    options = {"agent": "llm", "model": "scripted", "corpus": family.corpus, "queries": family.corpus,
               "retriever": "bm25"}  # fmt: skip
    served = stage_run("rollout", options | {"url": "http://127.0.0.1:1"}, dataset("lrat/family-llm"))
    recipe = {name: value for name, value in served.options.items() if name not in ("agent", "corpus", "queries")}
    inputs = {"agent": "scripted (served, unpinned)", "corpus": family.corpus, "queries": family.corpus}
    lineage = Lineage("rollout", inputs, recipe)
    assert served.differences(lineage) == []
    other = stage_run("rollout", options | {"url": "http://127.0.0.1:2"}, dataset("lrat/family-llm"))
    assert other.differences(lineage) == []
    assert served.differences(replace(lineage, inputs=inputs | {"agent": "another (served, unpinned)"}))
    plugin = stage_run("rollout", options | {"agent": "tests.agents.scripted:Spread"}, dataset("lrat/x"))
    assert any("plug-in, unpinned, sha256:" in text for text in plugin.sources())


def test_a_run_is_found_at_its_tag_when_the_branch_has_moved_on(family, tmp_path):
    from tests.importers.test_release import GOOD

    (tmp_path / "one.json").write_text(json.dumps(GOOD))
    target = dataset("lrat/family-moved")
    runs = [stage_run("mine", {"trajectories": [family.runs], "corpus": family.corpus, "judge": judge}, target)
            for judge in ("rule", "none")]  # fmt: skip
    assert existing(runs[0]) is None
    pins = []
    for number, run in enumerate(runs, start=1):
        pins.append(execute(run))
        HfApi().create_tag(target.repo_id, repo_type="dataset", tag=f"round-{number}", revision=pins[-1].revision)
    assert [existing(run, tag="round-1") for run in runs] == pins
    HfApi().delete_tag(target.repo_id, repo_type="dataset", tag="round-1")
    assert [existing(run) for run in runs] == [None, pins[1]]


def test_a_rollout_with_an_index_is_found_and_made_again(family):
    target = dataset("lrat/family-rollout")
    options = {"agent": "reader", "corpus": family.corpus, "queries": family.corpus,
               "index": [family.index], "name": "runs"}  # fmt: skip
    run = stage_run("rollout", options, target)
    pin = execute(run)
    assert existing(run) == pin
    assert existing(stage_run("rollout", options | {"k": 2}, target)) is None
    assert HfApi().file_exists(target.repo_id, "runs/train-00000-of-00001.parquet", repo_type="dataset")
    again = cli.run(["reproduce", str(pin)])
    assert read_lineage(again).inputs == read_lineage(pin).inputs


def test_what_no_stage_understands_is_refused(family):
    for stage, options, why in (
        ("mine", {"jugde": "rule"}, "did you mean judge"),
        ("mine", {"seed": "many"}, "seed"),
        ("lineage", {}, "expected a stage that publishes"),
    ):
        with pytest.raises(LratError, match=why):
            stage_run(stage, options, dataset("lrat/x"))
