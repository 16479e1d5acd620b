"""An agent of LangGraph: a model and a node of tools, whose calls belong to the trace of the run."""

from __future__ import annotations

import os
from typing import Annotated, Any

from langchain_core.messages import SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, ToolNode, tools_condition
from served import SYSTEM, Served, arguments


def main() -> None:
    args = arguments()
    # What an OpenTelemetry client sends by itself: the trace, and the span that calls.
    served = Served(args.server, headers={"traceparent": f"00-{args.session}-{os.urandom(8).hex()}-01"})

    @tool
    def search(queries: list[str], state: Annotated[dict[str, Any], InjectedState]) -> str:
        """List documents for queries."""
        return served.search(queries, state["messages"][-1].text)

    @tool
    def open_document(docid: str, state: Annotated[dict[str, Any], InjectedState]) -> str:
        """Open a listed document."""
        return served.open(docid, state["messages"][-1].text)

    tools = [search, open_document]
    model = ChatOpenAI(model=args.model).bind_tools(tools)
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [model.invoke([SystemMessage(SYSTEM), *state["messages"]])]})
    graph.add_node("tools", ToolNode(tools))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    asked = {"messages": [("user", args.question)]}
    answered = graph.compile().invoke(asked, {"recursion_limit": 2 * args.turns})
    print(served.answer(answered["messages"][-1].text, args.question))


if __name__ == "__main__":
    main()
