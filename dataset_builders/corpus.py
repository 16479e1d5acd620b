"""Publishes a corpus with its questions and relevance judgements, out of what others have published.

From Hub datasets or files: one for each table (`--documents`, `--queries`, `--qrels`, `--qrels_gold`), or all of them
at once (`--beir`); docs/corpora.md has what is read, and recipes lie beside this script. Or `--clues`: Wikipedia
passages and two-hop clue questions built from the dump that the gensim distribution carries, with train, dev and test
articles apart.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub import cli
from lrat_hub.cli.stage import Stage, StageArguments, parse, say
from lrat_hub.corpora.collection import ReadSettings
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef

if TYPE_CHECKING:
    from lrat_hub.corpora.collection import Part
    from lrat_hub.hub.inputs import Source

CLUE_CONFIGS = ("corpus", "queries", "qrels_evidence", "clue_queries", "clue_qrels", "held_out")


@dataclass(kw_only=True)
class Arguments(StageArguments):
    documents: str = field(
        default="",
        metadata={
            "group": "inputs",
            "help": "Documents of the corpus: a Hub dataset, a file, a folder of files, or a MediaWiki dump.",
        },
    )
    queries: str = field(
        default="",
        metadata={
            "group": "inputs",
            "help": "Questions: a Hub dataset, or a file such as a TSV of id, question and answer.",
        },
    )
    qrels: str = field(
        default="",
        metadata={
            "group": "inputs",
            "help": "Relevance judgements of evidence documents: a Hub dataset, or a TREC or BEIR file.",
        },
    )
    qrels_gold: str = field(
        default="",
        metadata={
            "group": "inputs",
            "help": "Relevance judgements of documents that hold the answer, in the formats of --qrels.",
        },
    )
    beir: str = field(
        default="",
        metadata={"group": "inputs", "help": "BEIR folder or MTEB dataset with documents, questions and judgements."},
    )
    tokenizer: str = field(
        default="words",
        metadata={
            "help": "Model whose tokenizer counts the tokens of chunks; 'words' counts words separated by blanks."
        },
    )
    strict: bool = field(
        default=False, metadata={"group": "essentials", "help": "Fail, and publish nothing, when any row is dropped."}
    )
    description: str = field(
        default="Documents, questions and evidence as they were given.",
        metadata={"group": "essentials", "help": "Description for the dataset card."},
    )
    license: str = field(
        default="",
        metadata={
            "group": "essentials",
            "help": "License of the texts for the dataset card, as the Hub names it (such as cc-by-sa-4.0).",
        },
    )
    clues: bool = field(
        default=False,
        metadata={
            "group": "inputs",
            "help": "Build the Wikipedia passages and clue questions of the quickstart; takes no other source.",
        },
    )
    seed: int = field(
        default=0, metadata={"help": "Random seed of --clues, which chooses its articles, passages and words."}
    )


def main(argv: list[str] | None = None) -> HubRef:
    args, settings = parse(argv, "corpus", __doc__, Arguments, ReadSettings)
    has_sources = bool(args.documents or args.queries or args.qrels or args.qrels_gold or args.beir)
    if args.clues == has_sources:
        raise LratError("lrat corpus: expected sources (--documents, --queries, --qrels, --beir) or --clues.")
    if settings.deobfuscate and not args.private:
        raise LratError("lrat corpus: --deobfuscate makes plain text that must not become public. Add --private.")
    if settings.chunk_tokens and (args.qrels or args.qrels_gold or args.beir):
        raise LratError(
            "lrat corpus: --chunk_tokens gives the parts of documents ids of their own, which no judgement names. "
            "Leave out the judgements, or the chunks."
        )
    return from_clues(args, settings) if args.clues else from_sources(args, settings)


def from_sources(args: Arguments, settings: ReadSettings) -> HubRef:
    from lrat_hub.corpora import build_collection
    from lrat_hub.corpora.collection import CONFIGS
    from lrat_hub.hub.inputs import load_tokenizer

    stage = Stage("corpus", args, settings, configs=list(CONFIGS.values()), splits=[settings.split])
    sources = pinned_sources(stage, args, settings.split)
    stage.expect([CONFIGS[part] for part in sources], [settings.split])
    tokenizer = None
    if settings.chunk_tokens and args.tokenizer != "words":
        tokenizer = load_tokenizer(stage.input("tokenizer", args.tokenizer, repo_type="model"))
    with tempfile.TemporaryDirectory() as folder:
        made = build_collection(sources, settings, Path(folder), tokenizer=tokenizer, judged_only=bool(args.beir))
        for ledger in made.ledgers.values():
            say(str(ledger))
        if args.strict and made.num_dropped:
            raise LratError(f"lrat corpus: --strict allows no loss, found {made.num_dropped} (see the counts).")
        for join in made.joins:
            say(f"  {join}")
        counts = {name: ledger.to_dict() for name, ledger in made.ledgers.items()}
        counts |= {"joins": [join.to_dict() for join in made.joins]} if made.joins else {}
        return publish(
            stage, made.configs(settings.split), counts, description=args.description, license=args.license,
            joins=[str(join) for join in made.joins],
        )  # fmt: skip


def pinned_sources(stage: Stage, args: Arguments, split: str) -> dict[Part, Source]:
    """Every source at its pin. What is named by an option of its own replaces that part of --beir."""
    from lrat_hub.corpora import as_path, beir_sources

    sources = beir_sources(stage.input("beir", as_path(args.beir)), split) if args.beir else {}
    for part in ("documents", "queries", "qrels", "qrels_gold"):
        if given := getattr(args, part):
            sources[part] = stage.input(part, as_path(given))
    return sources


def from_clues(args: Arguments, settings: ReadSettings) -> HubRef:
    from datasets import Dataset

    from lrat_hub import schema
    from lrat_hub.demo.clues import SPLITS, build_clue_collection
    from lrat_hub.demo.wikipedia import dump_source

    stage = Stage("corpus", args, settings, configs=CLUE_CONFIGS)
    stage.inputs.record("wikipedia", dump_source())
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


def publish(
    stage: Stage, tables: dict, counts: dict, *, description: str, license: str = "", joins: Sequence[str] = ()
) -> HubRef:
    sizes = {config: {split: len(rows) for split, rows in splits.items()} for config, splits in tables.items()}
    return stage.publish_dataset(
        tables, template="corpus", counts=counts, description=description, license=license, sizes=sizes, joins=joins
    )


if __name__ == "__main__":
    sys.exit(cli.main(["corpus", *sys.argv[1:]]))
