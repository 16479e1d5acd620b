"""Builds an index of a corpus: BM25, the vectors of a SentenceTransformer in FAISS, or those of all tokens by a
MultiVectorEncoder (late interaction).

Vectors are encoded in shards on disk, so that the same command resumes a run that was killed. Several processes can
share the work and build the same index:

    accelerate launch --multi_gpu --num_processes 8 -m lrat_hub.dataset_builders.index --config RECIPE --to REF

On a machine without a GPU, `--multi_gpu` starts several processes as well; give `--threads` there, too.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub import cli
from lrat_hub.cli.expected import PlannedArguments
from lrat_hub.cli.planning import plan_index, show
from lrat_hub.cli.stage import ModelArguments, Stage, parse, say
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.option import option
from lrat_hub.retrieval.settings import IndexSettings
from lrat_hub.scaling.settings import ExecutionSettings

if TYPE_CHECKING:
    from lrat_hub.encoders import Cut
    from lrat_hub.hub.inputs import Source
    from lrat_hub.queries import QueryStyle
    from lrat_hub.retrieval.indexes import IndexManifest

# Ranks wait for the slowest one, and then for the first to build the index: that may be hours.
PATIENCE = timedelta(days=14)


@dataclass(kw_only=True)
class Arguments(ModelArguments, PlannedArguments):
    corpus: str = option(help="The corpus to index.", group="inputs")
    model: str = option("", "The SentenceTransformer or MultiVectorEncoder that makes the vectors.", group="inputs")
    bm25: bool = option(False, "Build a BM25 index instead.", group="essentials")


@dataclass(kw_only=True)
class WorkArguments:
    """How the work is done on this machine; the index is the same."""

    work_dir: str = option("", "Folder for the shards until the index is published; empty uses HF_HOME.", recipe=False)
    keep_work: bool = option(
        False, "Keep the shards after publishing, so that another kind of index can reuse them.", recipe=False
    )
    threads: int = option(
        0,
        "CPU threads of each process; 0 for PyTorch's choice. It can touch the vectors' last bits: give "
        "the same number where one process and several are to give the same index.",
        recipe=False,
    )


OPTIONS = (Arguments, IndexSettings, WorkArguments, ExecutionSettings)


def main(argv: list[str] | None = None) -> HubRef | None:
    """Returns the pin of the index; None in every process but the first."""
    args, settings, work, execution = parse(argv, "index", __doc__, *OPTIONS)
    if args.bm25 == bool(args.model):
        raise LratError("lrat index: expected either --model REF or --bm25.")
    if args.dry_run:
        return show(*plan_index(args, settings))
    return from_words(args, settings) if args.bm25 else from_vectors(args, settings, work, execution)


def from_words(args: Arguments, settings: IndexSettings) -> HubRef:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise LratError("lrat index --bm25: expected one process, found several. Run it without accelerate launch.")

    from lrat_hub.documents import Documents
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.retrieval.bm25 import STOPWORDS, BM25Retriever
    from lrat_hub.retrieval.indexes import CORPUS_CONFIG, IndexManifest, corpus_pin, write_bm25_index

    stage = Stage("index", args, settings, publishes="model", index=True)
    corpus = stage.input("corpus", args.corpus)
    table = load_table(corpus, "corpus", config=CORPUS_CONFIG)
    documents = Documents(table)
    retriever = BM25Retriever(documents.in_order(), k1=settings.k1, b=settings.b)
    stamp = IndexManifest(
        kind="bm25",
        corpus=corpus_pin(corpus, str(table.split)),
        model=None,
        documents=len(documents),
        dimension=None,
        settings={"k1": settings.k1, "b": settings.b, "stopwords": STOPWORDS},
    )
    with stage.output() as folder:
        write_bm25_index(folder, retriever, documents, stamp)
        return publish(stage, folder, stamp, corpus)


def from_vectors(
    args: Arguments, settings: IndexSettings, work: WorkArguments, execution: ExecutionSettings
) -> HubRef | None:
    import torch
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list
    from huggingface_hub.constants import HF_HOME
    from tqdm import tqdm

    from lrat_hub.documents import Documents
    from lrat_hub.encoders import count_cut_documents, encoding_of, is_late, late_encoding_of, query_style_of
    from lrat_hub.retrieval.coded import measured_recall, recall_in_words, sampled_queries
    from lrat_hub.retrieval.dense import encode_queries, normalizes
    from lrat_hub.retrieval.encoding import EncodingWork, encode_elsewhere
    from lrat_hub.retrieval.indexes import (
        DOCIDS_FILE,
        IndexManifest,
        corpus_pin,
        write_docids,
        write_vector_index,
    )
    from lrat_hub.retrieval.late import EncodedTokens, estimated_tokens
    from lrat_hub.retrieval.stores import require_new_table
    from lrat_hub.retrieval.vectors import build_memory

    ranks = PartialState(cpu=not torch.accelerator.is_available(), timeout=PATIENCE)
    if ranks.num_processes > 1 and execution.executor != "none":
        raise LratError("lrat index: expected either accelerate launch or --executor, found both. Leave one out.")
    sources: list[Any] = [None, None]
    stage = None
    if ranks.is_main_process:
        stage = Stage("index", args, settings, work, publishes="model", index=True)
    if stage is not None:
        sources = [stage.input("corpus", args.corpus), stage.input("model", args.model, repo_type="model")]
    # A branch may move between one process's look at it and another's: all take the first one's pins.
    corpus, model_source = broadcast_object_list(sources)
    encoding = EncodingWork(
        corpus,
        model_source,
        settings,
        Path(work.work_dir).expanduser().resolve() if work.work_dir else Path(HF_HOME) / "lrat" / "index",
        device=execution.device or str(ranks.device),
        threads=work.threads or torch.get_num_threads(),
        trust_remote_code=args.trust_remote_code,
    )
    with ranks.main_process_first():
        opened = encoding.open()
    table, model, encoded = opened.table, opened.model, opened.encoded
    normalized = None if is_late(model) else normalizes(model)
    # Now and not after hours of work: it refuses a docid that occurs twice.
    documents = Documents(table)
    cut = None

    pin = corpus_pin(corpus, str(table.split))
    if not is_late(model):
        settings.require(len(table), encoded.dimension)
        if settings.store and stage is not None:
            require_new_table(settings.store)
    if stage is not None:
        # Other ranks belong to this run. The lock lasts as long as the process.
        encoded.lock()
        vectors = len(table)
        if is_late(model):
            vectors = estimated_tokens(model, len(table), lambda row: documents[str(table[row]["docid"])].content)
            say(f"  about {vectors:,} tokens have a vector of {encoded.dimension} numbers")
        size = vectors * encoded.dimension * (2 if settings.fp16 else 4)
        cut = count_cut_documents(model, table)
        if cut is not None:
            say(f"  {cut}")
        # Shards of tokens are copied into the index.
        memory = 0 if is_late(model) else build_memory(len(table), encoded.dimension, settings)
        stage.need("vectors", disk=2 * size, folder=encoding.work_dir, memory=memory)
    if execution.executor != "none":
        encode_elsewhere(encoding, encoded, execution)
    else:
        share = {"rank": ranks.process_index, "ranks": ranks.num_processes}
        with tqdm(
            desc=f"Encoding for process {ranks.process_index + 1} of {ranks.num_processes}",
            total=encoded.share(**share),
            unit=" documents",
        ) as bar:
            encoded.encode(model, table, **share, on_documents=bar.update)
    ranks.wait_for_everyone()
    if stage is None:
        return None

    shaped: dict[str, Any]
    with stage.output() as folder:
        if isinstance(encoded, EncodedTokens):
            assert is_late(model)
            count = encoded.tokens()
            say(f"writing the vectors of {count} tokens")
            encoded.write(folder)
            write_docids(folder / DOCIDS_FILE, documents)
            shaped = {"tokens": count, "encoding": asdict(late_encoding_of(model))}
        else:
            assert not is_late(model)
            say(f"building the {settings.kind} index of {len(table)} vectors")
            shards = encoded.shards()
            index, structure = write_vector_index(folder, shards, settings, documents, threads=work.threads or 1)
            shaped = {**structure, "normalized": normalized, "encoding": asdict(encoding_of(model))}
            if settings.kind != "flat":
                texts = sampled_queries((document.content for document in documents.in_order()), len(table))
                queries = encode_queries(model, texts, batch_size=settings.batch_size)
                shaped["recall"] = measured_recall(index, shards, queries)
                say(f"  {recall_in_words(shaped['recall'])}")
        stamp = IndexManifest(
            kind="late" if isinstance(encoded, EncodedTokens) else settings.kind,
            corpus=pin,
            model=str(model_source),
            documents=len(table),
            dimension=encoded.dimension,
            settings={
                **settings.encoding(),
                "max_length": model.max_seq_length,
                "computed_in": str(model.dtype),
                **shaped,
            },
        )
        stamp.write(folder)
        published = publish(stage, folder, stamp, corpus, query_style_of(model_source), cut)
    encoded.unlock()
    if not work.keep_work:
        encoded.remove()
    return published


def publish(
    stage: Stage,
    folder: Path,
    stamp: IndexManifest,
    corpus: Source,
    query_style: QueryStyle = "plain",
    cut: Cut | None = None,
) -> HubRef:
    from lrat_hub.hub.cards import render_card
    from lrat_hub.retrieval.coded import recall_in_words

    recall = stamp.settings.get("recall")
    counts: dict[str, Any] = {"documents": stamp.documents, "dimension": stamp.dimension}
    lineage = stage.lineage(counts | ({"cut": cut.to_dict()} if cut else {}))
    card = render_card(
        "index",
        lineage,
        repo_id=stage.target.repo_id,
        stamp=stamp,
        query_style=query_style,
        cut=cut,
        recall=recall_in_words(recall) if recall else "",
        corpus=getattr(corpus, "repo_id", None),
        size=sum(path.stat().st_size for path in folder.iterdir()),
    )
    return stage.publish_model(folder, card=card, lineage=lineage)


if __name__ == "__main__":
    sys.exit(cli.main(["index", *sys.argv[1:]]))
