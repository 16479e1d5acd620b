"""A loop around the chat API of OpenAI, vLLM and others: the model calls two tools until it answers."""

from __future__ import annotations

import json
from typing import Any

from openai import OpenAI
from served import SYSTEM, Served, arguments

TEXTS = {"type": "array", "items": {"type": "string"}}


def tool(name: str, description: str, argument: str, schema: dict[str, Any]) -> Any:
    parameters = {"type": "object", "properties": {argument: schema}, "required": [argument]}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


TOOLS = [
    tool("search", "List documents for queries.", "queries", TEXTS),
    tool("open_document", "Open a listed document.", "docid", {"type": "string"}),
]


def main() -> None:
    args = arguments()
    served, client = Served(args.server, session_id=args.session), OpenAI()
    messages: list[Any] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": args.question}]
    for _ in range(args.turns):
        message = client.chat.completions.create(model=args.model, messages=messages, tools=TOOLS).choices[0].message
        # vLLM and others give the reasoning beside the text.
        thought = getattr(message, "reasoning", None)
        if not message.tool_calls:
            print(served.answer(message.content or "", args.question, thought))
            return
        messages.append(message.to_dict())
        reasoning = thought or message.content
        for call in message.tool_calls:
            said = json.loads(call.function.arguments)
            shown = (
                served.search(**said, reasoning=reasoning)
                if call.function.name == "search"
                else served.open(**said, reasoning=reasoning)
            )
            messages.append({"role": "tool", "tool_call_id": call.id, "content": shown})
            # Calls of one message share their reasoning.
            reasoning = None


if __name__ == "__main__":
    main()
