"""Builds an index of a corpus: BM25, or the vectors of a SentenceTransformer in FAISS.

Vectors are encoded in shards on disk, so that the same command goes on where a killed run stopped. Several processes
share the work, and the index is the same::

    accelerate launch --multi_gpu --num_processes 8 -m lrat_hub.dataset_builders.index --config RECIPE --to REF

`--multi_gpu` also starts several processes where there is no GPU; there, give `--threads` too.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub import cli
from lrat_hub.cli.stage import ModelArguments, Stage, parse, say
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.retrieval.settings import IndexSettings

if TYPE_CHECKING:
    from lrat_hub.encoders import Cut
    from lrat_hub.hub.inputs import Source
    from lrat_hub.queries import QueryStyle
    from lrat_hub.retrieval.indexes import IndexManifest

# Ranks wait for the slowest one, and then for the first to build the index: that may be hours.
PATIENCE = timedelta(days=14)


@dataclass(kw_only=True)
class Arguments(ModelArguments):
    corpus: str = field(metadata={"group": "inputs", "help": "The corpus to index."})
    model: str = field(
        default="", metadata={"group": "inputs", "help": "The SentenceTransformer that makes the vectors."}
    )
    bm25: bool = field(default=False, metadata={"group": "essentials", "help": "Build a BM25 index instead."})


@dataclass(kw_only=True)
class WorkArguments:
    """How the work is done on this machine; the index is the same."""

    work_dir: str = field(
        default="",
        metadata={"help": "Folder for the shards until the index is published; empty uses HF_HOME.", "recipe": False},
    )
    keep_work: bool = field(
        default=False,
        metadata={
            "help": "Keep the shards after publishing, so that another kind of index can reuse them.",
            "recipe": False,
        },
    )
    threads: int = field(
        default=0,
        metadata={
            "help": "CPU threads of each process; 0 for PyTorch's choice. It can touch the vectors' last bits: give "
            "the same number where one process and several are to give the same index.",
            "recipe": False,
        },
    )


def main(argv: list[str] | None = None) -> HubRef | None:
    """Returns the pin of the index; None in every process but the first."""
    args, settings, work = parse(argv, "index", __doc__, Arguments, IndexSettings, WorkArguments)
    if args.bm25 == bool(args.model):
        raise LratError("lrat index: expected either --model REF or --bm25.")
    return from_words(args, settings) if args.bm25 else from_vectors(args, settings, work)


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


def from_vectors(args: Arguments, settings: IndexSettings, work: WorkArguments) -> HubRef | None:
    import torch
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list
    from huggingface_hub.constants import HF_HOME
    from tqdm import tqdm

    from lrat_hub.documents import Documents
    from lrat_hub.encoders import count_cut_documents, encoding_of, load_encoder, query_style_of, set_token_limit
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.retrieval.dense import normalizes
    from lrat_hub.retrieval.indexes import CORPUS_CONFIG, IndexManifest, corpus_pin, write_vector_index
    from lrat_hub.retrieval.shards import EncodedCorpus
    from lrat_hub.retrieval.vectors import build_index

    ranks = PartialState(cpu=not torch.accelerator.is_available(), timeout=PATIENCE)
    if work.threads:
        torch.set_num_threads(work.threads)
    sources: list[Any] = [None, None]
    stage = None
    if ranks.is_main_process:
        stage = Stage("index", args, settings, work, publishes="model", index=True)
    if stage is not None:
        sources = [stage.input("corpus", args.corpus), stage.input("model", args.model, repo_type="model")]
    # A branch may move between one process's look at it and another's: all take the first one's pins.
    corpus, model_source = broadcast_object_list(sources)
    with ranks.main_process_first():
        table = load_table(corpus, "corpus", config=CORPUS_CONFIG)
        model = load_encoder(model_source, trust_remote_code=args.trust_remote_code, device=str(ranks.device))
    if settings.max_length:
        set_token_limit(model, settings.max_length)
    normalized = normalizes(model)
    if not len(table):
        raise LratError(f"{corpus}: expected at least one document, found none.")
    # Now and not after hours of work: it refuses a docid that occurs twice.
    documents = Documents(table)
    cut = None

    pin = corpus_pin(corpus, str(table.split))
    work_dir = Path(work.work_dir).expanduser() if work.work_dir else Path(HF_HOME) / "lrat" / "index"
    encoded = EncodedCorpus.open(work_dir, model, len(table), settings, corpus_pin=pin, model_pin=str(model_source))
    if stage is not None:
        # Other ranks belong to this run. The lock lasts as long as the process.
        encoded.lock()
        size = len(table) * encoded.dimension * 4
        cut = count_cut_documents(model, table)
        if cut is not None:
            say(f"  {cut}")
        stage.need("vectors", disk=2 * size // (2 if settings.fp16 else 1), folder=work_dir, memory=size)
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

    say(f"building the {settings.kind} index of {len(table)} vectors")
    index = build_index(encoded.shards(), settings)
    stamp = IndexManifest(
        kind=settings.kind,
        corpus=pin,
        model=str(model_source),
        documents=len(table),
        dimension=encoded.dimension,
        settings={
            **settings.encoding(),
            **settings.structure(),
            "max_length": model.max_seq_length,
            "computed_in": str(model.dtype),
            "normalized": normalized,
            "encoding": asdict(encoding_of(model)),
        },
    )
    with stage.output() as folder:
        write_vector_index(folder, index, documents, stamp)
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

    counts: dict[str, Any] = {"documents": stamp.documents, "dimension": stamp.dimension}
    lineage = stage.lineage(counts | ({"cut": cut.to_dict()} if cut else {}))
    card = render_card(
        "index",
        lineage,
        repo_id=stage.target.repo_id,
        stamp=stamp,
        query_style=query_style,
        cut=cut,
        corpus=getattr(corpus, "repo_id", None),
        size=sum(path.stat().st_size for path in folder.iterdir()),
    )
    return stage.publish_model(folder, card=card, lineage=lineage)


if __name__ == "__main__":
    sys.exit(cli.main(["index", *sys.argv[1:]]))
