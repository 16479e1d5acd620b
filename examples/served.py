"""A served retriever as two tools, and what they show a model."""

from __future__ import annotations

import argparse
import json
import os
import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any

SYSTEM = "Answer the question. Search the corpus first, open what looks right, and say which document says so."


class Served:
    """Searches and opens documents for one session.

    Args:
        url: The server's address.
        headers: Sent with each request, such as the one that tells the session.
        session_id: Sent as an argument, where no header tells the session.
    """

    def __init__(self, url: str, *, headers: Mapping[str, str] | None = None, session_id: str | None = None) -> None:
        self._url, self._session_id = url, session_id
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._listed_by: dict[str, str] = {}

    def search(self, queries: list[str], reasoning: str | None = None) -> str:
        """What a model is shown of the documents that the queries find."""
        answer = self._ask("/search", {"queries": queries, "k": 5, "include": ["title", "snippet"]}, reasoning)
        for results in answer["results"]:
            self._listed_by |= {result["docid"]: answer["search_id"] for result in results}
        return "\n\n".join(map(listing, queries, answer["results"]))

    def open(self, docid: str, reasoning: str | None = None) -> str:
        """What a model is shown of a document."""
        question = {"docids": [docid], "search_id": self._listed_by.get(docid)}
        found = self._ask("/documents", question, reasoning)["documents"]
        return page(found[0]["docid"], found[0]["title"], found[0]["text"]) if found else f"There is no {docid}."

    def answer(self, answer: str, question: str, reasoning: str | None = None) -> str:
        """Tells the server what the model answered, which completes the session."""
        self._ask("/answer", {"answer": answer, "question": question}, reasoning)
        return answer

    def _ask(self, path: str, question: dict[str, Any], reasoning: str | None) -> dict[str, Any]:
        said = {"session_id": self._session_id, "reasoning": reasoning or None}
        body = {key: value for key, value in (question | said).items() if value is not None}
        request = urllib.request.Request(self._url + path, json.dumps(body).encode(), self._headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.loads(response.read())


def listing(query: str, results: Iterable[Mapping[str, Any]]) -> str:
    """A list as text."""
    entries = [
        f"[{rank}] DocID: {result['docid']}\nTitle: {result['title']}\n{result['snippet']}"
        for rank, result in enumerate(results, start=1)
    ]
    return "\n\n".join([f"Results for {query!r}:", *(entries or ["Nothing was found."])])


def page(docid: str, title: str, text: str) -> str:
    """A document as text."""
    return f"DocID: {docid}\nTitle: {title}\n{text}"


def arguments() -> argparse.Namespace:
    """The question, the model, and where both servers are."""
    parser = argparse.ArgumentParser()
    parser.add_argument("question", help="What the agent is asked.")
    parser.add_argument("--model", required=True, help="Model, by the name that its server has for it.")
    parser.add_argument("--server", default="http://127.0.0.1:8971", help="Address of lrat serve.")
    parser.add_argument("--turns", type=int, default=20, help="Replies of the model at most.")
    parser.add_argument("--session", default=os.urandom(16).hex(), help="Name of the session: 32 hexadecimal digits.")
    return parser.parse_args()
