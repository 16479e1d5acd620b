"""Runs of every kind for BrowseComp-Plus, its judge's verdicts on them, and its own script run over the files.

The script is somebody else's and is not part of this repository: `BROWSECOMP_PLUS` names a checkout of
https://github.com/texttron/BrowseComp-Plus. `python -m tests.evaluation.official` writes down what it prints and
sums up, in numbers, as `official_figures.json`.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

from lrat_hub.evaluation.browsecomp import read_verdicts, submission
from lrat_hub.evaluation.verdicts import VerdictRow
from lrat_hub.schema import Candidate, Step, Trajectory

CHECKOUT = "BROWSECOMP_PLUS"
RECORDED = Path(__file__).parent / "official_figures.json"
QUESTIONS = [str(number) for number in range(1, 841)]

# The module that the script asks for its judge's language model: it knows one reply for each prompt.
JUDGE = """
import json, os, types
from pathlib import Path

Path.glob = lambda self, pattern, glob=Path.glob: sorted(glob(self, pattern), key=lambda path: int(path.stem[4:]))

class SamplingParams:
    def __init__(self, **settings): pass

class LLM:
    def __init__(self, **settings): self.replies = json.load(open(os.environ["REPLIES"]))
    def chat(self, conversations, *settings, **more):
        replies = []
        for ((message,),) in zip(conversations):
            (query_id,) = (name for name in self.replies if f"question {name}?" in message["content"])
            replies.append(types.SimpleNamespace(outputs=[types.SimpleNamespace(text=self.replies[query_id])]))
        return replies
