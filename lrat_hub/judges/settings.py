"""Which judge to ask, as options of stages."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from lrat_hub.chat import ChatClient
from lrat_hub.errors import LratError
from lrat_hub.judges import Judge, RuleJudge
from lrat_hub.judges.cache import ReplyCache, default_cache
from lrat_hub.judges.documents import DocumentJudge

if TYPE_CHECKING:
    from lrat_hub.stage import Stage

UNRECORDED = ("judge_url", "judge_served_as", "judge_key_env", "judge_cache", "judge_concurrency")
"""Options that say how the judge is reached, not what it is."""


@dataclass(kw_only=True)
class JudgeSettings:
    judge: Literal["none", "rule", "llm"] = field(
        default="none",
        metadata={
            "help": "Who judges the reasoning after a browse: nobody, so that every naive pair is kept; set phrases, "
            "for agents whose phrases are known; or a language model (the paper's: Qwen3-30B-A3B-Thinking-2507)."
        },
    )
    judge_url: str = field(
        default="", metadata={"help": "Where the model is served, up to and with /v1, by vLLM or anything like it."}
    )
    judge_model: str = field(default="", metadata={"help": "The model's repository, or its name at the server."})
    judge_revision: str = field(default="", metadata={"help": "The commit that is served, where it is known."})
    judge_served_as: str = field(default="", metadata={"help": "The model's name at the server, if it is another."})
    judge_prompt: str = field(default="document", metadata={"help": "A prompt's name, or a YAML file of that shape."})
    judge_max_tokens: int = field(default=8192, metadata={"help": "Tokens of a reply, thinking included."})
    judge_concurrency: int = field(default=32, metadata={"help": "Requests under way at a time."})
    judge_cache: str = field(
        default="",
        metadata={"help": "Replies so far, a file; if not given, one in the cache of the Hub's client."},
    )
    judge_key_env: str = field(
        default="OPENAI_API_KEY",
        metadata={"help": "Environment variable with the key, if one is needed."},
    )


def open_judge(settings: JudgeSettings, stage: Stage) -> Judge | None:
    """The judge that a stage was told to ask, recorded among its inputs.

    Raises:
        LratError: An option is missing, or the model must be pinned and is not.
    """
    if settings.judge == "none":
        return None
    if settings.judge == "rule":
        return RuleJudge()
    if not settings.judge_url or not settings.judge_model:
        raise LratError(
            f"lrat {stage.name}: --judge llm needs --judge_url and --judge_model. Serve the model first, for example "
            "with: vllm serve NAME --revision SHA"
        )
    pinned = len(settings.judge_revision) == 40
    if stage.args.require_pinned and not pinned:
        raise LratError(f"lrat {stage.name}: --require-pinned expects --judge_revision with a full commit sha.")
    backend = ChatClient(
        settings.judge_url,
        settings.judge_served_as or settings.judge_model,
        name=settings.judge_model,
        revision=settings.judge_revision or None,
        api_key=os.environ.get(settings.judge_key_env, ""),
    )
    judge = DocumentJudge(
        backend,
        prompt=settings.judge_prompt,
        cache=ReplyCache(settings.judge_cache or default_cache()),
        concurrency=settings.judge_concurrency,
        max_tokens=settings.judge_max_tokens,
    )
    # What answered is a server: nobody has resolved this revision on the Hub.
    stage.record("judge", f"{judge.name} (as served)" if pinned else f"{judge.name} (as served, unpinned)")
    return judge
