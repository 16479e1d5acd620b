"""The service by HTTP: what `retrieval.remote` asks, documents and feedback, and Search-R1's `/retrieve`.

docs/serving.md describes it, and `/openapi.json` in detail.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from lrat_hub.errors import LratError
from lrat_hub.schema import Document
from lrat_hub.serving import SNIPPET_LENGTH
from lrat_hub.serving.answering import assemble, read_question, status_of
from lrat_hub.serving.attribution import caller_of
from lrat_hub.serving.batching import SearchFailed
from lrat_hub.serving.gate import Tokens
from lrat_hub.serving.limits import Limits
from lrat_hub.serving.messages import (
    AboutAnswer,
    AnswerQuestion,
    DocumentsAnswer,
    DocumentsQuestion,
    FeedbackQuestion,
    HealthAnswer,
    KeptAnswer,
    RetrieveAnswer,
    RetrieveError,
    RetrieveQuestion,
    SearchAnswer,
    SearchQuestion,
)
from lrat_hub.serving.metrics import ServiceMetrics
from lrat_hub.serving.openapi import Endpoint
from lrat_hub.serving.service import Caller, SearchService, ServedAnswer, ServedFeedback, ServedSearch

RETRIEVED = 3
"""Documents that Search-R1's server gives for a query when it isn't told how many."""

LONG_ANSWER = 2_000
"""Results from which an answer is written in a thread."""


def create_app(
    service: SearchService,
    *,
    metrics: ServiceMetrics | None = None,
    hosts: Sequence[str] = ("*",),
    tokens: Tokens | None = None,
    limits: Limits | None = None,
    shared: Path | None = None,
    details: Mapping[str, Callable[[], Any]] | None = None,
    problems: Callable[[], Sequence[str]] = tuple,
    routes: Sequence[BaseRoute] = (),
    during: Sequence[Callable[[], AbstractAsyncContextManager[object]]] = (),
) -> Starlette:
    """The service as an ASGI application.

    Args:
        metrics: Those that the service is observed by.
        hosts: Names by which clients may call the server; `*` for any.
        tokens: Who may ask; None for anybody.
        limits: The most that one request may ask for.
        shared: A folder that several processes have, which serve together; the rate holds for all of them.
        details: What parts of the server say of themselves in `/health`, each under its name.
        problems: What is wrong although searches are answered, for `/health`.
        routes: Further routes, such as those of another protocol; they pass the same gate.
        during: Contexts that are entered before the first request, and left after the last one.
    """
    handlers = _Handlers(service, limits or Limits(), details or {}, problems)
    return assemble(
        handlers.endpoints(),
        metrics=metrics or ServiceMetrics(),
        hosts=hosts,
        tokens=tokens,
        limits=limits,
        shared=shared,
        routes=routes,
        during=during,
        close=service.close,
    )


class _Handlers:
    def __init__(
        self,
        service: SearchService,
        limits: Limits,
        details: Mapping[str, Callable[[], Any]],
        problems: Callable[[], Sequence[str]],
    ) -> None:
        self._service, self._limits, self._details, self._problems = service, limits, details, problems

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("/", self._about, None, AboutAnswer, "Says what is searched."),
            Endpoint("/search", self._search, SearchQuestion, SearchAnswer, "Lists documents for queries."),
            Endpoint("/documents", self._documents, DocumentsQuestion, DocumentsAnswer, "Opens documents by id."),
            Endpoint("/feedback", self._feedback, FeedbackQuestion, KeptAnswer,
                     "Takes whether a listed document was used."),
            Endpoint("/answer", self._answer, AnswerQuestion, KeptAnswer, "Takes what the agent answered at last."),
            Endpoint("/retrieve", self._retrieve, RetrieveQuestion, RetrieveAnswer,
                     "Lists documents as Search-R1's server does.", RetrieveError),
            Endpoint("/health", self._health, None, HealthAnswer, "Says that searches are answered.", codes=("400",)),
        ]  # fmt: skip

    async def _about(self, request: Request) -> Response:
        return JSONResponse(dataclasses.asdict(self._service.description))

    async def _search(self, request: Request) -> Response:
        question = await read_question(request, SearchQuestion, "Search")
        self._limits.check_search(question.queries, question.k)
        caller = self._caller(request, question.session_id, question.reasoning)
        search = await self._service.search(question.queries, question.k, caller)
        documents = await self._listed(search) if question.include else {}

        def answer() -> Response:
            lists: list[list[dict[str, Any]]] = [
                [{"docid": hit.docid, "score": hit.score} for hit in hits] for hits in search.lists
            ]
            for result in (result for results in lists for result in results if documents):
                document = documents[result["docid"]]
                parts = {"title": document.title, "snippet": document.text[:SNIPPET_LENGTH]}
                result.update({name: parts[name] for name in question.include})
            stamp = {"search_id": search.search_id, "revision": search.revision, "pin": search.pin}
            return _json({"results": lists, **stamp})

        return answer() if sum(map(len, search.lists)) < LONG_ANSWER else await asyncio.to_thread(answer)

    async def _documents(self, request: Request) -> Response:
        question = await read_question(request, DocumentsQuestion, "Documents")
        if len(question.docids) > self._limits.documents:
            raise LratError(
                f"Documents: expected at most {self._limits.documents} docids, found {len(question.docids)}. "
                "Ask for them in several requests."
            )
        self._limits.check_call(ids=[*question.docids, question.search_id])
        caller = self._caller(request, question.session_id, question.reasoning)
        found = await self._service.documents(question.docids, caller, search_id=question.search_id)
        missing = [docid for docid, document in zip(question.docids, found, strict=True) if document is None]
        documents = [dataclasses.asdict(document) for document in found if document is not None]
        counts = {"asked": len(found), "found": len(documents), "missing": missing}
        return _json({"documents": documents, **counts})

    async def _feedback(self, request: Request) -> Response:
        question = await read_question(request, FeedbackQuestion, "Feedback")
        self._limits.check_call(comment=question.comment, ids=[question.search_id, question.docid])
        note = ServedFeedback(question.search_id, question.docid, question.used, question.comment)
        await self._service.feedback(note, self._caller(request, question.session_id, question.reasoning))
        return JSONResponse({"kept": bool(self._service.observers)})

    async def _answer(self, request: Request) -> Response:
        question = await read_question(request, AnswerQuestion, "Answer")
        self._limits.check_call(answer=question.answer, question=question.question)
        note = ServedAnswer(question.answer, question.question)
        await self._service.answer(note, self._caller(request, question.session_id, question.reasoning))
        return JSONResponse({"kept": bool(self._service.observers)})

    async def _retrieve(self, request: Request) -> Response:
        try:
            question = RetrieveQuestion.model_validate_json(await request.body())
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False)
            # FastAPI's: the place begins with the part of the request.
            detail = [{**problem, "loc": ["body", *problem["loc"]]} for problem in problems]
            # NaN and infinity are read, but no JSON may contain them.
            body = to_json({"detail": _shortened(detail)}, inf_nan_mode="strings")
            return Response(body, status_code=422, media_type="application/json")
        k = question.topk or RETRIEVED
        try:
            if k < 1:
                raise LratError(f"Search: expected topk of 1 or more, found {k}.")
            self._limits.check_search(question.queries, k)
            caller = self._caller(request, None, None)
            search = await self._service.search(question.queries, k, caller)
            documents = await self._listed(search)
        except LratError as error:
            status, headers = status_of(error)
            return JSONResponse({"detail": str(error)}, status, headers)
        result: list[list[dict[str, Any]]] = []
        for hits in search.lists:
            found = [(_contents(documents[hit.docid]), hit.score) for hit in hits]
            if question.return_scores:
                result.append([{"document": document, "score": score} for document, score in found])
            else:
                result.append([document for document, _ in found])
        return _json({"result": result})

    async def _health(self, request: Request) -> Response:
        problems = list(self._problems())
        return JSONResponse(
            {
                "status": "degraded" if problems else "ready",
                "retriever": dataclasses.asdict(self._service.description),
                "waiting": self._service.waiting,
                "problems": problems,
                "details": {name: describe() for name, describe in self._details.items()},
            }
        )

    def _caller(self, request: Request, session_id: str | None, reasoning: str | None) -> Caller:
        self._limits.check_call(reasoning=reasoning)
        return caller_of(request.headers, session_id, request.scope.get("subject"), reasoning)

    async def _listed(self, search: ServedSearch) -> dict[str, Document]:
        """The documents of a search's lists by id."""
        docids = list(dict.fromkeys(hit.docid for hits in search.lists for hit in hits))
        found = await self._service.look_up(docids)
        documents = {docid: document for docid, document in zip(docids, found, strict=True) if document is not None}
        if len(documents) < len(docids):
            raise SearchFailed(f"Search: expected {len(docids)} documents in the corpus, found {len(documents)}.")
        return documents


def _json(content: Any) -> Response:
    """An answer by pydantic's serializer: several times as fast as `json`, which counts where a search is as quick."""
    return Response(to_json(content), media_type="application/json")


def _contents(document: Document) -> dict[str, str]:
    return {"id": document.docid, "contents": f'"{document.title}"\n{document.text}'}


def _shortened(detail: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What pydantic says is wrong, with as much of the body as tells it."""
    for problem in detail:
        if problem["type"] == "json_invalid":
            problem["input"] = {}
        elif len(text := repr(problem["input"])) > 1_000:
            problem["input"] = text[:1_000]
    return detail[:100]
