"""Evidence recall of search agents, in both readings."""

import datasets
import evaluate

DESCRIPTION = """
How much of the annotated evidence of a question an agent's searches have listed, over all questions of a benchmark.
`evidence_any` is the share of questions of which any evidence was found: the LRAT paper's reading (section 6.1.3).
`evidence_share` is the mean share of a question's evidence that was found: the reading of BrowseComp-Plus.
"""

INPUTS = """
Args:
    predictions (list of list of str): For each question, the ids of the documents that were found; order and repeats
        don't matter. A question whose run is missing or has crashed is in with an empty list.
    references (list of list of str): For each question, the ids of its evidence documents.

Returns:
    evidence_any, evidence_share (float): See above.
    questions (int): Questions with annotated evidence: what both are means of.

Example:
    >>> metric = evaluate.load("lrat/evidence_recall")
    >>> metric.compute(predictions=[["a", "x"], []], references=[["a", "b"], ["c"]])
    {'evidence_any': 0.5, 'evidence_share': 0.25, 'questions': 2}
"""

CITATION = """
@inproceedings{zhou2026lrat,
    title={Learning to Retrieve from Agent Trajectories},
    year={2026},
    url={https://huggingface.co/papers/2604.04949}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(DESCRIPTION, INPUTS)
class EvidenceRecall(evaluate.Metric):
    """See the description above."""

    def _info(self):
        documents = datasets.Sequence(datasets.Value("string"))
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=datasets.Features({"predictions": documents, "references": documents}),
        )

    def _compute(self, predictions, references):
        shares = [
            len(set(listed) & set(evidence)) / len(set(evidence))
            for listed, evidence in zip(predictions, references, strict=True)
            if evidence
        ]
        if not shares:
            raise ValueError("Expected at least one question with evidence in references, found none.")
        return {
            "evidence_any": sum(share > 0 for share in shares) / len(shares),
            "evidence_share": sum(shares) / len(shares),
            "questions": len(shares),
        }
