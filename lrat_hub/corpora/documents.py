"""Documents of a corpus, out of any source of rows or a MediaWiki dump, whole or cut into chunks of a number of
tokens."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from lrat_hub.corpora.mediawiki import read_articles
from lrat_hub.corpora.rows import (
    MAX_LENGTH,
    ColumnMap,
    SourceRow,
    file_format,
    files_of,
    identifier,
    read_rows,
    unusable,
)
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import LocalSource, Source
from lrat_hub.ledger import Ledger
from lrat_hub.scaling.work import Parts, whole_file, with_accounts
from lrat_hub.schema import document_features
from lrat_hub.storage import TableWriter

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

Titles = Literal["column", "first_line", "front_matter"]

Span = tuple[int, int]
"""Where something lies in a text: its first character, and the one behind its last."""

# A chunk ends before a word that doesn't fit, unless that is as long as no word is: text without blanks.
_LONGEST_WORD = 32
_BATCH_DOCUMENTS = 64
PART_DOCUMENTS = 1_024
"""Documents whose chunks are a file: a multiple of the batch, so that the same ones are tokenized together."""

_FRONT_MATTER = re.compile(r"---\n(.*?\n)---[ \t]*(?:\n|$)", re.DOTALL)
_TITLE = re.compile(r"^title:(.*)\n?", re.MULTILINE)
_WORD = re.compile(r"\S+")


def read_documents(
    source: Source,
    ledger: Ledger,
    *,
    columns: ColumnMap | None = None,
    titles: Titles = "column",
    max_length: int = MAX_LENGTH,
) -> Iterator[dict[str, str]]:
    """Rows `docid, title, text`.

    Args:
        source: A Hub dataset, a file or folder of rows, or a MediaWiki dump (`.xml`, also compressed).
        ledger: Counts what is dropped; `build_table` counts the rest.
        titles: "first_line" takes the title from the text up to its first line break, as `Lk123/wiki-25-512` and the
            FlashRAG corpora have it; quotes around all of it go. "front_matter" takes it from the lines between `---`
            that the texts of BrowseComp-Plus begin with; other lines there stay.
        max_length: Longest text that is kept, in characters, and longest line of a file, in bytes.
    """
    for row in _rows(source, columns or ColumnMap.of("documents"), ledger, max_length):
        docid, title, text = identifier(row["docid"]), row["title"], row["text"]
        if docid is None:
            ledger.drop("no id")
        elif text is not None and not isinstance(text, str):
            ledger.drop("its text is not a string")
        else:
            title, text = title if isinstance(title, str) else "", text or ""
            if titles == "first_line":
                title, text = _split_title(text)
            elif titles == "front_matter":
                title, text = _split_front_matter(text)
            if not text.strip():
                ledger.drop("empty text")
            elif reason := unusable(docid, title, text, max_length=max_length):
                ledger.drop(reason)
            else:
                yield {"docid": docid, "title": title, "text": text}


def _rows(source: Source, columns: ColumnMap, ledger: Ledger, max_length: int) -> Iterator[SourceRow]:
    if isinstance(source, LocalSource):
        files = files_of(source.path)
        if file_format(files[0]) == ".xml":
            return chain.from_iterable(read_articles(file, ledger) for file in files)
    return read_rows(source, columns, ledger, max_length=max_length)


def _split_title(contents: str) -> tuple[str, str]:
    title, line_break, text = contents.partition("\n")
    if not line_break:
        return "", contents
    return _unquoted(title), text


def _split_front_matter(contents: str) -> tuple[str, str]:
    matter = _FRONT_MATTER.match(contents)
    title = _TITLE.search(matter[1]) if matter else None
    if matter is None or title is None:
        return "", contents
    others = (matter[1][: title.start()] + matter[1][title.end() :]).strip("\n")
    text = contents[matter.end() :]
    return _unquoted(title[1]), f"---\n{others}\n---\n{text}" if others else text.lstrip("\n")


def _unquoted(title: str) -> str:
    title = title.strip()
    return title[1:-1] if len(title) > 1 and title[0] == title[-1] and title[0] in "\"'" else title


def chunk_documents(
    documents: Dataset, ledger: Ledger, *, tokenizer: PreTrainedTokenizerBase | None, size: int
) -> Iterator[dict[str, str]]:
    """Rows `docid, title, text` of the chunks of a corpus, in its order.

    A document that fits keeps its id; chunks of others are called `<docid>#0`, `<docid>#1`, ... Every chunk has its
    document's title. The texts of a document's chunks, one after another, are its text except for blanks between them.

    Args:
        documents: A table `docid, title, text`.
        ledger: Of the documents; it gets a note of how many were cut.
        tokenizer: None counts words between blanks.
        size: Tokens of a chunk's text, as the tokenizer cuts the whole text. Title and special tokens don't count.

    Raises:
        LratError: The size is not positive, or the tokenizer can't tell where its tokens lie.
    """
    if size < 1:
        raise LratError(f"Chunks: expected a positive number of tokens, found {size}.")
    for batch in cast("Iterator[pa.Table]", documents.with_format("arrow").iter(_BATCH_DOCUMENTS)):
        rows: list[dict[str, str]] = batch.to_pylist()
        tokens = token_spans([row["text"] for row in rows], tokenizer)
        for row, spans in zip(rows, tokens, strict=True):
            docid, title, text = row["docid"], row["title"], row["text"]
            chunks = chunk_spans(text, spans, size)
            if len(chunks) > 1:
                ledger.note("cut into chunks")
            for number, (start, end) in enumerate(chunks):
                name = docid if len(chunks) == 1 else f"{docid}#{number}"
                yield {"docid": name, "title": title, "text": text[start:end]}


@dataclass(frozen=True)
class ChunkParts(Parts):
    """The chunks of some documents a file, with an account of the documents that were cut.

    Args:
        documents: The pickled table, which goes by its path.
        count: Number of documents.
        size, tokenizer: As for `chunk_documents`.
        folder: Where the files go.
    """

    documents: bytes
    count: int
    size: int
    tokenizer: PreTrainedTokenizerBase | None
    folder: Path

    name = "chunks"

    def __len__(self) -> int:
        return -(-self.count // PART_DOCUMENTS)

    def path(self, number: int) -> Path:
        return self.folder / f"chunks-{number:06d}.arrow"

    def make(self, number: int) -> None:
        rows = range(number * PART_DOCUMENTS, min((number + 1) * PART_DOCUMENTS, self.count))
        ledger, table = Ledger("documents"), pickle.loads(self.documents).select(rows)
        chunks = list(chunk_documents(table, ledger, tokenizer=self.tokenizer, size=self.size))
        with (
            whole_file(self.path(number)) as unfinished,
            TableWriter(unfinished, with_accounts(document_features(), ledger)) as writer,
        ):
            writer.write(chunks)

    def table(self) -> Dataset:
        """All chunks, once all parts are there."""
        from datasets import Dataset, concatenate_datasets

        return concatenate_datasets([Dataset.from_file(str(self.path(number))) for number in range(len(self))])


def token_spans(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase | None) -> list[list[Span]]:
    """Where each text's tokens lie, in order."""
    if tokenizer is None:
        return [[match.span() for match in _WORD.finditer(text)] for text in texts]
    if not tokenizer.is_fast:
        raise LratError(
            f"Tokenizer {tokenizer.name_or_path}: expected one that tells where its tokens lie in the text (a "
            "tokenizer.json), found a slow one. Name another, or 'words'."
        )
    # Not verbose: it would warn of texts that are longer than the model reads, which is why they are cut.
    encoded = tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    return encoded["offset_mapping"]


def chunk_spans(text: str, tokens: Sequence[Span], size: int) -> list[Span]:
    """Where the chunks of a text lie: `size` tokens each or, so that no word is cut, a few less.

    Whatever the tokenizer skipped goes with the token before it; blanks at a chunk's ends are left out.
    """
    chunks = []
    first, start = 0, 0
    while first < len(tokens):
        last = first + size
        if last < len(tokens):
            last = _word_start(text, tokens, first, last)
        end = tokens[last][0] if last < len(tokens) else len(text)
        piece = text[start:end]
        if stripped := piece.strip():
            start += len(piece) - len(piece.lstrip())
            chunks.append((start, start + len(stripped)))
        first, start = last, end
    # A text of nothing that the tokenizer knows is a chunk all the same.
    return chunks or [(0, len(text))]


def _word_start(text: str, tokens: Sequence[Span], first: int, last: int) -> int:
    """The last token before `last`, or it itself, that begins a word; `last` when the word is too long to be kept."""
    for index in range(last, max(first, last - _LONGEST_WORD), -1):
        start = tokens[index][0]
        # Some tokenizers count the blank before a word to its first token.
        if any(character.isspace() for character in text[start - 1 : start + 1]):
            return index
    return last
