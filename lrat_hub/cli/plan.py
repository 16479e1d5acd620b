"""Estimates the hours and the bytes of a whole loop at a scale, and says what breaks first. Runs nothing.

Sizes follow from formulas; speeds were measured or published, and `--sources` says where. Give a recipe with these
options, or the options. `--dry_run` of a stage says what that stage needs on this machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lrat_hub.cli.parsing import parse
from lrat_hub.cli.stage import say
from lrat_hub.option import option
from lrat_hub.retrieval.settings import IndexSettings, Kind

GB = 10**9
SHOWN_LIMITS = 5


@dataclass(kw_only=True)
class Arguments:
    documents: int = option(help="Number of documents of the corpus.", group="essentials")
    document_tokens: int = option(512, "Tokens of a document, on average.", group="essentials")
    retrievers: list[str] = option(
        factory=lambda: ["bm25"], help="Models that search the corpus, and bm25.", group="essentials"
    )
    kind: Kind = option("flat", "Kind of index; see lrat index --help.", group="essentials")
    fp16: bool = option(True, "Whether vectors are stored as float16 instead of float32.")
    questions: int = option(
        0, "Questions of a round of collection and training, each asked with every retriever.", group="essentials"
    )
    sessions: int = option(0, "Sessions of agents in production per day.", group="essentials")
    judged: float = option(1.0, "Share of the sessions whose opened documents a language model judges.")
    gpus: int = option(8, "Number of GPUs.", group="essentials")
    gpu_gb: int = option(80, "Memory of each GPU, in GB.")
    cores: int = option(64, "Number of CPU cores.", group="essentials")
    memory_gb: int = option(1_000, "Memory of the machine, in GB.")
    sources: bool = option(False, "Show where each speed is from.")


def main(argv: list[str] | None = None) -> None:
    (args,) = parse(argv, "plan", __doc__, Arguments)

    from lrat_hub.hub.cards import markdown_table
    from lrat_hub.planning import model_size
    from lrat_hub.planning.scale import RATES, Workload, limits_of, table_of

    store = "/FOLDER/NAME.lance" if args.kind == "lancedb" else ""
    work = Workload(
        args.documents, args.retrievers, args.document_tokens, IndexSettings(args.kind, args.fp16, store=store),
        args.questions, args.sessions, args.judged, args.gpus, args.gpu_gb * GB, args.cores, args.memory_gb * GB,
    )  # fmt: skip
    limits = limits_of(work)
    say(
        f"{work.documents:,} documents of {work.tokens} tokens, with {work.gpus} "
        f"GPU{'s' if work.gpus != 1 else ''} of {args.gpu_gb} GB, "
        f"{work.cores} cores and {args.memory_gb:,} GB of memory: an estimate, right to a factor of about two"
    )
    for name in work.retrievers:
        if (size := model_size(name)) is not None and name != "bm25":
            say(
                f"  {name}: {size.parameters / 1e6:,.0f} million parameters, vectors of {size.vector:,} numbers, "
                f"by {'its files' if size.source == 'its repository' else 'the table of known models'}"
            )
    say(markdown_table(table_of(work)))
    broken = [limit for limit in limits if limit.share > 1]
    say("what breaks, worst first:" if broken else "nothing breaks; what comes nearest to it:")
    for limit in limits[:SHOWN_LIMITS]:
        if limit.share > 1 or not broken:
            share = f"{limit.share:.0%} of what there is. " if math.isfinite(limit.share) else ""
            say(f"  {limit.name}: {share}{limit.remedy}")
    if args.sources:
        for name, rate in RATES.items():
            say(f"  {name}: {rate.value:,.6g} {rate.source}")
