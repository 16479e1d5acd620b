"""Agents' metrics: cases worked by hand, the real judgements with runs of known recall, and the six real runs."""

import json
import random
from pathlib import Path

import pytest

from lrat_hub import evaluate_agents, load_trajectories
from lrat_hub.errors import LratError
from lrat_hub.evaluation.agents import AgentScores, QuestionScores, stated_confidence, without_texts
from lrat_hub.schema import Step, Trajectory
from tests.evaluation.runs import run

DATA = Path(__file__).parents[3] / "shared" / "data" / "lrat_release"

QRELS = {
    "1": {"a": 1, "b": 1, "c": 1, "d": 1, "never": 0},
    "2": {"a": 1, "e": 1},
    "3": {"a": 1},
    "4": {"a": 1},
    "5": {"f": 1, "g": 1},
    "6": {"a": 0},
}


def test_every_question_counts_whatever_became_of_its_run():
    trajectories = [
        # Lists a at step 1 and again at 3, c at 3; opens c, and the irrelevant x.
        run("1", ("x", "a"), "x", ("a", "c"), None, "c", correct=True),
        # Gave its answer at a limit: a success all the same.
        run("2", ("a", "e"), "zzz", status="limited", correct=True),
        # Crashed after it had found the evidence. A verdict on what it never said is no success.
        run("3", ("a",), status="failed", answer=None, correct=True),
        # Ended without an answer.
        run("4", ("b",), ("c",), status="limited", answer=None),
        # The first run counts, not the better one.
        run("6", ("a",), correct=False),
        run("6", ("a",), number=1, correct=True),
        run("7", ("a",), correct=True),
    ]
    scores = evaluate_agents(trajectories, ["1", "2", "3", "4", "5", "6"], QRELS)
    assert scores.counts == {
        "questions": 6, "completed": 2, "limited": 1, "unanswered": 1, "failed": 1, "missing": 1,
        "unjudged": 0, "duplicates": 1, "strangers": 1,
    }  # fmt: skip
    assert scores.mean("success") == 2 / 6
    # Nobody annotated evidence for question 6. Found: 2 of 4, 2 of 2, 1 of 1, 0 of 1, and 0 of 2 of the missing one.
    assert scores.mean("evidence_any") == 3 / 5
    assert scores.mean("evidence_share") == pytest.approx((0.5 + 1 + 1 + 0 + 0) / 5)
    assert scores.mean("opened_share") == pytest.approx((1 / 4) / 5)
    # Steps of the runs there are: an invalid call is none.
    assert scores.values("steps") == {"1": 4, "2": 2, "3": 1, "4": 2, "6": 1}
    assert scores.mean("invalid") == 1 / 5
    assert scores.recall_by_step(3) == pytest.approx([(1 / 4 + 1 + 1) / 5, (1 / 4 + 1 + 1) / 5, (2 / 4 + 1 + 1) / 5])


def test_ids_that_were_read_as_fractions_are_the_same_ids():
    scores = evaluate_agents([run("769.0", ("18639", "5.0"), "41759.0")], ["769"], {"769.00": {"18639.0": 1, "5": 1}})
    (question,) = scores.questions
    assert (question.outcome, question.evidence_share, scores.foreign_runs) == ("completed", 1.0, 0)
    # Ids of other kinds keep their dots.
    assert evaluate_agents([run("v1.0", ("d",))], ["v1"]).counts["missing"] == 1
    with pytest.raises(LratError, match="query id once, found 1 repeated: '7'"):
        evaluate_agents([], ["7", "7.0"])


def test_a_page_that_could_not_be_opened_was_not_opened():
    failed = Step(0, "", "browse", docid="a", error="[Document not found] docid=a")
    scores = evaluate_agents([Trajectory("t", "3", "?", (failed,))], ["3"], QRELS)
    assert (scores.mean("opened_share"), scores.mean("steps")) == (0.0, 1.0)


def test_unjudged_answers_are_counted_and_nothing_is_said_of_success_when_nobody_judged():
    some = evaluate_agents([run("1", correct=True), run("2"), run("3", status="failed", answer=None)], "123")
    assert (some.mean("success"), some.counts["unjudged"]) == (1 / 3, 1)
    none = evaluate_agents([run("1"), run("2")], "123")
    assert none.mean("success") is None
    # A set of runs that all crashed is known to have failed.
    assert evaluate_agents([run("1", status="failed", answer=None)], "12").mean("success") == 0.0
    assert none.mean("evidence_share") is None


def test_tokens_and_seconds_come_from_the_notes_of_a_run_or_the_usage_of_its_file():
    notes = [
        {"prompt_tokens": 700, "completion_tokens": 50, "seconds": 2.5},
        {"format": "BrowseComp-Plus run", "usage": {"input_tokens": 900, "output_tokens": 40, "total_tokens": 940}},
        {"total_tokens": True},
    ]
    runs = [run(str(place), metadata=json.dumps(note)) for place, note in enumerate(notes)]
    scores = evaluate_agents(runs, ["0", "1", "2"])
    assert scores.values("tokens") == {"0": 750, "1": 940}
    assert scores.values("seconds") == {"0": 2.5}


