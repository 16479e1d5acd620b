"""Mines weighted training pairs from trajectories (section 5.1 of the LRAT paper).

Publishes config `pairs` (everything known about each pair, documents by id) and, when the corpus is given, configs
`documents` (each document of the pairs once) and `triplets` (ready for SentenceTransformerTrainer). Instead of
trajectories it also takes pairs: mined ones, to judge them again, and files of released ones.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub import cli
from lrat_hub.cli.expected import PlannedArguments
from lrat_hub.cli.options import options_of, settings_of
from lrat_hub.cli.planning import check_judges, plan_mine, show
from lrat_hub.cli.scaled import ScaledArguments, work_folder
from lrat_hub.cli.stage import Stage, parse, say
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.judges.settings import DocumentJudgeSettings
from lrat_hub.mining.settings import MiningOptions
from lrat_hub.option import option
from lrat_hub.queries import QueryStyle
from lrat_hub.scaling.settings import ExecutionSettings

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.documents import Documents
    from lrat_hub.judges import Judge
    from lrat_hub.judges.agreement import Agreement, QrelAgreement
    from lrat_hub.ledger import Ledger
    from lrat_hub.mining.tables import MinedTables, Splits

Counts = dict[str, Any]
SOURCES = ("trajectories", "rejudge", "from_released_pairs")


@dataclass(kw_only=True)
class Arguments(MiningOptions, ScaledArguments, PlannedArguments):
    trajectories: list[str] = option(
        help="Trajectories to mine together; several as ref#config each.", factory=list, group="inputs", recipe=False
    )
    rejudge: str = option("", "Mined pairs to judge again with another judge, without mining again.", group="inputs")
    from_released_pairs: str = option(
        "",
        "Pairs to take as they are: JSONL files, or a dataset of such, in the format of LRAT-Train, "
        "FlagEmbedding or Tevatron.",
        group="inputs",
    )
    corpus: str = option("", "Corpus of the trajectories; without it only ids are published.", group="inputs")
    tokenizer: str = option(
        "words",
        "Model whose tokenizer measures the length of reasoning; 'words' counts words between blanks.",
        group="essentials",
    )
    held_out: str = option(
        "", "Table of docids that must not be trained on, such as those of test questions.", group="inputs"
    )
    qrels: str = option("", "Annotated evidence, to compare the judge with.", group="inputs")
    reweigh: bool = option(
        False, "With --from_released_pairs: compute the weights again, even if the rows have weights."
    )
    triplet_negatives: int = option(
        4, "Negatives per row of config `triplets`; 0 leaves the config out.", group="essentials"
    )
    query_style: QueryStyle = option(
        "plain", "How the anchors of config `triplets` are rendered; see `render_query`.", group="essentials"
    )
    seed: int = option(0, "Random seed of the choice of negatives for config `triplets`.")
    processes: int = option(
        1,
        "Number of processes that read trajectories; the result does not depend on it.",
        group="essentials",
        recipe=False,
    )


JudgeOptions = options_of(DocumentJudgeSettings, "judge")
OPTIONS = (Arguments, JudgeOptions, ExecutionSettings)


def main(argv: list[str] | None = None) -> HubRef | None:
    args, judge_options, execution = parse(argv, "mine", __doc__, *OPTIONS)
    judge_settings = settings_of(judge_options, DocumentJudgeSettings, "judge")
    if args.dry_run:
        return show(*plan_mine(args, judge_settings))
    given = [name for name in SOURCES if getattr(args, name)]
    if len(given) != 1:
        expected, found = ", ".join(f"--{name}" for name in SOURCES), ", ".join(given) or "none"
        raise LratError(f"lrat mine: expected one of {expected}; found {found}.")
    if args.from_released_pairs and judge_settings.judge != "none":
        raise LratError("lrat mine: released pairs hold no reasoning that --judge could read. Leave it out.")
    if args.processes < 1 or args.triplet_negatives < 0:
        raise LratError("lrat mine: expected --processes of 1 or more and --triplet_negatives of 0 or more.")
    if args.rejudge and judge_settings.judge == "none":
        raise LratError("lrat mine: --rejudge expects a judge, found none. Give --judge rule or --judge llm.")

    if execution.executor != "none" and (not args.trajectories or args.processes > 1):
        raise LratError("lrat mine: --executor expects --trajectories, and --workers in the place of --processes.")

    from tqdm import tqdm

    from lrat_hub.documents import Documents
    from lrat_hub.hub.inputs import load_table, load_tokenizer
    from lrat_hub.judges.agreement import evidence_of, qrel_agreement
    from lrat_hub.judges.settings import open_document_judge, pin_judge
    from lrat_hub.ledger import Ledger
    from lrat_hub.ledger.joins import match_ids
    from lrat_hub.mining.bulk import mine_tables
    from lrat_hub.mining.formats import import_pairs, released_files
    from lrat_hub.mining.rejudging import load_pairs, rejudge_tables
    from lrat_hub.mining.tables import document_table
    from lrat_hub.mining.weights import LengthMeasure

    check_judges("mine", judge_settings)
    stage = Stage("mine", args, judge_options, configs=("pairs", "documents", "triplets"))
    names = getattr(args, given[0]) if args.trajectories else [getattr(args, given[0])]
    sources = [
        stage.input(given[0] if len(names) == 1 else f"{given[0]}_{number}", name)
        for number, name in enumerate(names, start=1)
    ]
    corpus = load_table(stage.input("corpus", args.corpus), "corpus", config="corpus") if args.corpus else None
    documents = Documents(corpus) if corpus is not None else None
    held_out = load_table(stage.input("held_out", args.held_out), "document_ids")["docid"] if args.held_out else ()
    qrels = load_table(stage.input("qrels", args.qrels), "qrels", config="qrels_evidence") if args.qrels else None
    tokenizer = None
    if args.tokenizer != "words":
        tokenizer = load_tokenizer(stage.input("tokenizer", args.tokenizer, repo_type="model"))
    judge_model = pin_judge(stage.inputs, judge_settings)
    joins = []
    if args.held_out and documents is not None:
        joins.append(documents.match(held_out, name="held-out documents", what="`held_out`"))
    if qrels is not None and not args.from_released_pairs:
        kind = "trajectories" if args.trajectories else "pairs"
        tables = [load_table(source, kind, config=None if args.trajectories else "pairs") for source in sources]
        asked = (query_id for table in tables if "query_id" in table.column_names for query_id in table["query_id"])
        # Judges may take hours: what there is nothing to compare with is told before.
        joins.append(
            match_ids(asked, qrels["query_id"], wanted_name=f"questions of {kind}",
                      given_name="questions with annotated evidence", what="`qrels`",
                      cure=f"Leave `qrels` out, or give the judgements of the questions of these {kind}.")
        )  # fmt: skip
    for join in joins:
        say(f"  {join}")
    settings, splits, agreements = args.settings(held_out), args.splits, {}
    with tempfile.TemporaryDirectory() as temporary, work_folder(stage, execution, args.work_dir) as work:
        folder = Path(temporary)
        read = tqdm(desc="Trajectories", unit="", disable=None if args.trajectories else True)
        asked = tqdm(desc="Judged", unit="", disable=None if judge_settings.judge == "llm" else True)
        with read, asked, open_document_judge(judge_settings, judge_model, on_ruling=asked.update) as judge:
            if args.trajectories:
                tables = [load_table(source, "trajectories") for source in sources]
                mined = mine_tables(
                    tables, work, settings=settings, measure=LengthMeasure(tokenizer), judge=judge,
                    splits=splits, processes=args.processes, execution=execution, on_read=read.update,
                )  # fmt: skip
            elif args.rejudge:
                assert judge is not None, "refused above"
                pairs, kept = load_pairs(*sources)
                documents = documents or kept
                mined, agreements["with the judge before"] = rejudge_tables(
                    pairs, folder, settings=settings, judge=judge, splits=splits
                )
            else:
                weighting = args.weighting if args.reweigh else None
                mined, documents = import_pairs(released_files(*sources), folder, splits=splits, weighting=weighting)
        if qrels is not None:
            evidence = evidence_of(zip(qrels["query_id"], qrels["docid"], qrels["relevance"], strict=True))
            agreements["with qrels"] = qrel_agreement(
                ((pair.query_id, pair.positive_id, pair.verdict) for pair in mined.pairs()), evidence
            )
        counts = report(mined, judge, agreements, splits) | {"joins": [join.to_dict() for join in joins]}
        published: dict[str, Mapping[str, Dataset]] = {"pairs": dict(mined.splits.items())}
        if documents is not None:
            published["documents"] = {"train": document_table(mined.pairs(), documents)}
            account = Ledger("pairs that are trained on, as triplets")
            if triplets := triplet_tables(mined, documents, args, folder, account):
                published["triplets"] = triplets
                counts["triplets"] = {split: len(table) for split, table in triplets.items()}
                counts["triplets_account"] = account.to_dict()
                say(str(account))
        return stage.publish_dataset(
            published,
            template="pairs",
            counts=counts,
            mined=mined,
            judge=judge,
            agreements=agreements,
            configs=list(published),
            query_style=args.query_style,
            joins=[str(join) for join in joins],
        )


def triplet_tables(
    mined: MinedTables, documents: Documents, args: Arguments, folder: Path, account: Ledger
) -> dict[str, Dataset]:
    """Config `triplets` by split; nothing when it is not wanted or no pair has a negative."""
    from lrat_hub.mining.tables import triplet_table

    tables = {
        split: triplet_table(
            mined.pairs(split, trained=True), documents,
            num_negatives=args.triplet_negatives, seed=args.seed, style=args.query_style,
            path=folder / f"triplets-{split}.arrow", ledger=account,
        )
        for split in (mined.splits if args.triplet_negatives > 0 else ())
    }  # fmt: skip
    return {split: table for split, table in tables.items() if table}


def report(
    mined: MinedTables, judge: Judge | None, agreements: Mapping[str, Agreement | QrelAgreement], splits: Splits
) -> Counts:
    """Says what was mined, and gives the same as figures for the lineage."""
    from lrat_hub.judges.llm import NO_REPLY
    from lrat_hub.mining.pipeline import SILENT, WEIGHTLESS, opens_of

    for ledger in mined.ledger.values():
        if ledger.read:
            say(str(ledger))
    if mined.ledger["trajectories"].kept:
        opens = opens_of(mined.ledger)
        say(str(opens))
        if opens.concern:
            say(f"warning: {opens.concern}")
    counts: Counts = {name: ledger.to_dict() for name, ledger in mined.ledger.items() if ledger.read}
    for name, fit in mined.fits.items():
        say(f"weights of {name}: half-life {fit.half_life:g}, mean before normalisation {fit.mean_raw:.4f}")
    pairs = mined.ledger["pairs"]
    if silent := pairs.notes[SILENT]:
        say(
            f"warning: {silent} of {pairs.kept} trained pairs are of runs without any reasoning: they have the weight "
            "1, which says nothing about the documents. Import logs that have it, or serve with clients that send it."
        )
    if weightless := pairs.notes[WEIGHTLESS]:
        say(
            f"warning: {weightless} of {pairs.kept} trained pairs have the weight 0 and teach nothing: no reasoning "
            "follows their browse, as where an agent answers at once. Uniform `weights` count all pairs alike."
        )
    counts["weights"] = {
        name: {"half_life": fit.half_life, "mean_raw": fit.mean_raw} for name, fit in mined.fits.items()
    }
    counts["splits"] = {split: len(table) for split, table in mined.splits.items()}
    questions = {split: mined.num_questions(split) for split in mined.splits}
    # Each question is drawn by itself, so the shares of few questions are not those that were asked for.
    asked = {"validation": splits.validation, "test": splits.test}
    listed = []
    for split, table in mined.splits.items():
        share = questions[split] / sum(questions.values())
        said = f", {share:.0%}, asked for {asked[split]:.0%}" if split in asked else ""
        listed.append(f"{split}: {len(table)} pairs (questions: {questions[split]}{said})")
    say(f"splits: {'; '.join(listed) or 'none'}")
    if problems := getattr(judge, "problems", None):
        counts["unjudged"] = dict(sorted(problems.items()))
        say("unjudged: " + ", ".join(f"{count} {problem}" for problem, count in counts["unjudged"].items()))
    for name, agreement in agreements.items():
        say(f"agreement {name}: {agreement}")
    counts["agreement"] = {name: agreement.to_dict() for name, agreement in agreements.items()}
    if not mined.num_pairs:
        raise LratError(f"lrat mine: expected pairs, found none: {why_none(mined)}")
    no_replies = counts.get("unjudged", {}).get(NO_REPLY)
    if judge is not None and no_replies and not any(pair.verdict != "unjudged" for pair in mined.pairs()):
        raise LratError(
            f"lrat mine: expected verdicts of {judge.name}, found no reply to any request. Is the server running?"
        )
    return counts


def why_none(mined: MinedTables) -> str:
    """The first kind of items of which nothing was left, and what can be done about it."""
    for ledger in mined.ledger.values():
        if not ledger.kept:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(ledger.dropped.items()))
            if reasons:
                cure = "Change what drops them."
                if ledger.item == "trajectories":
                    cure = "--outcomes and --statuses say which are mined."
                return f"of {ledger.read} {ledger.item} none was kept ({reasons}). {cure}"
            return f"there were no {ledger.item}. Only a document that an agent opened makes a pair: give other runs."
    return "see the counts."


if __name__ == "__main__":
    sys.exit(cli.main(["mine", *sys.argv[1:]]))
