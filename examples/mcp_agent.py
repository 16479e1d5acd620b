"""The loop of `chat_agent.py` with the tools of the MCP server, whose descriptions the model is given."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from mcp import Client
from openai import AsyncOpenAI
from served import SYSTEM, arguments, listing, page

HIDDEN = ("session_id", "reasoning", "search_id")
"""Arguments that the loop fills in, and the model needs not know."""


def described(tool: Any) -> Any:
    """A tool of MCP as one of the chat API."""
    shown = {name: part for name, part in tool.input_schema["properties"].items() if name not in HIDDEN}
    parameters = {"type": "object", "properties": shown, "required": tool.input_schema["required"]}
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": parameters},
    }


def shown(name: str, said: dict[str, Any], result: dict[str, Any]) -> str:
    if name == "search":
        rows = [{"docid": hit["id"], "title": hit["title"], "snippet": hit["text"]} for hit in result["results"]]
        return listing(said["query"], rows)
    return page(result["id"], result["title"], result["text"])


async def run() -> None:
    args = arguments()
    messages: list[Any] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": args.question}]
    async with Client(f"{args.server}/mcp") as server, AsyncOpenAI() as model:
        tools = [
            described(tool) for tool in (await server.list_tools()).tools if tool.name in ("search", "get_document")
        ]
        for _ in range(args.turns):
            reply = await model.chat.completions.create(model=args.model, messages=messages, tools=tools)
            message = reply.choices[0].message
            named = {"session_id": args.session}
            thought = getattr(message, "reasoning", None)
            if not message.tool_calls:
                said = named | {"answer": message.content or "", "question": args.question}
                await server.call_tool("answer", said | ({"reasoning": thought} if thought else {}))
                print(message.content)
                return
            messages.append(message.to_dict())
            reasoning = thought or message.content
            for call in message.tool_calls:
                said = json.loads(call.function.arguments)
                name = call.function.name
                result = await server.call_tool(name, said | named | ({"reasoning": reasoning} if reasoning else {}))
                text = result.content[0].text if result.is_error else shown(name, said, result.structured_content)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": text})
                reasoning = None


if __name__ == "__main__":
    asyncio.run(run())