"""


def synthetic(
    seed: int = 16, *, ties: bool = False
) -> tuple[list[Trajectory], dict[str, str], dict[str, dict[str, int]]]:
    """Runs, the judge's replies by question, and the evidence. Some questions have no run, some have two.

    Args:
        ties: Whether confidences are those that judges give, multiples of 5 %, and most answers share theirs.
    """
    rng = random.Random(seed)
    runs, replies, qrels = [], {}, {}
    # How equal confidences are sorted depends on the machine, so that what is recorded has none.
    shares = rng.sample(range(10_000), len(QUESTIONS))
    if ties:
        shares = [round(share, -3) // 2 for share in shares]
    for query_id, share in zip(QUESTIONS, shares, strict=True):
        documents = [str(rng.randrange(100)) for _ in range(12)]
        qrels[query_id] = dict.fromkeys(documents[: rng.randrange(1, 6)], 1)
        kind = rng.choice(
            ["completed"] * 5
            + ["silent", "blank", "limited", "failed", "crashed", "missing", "recorded", "unreadable"]
        )
        percent = share / 100
        replies[query_id] = (
            "I can't say."
            if kind == "unreadable"
            else rng.choice(
                [
                    "extracted_final_answer: x\nreasoning: same\ncorrect: {}\nconfidence: {}%",
                    "**extracted_final_answer:** x\n**correct:** {}\n**confidence:** {}",
                    "correct: {}\nSure: {}",
                ]
            ).format(rng.choice(["yes", "no"]), percent)
        )
        cited = rng.sample(documents, 3)
        citation = rng.choice(
            [
                f"[{cited[0]}] and 【{cited[1]}】.",
                f"[{', '.join(cited)}].",
                f"[see {cited[0]}, [{cited[1]}]] 【{cited[2]}†L1】",
                "none",
            ]
        )
        answer: str | None = f"Explanation: {citation}\nExact Answer: x\nConfidence: {percent}%"
        if kind in ("silent", "crashed"):
            answer = None
        elif kind == "blank":
            answer = " \n"
        if kind == "missing":
            continue
        steps = [
            Step(
                turn,
                "I look.",
                "search",
                (f"query {turn}",),
                tuple(Candidate(0, rank, rng.choice(documents)) for rank in range(1, rng.randrange(1, 5))),
            )
            for turn in range(rng.randrange(4))
        ]
        steps += [Step(len(steps), "", "browse", docid=documents[0])] * rng.randrange(2)
        metadata = "{}"
        if kind in ("recorded", "crashed"):
            steps = []
        if kind == "recorded":
            metadata = json.dumps({"retrieved_docids": documents[:4], "tool_call_counts": {"search": 5}})
        if answer is not None and rng.random() < 0.8:
            steps.append(Step(len(steps), "I know.", "answer"))
        status = kind if kind in ("limited", "failed") else "failed" if kind == "crashed" else "completed"
        for number in range(1 + (rng.random() < 0.05)):
            runs.append(
                Trajectory(
                    f"{query_id}.{number}", query_id + ".0" * (rng.random() < 0.1), f"question {query_id}?",
                    tuple(steps), final_answer=answer, status=status, metadata=metadata, agent="an agent",
                )
            )  # fmt: skip
    return runs, replies, qrels


def replies_as_verdicts(runs: list[Trajectory], replies: dict[str, str], folder: Path) -> list[VerdictRow]:
    """The verdicts of files as the script leaves them; its parser is told by what it reads of the replies above."""
    first = {run.query_id.removesuffix(".0"): run for run in reversed(runs)}
    for query_id, trajectory in first.items():
        reply = replies[query_id]
        judged = trajectory.status == "completed" and (trajectory.final_answer or "").strip()
        verdict = re.search(r"correct:(?:\*\*)? (yes|no)", reply) if judged else None
        confidence = re.search(r"confidence:(?:\*\*)? ([\d.]+)", reply) if judged else None
        result = {"correct": verdict and verdict[1] == "yes", "parse_error": verdict is None}
        result["confidence"] = confidence and float(confidence[1])
        row = {"query_id": query_id, "judge_response": reply if judged else None, "judge_result": result}
        (folder / f"run_{query_id}_eval.json").write_text(json.dumps(row))
    return list(read_verdicts(folder))


def run_official(checkout: Path, folder: Path, *, ties: bool = False) -> tuple[dict, dict]:
    """The figures of the benchmark's script over our run files, and ours over its verdicts."""
    trajectories, replies, qrels = synthetic(ties=ties)
    files = submission(trajectories, [], QUESTIONS, qrels, agent="an agent", retriever="r")
    runs, evaluated, stand_in = folder / "runs" / "ours", folder / "evals", folder / "stand_in"
    for path in (runs, stand_in):
        path.mkdir(parents=True)
    for text in (text for name, text in files.items() if name.startswith("run_")):
        (runs / f"run_{json.loads(text)['query_id']}.json").write_text(text)
    (stand_in / "vllm.py").write_text(JUDGE)
    (folder / "replies.json").write_text(json.dumps(replies))
    truth = [{"query_id": query_id, "query": f"question {query_id}?", "answer": "x"} for query_id in QUESTIONS]
    (folder / "truth.jsonl").write_text("".join(json.dumps(row) + "\n" for row in truth))
    lines = [
        f"{query_id} Q0 {docid} {grade}\n" for query_id, grades in qrels.items() for docid, grade in grades.items()
    ]
    (folder / "qrels.txt").write_text("".join(lines))
    done = subprocess.run(
        [
            sys.executable, checkout / "scripts_evaluation" / "evaluate_run.py",
            "--input_dir", runs, "--eval_dir", evaluated, "--ground_truth", folder / "truth.jsonl",
            "--qrel_evidence", folder / "qrels.txt",
        ],
        env=os.environ | {"PYTHONPATH": str(stand_in), "REPLIES": str(folder / "replies.json")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads((evaluated / "ours" / "evaluation_summary.json").read_text())
    numbers = re.search(
        r"citations: (\d+)/(\d+) \(([\d.]+)%\)\n- Avg citations per response: ([\d.]+)\n"
        r"- Precision \(avg\): ([\d.]+)%\n- Recall \(avg\): ([\d.]+)%",
        done.stdout,
    )
    assert numbers, done.stdout
    citing, total, *rest = numbers.groups()
    names = ("coverage", "citations_per_response", "precision", "recall")
    citations = {"responses": int(total), "responses_with_citations": int(citing)}
    citations |= dict(zip(names, map(float, rest), strict=True))
    ours = submission(trajectories, list(read_verdicts(evaluated)), QUESTIONS, qrels, agent="an agent", retriever="r")
    return figures(summary, citations), figures(
        json.loads(ours["evaluation_summary.json"]), json.loads(ours["citations.json"])
    )


def figures(summary: dict, citations: dict) -> dict:
    """The numbers of a summary; those of single questions as one digest, in the order of the questions."""
    rows = sorted(summary["per_query_metrics"], key=lambda row: int(row["query_id"]))
    return {
        name: summary[name] for name in ("Accuracy (%)", "Recall (%)", "Calibration Error (%)", "avg_tool_stats")
    } | {
        "citations": citations,
        "questions": len(rows),
        "correct": sum(row["correct"] for row in rows),
        "per_query_sha256": hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest(),
    }


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        official, _ = run_official(Path(os.environ[CHECKOUT]), Path(scratch))
    RECORDED.write_text(json.dumps(official, indent=1) + "\n")
