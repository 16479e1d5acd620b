"""How often a retriever scores a mined positive above its negatives, weighted as in training."""

import datasets
import evaluate

DESCRIPTION = """
The share of a mined pair's negatives that a retriever scores below its positive (ties count half), averaged over pairs
by their weights. The weights are those that the LRAT paper trains with (Eq. 3): what an agent reasoned about for
longer after it had opened it counts more. With equal weights it is plain pair accuracy.
"""

INPUTS = """
Args:
    predictions (list of list of float): For each pair, the scores of the positive and then of its negatives.
    references (list of float): The pairs' weights, 0 or more.

Returns:
    weighted_pair_accuracy, pair_accuracy (float): By weight, and with all pairs alike.
    pairs (int): Pairs with at least one negative: what both are means of.

Example:
    >>> metric = evaluate.load("lrat/weighted_pair_accuracy")
    >>> metric.compute(predictions=[[0.9, 0.3, 0.1], [0.2, 0.7]], references=[1.5, 0.5])
    {'weighted_pair_accuracy': 0.75, 'pair_accuracy': 0.5, 'pairs': 2}
"""

CITATION = """
@inproceedings{zhou2026lrat,
    title={Learning to Retrieve from Agent Trajectories},
    year={2026},
    url={https://huggingface.co/papers/2604.04949}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(DESCRIPTION, INPUTS)
class WeightedPairAccuracy(evaluate.Metric):
    """See the description above."""

    def _info(self):
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float64")), "references": datasets.Value("float64")}
            ),
        )

    def _compute(self, predictions, references):
        pairs = [
            (sum((positive > score) + (positive == score) / 2 for score in negatives) / len(negatives), weight)
            for (positive, *negatives), weight in zip(predictions, references, strict=True)
            if negatives
        ]
        total = sum(weight for _, weight in pairs)
        if not total > 0 or any(weight < 0 for _, weight in pairs):
            raise ValueError("Expected pairs with negatives and with weights of 0 or more that are not all 0.")
        return {
            "weighted_pair_accuracy": sum(accuracy * weight for accuracy, weight in pairs) / total,
            "pair_accuracy": sum(accuracy for accuracy, _ in pairs) / len(pairs),
            "pairs": len(pairs),
        }
