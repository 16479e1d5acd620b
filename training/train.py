"""Trains a retriever, or a reranker, on mined pairs with the weighted loss (sections 5.2.2 and 6.1.4 of the paper).

Publishes a complete repository of the base's kind: a SentenceTransformer, a MultiVectorEncoder (late interaction), or
a CrossEncoder. The defaults are the paper's settings; recipes for other sizes lie beside this script. On several
devices: `accelerate launch -m lrat_hub.training.train ...`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub import cli
from lrat_hub.cli.expected import PlannedArguments
from lrat_hub.cli.planning import plan_training, show
from lrat_hub.cli.stage import ModelArguments, Stage, parse, say
from lrat_hub.cli.training import RunArguments, need_training
from lrat_hub.encoders import FAMILIES
from lrat_hub.errors import LratError
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.hub.refs import HubRef
from lrat_hub.option import option

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.encoders import Encoding, LateEncoding, Scoring
    from lrat_hub.hub.inputs import Source
    from lrat_hub.schema import Document

CURVE_FILE = "loss_curve.png"


@dataclass(kw_only=True)
class Arguments(ModelArguments, PlannedArguments):
    pairs: str = option(help="Mined pairs, with configs `pairs` and `documents`.", group="inputs")
    model: str = option(
        help="The SentenceTransformer, MultiVectorEncoder or CrossEncoder to start from.", group="inputs"
    )
    teacher: str = option(
        "", "CrossEncoder whose scores the retriever learns from, with `loss` kl or margin_mse.", group="inputs"
    )
    corpus: str = option(
        "", "Corpus to evaluate on before and after training; needs `queries` and `qrels`.", group="inputs"
    )
    queries: str = option("", "Development queries to evaluate with; never the test queries.", group="inputs")
    qrels: str = option("", "Relevance judgements of the development queries.", group="inputs")
    negatives_from: str = option(
        "",
        "Retriever, such as bm25, whose results for a pair's query become further negatives; it searches "
        "the corpus, or else the pairs' documents.",
        group="essentials",
    )
    negatives_depth: int = option(20, "Number of results of `negatives_from` that are looked at for a query.")
    check_passages: int = option(
        500,
        "Passages of the forgetting check, which compares content retrieval before and after "
        "training, in the corpus or else in at most 2,000 of the pairs' documents; 0 skips it.",
        group="essentials",
    )
    family: str = option("", f"Family whose prompts replace the model's own: {', '.join(FAMILIES)}.")
    query_prompt: str | None = option(None, "Text put before every query, in place of the model's own prompt.")
    document_prompt: str | None = option(None, "Text put before every document, in place of the model's own prompt.")


@dataclass(kw_only=True)
class RetrieverRunArguments(RunArguments):
    push_checkpoints: bool = option(
        False, "Publish every checkpoint as a revision of the branch `<branch>-checkpoints`.", recipe=False
    )
    allow_unchanged: bool = option(
        False, "Publish a model that training has left as it was, and end with success.", recipe=False
    )
    workers: int = option(0, "Number of processes that read and tokenize beside the training process.", recipe=False)


OPTIONS = (Arguments, FitSettings, RetrieverRunArguments)


def main(argv: list[str] | None = None) -> HubRef | None:
    args, settings, run = parse(argv, "train", __doc__, *OPTIONS)
    if args.dry_run:
        return show(*plan_training("train", args, settings))
    if len({bool(args.corpus), bool(args.queries), bool(args.qrels)}) > 1:
        raise LratError("lrat train: --corpus, --queries and --qrels go together, or are all left out.")
    if bool(args.teacher) != settings.distils:
        raise LratError("lrat train: --teacher goes with --loss kl or margin_mse, and these with a teacher.")
    if args.negatives_depth < 1 or (args.negatives_depth != Arguments.negatives_depth and not args.negatives_from):
        raise LratError("lrat train: --negatives_depth is 1 or more, and goes with --negatives_from.")
    run.check()

    # Before torch is imported, which takes long where many do it: what can't be published is told at once.
    stage = Stage("train", args, settings, run, publishes="model")

    from sentence_transformers import CrossEncoder

    from lrat_hub.documents import Documents
    from lrat_hub.encoders import (
        ModelConfig,
        as_master_weights,
        encoding_of,
        is_late,
        late_encoding_of,
        load_ranker,
        load_reranker,
        query_style_of,
        read_model_config,
        scoring_of,
        set_prompts,
        write_model_config,
    )
    from lrat_hub.evaluation.benchmark import Benchmark
    from lrat_hub.evaluation.training import TrainingEvaluation
    from lrat_hub.fitting import (
        Teacher,
        TrainingRows,
        add_negatives,
        choose_settings,
        count_cut_texts,
        fit_retriever,
        loss_curve,
        require_movement,
        split_questions,
        summarise,
    )
    from lrat_hub.fitting.kinds import kind_of
    from lrat_hub.fitting.runs import from_first, is_first
    from lrat_hub.hub.cards import model_metadata, render_card
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.retrieval.opening import RetrieverOpener

    def resolve_inputs() -> dict[str, Source]:
        names = [name for name in ("pairs", "corpus", "queries", "qrels") if getattr(args, name)]
        references = {name: stage.input(name, getattr(args, name)) for name in names}
        models = [name for name in ("model", "teacher") if getattr(args, name)]
        return references | {name: stage.input(name, getattr(args, name), repo_type="model") for name in models}

    sources = from_first(resolve_inputs)
    work_dir = run.folder(stage)
    pairs = load_table(sources["pairs"], "pairs", config="pairs")
    documents = Documents(load_documents(sources["pairs"]))
    model = load_ranker(sources["model"], trust_remote_code=args.trust_remote_code)
    reranks, late = isinstance(model, CrossEncoder), is_late(model)
    teacher = None
    if args.teacher:
        source = sources["teacher"]
        teacher = Teacher(load_reranker(source), str(source), query_style_of(source))
    # Before and after are compared in the same precision, whatever the file holds.
    base_dtype = as_master_weights(model)
    settings, choices = choose_settings(model, settings)
    for choice in choices:
        stage.choose(**{choice.name: choice.value})
        say(f"  {choice}")
    set_prompts(model, args.family, query=args.query_prompt, document=args.document_prompt)
    named: Mapping[str, Document] = documents
    if args.negatives_from:
        opener = RetrieverOpener(sources.get("corpus"), None if args.corpus else documents, inputs=stage.inputs)
        pairs = add_negatives(pairs, opener.open(args.negatives_from, input_name="first_stage"), args.negatives_depth)
        named = ChainMap(documents, opener.documents)  # type: ignore[arg-type]
    trained, kept = split_questions(pairs, settings.validation_share, seed=settings.seed)
    rows = TrainingRows(trained, named, settings)
    validation = TrainingRows(kept, named, settings) if kept else None
    # Before anything is encoded: a base that can't be trained so is not evaluated either.
    kind_of(model).require_rows(rows, settings)
    if teacher is not None:
        teacher.require_style(settings)
    say(f"train: {summarise(rows, settings, reranks=reranks)}")
    cuts = count_cut_texts(model, rows) if is_first() else []
    for cut in cuts:
        say(f"  {cut}")
    if validation:
        say(f"  {len(validation)} pairs of other questions are kept to validate on")

    before, evaluation = {}, TrainingEvaluation()
    if is_first():
        task = Benchmark.load(*(sources[name] for name in ("corpus", "queries", "qrels"))) if args.queries else None
        evaluation = TrainingEvaluation.of(
            task,
            documents,
            passages=args.check_passages,
            max_length=settings.pair_length if reranks else settings.document_length,
        )
        if evaluation.left_out:
            say(f"  forgetting check skipped: {evaluation.left_out}")
        if cost := evaluation.reranking_cost if reranks or late else evaluation.cost:
            say(f"  before and after training each, for the verdict: {cost}")
        base_config = read_model_config(sources["model"]) or ModelConfig()
        before = evaluation.score(model, base_config.query_style)
    need_training(stage, model)
    fitted = fit_retriever(
        model, rows, settings, validation=validation, work_dir=work_dir, report_to=run.report_to,
        run_name=stage.target.repo_id, workers=run.workers,
        on_checkpoint=checkpoint_publisher(stage, settings) if run.push_checkpoints else None, base_dtype=base_dtype,
        teacher=teacher,
    )  # fmt: skip
    if not is_first():
        return None
    assert fitted.movement is not None
    moved = fitted.movement
    frozen = f"; the embeddings and {settings.frozen_layers} layers are frozen" if settings.frozen_layers else ""
    say(f"  {'unchanged: ' if moved.unchanged else ''}{moved}{frozen}")
    require_movement(moved, allowed=run.allow_unchanged)
    model = fitted.model
    with stage.output(keep_unfinished=True) as folder:
        # Before anything else can go wrong: what took hours is on the disk.
        model.save_pretrained(str(folder), create_model_card=False)
        write_model_config(folder, ModelConfig(settings.query_style))
        result = evaluation.compare(before, evaluation.score(model, settings.query_style))
        results = [change.to_dict() for change in result.changes]
        for row in results:
            say("  {benchmark} {metric}: base {base:.3f}, trained {trained:.3f}, {difference}".format(**row))

        encoding: Scoring | LateEncoding | Encoding
        if isinstance(model, CrossEncoder):
            encoding = scoring_of(model)
        else:
            encoding = late_encoding_of(model) if is_late(model) else encoding_of(model)
        counts = {
            "pairs": len(pairs), "trained_pairs": len(rows), "validation_pairs": len(validation or ()),
            "final_loss": fitted.final_loss, "best_step": fitted.best_step, "development": results,
            "verdict": result.verdict, "movement": moved.to_dict(), "encoding": asdict(encoding),
            "cut": [cut.to_dict() for cut in cuts], "chosen": {choice.name: str(choice) for choice in choices},
        }  # fmt: skip
        lineage, kind = stage.lineage(counts), "reranker" if reranks else "late_interaction" if late else ""
        (folder / CURVE_FILE).write_bytes(loss_curve(fitted.log, fitted.best_step))
        card = render_card(
            kind or "model",
            lineage,
            repo_id=stage.target.repo_id,
            metadata=model_metadata(
                kind or "retriever",
                base_model=sources["model"],
                datasets=[sources["pairs"]],
            ),
            encoding=encoding,
            movement=moved,
            chosen=choices,
            prompts={name: prompt for name, prompt in model.prompts.items() if prompt},
            query_style=settings.query_style,
            curve=CURVE_FILE,
        )
        published = stage.publish_model(folder, card=card, lineage=lineage, kind=kind)
    say(f"verdict: {result.verdict}")
    return published


def load_documents(source: Source) -> Dataset:
    from lrat_hub.hub.inputs import load_table

    try:
        # Whatever split of the pairs is named, their documents are in one table.
        return load_table(replace(source, config="documents", split=None), "documents")
    except LratError as error:
        raise LratError(f"{error} Pairs have their documents with them when `lrat mine` is given --corpus.") from error


def checkpoint_publisher(stage: Stage, settings: FitSettings) -> Callable[[Path, int], None]:
    """Publishes a checkpoint's model, without what only serves to go on, to a branch beside the target's."""
    from lrat_hub.encoders import ModelConfig, write_model_config
    from lrat_hub.fitting.runs import TRAINING_STATE
    from lrat_hub.hub.cards import render_card
    from lrat_hub.hub.publish import CARD_FILE, publish_folder

    target = replace(stage.target, revision=f"{stage.target.revision}-checkpoints")

    def publish(checkpoint: Path, step: int) -> None:
        lineage = stage.lineage({"step": step})
        text = (
            f"Step {step} of a run of `lrat train` that was still going on. For what came of it see the main branch."
        )
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            shutil.copytree(checkpoint, folder, ignore=shutil.ignore_patterns(*TRAINING_STATE))
            write_model_config(folder, ModelConfig(settings.query_style))
            card = render_card("base_model", lineage, repo_id=target.repo_id, description=text)
            (folder / CARD_FILE).write_text(card, encoding="utf-8")
            try:
                say(f"  checkpoint at step {step}: {publish_folder(target, folder, lineage, private=stage.private)}")
            except LratError as error:
                # A Hub that is away does not end the training.
                say(f"  warning: the checkpoint at step {step} is not published: {error}")

    return publish


if __name__ == "__main__":
    sys.exit(cli.main(["train", *sys.argv[1:]]))
