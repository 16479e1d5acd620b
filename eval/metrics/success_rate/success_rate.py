"""Success rate of search agents with its interval."""

import math
from statistics import NormalDist

import datasets
import evaluate

DESCRIPTION = """
The share of a benchmark's questions that an agent answered right, with Wilson's score interval, which is sound also
near 0 and 1 and for few questions. Every question counts: one whose run is missing, has crashed or never came to an
answer is in as a failure.
"""

INPUTS = """
Args:
    predictions (list of bool): For each question, whether the agent's answer was judged right.
    confidence (float): Of the interval; 0.95 by default.

Returns:
    success_rate, low, high (float): The rate and its interval.
    questions (int): How many there are.

Example:
    >>> metric = evaluate.load("lrat/success_rate")
    >>> metric.compute(predictions=[True, False, True, True])
    {'success_rate': 0.75, 'low': 0.300..., 'high': 0.954..., 'questions': 4}
"""

CITATION = """
@inproceedings{zhou2026lrat,
    title={Learning to Retrieve from Agent Trajectories},
    year={2026},
    url={https://huggingface.co/papers/2604.04949}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(DESCRIPTION, INPUTS)
class SuccessRate(evaluate.Metric):
    """See the description above."""

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=datasets.Features({"predictions": datasets.Value("bool")}),
        )

    def _compute(self, predictions, confidence=0.95):
        if not predictions:
            raise ValueError("Expected at least one question in predictions, found none.")
        rate, n = sum(predictions) / len(predictions), len(predictions)
        z = NormalDist().inv_cdf((1 + confidence) / 2)
        centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return {"success_rate": rate, "low": max(0.0, centre - half), "high": min(1.0, centre + half), "questions": n}
