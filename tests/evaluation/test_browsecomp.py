"""BrowseComp-Plus's files: runs there and back, the leaderboard's summary, and its judge's formats."""

import json

import pytest

from lrat_hub import evaluate_agents, load_trajectories
from lrat_hub.errors import LratError
from lrat_hub.evaluation.agents import only_recorded
from lrat_hub.evaluation.browsecomp import judged_correct, read_verdicts, run_of, submission
from lrat_hub.schema import Sampling, Step, Trajectory
from tests.evaluation.runs import listed, run


def test_runs_come_back_as_they_were(tmp_path):
    steps = (
        Step(0, "I look.", "search", ('what "is" it',), listed("7", "8"), observation="a list"),
        Step(
            1, "Two at once.", "search", ("a", "b"), (*listed("7"), *listed("9", query_index=1)), observation="lists"
        ),
        Step(2, "I open.", "browse", docid="9", observation="Document 9: text"),
        Step(3, "That was none.", "invalid", observation="Error: Tool x not found", error="unknown tool"),
        Step(4, "Gone.", "browse", docid="10", observation="[Document not found] docid=10", error="not found"),
        Step(5, "I know.", "answer"),
    )
    runs = [
        Trajectory(
            "r/1", "12", "Who?", steps, "Ann", "It is Ann.", agent="m", retriever="bm25", sampling=Sampling(0.8)
        ),
        run("13", ("7",), status="limited"),
        run("14", ("7",), status="failed", answer=None),
    ]
    files = submission(runs, [], ["12", "13", "14"], None, agent="m", retriever="bm25")
    for name, text in files.items():
        if name.startswith("run_"):
            (tmp_path / name).write_text(text)
    back = {trajectory.query_id: trajectory for trajectory in load_trajectories(tmp_path)}
    for sent in runs:
        read = back[sent.query_id]
        assert (read.status, read.final_answer, read.question, read.retriever, read.sampling) == (
            sent.status, sent.final_answer, sent.question, sent.retriever, sent.sampling
        )  # fmt: skip
        assert [(step.action, step.reasoning, step.queries, step.docid) for step in read.steps] == [
            (step.action, step.reasoning, step.queries, step.docid) for step in sent.steps
        ]
        found = [[(hit.query_index, hit.rank, hit.docid) for hit in step.results] for step in read.steps]
        assert found == [[(hit.query_index, hit.rank, hit.docid) for hit in step.results] for step in sent.steps]
    official = run_of(runs[0])
    assert official["retrieved_docids"] == ["7", "8", "9"]
    assert official["tool_call_counts"] == {"search": 2, "get_document": 2}


@pytest.mark.parametrize(
    ("reply", "correct"),
    [
        ("extracted_final_answer: Ann\n\n[correct_answer]: Ann\n\nreasoning: same.\n\ncorrect: yes", True),
        ("reasoning: they differ\n**correct:** yes", True),
        ("- **Correct**: No.", False),
        ("<think>correct: yes, or is it? correct: no</think>\ncorrect: yes", True),
        ("<think>correct: yes", None),
        ("reasoning: The answer is correct: yes\ncorrect: no", False),
        ("correct: unclear", None),
        ("", None),
    ],
)  # fmt: skip
def test_replies_in_the_official_format(reply, correct):
    assert judged_correct(reply) is correct


def test_verdicts_of_the_official_evaluation_are_read_and_read_again_where_its_parser_failed(tmp_path):
    rows = {
        "run_1_eval.json": {
            "query_id": 769.0,
            "judge_result": {"extracted_final_answer": "Ann", "reasoning": "same", "correct": True, "confidence": 90},
            "model_info": {"judge_model": "Qwen/Qwen3-32B"},
        },
        "run_2_eval.json": {
            "query_id": "770",
            "judge_response": "extracted_final_answer: B\n**correct:** yes",
            "judge_result": {"correct": None, "parse_error": True},
        },
        "run_3_eval.json": {"query_id": "771", "judge_result": {"correct": False, "parse_error": False}},
        "run_4_eval.json": {"query_id": "772", "judge_result": {"correct": None, "parse_error": True}},
    }
    for name, row in rows.items():
        (tmp_path / name).write_text(json.dumps(row))
    verdicts = list(read_verdicts(tmp_path))
    assert [(verdict.query_id, verdict.correct) for verdict in verdicts] == [
        ("769", True), ("770", True), ("771", False), ("772", None)
    ]  # fmt: skip
    assert verdicts[0].judge == "BrowseComp-Plus (Qwen/Qwen3-32B)"
    assert verdicts[1].extracted == "B"
    (tmp_path / "run_5_eval.json").write_text("[1]")
    with pytest.raises(LratError, match=r"run_5_eval\.json"):
        list(read_verdicts(tmp_path))


@pytest.mark.parametrize(
    ("reply", "correct"),
    [
        ("extracted_final_answer: Ann\ncorrect: yes\n\nreasoning: they differ\n\ncorrect: no\nconfidence: 90", None),
        ("correct: yes or no", None),
        ("correct: yes|no", None),
        ("correct: no, wait, yes", None),
        ("correct: yes\n\ncorrect: yes", True),
        ("correct: yes\n\nNo more is needed.", True),
        ("**correct**: no (the answer is not Ann)", False),
    ],
)
def test_a_reply_in_the_official_format_that_says_both_says_neither(reply, correct):
    assert judged_correct(reply) is correct


def test_conflicts_in_replies_of_the_official_judge_are_unjudged_with_a_reason(tmp_path):
    row = {"query_id": "1", "judge_response": "correct: yes\n\ncorrect: no", "judge_result": {"parse_error": True}}
    (tmp_path / "run_1_eval.json").write_text(json.dumps(row))
    (verdict,) = read_verdicts(tmp_path)
    assert (verdict.correct, verdict.reason) == (None, "reply with conflicting verdicts")


def test_a_run_file_that_lists_no_call_is_scored_by_what_it_says_it_retrieved(tmp_path):
    answer = [{"type": "output_text", "output": "Exact Answer: Ann"}]
    counted = {"status": "completed", "result": answer, "tool_call_counts": {"search": 3, "get_document": 1, "x": 9}}
    for query_id, docids in {"1": ["7", 8], "2": ["9"], "3": []}.items():
        record = {"query_id": query_id, "retrieved_docids": docids, **counted}
        (tmp_path / f"run_{query_id}.json").write_text(json.dumps(record))
    runs = list(load_trajectories(tmp_path))
    assert all(map(only_recorded, runs))
    qrels = {"1": {"8": 1, "5": 1}, "2": {"9": 1}, "3": {"1": 1}, "4": {"2": 1}}
    scores = evaluate_agents(runs, list(qrels), qrels)
    assert [question.evidence_share for question in scores.questions] == [0.5, 1, 0, 0]
    first = scores.questions[0]
    assert (first.searches, first.browses, first.steps) == (3, 1, 4)
    assert scores.questions[3].outcome == "missing"
