"""What clients send and get by HTTP, as pydantic models: they validate, and the OpenAPI document is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from lrat_hub.errors import LratError

M = TypeVar("M", bound=BaseModel)

IncludedField = Literal["title", "snippet"]


class _Question(BaseModel):
    # A misspelt name would be lost in silence.
    model_config = ConfigDict(extra="forbid")


class _Attributed(_Question):
    session_id: StrictStr | None = Field(None, description="The session of the agent that this call belongs to.")
    reasoning: StrictStr | None = Field(None, description="What the agent thought before this call.")


class SearchQuestion(_Attributed):
    """Queries, and how many documents to list for each."""

    queries: list[StrictStr] = Field(description="Queries, rendered in the retriever's query style.")
    k: Annotated[StrictInt, Field(ge=1, le=2**31 - 1)] = Field(description="Most documents in a result list.")
    include: list[IncludedField] = Field(
        default_factory=list, description="What comes with each result besides its docid and score."
    )


class Result(BaseModel):
    """A document in a result list."""

    docid: str
    score: float
    title: str | None = Field(None, description="The document's title, where it was asked for.")
    snippet: str | None = Field(None, description="The start of the document's text, where it was asked for.")


class SearchAnswer(BaseModel):
    """A result list for each query, best first, all of one revision of the retriever."""

    results: list[list[Result]]
    search_id: str = Field(description="Names this search in later fetches and feedback.")
    revision: str | None = Field(description="The revision of the retriever that has answered.")
    pin: str | None = Field(description="The pin of the index that has answered, where one is served.")


class DocumentsQuestion(_Attributed):
    """Documents to open."""

    docids: list[StrictStr]
    search_id: StrictStr | None = Field(None, description="The search that listed them.")


class OpenedDocument(BaseModel):
    """A document of the corpus."""

    docid: str
    title: str
    text: str


class DocumentsAnswer(BaseModel):
    """The documents that the corpus has, in the order of the ids."""

    documents: list[OpenedDocument]
    asked: int
    found: int
    missing: list[str] = Field(description="The ids that the corpus lacks.")


class FeedbackQuestion(_Attributed):
    """What became of a document that a search listed."""

    search_id: StrictStr
    docid: StrictStr
    used: StrictBool = Field(description="Whether the document was used for the answer.")
    comment: StrictStr | None = None


class AnswerQuestion(_Attributed):
    """What an agent answered at the end of its session."""

    answer: StrictStr
    question: StrictStr | None = Field(None, description="What was asked of the agent.")


class KeptAnswer(BaseModel):
    """Whether somebody keeps it."""

    kept: bool = Field(description="False where the server does not collect.")


class AboutAnswer(BaseModel):
    """What the server searches."""

    name: str
    revision: str | None
    corpus: str | None = Field(description="The pin of the corpus.")
    query_style: str = Field(description="How queries have to be rendered.")


class HealthAnswer(BaseModel):
    """Whether the server can answer, and what is wrong where it can do so only in part."""

    status: Literal["ready", "degraded"]
    retriever: AboutAnswer
    waiting: int = Field(description="Queries that wait now.")
    problems: list[str]
    details: dict[str, Any] = Field(description="What the parts of the server say of themselves.")


class ErrorAnswer(BaseModel):
    """What went wrong: what was expected, what was found, and what to do."""

    error: str


class ShardAnswer(BaseModel):
    """Which part of which index a server of a shard searches."""

    index: str = Field(description="The pin of the index, or the hash of a folder.")
    shard: int = Field(description="The number of the part, from 1.")
    shards: int
    documents: int = Field(description="Documents of the whole index.")


class ShardQuestion(_Question):
    """Queries of a shard: texts for BM25, and otherwise vectors."""

    k: Annotated[StrictInt, Field(ge=1, le=2**31 - 1)] = Field(description="Most documents in a list.")
    queries: list[StrictStr] | None = None
    vectors: StrictStr | None = Field(
        None, description="Vectors of queries, row by row: float32 in little-endian order, as base64."
    )


class ShardListsAnswer(ShardAnswer):
    """The lists of a shard, best first, with scores as in the whole index."""

    docids: list[list[str]]
    scores: list[list[float]]


class ShardHealthAnswer(BaseModel):
    """That the server of a shard can answer."""

    status: Literal["ready"]
    shard: ShardAnswer


class RetrieveQuestion(BaseModel):
    """The request of Search-R1's server, read as that one reads it.

    PeterGriffinJin/Search-R1@a14dc3a4ffc6fe88c1e95038d9738e21ba3f7a06, search_r1/search/retrieval_server.py:
    `QueryRequest`, whose fields pydantic converts ("3" is 3), and which takes other fields without a word.
    """

    queries: list[str]
    topk: int | None = Field(
        None, le=2**31 - 1, description="Documents for each query; three where it is missing or 0."
    )
    return_scores: bool = False


class RetrievedDocument(BaseModel):
    """A document as the corpora of Search-R1 have it: the quoted title is the first line of the contents."""

    id: str
    contents: str


class ScoredDocument(BaseModel):
    """A document with its score."""

    document: RetrievedDocument
    score: float


class RetrieveAnswer(BaseModel):
    """A list for each query, of documents with their scores if they were asked for."""

    result: list[list[ScoredDocument]] | list[list[RetrievedDocument]]


class RetrieveError(BaseModel):
    """What is wrong with a request, as FastAPI says it for Search-R1's server."""

    detail: list[dict[str, Any]] | str


def parse_question(kind: type[M], body: bytes, what: str) -> M:
    """A request's body as its model.

    Args:
        what: What is asked for, the start of an error.

    Raises:
        LratError: It is something else.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise LratError(f"{what}: {_explained(error)}") from error


def _explained(error: ValidationError) -> str:
    """The first thing that is wrong, and where others are."""
    problems = error.errors(include_url=False)
    first = problems[0]
    where = _path(first["loc"])
    others = list(dict.fromkeys(_path(problem["loc"]) for problem in problems[1:]))
    rest = f" Also wrong: {', '.join(others[:3])}{' and more' if len(others) > 3 else ''}." if others else ""
    if first["type"] == "json_invalid":
        return f"expected JSON, found {first['msg'].removeprefix('Invalid JSON: ')}.{rest}"
    if first["type"] == "missing":
        return f"expected {where}, found none.{rest}"
    if first["type"] == "extra_forbidden":
        return f"expected no further fields, found {where}.{rest}"
    expected = first["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    expected = expected.replace("greater than or equal to 1", "1 or more")
    return f"expected {where} to be {expected}, found {repr(first['input'])[:60]}.{rest}"


def _path(parts: Sequence[int | str]) -> str:
    """A place in a body, as `queries[3]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return f"`{text.removeprefix('.')[:60]}`" if text else "the body"
