"""How sources are read: the options of `lrat corpus` that don't name a source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lrat_hub.corpora.files import MAX_LENGTH

Titles = Literal["column", "first_line"]
Quotes = Literal["text", "csv"]


@dataclass(frozen=True, kw_only=True)
class ReadSettings:
    """Settings of `build_collection`. Columns are written `OURS=THEIRS`; the known names need none."""

    split: str = field(
        default="test",
        metadata={"help": "Split that queries and judgements are published as; with --beir also the one read."},
    )
    document_columns: list[str] = field(
        default_factory=list, metadata={"help": "docid=THEIRS text=THEIRS title=THEIRS; title= for none."}
    )
    query_columns: list[str] = field(
        default_factory=list, metadata={"help": "query_id=THEIRS query=THEIRS answer=THEIRS; a TSV then has a header."}
    )
    qrel_columns: list[str] = field(
        default_factory=list, metadata={"help": "query_id=THEIRS docid=THEIRS relevance=THEIRS."}
    )
    titles: Titles = field(
        default="column", metadata={"help": "Where titles are: in a column, or in the first line of the text."}
    )
    chunk_tokens: int = field(
        default=0, metadata={"help": "Cut documents into chunks of so many tokens (paper: 512); 0 keeps them whole."}
    )
    quotes: Quotes = field(
        default="text", metadata={"help": "What quotes are in a TSV of questions: text, or marks around fields."}
    )
    topic_field: str = field(default="title", metadata={"help": "The field of TREC topics that is the question."})
    deobfuscate: bool = field(
        default=False,
        metadata={"help": "Questions are obfuscated the way BrowseComp-Plus is; needs --private."},
    )
    canary: str = field(default="", metadata={"help": "The key to these, when it is not in a column `canary`."})
    max_length: int = field(
        default=MAX_LENGTH, metadata={"help": "Longest row that is kept: characters of a text, bytes of a line."}
    )
