"""A flywheel runs its rounds, keeps its state on the Hub, and moves the champion by what the gate decides."""

from __future__ import annotations

import json
import sys
from itertools import product
from pathlib import Path

import pytest
import yaml
from datasets import Dataset, load_dataset
from huggingface_hub import HfApi

from lrat_hub import cli
from lrat_hub.flywheel.records import read_events
from lrat_hub.flywheel.rounds import find_record
from lrat_hub.hub.lineage import read_lineage
from lrat_hub.hub.publish import is_private
from lrat_hub.hub.refs import HubRef
from lrat_hub.hub.tags import named_commits
from lrat_hub.obfuscation import stored_question
from tests.flywheel.small import COLOURS, THINGS, commit_counts, publish_world, repositories, write_recipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(hub, tmp_path_factory):
    return publish_world(tmp_path_factory.mktemp("world"), "fly")


@pytest.fixture(scope="module")
def done(world, tmp_path_factory):
    """The recipe of a flywheel that has run, and its record."""
    recipe = write_recipe(tmp_path_factory.mktemp("recipe"), world)
    return recipe, cli.run(["flywheel", "--config", str(recipe), "--to", "lrat/fly"])


def tags(ref):
    return {name: sha for name, sha in named_commits(ref).items() if name not in ("main", "lock")}


def test_every_round_publishes_tagged_revisions_that_read_each_others_pins(done, world):
    start, *rounds = read_events(done[1])
    assert [event.round for event in rounds] == [1, 2]
    for event in rounds:
        for name, pin in event.pins.items():
            ref = HubRef.parse(pin)
            assert tags(ref)[f"round-{event.round}"] == ref.revision, name
            assert read_lineage(ref) is not None
        assert HubRef.parse(event.pins["model"]).repo_id == "lrat/fly-model"
        assert read_lineage(HubRef.parse(event.pins["pairs"])).inputs["trajectories"] == event.pins["runs"]
        assert read_lineage(HubRef.parse(event.pins["model"])).inputs["model"] == world["model"]
    assert start.champion.retriever == f"index:{start.pins['index']}"
    # The agent works with the champion of the round before.
    before = [start, *rounds]
    for earlier, event in zip(before, rounds, strict=False):
        index = read_lineage(HubRef.parse(event.pins["runs"])).inputs["index"]
        assert f"index:{index}" == earlier.champion.retriever
        compared = read_lineage(HubRef.parse(event.pins["agents"])).inputs
        assert compared["trajectories_1"] == earlier.champion.test_runs
        assert compared["trajectories_2"] == event.pins["test_runs"]


def test_slices_have_no_question_in_common_with_each_other_or_with_those_held_out(done, world):
    asked = [
        set(load_dataset("lrat/fly-questions", "queries", split="train", revision=f"round-{number}")["query_id"])
        for number in (1, 2)
    ]
    held_out = HubRef.parse(world["held_out"])
    kept = set(load_dataset(held_out.repo_id, "queries", split="test", revision=held_out.revision)["query_id"])
    assert [len(slice_) for slice_ in asked] == [10, 10]
    assert not asked[0] & asked[1]
    assert not (asked[0] | asked[1]) & kept


def test_the_champion_is_what_the_gate_promoted_and_the_record_says_why(done):
    events = read_events(done[1])
    promoted = [event for event in events if event.promoted]
    assert [event.round for event in promoted] == [1]
    model, index = HubRef.parse("lrat/fly-model"), HubRef.parse("lrat/fly-index")
    assert tags(model)["champion"] == HubRef.parse(promoted[0].pins["model"]).revision
    assert tags(index)["champion"] == HubRef.parse(promoted[0].pins["index"]).revision
    assert events[2].decision is not None
    assert events[2].decision.complete
    assert not events[2].decision.promoted
    assert events[2].champion == events[1].champion
    figures = load_dataset("lrat/fly", "figures", split="train", revision="round-2")
    assert {row["figure"] for row in figures} >= {"recall@10", "steps", "success"}
    card = HfApi().hf_hub_download("lrat/fly", "README.md", repo_type="dataset")
    with open(card, encoding="utf-8") as text:
        assert events[2].decision.reasons[0] in text.read()


