"""A `ToolCallingAgent` of smolagents. Its tools don't see what the model thought: the session has no reasoning."""

from __future__ import annotations

import os

from served import Served, arguments
from smolagents import OpenAIServerModel, ToolCallingAgent, tool


def main() -> None:
    args = arguments()
    served = Served(args.server, headers={"Mcp-Session-Id": args.session})

    @tool
    def search(queries: list[str]) -> str:
        """List documents for queries.

        Args:
            queries: What to search for.
        """
        return served.search(queries)

    @tool
    def open_document(docid: str) -> str:
        """Open a listed document.

        Args:
            docid: The id that the list has for it.
        """
        return served.open(docid)

    model = OpenAIServerModel(
        args.model, api_base=os.environ.get("OPENAI_BASE_URL"), api_key=os.environ.get("OPENAI_API_KEY")
    )
    agent = ToolCallingAgent(tools=[search, open_document], model=model, max_steps=args.turns)
    print(served.answer(str(agent.run(args.question)), args.question))


if __name__ == "__main__":
    main()
