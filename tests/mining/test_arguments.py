"""What `mine_pairs` is given in Python: anyone's judge works, and what can't be is refused in one line."""

import pytest

from lrat_hub import RuleJudge, mine_pairs
from lrat_hub.errors import LratError
from tests.builders import answer, browse, search, trajectory

RUNS = [trajectory(search("q1", "a", "b"), browse("a"), search("q2", "c", "d"), browse("c"), answer())]


class Bare:
    """A judge that has neither a name nor a prompt."""

    verdicts = ("relevant", "irrelevant")

    def judge(self, pairs):
        return self.verdicts


def test_a_judge_without_a_name_is_called_by_its_class():
    result = mine_pairs(RUNS, judge=Bare())
    assert [(pair.judge, pair.verdict) for pair in result.pairs] == [("Bare", "relevant"), ("Bare", "irrelevant")]
    assert [pair.positive_id for pair in result.trained] == ["a"]


def judging(*verdicts):
    judge = Bare()
    judge.verdicts = verdicts
    return judge


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"judge": RuleJudge}, r"an object with judge\(pairs\), such as RuleJudge\(\), found the class RuleJudge"),
        ({"judge": object()}, "found object without it"),
        ({"judge": "rule"}, "found str without it"),
        ({"judge": judging()}, "Judge Bare: expected 2 verdicts out of relevant, irrelevant, unjudged, found 0"),
        ({"judge": judging("relevant", None)}, "found None"),
        ({"tokenizer": "me/model"}, "expected a tokenizer, such as AutoTokenizer loads, found 'me/model'"),
        ({"weighting": "uniform"}, "expected `weighting` as Weighting, found 'uniform'"),
        ({"half_life": "3"}, "expected `half_life` as a number, found '3'"),
        # Of one text, letters would be left out.
        ({"held_out": "d1"}, r"expected `held_out` as several texts, found one: 'd1'. Give \['d1'\]"),
        ({"outcomes": "correct"}, "expected `outcomes` as several texts"),
        ({"trajectories": "runs.jsonl"}, "expected an iterable of Trajectory, found one str. load_trajectories reads"),
        ({"trajectories": [RUNS[0].to_dict()]}, "expected an iterable of Trajectory, found dict"),
        ({"trajectories": RUNS[0]}, "found one Trajectory"),
    ],
)  # fmt: skip
def test_what_is_none_is_refused(given, message):
    with pytest.raises(LratError, match=message) as raised:
        mine_pairs(**({"trajectories": RUNS} | given))
    assert "\n" not in str(raised.value)
