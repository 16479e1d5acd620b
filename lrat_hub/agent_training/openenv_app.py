"""`SearchEnv` as an environment of OpenEnv, which trainers of all kinds reach over HTTP and WebSocket.

Needs the extra `openenv`, in an environment of its own: OpenEnv pins the first version of MCP, and `lrat serve` speaks
the second. `examples/openenv_search` is a folder for `openenv push`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lrat_hub.agent_training.environment import SearchEnv
from lrat_hub.agent_training.opening import SearchEnvFactory
from lrat_hub.agents import Question
from lrat_hub.agents.settings import EnvironmentSettings
from lrat_hub.errors import LratError

if TYPE_CHECKING:
    from fastapi import FastAPI  # pyright: ignore[reportMissingImports]

PROMPT = "tools_required"
"""Its tools include one that answers: what an environment of OpenEnv sees is calls alone."""


def create_search_app(kind: type[SearchEnv], questions: Sequence[Question], *, sessions: int = 64) -> FastAPI:
    """A server of OpenEnv, each of whose sessions plays episodes of its own.

    An episode starts with `reset(query_id=...)`, or `reset(seed=...)` for any question; its observation has the
    question, and what an agent is told, in the metadata. Calls of tools are `CallToolAction`s. The answer, or a call
    after a limit, ends the episode with its reward, whose parts are in the metadata.

    Args:
        kind: From `SearchEnv.over`, whose prompt has a tool that answers.
        questions: What is asked.
        sessions: Clients at a time.

    Raises:
        LratError: OpenEnv is not installed, there is no question, or no tool answers.
    """
    try:
        from openenv.core.env_server.http_server import create_app  # pyright: ignore[reportMissingImports]
        from openenv.core.env_server.mcp_types import (  # pyright: ignore[reportMissingImports]
            CallToolAction,
            CallToolObservation,
        )
    except ImportError as error:
        raise LratError(
            'OpenEnv: it is not installed. Install it with: pip install "lrat-hub[openenv]", in an environment '
            "without the extra serve."
        ) from error
    if not questions:
        raise LratError("OpenEnv: expected questions, found none.")
    if "answer" not in {tool["function"]["name"] for tool in kind.tools()}:
        raise LratError(f"OpenEnv: expected a prompt with the tool answer, found none. Take {PROMPT}.")
    make = _environment_class(kind, {question.query_id: question for question in questions})
    return create_app(make, CallToolAction, CallToolObservation, env_name="search_env", max_concurrent_envs=sessions)


def app_of(variables: Mapping[str, str]) -> FastAPI:
    """The server that variables of a Space describe.

    Args:
        variables: `LRAT_CORPUS`, `LRAT_QUERIES` and maybe `LRAT_QRELS`: references or files; `LRAT_RETRIEVER` as for
            `open_retriever`, bm25 if empty; `LRAT_K` results of a query (10) and `LRAT_MAX_TURNS` calls of a run (20).

    Raises:
        LratError: Something is missing or can't be read.
    """
    from lrat_hub.corpora.loading import load_questions

    missing = [name for name in ("LRAT_CORPUS", "LRAT_QUERIES") if not variables.get(name)]
    if missing:
        raise LratError(
            f"OpenEnv: expected the variables LRAT_CORPUS and LRAT_QUERIES, found no {' and no '.join(missing)}."
        )
    try:
        k, max_turns = int(variables.get("LRAT_K") or 10), int(variables.get("LRAT_MAX_TURNS") or 20)
    except ValueError as error:
        raise LratError(f"OpenEnv: expected whole numbers as LRAT_K and LRAT_MAX_TURNS; {error}.") from error
    factory = SearchEnvFactory(
        variables["LRAT_CORPUS"],
        variables.get("LRAT_RETRIEVER") or "bm25",
        EnvironmentSettings(k=k, max_turns=max_turns),
        variables.get("LRAT_QRELS") or "",
        {"prompt": PROMPT},
    )
    asked = load_questions(variables["LRAT_QUERIES"]).items()
    return create_search_app(factory.kind(), [Question(query_id, text, answer) for query_id, (text, answer) in asked])


def _environment_class(kind: type[SearchEnv], questions: Mapping[str, Question]) -> Callable[[], Any]:
    from fastmcp import FastMCP  # pyright: ignore[reportMissingImports]
    from openenv.core.env_server.mcp_environment import MCPEnvironment  # pyright: ignore[reportMissingImports]
    from openenv.core.env_server.types import Observation, State  # pyright: ignore[reportMissingImports]

    class SearchEnvironmentServer(MCPEnvironment):
        SUPPORTS_CONCURRENT_SESSIONS = True

        def __init__(self) -> None:
            self._env = kind()
            self._started = self._paid = False
            self._state = State(episode_id=str(uuid4()), step_count=0)
            server = FastMCP("search_env")
            for tool in kind.tools():
                server.tool(getattr(self._env, tool["function"]["name"]))
            super().__init__(server)

        @property
        def state(self) -> Any:
            return self._state

        def reset(self, seed: int | None = None, episode_id: str | None = None, **options: Any) -> Any:
            query_id = options.get("query_id") or random.Random(seed).choice(sorted(questions))
            question = questions.get(str(query_id))
            if question is None:
                raise ValueError(f"there is no question {query_id!r}")
            told = self._env.reset(
                question=question.text, query_id=question.query_id, gold_answer=question.gold_answer
            )
            self._started, self._paid = True, False
            self._state = State(episode_id=episode_id or str(uuid4()), step_count=0)
            return Observation(
                done=False,
                reward=0.0,
                metadata={"query_id": question.query_id, "question": question.text, "told": told},
            )

        def step(self, action: Any, timeout_s: float | None = None, **options: Any) -> Any:
            return self._after(super().step(action, timeout_s=timeout_s, **options))

        async def step_async(self, action: Any, timeout_s: float | None = None, **options: Any) -> Any:
            return self._after(await super().step_async(action, timeout_s=timeout_s, **options))

        def _step_impl(self, action: Any, timeout_s: float | None = None, **options: Any) -> Any:
            error = f"expected a ListToolsAction or a CallToolAction, found {type(action).__name__}"
            return Observation(done=False, reward=0.0, metadata={"error": error})

        def _after(self, observation: Any) -> Any:
            self._state.step_count += 1
            observation.reward = 0.0
            if self._started and self._env.is_over:
                observation.done = True
                # Trainers add up the rewards of all steps, also of those after the end.
                observation.reward = 0.0 if self._paid else self._env.get_reward()
                self._paid = True
                observation.metadata = {**observation.metadata, "rewards": self._env.rewards}
            return observation

    return SearchEnvironmentServer
