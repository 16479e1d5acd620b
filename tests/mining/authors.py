"""The authors' own builder of training pairs, run on logs, to hold the profile "released" to it.

Their code is not part of this repository: `LRAT_RELEASE` names a checkout of https://github.com/Yuqi-Zhou/LRAT.
`python -m tests.mining.authors` writes the ids and weights of the samples that it gives into `authors_samples.json`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

CHECKOUT = "LRAT_RELEASE"
RECORDED = Path(__file__).parent / "authors_samples.json"
REAL = Path(__file__).parents[3] / "shared" / "data" / "lrat_release" / "trajectories"
NAMES = ("0", "1", "4", "5", "11", "15")

VERDICTS: dict[str, Callable[[str], bool]] = {
    "all relevant": lambda reasoning: True,
    "all irrelevant": lambda reasoning: False,
    "mixed": lambda reasoning: len(reasoning.split()) % 2 == 0,
}
"""What takes the place of the judge's language model, by the reasoning after a browse."""

Log = dict[str, Any]


def real_logs() -> list[Log]:
    return [json.loads((REAL / f"{name}.json").read_text()) for name in NAMES]


def synthetic_logs(count: int = 40, seed: int = 274) -> list[Log]:
    """Runs in the release's format, with repeats, failures, and documents that nothing listed."""
    rng = random.Random(seed)
    logs = []
    for number in range(count):
        items: list[dict[str, Any]] = []
        for turn in range(rng.randrange(3, 14)):
            items.append(_item("reasoning", " ".join(["word"] * rng.randrange(8))))
            if rng.random() < 0.45:
                docids = [str(rng.randrange(12)) for _ in range(rng.randrange(5))]
                blocks = "\n\n".join(f"DocID:{docid}\n[Title {docid}]\nIts text." for docid in docids)
                shown = f"A search for 'query {turn}' found {len(docids)} results:\n\n## Web Results\n{blocks}"
                shown = shown if docids else f"No results found for 'query {turn}'."
                items.append(_item("tool_call", shown, "search", {"query": [f"query {turn}"]}))
            elif rng.random() < 0.1:
                items.append(_item("tool_call", "Error: Tool other not found", "other", {"of": "no use"}))
            else:
                docid = rng.randrange(14)
                shown = f"Document {docid}:\nIts text." if docid < 12 else f"[Document not found] docid={docid}"
                items.append(_item("tool_call", shown, rng.choice(["get_document", "visit"]), {"docid": docid}))
        items += [_item("reasoning", "So I know."), _item("output_text", "An answer.")]
        logs.append(
            {
                "metadata": {"model": "m", "searcher_type": "bm25"}, "query_id": str(number),
                "query": f"Question {number}?", "tool_call_counts": {}, "tool_call_counts_all": {},
                "status": "completed", "retrieved_docids": [], "result": items,
            }
        )  # fmt: skip
    return logs


def _item(kind: str, output: str, name: str | None = None, arguments: Any = None) -> dict[str, Any]:
    given = None if arguments is None else json.dumps(arguments)
    return {"type": kind, "tool_name": name, "arguments": given, "output": output}


def authors_samples(checkout: Path, logs: Sequence[Log], relevant: Callable[[str], bool]) -> list[list[Any]]:
    """The samples of their code, as `sample` writes them; words between blanks are the tokens of a reasoning."""
    spec = importlib.util.spec_from_file_location("data_builder", checkout / "src" / "data_builder.py")
    assert spec is not None
    assert spec.loader is not None
    builder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builder)

    class Corpus(dict[str, str]):
        """Has every document that exists in the runs: numbers from 12 on are made up by the agents."""

        def __contains__(self, docid: object) -> bool:
            return True

        def __missing__(self, docid: str) -> str:
            return docid

    def tokens(text: str, **options: Any) -> dict[str, list[str]]:
        return {"input_ids": text.split()}

    rows = []
    for number, log in enumerate(logs):
        rows += [
            (number, row) for row in builder.extract_pairs_with_satisfaction_groups(log, tokens, Corpus(), relevant)
        ]
    builder.add_reweight_rate([row for _, row in rows])
    return [
        sample(
            number, row["query"], row["pos_id"][0], row["neg_id"], row["reasoning_len"], row["satisfied"],
            row["reweight_rate"],
        )
        for number, row in rows
    ]  # fmt: skip


def sample(
    log: int, query: str, positive: str, negatives: Sequence[str], length: int, satisfied: bool, weight: float | None
) -> list[Any]:
    """A sample in ids and numbers: of its query there is the beginning of the SHA-256."""
    digest = hashlib.sha256(query.encode()).hexdigest()[:12]
    return [
        log,
        digest,
        positive,
        " ".join(negatives),
        length,
        satisfied,
        None if weight is None else round(weight, 9),
    ]


if __name__ == "__main__":
    release = Path(os.environ[CHECKOUT])
    recorded = {
        f"{name}, {verdicts}": authors_samples(release, logs, judge)
        for name, logs in (("real", real_logs()), ("synthetic", synthetic_logs()))
        for verdicts, judge in VERDICTS.items()
    }
    joined = {name: ",\n".join(map(json.dumps, rows)) for name, rows in recorded.items()}
    lines = [f"{json.dumps(name)}: [\n{rows}\n]" for name, rows in joined.items()]
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n")
