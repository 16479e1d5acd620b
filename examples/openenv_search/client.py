"""Plays an episode of a served search environment, and shows how a client calls its tools.

    python client.py "http://127.0.0.1:8000"

A policy stands where `first_result` does here: it gets what was shown, and says which tool to call.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

from openenv.core.env_server.mcp_types import CallToolAction
from openenv.core.mcp_client import MCPToolClient

Policy = Callable[[str], tuple[str, dict[str, Any]]]


class SearchEnvClient(MCPToolClient):
    """A client of the environment: `reset(query_id=...)`, `list_tools()`, and `step` with a call of a tool."""

    async def play(self, policy: Policy, turns: int = 20, **options: Any) -> tuple[list[str], float]:
        """Plays an episode to its end.

        Args:
            policy: Gets what was shown last, and gives the name of a tool and its arguments.
            options: Of the reset, such as `query_id`.

        Returns:
            What was shown, from the question on, and the reward.
        """
        result = await self.reset(**options)
        shown = [result.metadata["told"]]
        for _ in range(turns):
            name, arguments = policy(shown[-1])
            result = await self.step(CallToolAction(tool_name=name, arguments=arguments))
            shown.append(text_of(result.observation))
            if result.done:
                break
        return shown, result.reward or 0.0


def text_of(observation: Any) -> str:
    """What a call has shown."""
    if observation.error is not None:
        return f"Error: {observation.error.message}"
    return observation.result["content"][0]["text"]


def first_result(shown: str) -> tuple[str, dict[str, Any]]:
    """Searches for the question, opens what is listed first, and answers with its title."""
    if opened := re.match(r"DocID: .*\nTitle: (.*)", shown):
        return "answer", {"answer": opened[1]}
    if listed := re.search(r"^\[1\] DocID: (.*)$", shown, re.MULTILINE):
        return "get_document", {"docid": listed[1]}
    return "search", {"query": shown.strip().splitlines()[-1][:200]}


def main() -> None:
    with SearchEnvClient(base_url=sys.argv[1]).sync() as env:
        print("tools:", ", ".join(tool.name for tool in env.list_tools()))
        shown, reward = env.play(first_result)
    print("\n\n".join(shown))
    print("reward:", reward)


if __name__ == "__main__":
    main()
