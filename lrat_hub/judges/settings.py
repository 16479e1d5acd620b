"""Which judge to ask, as options of stages."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lrat_hub.judges import Judge, RuleJudge
from lrat_hub.judges.cache import ReplyCache, default_cache
from lrat_hub.judges.documents import DocumentJudge
from lrat_hub.llm.chat import ChatBackend, ChatClient
from lrat_hub.llm.serving import NamedModel, Serving, open_model, pin_model, split_arguments

if TYPE_CHECKING:
    from lrat_hub.hub.inputs import Inputs


@dataclass(kw_only=True)
class JudgeSettings:
    judge: Literal["none", "rule", "llm"] = field(
        default="none",
        metadata={
            "help": "Who judges the reasoning after a browse: nobody, so that every naive pair is kept; set phrases, "
            "for agents whose phrases are known; or a language model (the paper's: Qwen3-30B-A3B-Thinking-2507)."
        },
    )
    judge_model: str = field(
        default="",
        metadata={
            "help": "The judge's model, best at a commit; with --judge_url also just its name there.",
            "recipe": False,
        },
    )
    judge_url: str = field(
        default="",
        metadata={
            "help": "A server of the model, up to and with /v1; if not given, vLLM is started.",
            "recipe": False,
        },
    )
    judge_prompt: str = field(default="document", metadata={"help": "A prompt's name, or a YAML file of that shape."})
    judge_max_tokens: int = field(default=8192, metadata={"help": "Tokens of a reply, thinking included."})
    judge_concurrency: int = field(default=32, metadata={"help": "Requests under way at a time.", "recipe": False})
    judge_cache: str = field(
        default="",
        metadata={
            "help": "Replies so far, a file; if not given, one in the cache of the Hub's client.",
            "recipe": False,
        },
    )
    judge_vllm_python: str = field(
        default="", metadata={"help": "The Python that vLLM is installed for, if it is another.", "recipe": False}
    )
    judge_vllm_args: str = field(default="", metadata={"help": "Further options of its vLLM server, as one text."})
    judge_tensor_parallel: int = field(
        default=1, metadata={"help": "GPUs that share the judge's layers.", "recipe": False}
    )


def pin_judge(settings: JudgeSettings, inputs: Inputs) -> NamedModel | None:
    """The model of a judge that is one, as an input of the stage.

    Raises:
        LratError: No model is named, it does not exist, or it must be pinned and is not.
    """
    if settings.judge != "llm":
        return None
    return pin_model(inputs, settings.judge_model, name="judge", served=bool(settings.judge_url))


@contextmanager
def open_judge(
    settings: JudgeSettings, model: NamedModel | None, *, on_ruling: Callable[[], object] | None = None
) -> Iterator[Judge | None]:
    """The judge, whose server runs while inside `with`; the output of one that is started lies beside the cache.

    A server that was named by its URL is not asked whether it is there: what the cache holds needs none.

    Args:
        model: From `pin_judge`.
        on_ruling: Called after each pair that a language model was asked about.

    Raises:
        LratError: The server can't be started.
    """
    if model is None:
        yield RuleJudge() if settings.judge == "rule" else None
    elif settings.judge_url:
        revision = getattr(model.source, "revision", None)
        key = os.environ.get("OPENAI_API_KEY", "")
        client = ChatClient(settings.judge_url, model.name, revision=revision, api_key=key)
        yield _judge(settings, client, on_ruling)
    else:
        serving = Serving(
            log=_cache_path(settings).with_name("judge-vllm.log"),
            python=settings.judge_vllm_python,
            tensor_parallel=settings.judge_tensor_parallel,
            arguments=split_arguments(settings.judge_vllm_args),
        )
        with open_model(model, serving) as served:
            yield _judge(settings, served.client, on_ruling)


def _judge(settings: JudgeSettings, backend: ChatBackend, on_ruling: Callable[[], object] | None) -> DocumentJudge:
    return DocumentJudge(
        backend,
        prompt=settings.judge_prompt,
        cache=ReplyCache(_cache_path(settings)),
        concurrency=settings.judge_concurrency,
        max_tokens=settings.judge_max_tokens,
        on_ruling=on_ruling,
    )


def _cache_path(settings: JudgeSettings) -> Path:
    return Path(settings.judge_cache) if settings.judge_cache else default_cache()
