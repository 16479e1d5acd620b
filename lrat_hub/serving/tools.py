"""The service as tools of the Model Context Protocol (MCP), over HTTP at `/mcp` or over a process's own streams.

`search` and `fetch` are what OpenAI's connectors expect of a server (https://developers.openai.com/api/docs/mcp): a
query gives `{"results": [...]}` with `id`, `title` and `url` of each, and an id gives a document as `id`, `title`,
`text`, `url` and `metadata`, both as one item of text that is JSON and as structured content; both only read.
`get_document` is `fetch` by the name that BrowseComp-Plus has for it; `feedback` takes what clients say of documents,
and `answer` what the agent answered at last.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated
from urllib.parse import quote

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field
from starlette.routing import BaseRoute

from lrat_hub.errors import LratError
from lrat_hub.schema import Document
from lrat_hub.serving import DOCUMENT_URL, SNIPPET_LENGTH
from lrat_hub.serving.attribution import caller_of
from lrat_hub.serving.limits import Limits
from lrat_hub.serving.service import Caller, SearchService, ServedAnswer, ServedFeedback

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)

MOST_RESULTS = 100

INSTRUCTIONS = (
    "search lists documents for a query, best first; fetch opens one by its id. Send what you think before a call as "
    "`reasoning`, and the same `session_id` with all calls of one task."
)

Reasoning = Annotated[str | None, Field(description="What you think before this call, and why you make it.")]
SessionId = Annotated[str | None, Field(description="A name of your task, the same in all of its calls.")]
SearchId = Annotated[str | None, Field(description="The search_id of the result that named the document.")]


class Result(BaseModel):
    """A document in a list."""

    id: str
    title: str
    url: str
    text: str
    score: float
    search_id: str


class Results(BaseModel):
    """What a search found, best first."""

    results: list[Result]


class Fetched(BaseModel):
    """A document."""

    id: str
    title: str
    text: str
    url: str
    metadata: dict[str, str]


class Taken(BaseModel):
    """That feedback or an answer was taken."""

    ok: bool


def create_mcp(
    service: SearchService, *, k: int = 10, document_url: str = DOCUMENT_URL, limits: Limits | None = None
) -> MCPServer:
    """The service as an MCP server.

    Args:
        k: How many documents a search lists unless it says so.
        document_url: Address of a document, with `{docid}` in the place of its id. An id that is an address stays one.
        limits: The most that one call may ask for.
    """
    limits = limits or Limits()
    k = min(k, limits.k)
    # Warnings alone: at lower levels, what a client asked would be in the log.
    server: MCPServer = MCPServer("lrat-hub", instructions=INSTRUCTIONS, log_level="WARNING")

    def url_of(docid: str) -> str:
        if docid.startswith(("http://", "https://")):
            return docid
        return document_url.replace("{docid}", quote(docid, safe=""))

    @server.tool(annotations=READS)
    async def search(
        query: str,
        ctx: Context,
        k: Annotated[int, Field(ge=1, le=MOST_RESULTS, description="How many documents to list.")] = k,
        reasoning: Reasoning = None,
        session_id: SessionId = None,
    ) -> Results:
        """Search the corpus. Lists documents with id, title, url and the beginning of their text, best first."""
        with _mended():
            limits.check_search([query], k)
            found = await service.search([query], k, called(ctx, session_id, reasoning))
            (hits,) = found.lists
            documents = await _look_up(service, [hit.docid for hit in hits])
        return Results(
            results=[
                Result(
                    id=hit.docid, title=document.title or hit.docid, url=url_of(hit.docid),
                    text=document.text[:SNIPPET_LENGTH], score=hit.score, search_id=found.search_id,
                )
                for hit, document in zip(hits, documents, strict=True)
            ]
        )  # fmt: skip

    def called(ctx: Context, session_id: str | None, reasoning: str | None) -> Caller:
        limits.check_call(reasoning=reasoning)
        return _caller(ctx, session_id, reasoning)

    async def opened(docid: str, caller: Caller, search_id: str | None) -> Fetched:
        limits.check_call(ids=[docid, search_id])
        (document,) = await service.documents([docid], caller, search_id=search_id)
        if document is None:
            raise LratError(f"Fetch: expected the id of a document that a search listed, found {docid[:200]!r}.")
        title, url = document.title or docid, url_of(docid)
        about = {"corpus": service.description.corpus} if service.description.corpus else {}
        return Fetched(id=docid, title=title, text=document.text, url=url, metadata=about)

    @server.tool(annotations=READS)
    async def fetch(
        id: str, ctx: Context, search_id: SearchId = None, reasoning: Reasoning = None, session_id: SessionId = None
    ) -> Fetched:
        """Open a document by its id and read its whole text."""
        with _mended():
            return await opened(id, called(ctx, session_id, reasoning), search_id)

    @server.tool(annotations=READS)
    async def get_document(
        docid: str, ctx: Context, search_id: SearchId = None, reasoning: Reasoning = None, session_id: SessionId = None
    ) -> Fetched:
        """Open a document by its id: the same as fetch."""
        with _mended():
            return await opened(docid, called(ctx, session_id, reasoning), search_id)

    @server.tool()
    async def feedback(
        search_id: str,
        docid: str,
        used: bool,
        ctx: Context,
        comment: str | None = None,
        reasoning: Reasoning = None,
        session_id: SessionId = None,
    ) -> Taken:
        """Say whether a document that a search listed was used for the answer."""
        with _mended():
            limits.check_call(comment=comment, ids=[search_id, docid])
            note = ServedFeedback(search_id, docid, used, comment)
            await service.feedback(note, called(ctx, session_id, reasoning))
        return Taken(ok=True)

    @server.tool()
    async def answer(
        answer: Annotated[str, Field(description="Your answer, as the user reads it.")],
        ctx: Context,
        question: Annotated[str | None, Field(description="What the user asked.")] = None,
        reasoning: Reasoning = None,
        session_id: SessionId = None,
    ) -> Taken:
        """Say what you answer at the end of your task, so that its session is complete."""
        with _mended():
            limits.check_call(answer=answer, question=question)
            await service.answer(ServedAnswer(answer, question), called(ctx, session_id, reasoning))
        return Taken(ok=True)

    return server


def mcp_routes(server: MCPServer, *, limits: Limits | None = None, stateless: bool = False) -> list[BaseRoute]:
    """The routes of `/mcp`, which answer while `server.session_manager.run()` is entered.

    Whoever serves them checks hosts and tokens.

    Args:
        limits: The most that one call may ask for.
        stateless: Whether each request may come to another process, so that none keeps sessions.
    """
    unchecked = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    app = server.streamable_http_app(
        json_response=True,
        stateless_http=stateless,
        max_request_body_size=(limits or Limits()).body,
        transport_security=unchecked,
    )
    return app.routes


def _caller(ctx: Context, session_id: str | None, reasoning: str | None) -> Caller:
    asked = ctx.request_context
    # Over a process's own streams there is no request, and no headers.
    headers, scope = (asked.request.headers, asked.request.scope) if asked.request is not None else ({}, {})
    return caller_of(headers, session_id, scope.get("subject"), reasoning, meta={**(asked.meta or {})})


async def _look_up(service: SearchService, docids: list[str]) -> list[Document]:
    """The documents of a list; a service without its corpus lists ids alone."""
    if service.backend.load_documents is None:
        return [Document(docid, "", "") for docid in docids]
    found = await service.look_up(docids)
    return [document or Document(docid, "", "") for docid, document in zip(docids, found, strict=True)]


@contextmanager
def _mended() -> Iterator[None]:
    """Says what a client can fix as the error of a tool, which its model reads."""
    try:
        yield
    except LratError as error:
        raise ToolError(str(error)) from error
