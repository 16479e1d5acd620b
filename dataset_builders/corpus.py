"""Publishes a corpus with its questions and relevance judgements.

Either from files (`--documents`, `--queries`, `--qrels`), or `--clues`: Wikipedia passages and two-hop clue questions
built from the dump that the gensim distribution carries, with train, dev and test articles apart.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.stage import Stage, StageArguments, parse, say


@dataclass(kw_only=True)
class Arguments(StageArguments):
    documents: str = field(default="", metadata={"help": "JSONL file of documents: docid, title, text."})
    queries: str = field(default="", metadata={"help": "TSV file of questions: id, question and, if known, answer."})
    qrels: str = field(default="", metadata={"help": "TREC file of the evidence of the questions."})
    clues: bool = field(default=False, metadata={"help": "Build the quickstart's clue questions instead."})
    seed: int = field(default=0, metadata={"help": "Of the choice of passages, articles and clues."})


def main(argv: list[str] | None = None) -> HubRef:
    (args,) = parse(argv, "corpus", __doc__, Arguments)
    if args.clues == bool(args.documents):
        raise LratError("lrat corpus: expected either --documents FILE or --clues.")
    return from_clues(args) if args.clues else from_files(args)


def from_files(args: Arguments) -> HubRef:
    from datasets import Dataset

    from lrat_hub import corpora, schema
    from lrat_hub.hub.inputs import LocalSource, path_digest
    from lrat_hub.ledger import Ledger

    stage = Stage("corpus", args)
    sources = {
        "documents": ("corpus", "train", corpora.read_documents, schema.document_features()),
        "queries": ("queries", "test", corpora.read_queries, schema.query_features()),
        "qrels": ("qrels_evidence", "test", corpora.read_qrels, schema.qrel_features()),
    }
    tables, counts = {}, {}
    for name, (config, split, read, features) in sources.items():
        if not (given := getattr(args, name)):
            continue
        path = Path(given).expanduser()
        if not path.is_file():
            raise LratError(f"lrat corpus: expected a file at {path}, found none. Check --{name}.")
        stage.record(name, str(LocalSource(path, path_digest(path))))
        ledger = Ledger(name)
        rows = list(read(path, ledger))
        say(str(ledger))
        if not rows:
            raise LratError(f"lrat corpus: expected rows in {path}, found none that can be used (see the counts).")
        tables[config] = {split: Dataset.from_list(rows, features=features)}
        counts[name] = ledger.to_dict()
    return publish(stage, tables, counts, description="Documents, questions and evidence as they were given.")


def from_clues(args: Arguments) -> HubRef:
    from datasets import Dataset

    from lrat_hub import schema
    from lrat_hub.clues import SPLITS, build_clue_collection, dump_source

    stage = Stage("corpus", args)
    stage.record("wikipedia", dump_source())
    collection = build_clue_collection(args.seed)

    def table(rows, features) -> Dataset:
        return Dataset.from_list(list(rows), features=features)

    documents = [{"docid": doc.docid, "title": doc.title, "text": doc.text} for doc in collection.documents]
    queries, qrels, clue_queries, clue_qrels = {}, {}, {}, {}
    for split in SPLITS:
        questions = collection.questions[split]
        queries[split] = table(
            (
                {"query_id": q.question_id, "query": q.question, "answer": q.answer, "question_id": q.question_id}
                for q in questions
            ),
            schema.query_features(),
        )
        qrels[split] = table(
            (
                {"query_id": question.question_id, "docid": clue.docid, "relevance": 1}
                for question in questions
                for clue in question.clues
            ),
            schema.qrel_features(),
        )
        clue_queries[split] = table(
            (
                {"query_id": clue.query_id, "query": clue.query, "answer": None, "question_id": question.question_id}
                for question in questions
                for clue in question.clues
            ),
            schema.query_features(),
        )
        clue_qrels[split] = table(
            ({"query_id": clue.query_id, "docid": clue.docid, "relevance": 1} for clue in collection.clues(split)),
            schema.qrel_features(),
        )
    tables = {
        "corpus": {"train": table(documents, schema.document_features())},
        "queries": queries,
        "qrels_evidence": qrels,
        "clue_queries": clue_queries,
        "clue_qrels": clue_qrels,
        "held_out": {"train": Dataset.from_dict({"docid": list(collection.held_out)})},
    }
    counts = {
        "documents": len(documents),
        "held_out": len(collection.held_out),
        **{f"questions_{split}": len(collection.questions[split]) for split in SPLITS},
    }
    say(", ".join(f"{name} {count}" for name, count in counts.items()))
    return publish(
        stage,
        tables,
        counts,
        license="cc-by-sa-3.0",
        description=(
            "Passages of English Wikipedia (articles of a dump of 2016, CC BY-SA 3.0 and GFDL; their authors are in "
            "each article's history) and two-hop cloze questions made from them by rule: words are replaced by "
            "WordNet synonyms. Articles of dev and test are apart from those of train; `held_out` lists their "
            "passages, which must not be trained on. `queries` are whole questions, `clue_queries` their single hops."
        ),
    )


def publish(stage: Stage, tables: dict, counts: dict, *, description: str, license: str = "") -> HubRef:
    sizes = {config: {split: len(rows) for split, rows in splits.items()} for config, splits in tables.items()}
    return stage.publish_dataset(
        tables, template="corpus", counts=counts, description=description, license=license, sizes=sizes
    )


if __name__ == "__main__":
    sys.exit(cli.main(["corpus", *sys.argv[1:]]))
