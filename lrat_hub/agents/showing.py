"""What agents are shown of documents: result lists, and documents that they open."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from lrat_hub.errors import LratError
from lrat_hub.schema import Candidate, Document

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SNIPPETS_KEPT = 65_536

SEEN = "(shown before)"
"""Stands in a result list in the place of the snippet of a document that was shown before."""


class ShownDocuments:
    """Documents as agents are shown them.

    Args:
        documents: Looks a document up by its docid; a KeyError means that there is none.
        snippet_tokens: Tokens at the start of a document's text that are shown in a result list.
        browse_tokens: Tokens at the start of a document's text that are shown when it is opened; None for all of it.
        tokenizer: A fast tokenizer whose tokens are meant; None for words between blanks.

    Raises:
        LratError: A number of tokens is less than 1.
    """

    def __init__(
        self,
        documents: Mapping[str, Document],
        *,
        snippet_tokens: int = 64,
        browse_tokens: int | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
    ) -> None:
        require_at_least_one(snippet_tokens=snippet_tokens, browse_tokens=browse_tokens)
        self.snippet_tokens, self.browse_tokens, self.tokenizer = snippet_tokens, browse_tokens, tokenizer
        self._documents = documents
        # The same documents are listed again and again, and tokenising a long one takes milliseconds.
        self._snippet = lru_cache(SNIPPETS_KEPT)(self._cut_snippet)

    def candidate(
        self, query_index: int, rank: int, docid: str, score: float | None = None, *, is_seen: bool = False
    ) -> Candidate:
        """A result with its title and, unless it was seen, its snippet. Raises KeyError for an unknown docid."""
        title, snippet = self._documents[docid].title, "" if is_seen else self._snippet(docid)
        return Candidate(query_index, rank, docid, title, snippet, score)

    def opened(self, docid: str) -> tuple[Document, str]:
        """A document with as much of its text as is shown, and what an agent reads. Raises KeyError if unknown."""
        document = self._documents[docid]
        cut = document.text
        if self.browse_tokens is not None:
            cut = self._start(document.text, self.browse_tokens)
        text = f"DocID: {docid}\nTitle: {document.title}\n\n{cut}"
        if len(cut) < len(document.text.rstrip()):
            text += f"\n\n[Cut after {self.browse_tokens} tokens.]"
        return Document(docid, document.title, cut), text

    def _cut_snippet(self, docid: str) -> str:
        return self._start(self._documents[docid].text, self.snippet_tokens)

    def _start(self, text: str, tokens: int) -> str:
        """The first tokens of a text, as they are written."""
        if self.tokenizer is None:
            last = next(islice(re.finditer(r"\S+", text), tokens - 1, None), None)
            return text.rstrip() if last is None else text[: last.end()]
        # Cut by offsets: decoded tokens would not give the text as it is written.
        offsets = self.tokenizer(
            text,
            add_special_tokens=False,
            truncation=True,
            max_length=tokens,
            return_offsets_mapping=True,
        )["offset_mapping"]
        return text[: offsets[-1][1]] if offsets else ""


def require_at_least_one(**numbers: int | None) -> None:
    """Raises LratError for a number of results or tokens that is less than 1."""
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise LratError(f"Environment: expected {name} of at least 1, found {value}. Raise it.")


_LIKE_A_LIST = re.compile(r"^(?:(?=\[\d+\] DocID: )\[|(?=Results for ['\"])R)", re.MULTILINE)
_ESCAPES = {"[": "&#91;", "R": "&#82;"}


def _inside(text: str) -> str:
    """A document's text as it can stand in a list: no line of it begins a result or another list."""
    return _LIKE_A_LIST.sub(lambda match: _ESCAPES[match[0]], text)


def render_results(queries: Sequence[str], results: Sequence[Candidate], seen: Set[str] = frozenset()) -> str:
    """Result lists as text, one block a query.

    Args:
        seen: Documents that are listed by title, as shown before.
    """
    blocks = []
    for index, query in enumerate(queries):
        entries = [
            f"[{candidate.rank}] DocID: {candidate.docid}\nTitle: {' '.join(candidate.title.splitlines())}\n"
            + (SEEN if candidate.docid in seen else _inside(candidate.snippet))
            for candidate in results
            if candidate.query_index == index
        ]
        blocks.append("\n\n".join([f"Results for {query!r}:", *(entries or ["Nothing was found."])]))
    return "\n\n".join(blocks)
