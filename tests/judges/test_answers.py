from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lrat_hub.judges.answers import AnswerJudge, answer_contains, answer_matches
from lrat_hub.judges.llm import ReplyCache
from lrat_hub.llm.chat import ChatError, Reply
from tests.builders import answer, trajectory


class Says:
    """A model that gives one reply to everything, or fails; counts what it is asked."""

    name, revision = "judge", "1" * 40

    def __init__(self, text: str | Exception) -> None:
        self.text, self.asked = text, []

    async def chat(self, messages, **options) -> Reply:
        self.asked.append(messages)
        if isinstance(self.text, Exception):
            raise self.text
        return Reply(self.text)


@pytest.mark.parametrize(
    ("given", "gold", "expected"),
    [
        ("It was Marie Curie.", "Marie Curie", True),
        ("Marie Curie\nConfidence: 90%", "marie curie", True),
        ("The 12th Street Bridge, built in 1922", "12th street bridge", True),
        ("Marie Curie or Pierre Curie", "Marie Curie", False),
        ("It was not Marie Curie", "Marie Curie", False),
        ("Pierre Curie", "Marie Curie", False),
        ("Mariecurie", "Curie", False),
        ("5 of them", "5", False),
        (" ".join(["many", "words"] * 10) + " Marie Curie", "Marie Curie", False),
        ("I do not know.\n\nMarie Curie was a physicist.", "Marie Curie", False),
        ("Marie Curie\nDocument 7 says that she was the first woman to win it, in 1903.", "Marie Curie", True),
        ("Marie Curie or Irène\nDocument 7 names both of them as winners.", "Marie Curie", False),
        ("Irène\nDocument 7 says that she was the daughter of Marie Curie.", "Marie Curie", False),
        # Lines of a few words are further answers.
        ("Marie Curie\nor Pierre Curie", "Marie Curie", False),
        (None, "Marie Curie", False),
        ("", "", False),
    ],
)
def test_a_short_answer_that_has_the_gold_answer_in_it_is_taken_for_it(given, gold, expected):
    assert answer_contains(given, gold) is expected


def test_an_answer_with_its_reason_in_the_second_line_equals_the_gold_answer():
    assert answer_matches("The Marie Curie\nDocument 7 says so of the winner of 1903.", "Marie Curie")
    assert not answer_matches("Marie Curie\nPierre Curie", "Marie Curie")


def test_texts_that_match_cost_nothing_and_a_model_is_asked_about_the_rest(tmp_path):
    model = Says('{"why": "same person", "verdict": "correct"}')
    cases = [
        ("who", "Marie Curie", text) for text in ("the marie curie", "It was Marie Curie", "M. Skłodowska", None, " ")
    ]
    with ReplyCache(tmp_path / "replies.sqlite") as cache:
        by = [(judged.correct, judged.by) for judged in AnswerJudge(model, cache=cache).judge(cases)]
    name = f"judge@{'1' * 40}"
    assert by == [(True, "match"), (True, "containment"), (True, name), (False, "no answer"), (False, "no answer")]
    assert len(model.asked) == 1
    assert "M. Skłodowska" in model.asked[0][1]["content"]
    with ReplyCache(tmp_path / "replies.sqlite") as cache:
        again = AnswerJudge(Says(ChatError("down")), cache=cache).judge(cases)
    assert [(judged.correct, judged.by) for judged in again] == by


@pytest.mark.parametrize("reply", ["I would say so.", "<think>correct? incorrect?", ChatError("down", 500)])
def test_what_a_model_does_not_say_is_unjudged_and_never_incorrect(reply):
    judge = AnswerJudge(Says(reply))
    (judged,) = judge.judge([("who", "Marie Curie", "Pierre")])
    assert (judged.verdict, judged.correct) == ("unjudged", None)
    assert judge.problems.total() == 1


@pytest.mark.parametrize(
    "said", ["**incorrect**", '{"verdict": "incorrect"}', "<think>correct</think>\nVerdict: incorrect."]
)
def test_verdicts_are_read_as_judges_write_them(said):
    (judged,) = AnswerJudge(Says(said)).judge([("who", "Marie Curie", "Pierre")])
    assert judged.verdict == "incorrect"


def test_runs_get_their_verdict_and_what_gave_it():
    runs = [
        replace(trajectory(answer(), name="a"), gold_answer="Paris", final_answer="paris"),
        replace(trajectory(answer(), name="b"), gold_answer="Paris", final_answer="Lyon", status="limited"),
        replace(trajectory(answer(), name="c"), final_answer="Lyon"),
    ]
    judge = AnswerJudge(Says("correct"))
    done = judge.judge_runs(runs)
    assert [run.correct for run in done] == [True, True, None]
    assert json.loads(done[0].metadata)["judge"] == {"verdict": "correct", "by": "match"}
    assert json.loads(done[1].metadata)["judge"]["prompt"]
    assert done[2] == runs[2]
    assert [run.correct for run in AnswerJudge().judge_runs(runs)] == [True, False, None]
    assert [run.correct for run in AnswerJudge(mismatch="unjudged").judge_runs(runs)] == [True, None, None]