def test_the_same_command_again_makes_nothing(done, capsys):
    recipe, record = done
    before = commit_counts("lrat/fly")
    assert cli.run(["flywheel", "--config", str(recipe), "--to", "lrat/fly"]) == record
    assert "all 2 rounds are done" in capsys.readouterr().out
    assert commit_counts("lrat/fly") == before


def test_a_lost_tag_of_the_champion_is_set_again(done):
    recipe, _ = done
    expected = tags(HubRef.parse("lrat/fly-model"))
    HfApi().delete_tag("lrat/fly-model", tag="champion")
    cli.run(["flywheel", "--config", str(recipe), "--to", "lrat/fly"])
    assert tags(HubRef.parse("lrat/fly-model")) == expected


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"rounds": 3}, "`rounds` 2, which this flywheel was started with; found 3"),
        ({"train": {"max_steps": 7}}, "`train` {"),
        ({"limits": {"steps": 0.6}}, "`limits` {'steps': 0.5}"),
        ({"held_out": "lrat/fly-things"}, "`held_out` datasets/lrat/fly-held-out@"),
    ],
)
def test_what_was_stated_before_the_first_round_stays(done, tmp_path, capsys, change, why):
    changed = tmp_path / "flywheel.yaml"
    changed.write_text(yaml.safe_dump(yaml.safe_load(done[0].read_text()) | change))
    assert cli.main(["flywheel", "--config", str(changed), "--to", "lrat/fly"]) == 1
    assert why.replace("`", "--", 1).replace("`", "", 1) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"rollout": {"agent": "reader", "k": "many"}}, "k"),
        ({"train": {"max_stepps": 1}}, "did you mean max_steps"),
        ({"rollout": {"queries": "a/b"}}, "queries of"),
        ({"by_agents": False, "primary": "success"}, "found steps"),
        ({"trajectories": ["lrat/fly-runs"]}, "for each of 2 rounds, found 1"),
        ({"retriever": "bm25+lrat/fly-index"}, "recall@10 is measured for a model"),
        ({"retriever": "lrat/fly-base"}, "expected an index, found a model"),
        ({"rounds": 3}, "found 24 of 24 that are not held out, enough for 2 slices"),
        ({"held_out": "lrat/fly-things"}, "found 0 of 24 that are not held out"),
        ({"limits": {"out_of_domain": 0.1}}, "found no queries of another corpus to measure it on"),
        (
            {
                "retriever": "bm25+lrat/fly-index",
                "primary": "steps",
                "limits": {"success": 0.1},
                "out_of_domain": "a/b",
            },
            "out_of_domain is measured for a model",
        ),
        ({"limits": {"content": 0.1}}, "content needs passages"),
        ({"primary": "titles"}, "titles needs passages"),
        ({"limits": {"steps": float("inf")}}, "finite limits above 0"),
        (
            {"rollout": {"agent": "raeder"}},
            "agent: expected llm, reader or module:object, found 'raeder'",
        ),
        (
            {"mine": {"judge": "ruel"}},
            "judge: expected none, rule, llm or module:object, found 'ruel'; did you mean rule",
        ),
        ({"rollout": {"agent": "no_such_agents:Agent"}}, "expected a module no_such_agents"),
        ({"mine": {"trajectories": ["a/b"]}}, "trajectories of"),
        ({"train": {"to": "lrat/elsewhere"}}, "to of"),
        ({"eval_retrieval": {"bm25": True}}, "bm25 of"),
    ],
)
def test_a_recipe_that_can_not_run_is_refused_before_the_first_step(world, tmp_path, capsys, change, why):
    recipe = write_recipe(tmp_path, world, **change)
    assert cli.main(["flywheel", "--config", str(recipe), "--to", "lrat/fly-refused"]) in (1, 2)
    assert why in capsys.readouterr().err
    assert repositories("lrat/fly-refused") in ([], ["datasets/lrat/fly-refused"])


