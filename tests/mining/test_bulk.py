"""Mining from table to table: the same as in memory, whatever the number of processes."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import Dataset

from lrat_hub import cli, load_trajectories, mine_pairs
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import load_table
from lrat_hub.hub.lineage import Lineage, read_lineage
from lrat_hub.hub.publish import publish_dataset
from lrat_hub.hub.refs import HubRef
from lrat_hub.judges import RuleJudge
from lrat_hub.mining import MiningSettings, bulk
from lrat_hub.mining.bulk import light_trajectories
from lrat_hub.mining.tables import Splits, pair_table
from lrat_hub.mining.weights import LengthMeasure
from lrat_hub.storage import trajectory_table
from tests.builders import answer, browse, search, trajectory
from tests.mining.judges import OneWordJudge

WORDS = ["relevant, as it supports x", "irrelevant", "unclear " * 5, "relevant"]


def random_runs(count, seed=0):
    draw, documents = random.Random(seed), [f"d{number}" for number in range(12)]

    def step():
        if draw.random() < 0.5:
            return search(f"q{draw.randrange(9)}", *draw.sample(documents, 4), reasoning=draw.choice(WORDS))
        return browse(draw.choice(documents), reasoning=draw.choice([*WORDS, None, ""]))

    return [
        trajectory(*(step() for _ in range(12)), answer(draw.choice(WORDS)), name=f"t{number}",
                   correct=draw.choice([True, True, False, None]))
        for number in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("negatives", ["unbrowsed", "pooled", "tiers"])
def test_tables_and_memory_give_the_same_pairs(tmp_path, monkeypatch, negatives):
    monkeypatch.setattr(bulk, "TASK_ROWS", 7)
    runs, judge = random_runs(30), OneWordJudge()
    expected = mine_pairs(runs, negatives=negatives, judge=judge, held_out={"d0"})
    mined = bulk.mine_tables(
        [trajectory_table(runs)], tmp_path, settings=MiningSettings(negatives=negatives, held_out=frozenset({"d0"})),
        measure=LengthMeasure(None), judge=judge,
    )  # fmt: skip
    assert list(mined.pairs()) == expected.pairs
    assert len(expected.trained) > 10
    assert mined.ledger == expected.ledger


def test_several_tables_are_mined_as_one_and_the_same_runs_only_once(tmp_path):
    runs = random_runs(20)
    parts = [trajectory_table(runs[:9]), trajectory_table(runs[9:])]
    for name in ("both", "twice"):
        (tmp_path / name).mkdir()
    options = {"settings": MiningSettings(), "measure": LengthMeasure(None)}
    assert list(bulk.mine_tables(parts, tmp_path / "both", **options).pairs()) == mine_pairs(runs).pairs
    with pytest.raises(LratError, match="expected every trajectory once"):
        bulk.mine_tables([*parts, parts[0]], tmp_path / "twice", **options)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_trajectories(tmp_path, monkeypatch):
    import tracemalloc

    import pyarrow as pa

    from lrat_hub.storage import write_trajectories

    monkeypatch.setattr(bulk, "TASK_ROWS", 50)
    monkeypatch.setattr("lrat_hub.storage.BATCH_ROWS", 50)

    def peak(count):
        folder = tmp_path / str(count)
        folder.mkdir()
        table = write_trajectories(random_runs(count), folder / "runs.arrow")
        tracemalloc.start()
        arrow = pa.total_allocated_bytes()
        mined = bulk.mine_tables([table], folder, settings=MiningSettings(), measure=LengthMeasure(None))
        used = tracemalloc.get_traced_memory()[1] + pa.total_allocated_bytes() - arrow
        tracemalloc.stop()
        return used, mined.num_pairs

    peak(50)  # what is loaded once
    (small, few), (large, many) = peak(100), peak(500)
    assert many > 4 * few
    # A pair as a record takes thousands of bytes; some of what is left is caches that stop growing.
    assert (large - small) / (many - few) < 500


def test_what_is_left_out_of_reading_changes_no_pair(tmp_path):
    from lrat_hub.storage import write_trajectories

    unnamed = random_runs(20)
    # A search that a browse names may have listed its document or not, and may be none.
    runs = [
        replace(
            run, steps=tuple(replace(step, search_turn=step.turn % 4 if step.docid else None) for step in run.steps)
        )
        for run in unnamed
    ]
    light = list(light_trajectories(trajectory_table(runs)))
    assert mine_pairs(light).pairs == mine_pairs(runs).pairs
    # Tables of earlier versions do not say which search a browse names.
    rows = [run.to_dict() for run in runs]
    for step in (step for row in rows for step in row["steps"]):
        del step["search_turn"]
    earlier = Dataset.from_list(rows)
    assert "search_turn" not in str(earlier.features)
    assert mine_pairs(light_trajectories(earlier)).pairs == mine_pairs(unnamed).pairs != mine_pairs(runs).pairs
    earlier.to_parquet(tmp_path / "earlier.parquet")
    assert list(load_trajectories(tmp_path / "earlier.parquet")) == unnamed
    assert list(load_trajectories(earlier)) == unnamed
    # Also when the table is in pieces, as one is that was written while it was read.
    assert (
        mine_pairs(light_trajectories(write_trajectories(runs, tmp_path / "runs.arrow"))).pairs
        == mine_pairs(runs).pairs
    )
    # Also when the table is a part of another, whose columns begin elsewhere.
    part = list(light_trajectories(trajectory_table(runs).select(range(7, 13))))
    assert mine_pairs(part).pairs == mine_pairs(runs[7:13]).pairs


def test_questions_keep_their_split_whatever_else_is_mined(tmp_path):
    runs = random_runs(60)

    def split_by_question(runs, folder):
        folder.mkdir()
        mined = bulk.mine_tables(
            [trajectory_table(runs)], folder, settings=MiningSettings(), measure=LengthMeasure(None),
            splits=Splits(validation=0.2, test=0.2),
        )  # fmt: skip
        weights = [pair.weight for pair in mined.pairs("train")]
        assert sum(weights) / len(weights) == pytest.approx(1.0, abs=1e-9)
        return {pair.question: split for split in mined.splits for pair in mined.pairs(split)}

    whole = split_by_question(runs, tmp_path / "whole")
    assert {"train", "validation", "test"} == set(whole.values())
    part = split_by_question(runs[:31], tmp_path / "part")
    assert part.items() <= whole.items()


def test_the_split_of_a_question_never_changes_and_spelling_does_not_matter():
    (pair,) = mine_pairs([trajectory(search("q", "a", "b"), browse("a"), answer())]).pairs
    questions = [
        "Who built the tower?",
        "Who wrote it?",
        "When was it?",
        "What is the café's name?",
        "Where?",
        "Why 7?",
    ]

    def split(question):
        return Splits(validation=0.3, test=0.3).of(replace(pair, question=question))

    known = ["test", "train", "train", "test", "validation", "validation"]
    assert [split(question) for question in questions] == known
    assert split("  who built a TOWER") == split("Who built the tower?")
    assert split("what is the cafe s name") == split("What is the café's name?")


def test_shares_that_leave_nothing_to_train_on_are_refused():
    for shares in ((0.5, 0.5), (-0.1, 0)):
        with pytest.raises(LratError, match="leave something to train on"):
            Splits(*shares)


def publish(table, name, config="trajectories"):
    lineage = Lineage("test", {}, {}, {})
    return publish_dataset(
        HubRef.parse(name, repo_type="dataset"), {config: {"train": table}}, card="---\n{}\n---\n", lineage=lineage
    )


@pytest.fixture
def runs(hub, monkeypatch):
    monkeypatch.setattr(bulk, "TASK_ROWS", 10)
    return publish(trajectory_table(random_runs(30)), "lrat/scale-runs")


@pytest.mark.slow
def test_the_number_of_processes_does_not_show_in_what_is_published(runs):
    def mine(processes):
        words = ["mine", "--trajectories", runs, "--judge", "rule", "--negatives", "tiers", "--validation", "0.2"]
        return cli.run([str(word) for word in [*words, "--processes", processes, "--to", "lrat/scale-pairs"]])

    one = mine(1)
    assert mine(2) == one
    counts = read_lineage(one).counts
    assert counts["trajectories"]["read"] == 30
    assert counts["splits"]["train"] + counts["splits"]["validation"] == counts["pairs"]["read"]
    # What reads pairs without saying which split reads those to train on.
    assert len(load_table(one, "pairs", config="pairs")) == counts["splits"]["train"]
    assert len(load_table(replace(one, split="validation"), "pairs")) == counts["splits"]["validation"]


def test_the_card_claims_a_judge_only_where_there_was_one(hub, runs):
    from huggingface_hub import DatasetCard

    for judge, claimed in (("none", False), ("rule", True)):
        pin = cli.run(["mine", "--trajectories", str(runs), "--judge", judge, "--to", f"lrat/judged-by-{judge}"])
        text = DatasetCard.load(pin.repo_id).text
        assert ("a judge read the reasoning" in text) is claimed
        assert ("They were not judged" in text) is not claimed


@pytest.mark.slow
def test_pairs_are_judged_again_without_mining_and_the_judges_are_compared(hub, runs, capsys):
    from datasets import load_dataset

    words = ["--negatives", "tiers", "--judge", "rule", "--to"]
    first = cli.run(["mine", "--trajectories", str(runs), *words, "lrat/scale-first"])
    again = cli.run(["mine", "--rejudge", str(first), "--judge", "rule", "--to", "lrat/scale-again"])
    pairs = [load_dataset(pin.repo_id, split="train", revision=pin.revision).to_list() for pin in (first, again)]
    assert pairs[0] == pairs[1]
    assert read_lineage(again).counts["agreement"]["with the judge before"]["raw"] == 1.0
    assert "agreement with the judge before: 100.0 % of" in capsys.readouterr().out
    with pytest.raises(LratError, match="--rejudge expects a judge"):
        cli.run(["mine", "--rejudge", str(first), "--to", "lrat/x"])
    pooled = cli.run(["mine", "--trajectories", str(runs), "--negatives", "pooled", "--to", "lrat/scale-pooled"])
    with pytest.raises(LratError, match="found pooled ones"):
        cli.run(["mine", "--rejudge", str(pooled), "--judge", "rule", "--to", "lrat/x"])


def test_another_judge_moves_what_was_read_between_tiers(tmp_path):
    from lrat_hub.mining.rejudging import rejudge_tables

    runs = random_runs(25)
    settings = MiningSettings(negatives="tiers", same_question=False)
    strict = OneWordJudge()
    lenient = OneWordJudge({"irrelevant": "irrelevant"})
    before = pair_table(mine_pairs(runs, negatives="tiers", same_question=False, judge=strict).pairs)
    mined, compared = rejudge_tables(
        {"train": before}, tmp_path, settings=settings, judge=lenient, splits=Splits()
    )  # fmt: skip
    expected = mine_pairs(runs, negatives="tiers", same_question=False, judge=lenient)
    assert list(mined.pairs()) == expected.pairs
    assert compared.counts[("unjudged", "relevant")] > 0
    assert compared.counts.get(("relevant", "irrelevant"), 0) == 0


def test_the_judge_is_compared_with_annotated_evidence(hub, runs):
    from datasets import Dataset

    rows = {"query_id": ["t1", "t1", "t4"], "docid": ["d1", "d2", "d3"], "relevance": [1, 1, 1]}
    qrels = publish(Dataset.from_dict(rows), "lrat/scale-qrels", "qrels_evidence")
    pin = cli.run(
        ["mine", "--trajectories", str(runs), "--judge", "rule", "--qrels", str(qrels), "--to", "lrat/scale-q"]
    )
    found = read_lineage(pin).counts["agreement"]["with qrels"]
    annotated = [
        pair for pair in mine_pairs(random_runs(30), judge=RuleJudge()).pairs if pair.query_id in ("t1", "t4")
    ]
    evidence = {("t1", "d1"), ("t1", "d2"), ("t4", "d3")}
    for kind in ("evidence", "other"):
        verdicts = [
            pair.verdict
            for pair in annotated
            if pair.verdict != "unjudged" and ((pair.query_id, pair.positive_id) in evidence) == (kind == "evidence")
        ]
        assert (found[kind]["judged"], found[kind]["relevant"]) == (len(verdicts), verdicts.count("relevant"))
    assert found["evidence"]["judged"] + found["other"]["judged"] > 2


def test_released_rows_become_pairs_documents_and_triplets(hub, tmp_path):
    import json

    from datasets import load_dataset

    path = Path(tmp_path) / "rows.jsonl"
    row = {
        "query": "q", "pos": ["A\na text"], "pos_id": ["1"], "neg": ["B\nb text", "c"], "neg_id": [2, 3],
        "reasoning_len": 90, "satisfied": True, "reweight_rate": 0.75,
    }  # fmt: skip
    path.write_text("\n".join([json.dumps(row), "{", json.dumps(row | {"query": ""})]))
    pin = cli.run(["mine", "--from_released_pairs", str(path), "--triplet_negatives", "2", "--to", "lrat/scale-rel"])
    documents = load_dataset(pin.repo_id, "documents", split="train", revision=pin.revision)
    assert documents.to_list()[0] == {"docid": "1", "title": "A", "text": "a text"}
    (triplet,) = load_dataset(pin.repo_id, "triplets", split="train", revision=pin.revision)
    assert (triplet["anchor"], triplet["positive"], triplet["label"]) == ("q", "A\na text", 0.75)
    assert read_lineage(pin).counts["rows"]["dropped"] == {"no query": 1, "not JSON": 1}

    exported = tmp_path / "exported.jsonl"
    words = ["export", "--pairs", str(pin), "--format", "released", "--output", str(exported)]
    assert cli.run(words) == 0
    assert json.loads(exported.read_text()) == row | {"neg_id": ["2", "3"]}


@pytest.mark.slow
def test_a_language_model_judges_from_the_command_line_and_is_not_asked_twice(hub, runs, tmp_path):
    from datasets import load_dataset
    from huggingface_hub import HfApi

    from tests.judges.server import ChatServer
    from tests.judges.test_llm import notes_of

    HfApi().create_repo("lrat/scale-judge", exist_ok=True)
    model = HubRef.parse("lrat/scale-judge", repo_type="model").pin()
    says = {"irrelevant": "**IRRELEVANT**", "relevant": "RELEVANT.", "relevant,": "<think>Hm.</think>relevant"}

    def answer(request):
        return says.get(notes_of(request).split()[0], "?")

    def mine(url, to):
        words = ["mine", "--trajectories", str(runs), "--judge", "llm", "--judge_url", url, "--to", to]
        return cli.run([*words, "--judge_model", str(model), "--judge_cache", str(tmp_path / "cache")])

    with ChatServer(answer) as server:
        first = mine(server.url, "lrat/scale-llm")
        asked = len(server.requests)
        again = mine(server.url, "lrat/scale-llm")
        assert (again, len(server.requests)) == (first, asked)
    # The server is gone, and everything is known.
    assert mine(server.url, "lrat/scale-llm") == first
    rows = load_dataset(first.repo_id, split="train", revision=first.revision).to_list()
    assert {row["judge"] for row in rows} == {str(model)}
    assert len({row["judge_prompt"] for row in rows}) == 1
    firsts = {(row["reasoning"].split() or [""])[0]: row["verdict"] for row in rows}
    told = {"irrelevant": "irrelevant", "relevant": "relevant", "relevant,": "relevant"}
    assert firsts == told | {"unclear": "unjudged", "": "unjudged"}
    lineage = read_lineage(first)
    assert lineage.counts["unjudged"]["reply without a verdict"] > 0
    assert lineage.inputs["judge"] == str(model)
    assert lineage.recipe.keys().isdisjoint({"judge_url", "judge_cache", "judge_concurrency", "processes"})


@pytest.mark.slow
def test_a_judge_that_is_not_told_enough_about_or_not_there_is_refused(hub, runs, tmp_path):
    words = ["mine", "--trajectories", str(runs), "--to", "lrat/x", "--judge", "llm"]
    with pytest.raises(LratError, match="expected a model in `judge_model`, found none"):
        cli.run(words)
    url = ["--judge_url", "http://127.0.0.1:9/v1", "--judge_model", "judge"]
    with pytest.raises(LratError, match="`require_pinned` needs the commit of the model"):
        cli.run([*words, *url, "--require-pinned"])
    with pytest.raises(LratError, match="expected verdicts of judge, found no reply to any request"):
        cli.run([*words, *url, "--judge_cache", str(tmp_path / "cache")])
    with pytest.raises(LratError, match="expected one of --trajectories, --rejudge"):
        cli.run(["mine", "--to", "lrat/x"])
    with pytest.raises(LratError, match="hold no reasoning"):
        cli.run(["mine", "--from_released_pairs", "./x", "--judge", "rule", "--to", "lrat/x"])


@pytest.mark.parametrize("name", ["mine_paper", "mine_released", "mine_tiers"])
def test_recipes_hold_options_that_fit_together(name):
    from lrat_hub.dataset_builders.mine import Arguments, JudgeOptions

    from lrat_hub.cli.stage import parse

    words = ["--config", f"dataset_builders/{name}", "--trajectories", "a/b", "c/d", "--to", "e/f"]
    args, _ = parse(words, "mine", None, Arguments, JudgeOptions)
    assert args.trajectories == ["a/b", "c/d"]
    assert args.settings().resolved(judged=True).train_on == ("relevant",)