@pytest.mark.parametrize(
    ("answer", "confidence"),
    [
        ("Exact Answer: Bern\nConfidence: 85%", 0.85),
        ("**Confidence:** 7 %", 0.07),
        ("I first had confidence: 20%. Later I found it.\nConfidence: 0.9", 0.9),
        ("Confidence: 100", 1.0),
        ("Confidence: 450%", None),
        ("I am confident.", None),
        (None, None),
    ],
)
def test_confidence_is_read_where_it_is_stated(answer, confidence):
    assert stated_confidence(answer) == confidence


def test_calibration_error_of_a_judge_of_itself():
    def scores(*pairs):
        rows = [
            QuestionScores(str(place), "completed", runs=1, correct=right, confidence=stated)
            for place, (stated, right) in enumerate(pairs)
        ]
        return AgentScores((*rows, QuestionScores("silent", "completed", runs=1, correct=True)))

    # Sure of everything, right half of the time; says 50 % and is.
    assert scores((1.0, True), (1.0, False)).calibration_error == 0.5
    assert scores((0.5, True), (0.5, False)).calibration_error == 0.0
    # Two bins of 100, off by 0.2 and by 0: the last bin counts.
    low = [(0.2, False)] * 100
    assert scores(*low, *[(0.8, place < 80) for place in range(100)]).calibration_error == pytest.approx(
        (0.2**2 / 2) ** 0.5
    )
    assert scores(*[(0.9, True)] * 100, *low).calibration_error == pytest.approx(((0.2**2 + 0.1**2) / 2) ** 0.5)
    assert scores().calibration_error is None


@pytest.fixture(scope="module")
def real_qrels():
    if not DATA.exists():
        pytest.skip("the released judgements are not beside the checkout")
    qrels = {}
    for line in (DATA / "qrel_evidence.txt").read_text().splitlines():
        query_id, _, docid, grade = line.split()
        qrels.setdefault(query_id, {})[docid] = int(grade)
    assert (len(qrels), sum(map(len, qrels.values()))) == (830, 5064)
    return qrels


@pytest.mark.parametrize("seed", range(3))
def test_both_readings_come_out_exactly_on_the_real_judgements(real_qrels, seed):
    """Runs that list a known number of each question's evidence, spread over searches between other documents."""
    rng = random.Random(seed)
    trajectories, shares = [], []
    for query_id, grades in real_qrels.items():
        wanted = rng.randint(0, len(grades))
        missing = rng.random() < 0.1
        shares.append(0.0 if missing else wanted / len(grades))
        if missing:
            continue
        found = rng.sample(sorted(grades), wanted)
        searches = [[f"other-{rng.random()}" for _ in range(3)] for _ in range(4)]
        for docid in found:
            for search in rng.sample(searches, rng.randint(1, 3)):
                search.insert(rng.randint(0, len(search)), docid + rng.choice(["", ".0"]))
        trajectories.append(run(query_id, *map(tuple, searches)))
    rng.shuffle(trajectories)
    scores = evaluate_agents(trajectories, real_qrels, real_qrels)
    assert scores.mean("evidence_share") == pytest.approx(sum(shares) / 830, abs=1e-12)
    assert scores.mean("evidence_any") == sum(share > 0 for share in shares) / 830
    assert scores.recall_by_step(4)[-1] == pytest.approx(scores.mean("evidence_share"), abs=1e-12)
    assert scores.counts["missing"] == 830 - len(trajectories)


def test_the_six_real_runs_take_the_steps_they_took_and_list_what_their_files_say():
    folder = DATA / "trajectories"
    if not folder.exists():
        pytest.skip("the real trajectories are not beside the checkout")
    files = {data["query_id"]: data for file in folder.glob("*.json") for data in [json.loads(file.read_text())]}
    # Judgements that call everything evidence that their own account of retrieved documents has.
    qrels = {str(query_id): dict.fromkeys(data["retrieved_docids"], 1) for query_id, data in files.items()}
    order = ["0", "1", "4", "5", "11", "15", "16"]
    scores = evaluate_agents(load_trajectories(folder), order, qrels)
    assert evaluate_agents(map(without_texts, load_trajectories(folder)), order, qrels) == scores
    by_id = {question.query_id: question for question in scores.questions}
    assert [by_id[name].steps for name in ("0", "1", "4", "15", "11", "5")] == [48, 2, 13, 7, 4, 6]
    assert all(by_id[name].evidence_share == 1.0 for name in qrels)
    assert by_id["16"].outcome == "missing"