def test_a_round_that_lacks_data_is_not_recorded_and_is_measured_again_by_the_next_call(
    world, tmp_path, capsys, monkeypatch
):
    asked = {"agent": "tests.flywheel.small:Opener", "k": 8, "answer_judge": "tests.flywheel.small:Judge"}
    recipe = write_recipe(tmp_path, world, rounds=1, rollout=asked, limits={"steps": 0.5, "success": 0.9})
    command = ["flywheel", "--config", str(recipe), "--to", "lrat/fly-gaps"]
    # The thing of this keeper is held out.
    monkeypatch.setattr("tests.flywheel.small.Judge.away", frozenset({"keeper0"}))
    for _ in range(2):
        assert cli.main(command) == 1
        message = capsys.readouterr().err
        for side in ("champion", "challenger"):
            assert f"(success) of the {side} is known for 11 of 12" in message
        record, _ = find_record(HubRef("lrat/fly-gaps", "dataset"))
        assert [event.kind for event in read_events(record)] == ["start"]
    trained = tags(HubRef("lrat/fly-gaps-model"))
    monkeypatch.setattr("tests.flywheel.small.Judge.away", frozenset())
    start, decided = read_events(cli.run(command))
    assert decided.decision.complete
    assert decided.pins["test_runs"] != start.champion.test_runs
    assert decided.pins["model"].endswith(trained["round-1"])


def test_collected_runs_of_questions_that_are_held_out_are_refused(world, done, tmp_path, capsys):
    pin = read_events(done[1])[1].pins["test_runs"]
    recipe = write_recipe(tmp_path, world, trajectories=[pin], rounds=1)
    assert cli.main(["flywheel", "--config", str(recipe), "--to", "lrat/fly-leaky"]) == 1
    assert f"{pin}: expected runs of questions that are not held out, found 12 of 12" in capsys.readouterr().err


def test_rounds_on_questions_that_nobody_may_train_on_are_refused(world, tmp_path, capsys):
    plain = {"query_id": "q", "query": "who keeps the lamp ?", "answer": "ada", "canary": "key"}
    (tmp_path / "questions.jsonl").write_text(json.dumps(stored_question(plain)))
    questions = cli.run(["corpus", f"--queries={tmp_path / 'questions.jsonl'}", "--to=lrat/fly-untrainable"])
    recipe = write_recipe(tmp_path, world, questions=str(questions), rounds=1, questions_per_round=1)
    assert cli.main(["flywheel", "--config", str(recipe), "--to", "lrat/fly-obfuscated"]) == 1
    assert "so that nobody trains on them" in capsys.readouterr().err


def test_success_needs_an_answer_for_each_held_out_question(world, tmp_path, capsys):
    rows = [f"h{place}\twho keeps thing {place} ?\t{'nobody' if place % 2 else ''}\n" for place in range(12)]
    (tmp_path / "test.tsv").write_text("".join(rows))
    (tmp_path / "documents.jsonl").write_text('{"docid": "d0", "title": "", "text": "the red lamp"}\n')
    files = [f"--documents={tmp_path / 'documents.jsonl'}", f"--queries={tmp_path / 'test.tsv'}"]
    held_out = str(cli.run(["corpus", *files, "--to=lrat/fly-unanswered"]))
    command = ["flywheel", "--config", str(tmp_path / "flywheel.yaml"), "--to", "lrat/fly-unanswerable", "--dry_run"]
    write_recipe(tmp_path, world, held_out=held_out, primary="success")
    assert cli.main(command) == 1
    assert "found 6 of 12" in capsys.readouterr().err
    write_recipe(tmp_path, world, held_out=held_out)
    cli.run(command)


def test_a_dry_run_says_what_is_there_and_what_is_not_and_makes_nothing(done, world, tmp_path, capsys):
    recipe, record = done
    assert cli.run(["flywheel", "--config", str(recipe), "--to", "lrat/fly", "--dry_run"]) == record
    assert "nothing to do: all 2 rounds are done" in capsys.readouterr().out
    other = write_recipe(tmp_path, world)
    assert cli.run(["flywheel", "--config", str(other), "--to", "lrat/fly-planned", "--dry_run"]) is None
    shown = capsys.readouterr().out
    assert "| 0 | index | lrat index |  | would run |" in shown
    assert "questions: 10 a round, 12 held out" in shown
    nothing = write_recipe(tmp_path, world, questions="")
    assert cli.main(["flywheel", "--config", str(nothing), "--to", "lrat/fly-planned", "--dry_run"]) == 0
    assert "what is there already is shown when --questions are given" in capsys.readouterr().out
    assert repositories("lrat/fly-planned") == []


