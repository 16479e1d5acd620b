"""`SearchEnv`: the environment of rollouts, as trainers of agents ask for one.

TRL makes instances without arguments, resets each with a row of its dataset, takes every other public method for a
tool and, where there is one, asks `get_reward` at the end (https://huggingface.co/docs/trl/openenv). What a tool shows
is what `lrat rollout` shows: the same class carries the calls out.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, ClassVar, Literal, TypeVar

from lrat_hub.agent_training.rewards import rewards_of
from lrat_hub.agent_training.rl_settings import Rewards, RewardSettings
from lrat_hub.agents.calls import CUT_HERE, NOT_DONE, Answer, Browse, Call, OpenRun, Search, identity, only_listed
from lrat_hub.agents.environment import SearchEnvironment
from lrat_hub.agents.parsing import read_function, tool_name
from lrat_hub.agents.protocols import AgentPrompt
from lrat_hub.errors import LratError
from lrat_hub.judges.answers import AnswerJudge
from lrat_hub.llm.isolation import isolated
from lrat_hub.retrieval import style_read_by
from lrat_hub.schema import Trajectory

T = TypeVar("T")

TAKEN = "The answer was taken."

_TYPES: dict[str, type] = {"string": str, "integer": int, "number": float, "boolean": bool}


@dataclass(frozen=True, kw_only=True)
class EpisodeRules:
    """What all instances of an environment share.

    Args:
        environment: What is searched and opened.
        prompt: What the agent is told, and its tools.
        max_turns: Calls after which an answer is asked for.
        max_repeats: So often the same call, and an answer is asked for.
        max_characters: Characters of results that one run is shown, or None for any number; what is longer is cut, and
            an answer is asked for.
        evidence: For each query id the documents that hold its evidence; none where nobody knows.
        rewards: How much each part of the reward counts.
        judge: Says which answers are right.
    """

    environment: SearchEnvironment
    prompt: AgentPrompt
    max_turns: int = 100
    max_repeats: int = 5
    max_characters: int | None = None
    evidence: Mapping[str, frozenset[str]] = field(default_factory=dict)
    rewards: RewardSettings = field(default_factory=RewardSettings)
    judge: AnswerJudge = field(default_factory=AnswerJudge)


class SearchEnv:
    """A search environment for TRL's `environment_factory=` and for other callers of `reset` and tools.

    The class itself has no retriever: `SearchEnv.over(...)` makes a class that has one, with the tools of a prompt.

    Example:
        >>> from lrat_hub import SearchEnv, SearchEnvironment, BM25Retriever
        >>> environment = SearchEnvironment(BM25Retriever(documents), documents, k=5)
        >>> env = SearchEnv.over(environment, max_turns=8)()
        >>> env.reset(question="Who wrote Faust?", gold_answer="Goethe")
        >>> print(env.search(queries=["author of Faust"]))
        >>> env.get_reward()
    """

    _rules: ClassVar[EpisodeRules | None] = None

    def __init__(self) -> None:
        if self._rules is None:
            raise LratError(
                "SearchEnv: it has no retriever to search with. Make a class that has one with "
                "SearchEnv.over(environment)."
            )
        self._start({})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._rules.environment if self._rules else 'no environment'!r})"

    @classmethod
    def over(
        cls,
        environment: SearchEnvironment,
        *,
        prompt: str | AgentPrompt = "tools",
        max_turns: int = 100,
        max_repeats: int = 5,
        max_characters: int | None = None,
        evidence: Mapping[str, Mapping[str, int]] | None = None,
        rewards: RewardSettings | None = None,
        judge: AnswerJudge | None = None,
        owns_reward: bool = True,
    ) -> type[SearchEnv]:
        """A class whose instances search this environment.

        Args:
            environment: As for rollouts; retrievers in this process and served ones do.
            prompt: Its tools are the methods: a name, a path, or a prompt.
            max_turns, max_repeats, max_characters: See `EpisodeRules`.
            evidence: Relevance judgements, as `load_qrels` gives them.
            rewards: Weights; see `RewardSettings`.
            judge: Of answers; by default one that needs no model.
            owns_reward: Whether there is a `get_reward`. Trainers that are given reward functions besides would add
                it to those.

        Raises:
            LratError: The prompt has no tools, or some that Python can't express; the retriever reads reasoning,
                which tools are not told; or a limit makes no sense.
        """
        told = prompt if isinstance(prompt, AgentPrompt) else AgentPrompt.load(prompt)
        if max_turns < 1 or max_repeats < 2 or (max_characters is not None and max_characters < 1):
            raise LratError(
                "SearchEnv: expected max_turns of 1 or more, max_repeats of 2 or more, and max_characters of 1 or "
                f"more, or None; found {max_turns}, {max_repeats} and {max_characters}."
            )
        style = style_read_by(environment.retriever)
        if "reasoning" in style:
            raise LratError(
                f"SearchEnv: {environment.retriever.name} reads queries in style {style}, and trainers tell tools no "
                "reasoning. Take a retriever that reads plain queries, or questions and earlier queries."
            )
        if not told.tools:
            raise LratError("SearchEnv: expected a prompt with tools, found none. Give the name of one that has them.")
        rules = EpisodeRules(
            environment=environment,
            prompt=told,
            max_turns=max_turns,
            max_repeats=max_repeats,
            max_characters=max_characters,
            evidence={
                query_id: frozenset(docid for docid, grade in grades.items() if grade > 0)
                for query_id, grades in (evidence or {}).items()
            },
            rewards=rewards or RewardSettings(),
            judge=judge or AnswerJudge(),
        )
        try:
            members: dict[str, Any] = {tool["function"]["name"]: _method(tool["function"]) for tool in told.tools}
        except (AttributeError, KeyError, TypeError) as error:
            raise LratError(
                "SearchEnv: expected tools in OpenAI's format, with a description of each tool and parameter, which "
                f"trainers ask for; found a prompt whose tools have it otherwise ({type(error).__name__}: {error})."
            ) from error
        if not owns_reward:
            members["get_reward"] = None
        return type(cls.__name__, (cls,), {**members, "_rules": rules, "__doc__": cls.__doc__, "__module__": __name__})

    def reset(self, **row: Any) -> str | None:
        """Starts over with the question of a row.

        Args:
            row: `question` (or `query`), `query_id` and `gold_answer` (or `answer`) as far as they are known; other
                columns don't count.

        Returns:
            What the agent is told, where the row has no `prompt` that tells it already.
        """
        self._start(row)
        prompt = row.get("prompt")
        if isinstance(prompt, Sequence) and not isinstance(prompt, str):
            prompt = any(message.get("content") for message in prompt)
        if prompt or not self._question:
            return None
        return "\n\n".join(message["content"] for message in self._told.opening(self._question))

    def get_reward(self) -> float:
        """The weighted sum of what the run has earned so far; parts that can't be told count nothing."""
        return self._bound.rewards.total(self.rewards)

    # Properties, which trainers don't take for tools.

    @property
    def rewards(self) -> Rewards:
        """The parts of the reward so far."""
        rules = self._bound
        evidence = [rules.evidence.get(self._query_id)]
        return rewards_of([self.run], evidence, rules.judge, max_turns=rules.max_turns)[0]

    @property
    def is_over(self) -> bool:
        """Whether the agent has answered, or has called a tool after it was asked for its answer."""
        return self._answer is not None or self._refused

    @property
    def run(self) -> Trajectory:
        """The run as a rollout records it, as far as an environment knows of it: without reasoning."""
        retriever = self._bound.environment.retriever
        return Trajectory(
            trajectory_id=self._query_id,
            query_id=self._query_id,
            question=self._question,
            steps=tuple(self._open.steps),
            gold_answer=self._gold,
            final_answer=self._answer,
            status="completed" if self._answer and not self._limit else "limited",
            retriever=retriever.name,
            retriever_revision=retriever.revision,
        )

    @classmethod
    def tools(cls) -> list[dict[str, Any]]:
        """The tools in OpenAI's format, as rollouts show them."""
        return [] if cls._rules is None else [dict(tool) for tool in cls._rules.prompt.tools]

    @property
    def _bound(self) -> EpisodeRules:
        assert self._rules is not None
        return self._rules

    @property
    def _told(self) -> AgentPrompt:
        return self._bound.prompt

    def _start(self, row: Mapping[str, Any]) -> None:
        rules = self._bound
        self._question = _text_of(row, "question", "query") or ""
        self._query_id = _text_of(row, "query_id") or ""
        self._gold = _text_of(row, "gold_answer", "answer")
        self._open = OpenRun(self._question, rules.environment, rules.max_turns)
        self._made: Counter[tuple[str, ...]] = Counter()
        self._answer: str | None = None
        self._limit: Literal["turns", "repetition", "context"] | None = None
        self._shown = 0
        self._refused = False

    def _call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """What a call of a tool shows, as in rollouts; at a limit followed by what asks for the answer."""
        ended = bool(self._limit) or self._answer is not None
        texts = [self._show(call) for call in read_function(name, arguments)]
        self._refused = self._refused or (ended and NOT_DONE in texts)
        if self._limit and not ended:
            texts.append(self._told.final.strip())
        return "\n\n".join(texts)

    def _show(self, call: Call) -> str:
        if self._answer is not None or (self._limit and not isinstance(call, Answer)):
            return NOT_DONE
        if isinstance(call, Answer):
            self._answer = call.text or ""
            self._open.answer(call)
            return TAKEN
        call = only_listed(call, self._open.listed)
        assert not isinstance(call, Answer)
        room = self._room()
        if isinstance(call, Search | Browse):
            self._made[identity(call)] += 1
            call = replace(call, room=room)
        observation = in_background(self._open.carry_out(call))
        text = isolated(observation.text)
        self._shown += len(text)
        if observation.is_last:
            self._limit = "turns"
        elif self._made[identity(call)] >= self._bound.max_repeats:
            self._limit = "repetition"
        elif room is not None and observation.text.endswith(CUT_HERE):
            self._limit = "context"
        return text

    def _room(self) -> int | None:
        most = self._bound.max_characters
        return None if most is None else max(0, most - self._shown)


