"""Publishes a corpus with its questions and relevance judgements, from Hub datasets or files.

The sources are one for each table (`--documents`, `--queries`, `--qrels`, `--qrels_gold`), or one for all of them
(`--beir`). Documents can also be what agents were shown in their runs (`--trajectories`). docs/corpora.md lists the
formats that are read, and there are recipes beside this script. With `--recorded` it publishes the quickstart's
Wikipedia passages, which the gensim distribution contains, and natural questions about them; the articles of the
splits train, dev and test are disjoint.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from lrat_hub import cli
from lrat_hub.cli.expected import PlannedArguments
from lrat_hub.cli.planning import plan_corpus, show
from lrat_hub.cli.scaled import ScaledArguments, work_folder
from lrat_hub.cli.stage import Stage, parse, say
from lrat_hub.corpora.collection import ReadSettings
from lrat_hub.corpora.shown import ShownTexts
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.option import option
from lrat_hub.scaling.settings import ExecutionSettings

if TYPE_CHECKING:
    from lrat_hub.corpora.collection import Part
    from lrat_hub.hub.inputs import Source
    from lrat_hub.ledger import Ledger

GIVEN = "Documents, questions and evidence as they were given."
SHOWN = "Documents that search agents were shown in their runs."

RECORDED_CONFIGS = ("corpus", "queries", "qrels_evidence", "held_out")


@dataclass(kw_only=True)
class Arguments(ScaledArguments, PlannedArguments):
    documents: str = option(
        "", "Documents of the corpus: a Hub dataset, a file, a folder of files, or a MediaWiki dump.", group="inputs"
    )
    queries: str = option(
        "", "Questions: a Hub dataset, or a file such as a TSV of id, question and answer.", group="inputs"
    )
    qrels: str = option(
        "", "Relevance judgements of evidence documents: a Hub dataset, or a TREC or BEIR file.", group="inputs"
    )
    qrels_gold: str = option(
        "", "Relevance judgements of documents that hold the answer, in the formats of --qrels.", group="inputs"
    )
    beir: str = option("", "BEIR folder or MTEB dataset with documents, questions and judgements.", group="inputs")
    trajectories: list[str] = option(
        help="Trajectories whose agents' result lists and opened documents become the documents, where there is no "
        "corpus; several as ref#config each.",
        factory=list,
        group="inputs",
        recipe=False,
    )
    shown_texts: ShownTexts = option(
        "opened",
        "Texts of documents from `trajectories`: 'opened' prefers what a document was opened with to snippets; "
        "'snippets' prefers snippets, so that opened documents have the same form as the others.",
        group="essentials",
    )
    tokenizer: str = option(
        "words", "Model whose tokenizer counts the tokens of chunks; 'words' counts words separated by blanks."
    )
    strict: bool = option(False, "Fail, and publish nothing, when any row is dropped.", group="essentials")
    description: str = option(
        GIVEN,
        "Description for the dataset card.",
        group="essentials",
    )
    license: str = option(
        "",
        "License of the texts for the dataset card, as the Hub names it (such as cc-by-sa-4.0).",
        group="essentials",
    )
    recorded: bool = option(
        False,
        "Publish the Wikipedia passages and natural questions of the quickstart; takes no other source.",
        group="inputs",
    )


OPTIONS = (Arguments, ReadSettings, ExecutionSettings)


def main(argv: list[str] | None = None) -> HubRef | None:
    """Returns the pin of the corpus; None where only its plan is shown."""
    args, settings, execution = parse(argv, "corpus", __doc__, *OPTIONS)
    if args.dry_run:
        return show(*plan_corpus(args))
    has_sources = bool(
        args.documents or args.queries or args.qrels or args.qrels_gold or args.beir or args.trajectories
    )
    if args.recorded == has_sources:
        raise LratError(
            "lrat corpus: expected sources (--documents, --queries, --qrels, --beir, --trajectories) or --recorded."
        )
    if args.trajectories and (args.documents or args.beir):
        raise LratError("lrat corpus: --trajectories gives the documents. Leave out --documents and --beir, or it.")
    if settings.deobfuscate and not args.private:
        raise LratError("lrat corpus: --deobfuscate makes plain text that must not become public. Add --private.")
    if settings.chunk_tokens and (args.qrels or args.qrels_gold or args.beir):
        raise LratError(
            "lrat corpus: --chunk_tokens gives the parts of documents ids of their own, which no judgement names. "
            "Leave out the judgements, or the chunks."
        )
    if execution.executor != "none" and not settings.chunk_tokens:
        raise LratError("lrat corpus: --executor cuts documents into chunks, found no --chunk_tokens. Give it, too.")
    return from_recorded(args, settings) if args.recorded else from_sources(args, settings, execution)


def from_sources(args: Arguments, settings: ReadSettings, execution: ExecutionSettings) -> HubRef:
    from lrat_hub.corpora import build_collection, shown_documents
    from lrat_hub.corpora.collection import CONFIGS
    from lrat_hub.hub.inputs import load_table, load_tokenizer
    from lrat_hub.schema import Trajectory
    from lrat_hub.storage import rows_of

    stage = Stage("corpus", args, settings, configs=list(CONFIGS.values()), splits=[settings.split])
    sources = pinned_sources(stage, args, settings.split)
    runs = [
        load_table(stage.input("trajectories" if len(args.trajectories) == 1 else f"trajectories_{number}", text),
                   "trajectories")
        for number, text in enumerate(args.trajectories, start=1)
    ]  # fmt: skip
    stage.expect([CONFIGS[part] for part in CONFIGS if part in sources or (runs and part == "documents")],
                 [settings.split])  # fmt: skip

    def read_runs() -> Iterator[Trajectory]:
        return (Trajectory.from_dict(row) for table in runs for row in rows_of(table))

    tokenizer = None
    if settings.chunk_tokens and args.tokenizer != "words":
        tokenizer = load_tokenizer(stage.input("tokenizer", args.tokenizer, repo_type="model"))
    with work_folder(stage, execution, args.work_dir) as work:
        made = build_collection(
            sources, settings, work, tokenizer=tokenizer, judged_only=bool(args.beir), execution=execution,
            documents=partial(
                shown_documents, read_runs, texts=args.shown_texts, max_length=settings.max_length
            ) if runs else None,
        )  # fmt: skip
        for ledger in made.ledgers.values():
            say(str(ledger))
        if args.strict and made.num_dropped:
            raise LratError(f"lrat corpus: --strict allows no loss, found {made.num_dropped} (see the counts).")
        for join in made.joins:
            say(f"  {join}")
        shown = what_was_shown(made.ledgers["documents"]) if runs else ""
        if shown:
            say(f"  note: {shown}")
        counts = {name: ledger.to_dict() for name, ledger in made.ledgers.items()}
        counts |= {"joins": [join.to_dict() for join in made.joins]} if made.joins else {}
        return publish(
            stage, made.configs(settings.split), counts, license=args.license,
            description=f"{SHOWN if runs and args.description == GIVEN else args.description} {shown}".rstrip(),
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


def what_was_shown(ledger: Ledger) -> str:
    """What a corpus of runs holds and lacks, for the person at the terminal and the card."""
    from lrat_hub.corpora.shown import OPENED, SEVERAL, SNIPPET, TITLE

    counts = [f"{ledger.notes[what]} of {ledger.kept} documents were {what}" for what in (OPENED, SNIPPET, TITLE)]
    counts += [f"{ledger.notes[SEVERAL]} were {SEVERAL}"] if ledger.notes[SEVERAL] else []
    differ = ""
    if ledger.notes[OPENED] and ledger.notes[TITLE] > ledger.notes[SNIPPET]:
        differ = (
            " Opened documents have texts and most others a title alone, and a model that is trained on them learns "
            "the form, which figures on the same logs show as a gain: fetch the pages, and give them as --documents."
        )
    elif ledger.notes[OPENED] and ledger.notes[SNIPPET]:
        differ = (
            " Opened documents have other texts than those with a snippet alone, and a model that is trained on them "
            "can learn the difference: lrat corpus with --shown_texts snippets gives all of them snippets."
        )
    return (
        f"{'; '.join(counts)}.{differ} The corpus holds only what agents were shown, so recall over it is optimistic: "
        "what they never found is not there to be confused with. Compare systems by it, and do not quote it as recall "
        "over what they searched."
    )


def from_recorded(args: Arguments, settings: ReadSettings) -> HubRef:
    from datasets import Dataset

    from lrat_hub import schema
    from lrat_hub.demo.recorded import SPLITS, held_out_docids, read_questions
    from lrat_hub.demo.wikipedia import dump_source, read_documents

    stage = Stage("corpus", args, settings, configs=RECORDED_CONFIGS)
    stage.inputs.record("wikipedia", dump_source())
    documents = read_documents()
    asked = {split: [one for one in read_questions() if one.split == split] for split in SPLITS}
    held_out = held_out_docids(documents)

    queries, qrels = {}, {}
    for split, questions in asked.items():
        rows = [
            {"query_id": one.query_id, "query": one.question, "answer": one.answer, "question_id": one.query_id}
            for one in questions
        ]
        judged = [
            {"query_id": one.query_id, "docid": docid, "relevance": 1} for one in questions for docid in one.evidence
        ]
        queries[split] = Dataset.from_list(rows, features=schema.query_features())
        qrels[split] = Dataset.from_list(judged, features=schema.qrel_features())
    rows = [asdict(document) for document in documents.values()]
    tables = {
        "corpus": {"train": Dataset.from_list(rows, features=schema.document_features())},
        "queries": queries,
        "qrels_evidence": qrels,
        "held_out": {"train": Dataset.from_dict({"docid": sorted(held_out)})},
    }
    counts = {
        "documents": len(documents),
        "held_out": len(held_out),
        **{f"questions_{split}": len(questions) for split, questions in asked.items()},
    }
    say(", ".join(f"{name} {count}" for name, count in counts.items()))
    return publish(
        stage,
        tables,
        counts,
        license="cc-by-sa-3.0",
        description=(
            "Passages of English Wikipedia (articles of a dump of 2016, CC BY-SA 3.0 and GFDL; their authors are in "
            "each article's history) and natural questions about them with their evidence, written by a large "
            "language model that had read the articles (Apache-2.0). No article is asked about in two splits; "
            "`held_out` lists the passages of the articles of dev and test, which must not be trained on."
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
