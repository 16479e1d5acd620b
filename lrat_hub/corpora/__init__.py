"""Corpora, questions and relevance judgements out of what is published, with an account of what could not be used.

A source is a Hub dataset at a pin, or a file on this machine. Every reader gives the rows of one table of this project
and counts in a `Ledger` what it had to leave out; tables are written to Arrow as rows come, so that no corpus is ever
held in memory. `build_collection` does all of it; the readers can be used alone.
"""

from lrat_hub.corpora.collection import Collection, ReadSettings, beir_sources, build_collection, build_table
from lrat_hub.corpora.documents import read_documents
from lrat_hub.corpora.questions import read_qrels, read_queries
from lrat_hub.corpora.rows import as_path
from lrat_hub.corpora.shown import shown_documents

__all__ = [
    "Collection", "ReadSettings", "as_path", "beir_sources", "build_collection", "build_table", "read_documents",
    "read_qrels", "read_queries", "shown_documents",
]  # fmt: skip