def _method(function: Mapping[str, Any]) -> Any:
    """A tool of a prompt as a method: its signature and docstring make the same schema again."""
    name = function["name"]
    if tool_name(name) is None or not name.isidentifier():
        raise LratError(f"SearchEnv: the prompt has a tool {name!r}, which no protocol reads. Leave it out.")
    schema = function["parameters"]
    types = {key: _type(f"{name}.{key}", value) for key, value in schema["properties"].items()}
    required = schema.get("required", ())

    def call(self: SearchEnv, /, *values: Any, **arguments: Any) -> str:
        return self._call(name, {**dict(zip(types, values, strict=False)), **arguments})

    call.__name__, call.__qualname__ = name, f"SearchEnv.{name}"
    described = [f"    {key}: {' '.join(value['description'].split())}" for key, value in schema["properties"].items()]
    call.__doc__ = "\n".join([" ".join(function["description"].split()), "", "Args:", *described])
    call.__annotations__ = types
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [
        inspect.Parameter(
            key,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            annotation=kind,
            default=inspect.Parameter.empty if key in required else None,
        )
        for key, kind in types.items()
    ]
    call.__signature__ = inspect.Signature([own, *parameters])  # pyright: ignore[reportFunctionMemberAccess]
    return call


def _text_of(row: Mapping[str, Any], *names: str) -> str | None:
    """The first of these columns that says something, as a text; numbers are what some tables have."""
    value = next((row[name] for name in names if row.get(name) not in (None, "")), None)
    if value is not None and not isinstance(value, str | int | float):
        raise LratError(f"SearchEnv: expected a text as {names[0]}, found {value!r:.80}. Give one.")
    return None if value is None else str(value)


def _type(where: str, schema: Mapping[str, Any]) -> Any:
    """The Python type of a parameter."""
    kind = schema.get("type")
    if kind == "array":
        return list[_type(where, schema.get("items", {}))]
    if not isinstance(kind, str) or kind not in _TYPES:
        raise LratError(f"SearchEnv: {where} has the type {kind!r}. Expected {', '.join(_TYPES)} or an array of them.")
    return _TYPES[kind]


def in_background(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine in the one event loop of this process, where searches of many instances become one batch."""
    return asyncio.run_coroutine_threadsafe(coroutine, _event_loop(os.getpid())).result()


@lru_cache(1)
def _event_loop(process: int) -> asyncio.AbstractEventLoop:
    """The loop of a process; a fork has its parent's memory, and none of its threads."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name=f"search-env-{process}", daemon=True).start()
    return loop
