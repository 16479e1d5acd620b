"""Which judge to ask, and the judge that settings name, whose server runs while it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lrat_hub.errors import LratError
from lrat_hub.judges import Judge, RuleJudge
from lrat_hub.judges.answers import AnswerJudge, PluginAnswerJudge
from lrat_hub.judges.documents import LLMJudge, PluginJudge
from lrat_hub.judges.llm import ReplyCache, default_cache
from lrat_hub.judges.prompting import VerdictPrompt
from lrat_hub.llm.serving import NamedModel, open_in_bulk, open_model, pin_model
from lrat_hub.llm.settings import ServerSettings
from lrat_hub.option import option
from lrat_hub.plugins import is_plugin, load_plugin, plugin_identity, require_known

if TYPE_CHECKING:
    from lrat_hub.hub.inputs import Inputs

DOCUMENT_JUDGES = ("none", "rule", "llm")
ANSWER_JUDGES = ("match", "containment", "llm", "none")

PAPERS_JUDGE = "the paper's is Qwen3-30B-A3B-Thinking-2507"


@dataclass(frozen=True, kw_only=True)
class JudgeSettings:
    """Who gives verdicts: nobody, a fixed procedure, a language model ("llm"), or a plug-in (`module:object`)."""

    judge: str = option("none", "", group="essentials", prefixed="")
    prompt: str = option(
        "",
        "Prompt of the judge llm: a name or a YAML file; the built-in prompt if empty. The authors' are "
        "released_document and released_answer, the benchmark's is browsecomp_plus; NAME@PATH reads them from a "
        "checkout.",
    )
    max_tokens: int = option(8_192, "Maximum number of tokens per reply of the judge, thinking included.")
    concurrency: int = option(32, "Maximum number of requests to the judge at a time.", recipe=False)
    cache: str = option(
        "",
        "SQLite file that keeps the judge's replies, so that none is requested twice; a file in HF_HOME if empty.",
        recipe=False,
    )
    server: ServerSettings = field(default_factory=ServerSettings)

    def __post_init__(self) -> None:
        for name in ("max_tokens", "concurrency"):
            if getattr(self, name) < 1:
                raise LratError(f"Judge: expected {name} of 1 or more, found {getattr(self, name)}.")

    @property
    def cache_path(self) -> Path:
        return Path(self.cache) if self.cache else default_cache()


@dataclass(frozen=True, kw_only=True)
class DocumentJudgeSettings(JudgeSettings):
    """Who judges the documents that an agent opened, by the reasoning right after."""

    judge: str = option(
        "none",
        "Judge of opened documents: none (all naive pairs are kept), rule (looks for set phrases; for "
        f"agents whose phrases are known), llm (the language model of `model`; {PAPERS_JUDGE}), or a plug-in as "
        "module:object.",
        group="essentials",
        prefixed="",
        known=DOCUMENT_JUDGES,
    )
    executor: Literal["none", "ray"] = option(
        "none",
        "Who runs the language model: none (a vLLM server, or `url`), or ray (Ray Data, in `data_parallel` copies on "
        "a Ray cluster, or on this machine if no cluster runs; `vllm_python` has Ray as well).",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        server = self.server
        if self.executor == "ray" and (server.base_url or server.devices):
            raise LratError(
                "Judge: expected neither `base_url` nor `devices` with the executor ray, found "
                f"{'URLs of servers' if server.base_url else server.devices}. Ray says which GPUs there are."
            )


@dataclass(frozen=True, kw_only=True)
class AnswerJudgeSettings(JudgeSettings):
    """Who judges the answers of runs against the gold answers."""

    judge: str = option(
        "match",
        "Judge of answers: match (correct if equal to the gold answer), containment (also correct if "
        "short and containing the gold answer), llm (the language model of `model` judges the rest; "
        f"{PAPERS_JUDGE}), none (all answers stay unjudged), or a plug-in as module:object.",
        group="essentials",
        prefixed="",
        known=ANSWER_JUDGES,
    )


def pin_judge(inputs: Inputs, settings: JudgeSettings, *, name: str = "judge") -> NamedModel | None:
    """The model of a judge that is one, as an input of the stage; a plug-in is recorded with a hash of its code.

    Args:
        name: The input's name in the lineage.

    Raises:
        LratError: No model is named, it does not exist, it must be pinned and is not, or its prompt can't be read.
    """
    if is_plugin(settings.judge):
        inputs.record(name, plugin_identity(settings.judge))
    if settings.judge == "llm" and settings.prompt:
        # A prompt that can't be read is noticed now, and not when the runs that it is about are made.
        VerdictPrompt.load(settings.prompt)
    return pin_model(inputs, settings.server, name=name) if settings.judge == "llm" else None


@contextmanager
def open_document_judge(
    settings: DocumentJudgeSettings, model: NamedModel | None, *, on_ruling: Callable[[], object] | None = None
) -> Iterator[Judge | None]:
    """The judge of documents, None for "none"; its server runs while inside `with`.

    A server that runs already is not asked whether it is there: what the cache holds needs none.

    Args:
        model: From `pin_judge`.
        on_ruling: Called after each pair that a language model was asked about.

    Raises:
        LratError: There is no such judge, or its server can't be started.
    """
    require_known("Judge", settings.judge, DOCUMENT_JUDGES)
    if is_plugin(settings.judge):
        yield PluginJudge(load_plugin(settings.judge, "judge", ["judge"]), settings.judge)
    elif model is None:
        yield RuleJudge() if settings.judge == "rule" else None
    else:
        log = settings.cache_path.with_name("judge-vllm.log")
        with ReplyCache(settings.cache_path) as cache, ExitStack() as stack:
            if settings.executor == "ray":
                client = open_in_bulk(model, settings.server, concurrency=settings.concurrency, log=log)
            else:
                client = stack.enter_context(open_model(model, settings.server, log=log, must_answer=False)).client
            yield LLMJudge(
                client,
                prompt=settings.prompt or "document",
                cache=cache,
                concurrency=settings.concurrency,
                max_tokens=settings.max_tokens,
                on_ruling=on_ruling,
            )


@contextmanager
def open_answer_judge(
    settings: JudgeSettings, model: NamedModel | None, *, log: Path, can_ask: bool = True
) -> Iterator[AnswerJudge | None]:
    """The judge of answers, None for "none"; its server runs while inside `with`.

    Args:
        model: From `pin_judge`.
        log: File for the output of a server that is started, where the settings name none.
        can_ask: Whether a language model can be asked now; if not, what only it could tell is unjudged.

    Raises:
        LratError: There is no such judge, or its server can't be started or reached.
    """
    require_known("Judge", settings.judge, ANSWER_JUDGES)
    if is_plugin(settings.judge):
        yield PluginAnswerJudge(load_plugin(settings.judge, "judge", ["judge"]), settings.judge)
    elif settings.judge == "none":
        yield None
    elif settings.judge != "llm":
        yield AnswerJudge(containment=settings.judge == "containment")
    elif not can_ask or model is None:
        yield AnswerJudge(mismatch="unjudged")
    else:
        with ReplyCache(settings.cache_path) as cache, open_model(model, settings.server, log=log) as served:
            yield AnswerJudge(
                served.client,
                settings.prompt or "answer",
                cache=cache,
                concurrency=settings.concurrency,
                max_tokens=settings.max_tokens,
            )
