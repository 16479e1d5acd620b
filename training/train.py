"""Trains a retriever on mined pairs with the weighted loss (sections 5.2.2 and 6.1.4 of the LRAT paper).

Publishes a complete SentenceTransformer repository. The defaults are the paper's settings; recipes for other sizes
lie beside this script. On several devices: `accelerate launch -m lrat_hub.training.train ...`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lrat_hub import cli
from lrat_hub.cli.stage import ModelArguments, Stage, parse, say
from lrat_hub.encoders import FAMILIES
from lrat_hub.errors import LratError
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.hub.refs import HubRef

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.encoders import Cut
    from lrat_hub.hub.inputs import Source

CURVE_FILE = "loss_curve.png"


@dataclass(kw_only=True)
class Arguments(ModelArguments):
    pairs: str = field(metadata={"group": "inputs", "help": "Mined pairs, with configs `pairs` and `documents`."})
    model: str = field(metadata={"group": "inputs", "help": "The SentenceTransformer to start from."})
    corpus: str = field(
        default="",
        metadata={
            "group": "inputs",
            "help": "Corpus to evaluate on before and after training; needs `queries` and `qrels`.",
        },
    )
    queries: str = field(
        default="",
        metadata={"group": "inputs", "help": "Development queries to evaluate with; never the test queries."},
    )
    qrels: str = field(
        default="", metadata={"group": "inputs", "help": "Relevance judgements of the development queries."}
    )
    check_passages: int = field(
        default=500,
        metadata={
            "group": "essentials",
            "help": "Passages of the forgetting check, which compares content retrieval before and after "
            "training, in the corpus or else in at most 2,000 of the pairs' documents; 0 skips it.",
        },
    )
    family: str = field(
        default="", metadata={"help": f"Family whose prompts replace the model's own: {', '.join(FAMILIES)}."}
    )
    query_prompt: str | None = field(
        default=None, metadata={"help": "Text put before every query, in place of the model's own prompt."}
    )
    document_prompt: str | None = field(
        default=None, metadata={"help": "Text put before every document, in place of the model's own prompt."}
    )


@dataclass(kw_only=True)
class RunArguments:
    """How the run is carried out, which does not change its result."""

    work_dir: str = field(
        default="",
        metadata={
            "group": "essentials",
            "help": "Folder of the checkpoints; the same command resumes from them after a kill.",
            "recipe": False,
        },
    )
    push_checkpoints: bool = field(
        default=False,
        metadata={
            "help": "Publish every checkpoint as a revision of the branch `<branch>-checkpoints`.",
            "recipe": False,
        },
    )
    report_to: Literal["none", "tensorboard", "trackio"] = field(
        default="none",
        metadata={
            "help": "Where to log losses while training: TensorBoard files in `<work_dir>/runs`, or Trackio.",
            "recipe": False,
        },
    )
    allow_unchanged: bool = field(
        default=False,
        metadata={"help": "Publish a model that training has left as it was, and end with success.", "recipe": False},
    )
    workers: int = field(
        default=0,
        metadata={"help": "Number of processes that read and tokenize beside the training process.", "recipe": False},
    )


def main(argv: list[str] | None = None) -> HubRef | None:
    args, settings, run = parse(argv, "train", __doc__, Arguments, FitSettings, RunArguments)
    if len({bool(args.corpus), bool(args.queries), bool(args.qrels)}) > 1:
        raise LratError("lrat train: --corpus, --queries and --qrels go together, or are all left out.")
    if run.report_to != "none" and find_spec(run.report_to) is None:
        raise LratError(f"--report_to {run.report_to}: not installed. Install it with: pip install {run.report_to}")
    if run.report_to == "tensorboard" and not run.work_dir:
        raise LratError("--report_to tensorboard: it writes into --work_dir, found none. Give a folder.")

    # Before torch is imported, which takes long where many do it: what can't be published is told at once.
    stage = Stage("train", args, settings, run, publishes="model")

    from lrat_hub.documents import Documents
    from lrat_hub.encoders import (
        ModelConfig,
        as_master_weights,
        count_cut,
        encoding_of,
        load_encoder,
        read_model_config,
        served_prompts,
        set_prompts,
        write_model_config,
    )
    from lrat_hub.evaluation.benchmark import Benchmark
    from lrat_hub.evaluation.training import TrainingEvaluation
    from lrat_hub.fitting import (
        TrainingRows,
        choose_settings,
        fit_retriever,
        loss_curve,
        require_movement,
        split_questions,
        summarise,
    )
    from lrat_hub.fitting.runs import from_first, is_first, processes, stamp_run_folder
    from lrat_hub.hub.cards import model_metadata, render_card
    from lrat_hub.hub.inputs import load_table
    from lrat_hub.hub.outputs import output_root

    def resolve_inputs() -> dict[str, Source]:
        names = [name for name in ("pairs", "corpus", "queries", "qrels") if getattr(args, name)]
        references = {name: stage.input(name, getattr(args, name)) for name in names}
        return references | {"model": stage.input("model", args.model, repo_type="model")}

    sources = from_first(resolve_inputs)
    work_dir = Path(run.work_dir).expanduser() if run.work_dir else None
    if work_dir and is_first():
        stamp_run_folder(work_dir, asdict(stage.lineage({})) | {"processes": processes().num_processes})
    pairs = load_table(sources["pairs"], "pairs", config="pairs")
    documents = Documents(load_documents(sources["pairs"]))
    model = load_encoder(sources["model"], trust_remote_code=args.trust_remote_code)
    # Before and after are compared in the same precision, whatever the file holds.
    base_dtype = as_master_weights(model)
    settings, choices = choose_settings(model, settings)
    for choice in choices:
        stage.choose(**{choice.name: choice.value})
        say(f"  {choice}")
    set_prompts(model, args.family, query=args.query_prompt, document=args.document_prompt)
    trained, kept = split_questions(pairs, settings.validation_share, seed=settings.seed)
    rows = TrainingRows(trained, documents, settings)
    validation = TrainingRows(kept, documents, settings) if kept else None
    say(f"train: {summarise(rows, settings)}")
    cuts: list[Cut] = []
    if is_first():
        prompts, positives = served_prompts(model), rows.pairs["positive_id"]
        view = rows.view()
        lengths = [
            count_cut(model, len(rows), lambda row: view[row]["anchor"], texts="queries", prompt=prompts[0],
                      max_length=settings.query_length),
            count_cut(model, len(rows), lambda row: documents[positives[row]].content, texts="positives",
                      prompt=prompts[1], max_length=settings.document_length),
        ]  # fmt: skip
        cuts = [cut for cut in lengths if cut is not None]
    for cut in cuts:
        say(f"  {cut}")
    if validation:
        say(f"  {len(validation)} pairs of other questions are kept to validate on")

    before, evaluation = {}, TrainingEvaluation()
    if is_first():
        task = Benchmark.load(*(sources[name] for name in ("corpus", "queries", "qrels"))) if args.queries else None
        evaluation = TrainingEvaluation.of(
            task, documents, passages=args.check_passages, max_length=settings.document_length
        )
        if evaluation.left_out:
            say(f"  forgetting check skipped: {evaluation.left_out}")
        if evaluation.cost:
            say(f"  before and after training each, for the verdict: {evaluation.cost}")
        base_config = read_model_config(sources["model"]) or ModelConfig()
        before = evaluation.score(model, base_config.query_style)
    parameters = sum(weights.numel() for weights in model.parameters())
    # Weights, gradients and AdamW's two moments, in fp32; what is published are the weights.
    stage.need("training", disk=4 * parameters, folder=output_root(), memory=16 * parameters)
    fitted = fit_retriever(
        model, rows, settings, validation=validation, work_dir=work_dir, report_to=run.report_to,
        run_name=stage.target.repo_id, workers=run.workers,
        on_checkpoint=checkpoint_publisher(stage, settings) if run.push_checkpoints else None, base_dtype=base_dtype,
    )  # fmt: skip
    if not is_first():
        return None
    assert fitted.movement is not None
    moved = fitted.movement
    say(f"  {'unchanged: ' if moved.unchanged else ''}{moved}")
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

        counts = {
            "pairs": len(pairs), "trained_pairs": len(rows), "validation_pairs": len(validation or ()),
            "final_loss": fitted.final_loss, "best_step": fitted.best_step, "development": results,
            "verdict": result.verdict, "movement": moved.to_dict(), "encoding": asdict(encoding_of(model)),
            "cut": [cut.to_dict() for cut in cuts], "chosen": {choice.name: str(choice) for choice in choices},
        }  # fmt: skip
        lineage = stage.lineage(counts)
        (folder / CURVE_FILE).write_bytes(loss_curve(fitted.log, fitted.best_step))
        card = render_card(
            "model",
            lineage,
            repo_id=stage.target.repo_id,
            metadata=model_metadata(base_model=sources["model"], dataset=sources["pairs"]),
            encoding=encoding_of(model),
            movement=moved,
            chosen=choices,
            prompts={name: prompt for name, prompt in model.prompts.items() if prompt},
            query_style=settings.query_style,
            curve=CURVE_FILE,
        )
        published = stage.publish_model(folder, card=card, lineage=lineage)
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
                say(f"  checkpoint at step {step}: {publish_folder(target, folder, lineage)}")
            except LratError as error:
                # A Hub that is away does not end the training.
                say(f"  warning: the checkpoint at step {step} is not published: {error}")

    return publish


if __name__ == "__main__":
    sys.exit(cli.main(["train", *sys.argv[1:]]))
