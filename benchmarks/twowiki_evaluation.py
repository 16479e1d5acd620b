"""Everything that `lrat eval` measures, on natural questions: BM25, MiniLM, MiniLM trained, fusion.

The reader answers 300 of the questions of `twowiki` with BM25; its runs are mined and MiniLM is trained on the pairs,
with the anchor. All systems then answer the other 100 questions, and the searches that the reader made for those; the
reader answers them with each system; and `lrat eval report` makes a page of it all, in the work folder, too.
Needs the folder `twowiki` (corpus.jsonl, queries.tsv, qrels_evidence.txt)::

    python benchmarks/twowiki_evaluation.py --data twowiki --work work

Everything runs on a Hub of its own, in the work folder. With `--base` only the untrained systems, on all questions.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from lrat_hub.localhub import LocalHub

TRAINED_ON = 300
RECIPE = ["--config", "training/tiny_cpu", "--check_passages", "0"]
LENGTH = ["--max_length", "128"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--base", action="store_true", help="no training")
    args = parser.parse_args()
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    with LocalHub(work / "hub") as hub:
        # Before any Hugging Face library is imported: they read their environment then.
        os.environ |= hub.env | {"HF_HOME": str(work / "hf")}
        evaluate_base(args.data) if args.base else evaluate_loop(args.data, work)


def evaluate_base(data: Path) -> None:
    from lrat_hub.demo.bases import publish_base

    corpus = publish_corpus(data, data / "queries.tsv", "lrat/twowiki")
    evaluate(corpus, "lrat/twowiki-base", "--models", publish_base("minilm", "lrat/minilm"))


def evaluate_loop(data: Path, work: Path) -> None:
    from lrat_hub.demo.bases import publish_base

    lines = (data / "queries.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    parts = {"train": lines[:TRAINED_ON], "test": lines[TRAINED_ON:]}
    corpora, runs, pairs = {}, {}, {}
    base = publish_base("minilm", "lrat/minilm")
    for name, part in parts.items():
        questions = work / f"{name}.tsv"
        questions.write_text("".join(part), encoding="utf-8")
        corpora[name] = corpus = publish_corpus(data, questions, f"lrat/twowiki-{name}")
        runs[name] = lrat("rollout", "--agent", "reader", "--retriever", "bm25", "--corpus", corpus,
                          "--queries", corpus, "--to", f"lrat/twowiki-runs-{name}")  # fmt: skip
        pairs[name] = lrat("mine", "--trajectories", runs[name], "--corpus", corpus, "--tokenizer", base,
                           "--to", f"lrat/twowiki-pairs-{name}")  # fmt: skip
    trained = lrat("train", *RECIPE, "--pairs", pairs["train"], "--model", base, "--to", "lrat/minilm-twowiki")
    test = corpora["test"]
    made = ["index", "--corpus", test, "--keep_work", *LENGTH]
    indexes = [f"index:{lrat(*made, '--model', model, '--to', f'{model.repo_id}-index')}" for model in (base, trained)]
    alone = evaluate(test, "lrat/twowiki-retrieval", "--models", base, trained, "--trajectories", runs["test"],
                     "--pairs", pairs["test"], "--results_into", trained.repo_id)  # fmt: skip
    inside, _ = lrat("eval", "agents", "--agents", "reader", "--retrievers", "bm25", *indexes, f"bm25+{indexes[1]}",
                     "--names", "BM25", "MiniLM", "trained", "BM25 + trained", "--baselines", "trained=MiniLM",
                     "--k", "3", "10", "--answer_judge", "match", "--second_judge", "containment",
                     "--benchmark", "2Wiki", "--corpus", test, "--queries", test, "--qrels", test,
                     "--to", "lrat/twowiki-agents", "--results_into", trained.repo_id)  # fmt: skip
    lrat("eval", "report", "--evaluations", alone, inside, "--folder", work / "report", "--to", "lrat/twowiki-report")


def publish_corpus(data: Path, questions: Path, to: str) -> Any:
    return lrat("corpus", "--documents", data / "corpus.jsonl", "--queries", questions,
                "--qrels", data / "qrels_evidence.txt", "--to", to)  # fmt: skip


def evaluate(corpus: Any, to: str, *words: Any) -> Any:
    from huggingface_hub import DatasetCard

    pin, _ = lrat("eval", "retrieval", "--corpus", corpus, "--queries", corpus, "--qrels", corpus, "--fusion",
                  *LENGTH, "--to", to, *words)  # fmt: skip
    print(DatasetCard.load(pin.repo_id).text)
    return pin


def lrat(*words: Any) -> Any:
    from lrat_hub import cli

    return cli.run([str(word) for word in words])


if __name__ == "__main__":
    main()
