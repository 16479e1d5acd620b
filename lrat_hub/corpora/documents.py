"""Documents of a corpus, out of any source of rows or a MediaWiki dump."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from lrat_hub.corpora.files import MAX_LENGTH, file_format, unusable
from lrat_hub.corpora.mediawiki import read_articles
from lrat_hub.corpora.rows import ColumnMap, Row, files_of, identifier, read_rows
from lrat_hub.corpora.settings import Titles
from lrat_hub.hub.inputs import LocalSource, Source
from lrat_hub.ledger import Ledger


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
            FlashRAG corpora have it; quotes around all of it go.
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
            if not text.strip():
                ledger.drop("empty text")
            elif reason := unusable(docid, title, text, max_length=max_length):
                ledger.drop(reason)
            else:
                yield {"docid": docid, "title": title, "text": text}


def _rows(source: Source, columns: ColumnMap, ledger: Ledger, max_length: int) -> Iterator[Row]:
    if isinstance(source, LocalSource):
        files = files_of(source.path)
        if file_format(files[0]) == ".xml":
            return chain.from_iterable(read_articles(file, ledger) for file in files)
    return read_rows(source, columns, ledger, max_length=max_length)


def _split_title(contents: str) -> tuple[str, str]:
    title, line_break, text = contents.partition("\n")
    if not line_break:
        return "", contents
    title = title.strip()
    return (title[1:-1] if len(title) > 1 and title[0] == title[-1] == '"' else title), text