@pytest.mark.parametrize("start", [{}, {"retriever": "bm25"}], ids=["model", "bm25"])
def test_another_corpus_is_measured_in_each_round(world, tmp_path, start):
    phrases = {f"e{place}": f"{colour} the {thing}" for place, (colour, thing) in enumerate(product(COLOURS, THINGS))}
    lines = {
        "documents.jsonl": [
            json.dumps({"docid": docid, "title": "", "text": text}) for docid, text in phrases.items()
        ],
        "queries.tsv": [f"p{docid}\t{text}" for docid, text in phrases.items()],
        "qrels.txt": [f"p{docid} Q0 {docid} 1" for docid in phrases],
    }
    for file, rows in lines.items():
        (tmp_path / file).write_text("\n".join(rows) + "\n")
    files = [f"--{Path(file).stem}={tmp_path / file}" for file in lines]
    name = f"lrat/fly-elsewhere-{len(start)}"
    cli.run(["corpus", *files, "--split=test", f"--to={name}-data"])
    recipe = write_recipe(tmp_path, world, rounds=1, out_of_domain=f"{name}-data#queries:test",
                          limits={"steps": 0.5, "out_of_domain": 0.02}, **start)  # fmt: skip
    command = ["flywheel", "--config", str(recipe), "--to", name]
    _, event = read_events(cli.run(command))
    inputs = read_lineage(HubRef.parse(event.pins["out_of_domain"])).inputs
    compared = [pin for label, pin in sorted(inputs.items()) if label.startswith("retriever_")]
    assert compared == [*([] if start else [world["model"]]), event.pins["model"]]
    rows = {row.figure: row for row in event.decision.figures if row.against == "champion"}
    assert (rows["out_of_domain"].role, rows["out_of_domain"].asked) == ("limit", 36)
    table = load_dataset(f"{name}-out-of-domain", "summary", split="test", revision="round-1")
    assert [rows["out_of_domain"].reference, rows["out_of_domain"].value] == pytest.approx(table["recall@10"])
    # All of it is found again by its lineage.
    made = commit_counts(name)
    HfApi().delete_repo(name, repo_type="dataset")
    cli.run(command)
    assert commit_counts(name) == made


def test_the_retriever_in_the_shadow_is_asked_what_the_agent_asked(world, tmp_path):
    recipe = write_recipe(tmp_path, world, shadow=True)
    record = cli.run(["flywheel", "--config", str(recipe), "--to", "lrat/fly-shadow"])
    start, first, second = read_events(record)
    assert first.measured == {}
    rows = load_dataset("lrat/fly-shadow", "shadow", split="train")
    # The first round's challenger was promoted, so that the start is in the shadow of the second one.
    assert set(rows["retriever"]) == {start.champion.retriever}
    assert second.measured["shadow_searches"] == len(rows) == 10
    assert second.measured["shadow_overlap"] == pytest.approx(sum(rows["overlap"]) / 10)
    runs = HubRef.parse(second.pins["runs"])
    for run, row in zip(load_dataset(runs.repo_id, split="train", revision=runs.revision), rows, strict=True):
        assert row["search_id"].startswith(run["trajectory_id"])
        assert row["listed"] == [hit["docid"] for hit in run["steps"][0]["results"]]
        assert row["overlap"] == len(set(row["listed"]) & set(row["would_list"])) / 8
    cli.run(["flywheel", "--config", str(recipe), "--to", "lrat/fly-shadow", "--rollback", "0"])
    assert len(load_dataset("lrat/fly-shadow", "shadow", split="train")) == 10


def test_collected_runs_take_the_place_of_an_agent_and_stages_can_be_processes(world, done, tmp_path):
    collected = [event.pins["runs"] for event in read_events(done[1])[1:3]]
    changed = {
        "trajectories": collected, "by_agents": False, "limits": {}, "retriever": "bm25", "mine_from": "all",
        "train_from": "champion", "stop_after": 1,
        "mine": {"judge": "rule", "launch": f"{sys.executable} -m lrat_hub.dataset_builders.mine"},
    }  # fmt: skip
    recipe = write_recipe(tmp_path, world, **changed)
    record = cli.run(["flywheel", "--config", str(recipe), "--to", "lrat/fly-collected"])
    start, *rounds = read_events(record)
    assert (start.champion.retriever, start.pins) == ("bm25", {})
    for number, event in enumerate(rounds, start=1):
        mined = read_lineage(HubRef.parse(event.pins["pairs"])).inputs
        assert [mined[name] for name in mined if name.startswith("trajectories")] == collected[:number]
        assert event.pins.keys() == {"pairs", "model", "index", "alone"}
    # BM25 finds all of these things, so that the first round ends it.
    assert [event.promoted for event in rounds] == [False]
    assert read_lineage(HubRef.parse(rounds[0].pins["alone"])).recipe["bm25"] is True


