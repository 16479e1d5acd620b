"""Mines weighted training pairs from trajectories (section 5.1 of the LRAT paper).

Publishes config `pairs` (everything known about each pair, documents by id) and, when the corpus is given, configs
`documents` (each document of the pairs once) and `triplets` (ready for SentenceTransformerTrainer).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Literal

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.stage import Stage, StageArguments, parse, say


@dataclass(kw_only=True)
class Arguments(StageArguments):
    trajectories: str = field(metadata={"help": "Trajectories dataset to mine."})
    corpus: str = field(
        default="", metadata={"help": "Corpus of the trajectories; without it only ids are published."}
    )
    profile: Literal["paper"] = field(default="paper", metadata={"help": "How browses become pairs."})
    judge: Literal["rule", "none"] = field(
        default="rule", metadata={"help": "Who judges the reasoning after a browse; 'none' keeps every naive pair."}
    )
    tokenizer: str = field(
        default="words",
        metadata={"help": "Model whose tokens measure reasonings, or 'words' for blank-separated words."},
    )
    negatives: Literal["unbrowsed", "formula"] = field(
        default="unbrowsed",
        metadata={"help": "'unbrowsed' leaves out everything browsed in the trajectory, 'formula' only the positive."},
    )
    outcomes: list[str] = field(
        default_factory=lambda: ["correct", "unknown"],
        metadata={"help": "Trajectories to mine: any of correct, incorrect, unknown."},
    )
    held_out: str = field(
        default="", metadata={"help": "Table of docids that must not be trained on, such as those of test questions."}
    )
    half_life: float | None = field(
        default=None, metadata={"help": "beta of Eq. 3 in tokens; the median if not given."}
    )
    triplet_negatives: int = field(default=4, metadata={"help": "Negatives a row of config `triplets`."})
    seed: int = field(default=0, metadata={"help": "For the choice of the triplets' negatives."})


def main(argv: list[str] | None = None) -> HubRef:
    (args,) = parse(argv, "mine", __doc__, Arguments)
    if args.triplet_negatives < 1:
        raise LratError(f"lrat mine: expected --triplet-negatives of 1 or more, found {args.triplet_negatives}.")

    from lrat_hub.documents import Documents
    from lrat_hub.hub.inputs import load_table, load_tokenizer
    from lrat_hub.importers import load_trajectories
    from lrat_hub.judges import RuleJudge
    from lrat_hub.mining import mine_pairs
    from lrat_hub.tables import document_table, pair_table, triplet_table

    stage = Stage("mine", args)
    trajectories = load_table(stage.input("trajectories", args.trajectories), "trajectories")
    corpus = load_table(stage.input("corpus", args.corpus), "corpus", config="corpus") if args.corpus else None
    held_out = load_table(stage.input("held_out", args.held_out), "document_ids")["docid"] if args.held_out else ()
    tokenizer = None
    if args.tokenizer != "words":
        tokenizer = load_tokenizer(stage.input("tokenizer", args.tokenizer, repo_type="model"))

    result = mine_pairs(
        load_trajectories(trajectories),
        profile=args.profile,
        judge={"rule": RuleJudge(), "none": None}[args.judge],
        tokenizer=tokenizer,
        negatives=args.negatives,
        outcomes=args.outcomes,
        held_out=held_out,
        half_life=args.half_life,
    )
    for ledger in result.ledger.values():
        say(str(ledger))
    counts = {name: ledger.to_dict() for name, ledger in result.ledger.items()}
    if result.weights:
        counts["weights"] = {"half_life": result.weights.half_life, "mean_raw": result.weights.mean_raw}
        say("weights: half-life {half_life:g}, mean before normalisation {mean_raw:.4f}".format(**counts["weights"]))

    if not result.pairs:
        raise LratError("lrat mine: expected pairs, found none (see the counts).")
    tables = {"pairs": {"train": pair_table(result.pairs)}}
    if corpus is not None:
        documents = Documents(corpus)
        tables["documents"] = {"train": document_table(result.pairs, documents)}
        triplets = triplet_table(result.trained, documents, num_negatives=args.triplet_negatives, seed=args.seed)
        if triplets:
            tables["triplets"] = {"train": triplets}
        counts["triplets"] = {
            "rows": len(triplets or ()),
            "left out, no negative": sum(not pair.negative_ids for pair in result.trained),
        }
    return stage.publish_dataset(tables, template="pairs", counts=counts, result=result, configs=list(tables))


if __name__ == "__main__":
    sys.exit(cli.main(["mine", *sys.argv[1:]]))