def test_a_decision_is_not_reproduced_but_its_questions_are(done, capsys):
    assert cli.main(["reproduce", str(done[1])]) == 1
    assert "it records what was decided" in capsys.readouterr().err
    assert cli.main(["reproduce", read_events(done[1])[1].pins["slice"]]) == 0


def test_a_champion_can_be_rolled_back_and_that_is_recorded(world, done, tmp_path, capsys):
    recipe = ["flywheel", "--config", str(write_recipe(tmp_path, world)), "--to", "lrat/fly"]
    index, model = HubRef.parse("lrat/fly-index"), HubRef.parse("lrat/fly-model")
    before = tags(index)
    record = cli.run([*recipe, "--rollback", "last"])
    event = read_events(record)[-1]
    assert (event.kind, event.round, event.champion.round) == ("rollback", 0, 0)
    assert tags(index)["champion"] == before["round-0"]
    # The flywheel started with a model of another repository.
    assert "champion" not in tags(model)
    assert cli.main([*recipe, "--rollback", "2"]) == 1
    assert "an earlier champion to go back to (1)" in capsys.readouterr().err
    cli.run([*recipe, "--rollback", "1"])
    assert tags(index) == before
    assert "champion" in tags(model)


def test_nothing_is_made_to_roll_back_what_was_never_started(world, tmp_path, capsys):
    recipe = ["flywheel", "--config", str(write_recipe(tmp_path, world)), "--to", "lrat/fly-mistyped"]
    assert cli.main([*recipe, "--rollback", "last"]) == 1
    assert "found none that was started" in capsys.readouterr().err
    assert repositories("lrat/fly-mistyped") == []


def test_a_record_that_somebody_has_edited_moves_no_champion(world, done, tmp_path, capsys):
    recipe = ["flywheel", "--config", str(write_recipe(tmp_path, world)), "--to", "lrat/fly-edited"]
    record = cli.run(recipe)
    before = tags(HubRef.parse("lrat/fly-edited-index"))
    table = load_dataset("lrat/fly-edited", "events", split="train")
    # The challenger of the last round was rejected.
    rows = table.to_list()
    rows[-1] |= {"champion_round": 2, "champion_retriever": f"index:{read_events(record)[-1].pins['index']}"}
    Dataset.from_list(rows, features=table.features).to_parquet(tmp_path / "edited.parquet")
    HfApi().upload_file(
        path_or_fileobj=tmp_path / "edited.parquet", path_in_repo="events/train-00000-of-00001.parquet",
        repo_id="lrat/fly-edited", repo_type="dataset",
    )  # fmt: skip
    for words in ([], ["--dry_run"], ["--rollback", "last"]):
        assert cli.main([*recipe, *words]) == 1
        assert "found it edited or removed" in capsys.readouterr().err
    assert tags(HubRef.parse("lrat/fly-edited-index")) == before


def test_a_flywheel_that_is_refused_leaves_no_repository_and_one_of_private_data_is_private(world, tmp_path):
    recipe = write_recipe(tmp_path, world, corpus="lrat/never-published")
    for private in ([], ["--private"]):
        assert cli.main(["flywheel", "--config", str(recipe), "--to", "lrat/fly-refused", *private]) == 1
    assert repositories("lrat/fly-refused") == []
    # The first index is made of a public model and a public corpus.
    name = HubRef.parse(world["held_out"], repo_type="dataset").repo_id
    HfApi().update_repo_settings(name, repo_type="dataset", private=True)
    try:
        cli.run(["flywheel", "--config", str(write_recipe(tmp_path, world, rounds=1)), "--to", "lrat/fly-private"])
    finally:
        HfApi().update_repo_settings(name, repo_type="dataset", private=False)
    made = [HubRef.parse(text) for text in repositories("lrat/fly-private")]
    assert {"lrat/fly-private", "lrat/fly-private-index", "lrat/fly-private-model"} <= {ref.repo_id for ref in made}
    assert [ref for ref in made if not is_private(ref)] == []
