"""The retriever that a stage's `--index` option names, with its pin in the stage's lineage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lrat_hub.errors import LratError
from lrat_hub.retrieval.indexes import load_index
from lrat_hub.retrieval.remote import RemoteRetriever, is_url

if TYPE_CHECKING:
    from lrat_hub.hub.inputs import Source
    from lrat_hub.retrieval import Retriever
    from lrat_hub.stage import Stage


def open_index(
    stage: Stage, text: str, *, corpus: Source, model: Source | None = None, name: str = "index"
) -> Retriever:
    """An index by its reference, or a retriever that `lrat serve` serves by its URL.

    Args:
        corpus: The corpus of the stage; an index of another is refused.
        model: The index's model, where that is not on the Hub.
        name: The input's name in the lineage.

    Raises:
        LratError: It can't be opened, is of another corpus or model, or is a URL although pins are required.
    """
    if not is_url(text):
        index = stage.input(name, text, repo_type="model", option="index")
        return load_index(index, corpus=corpus, model=model)
    if stage.args.require_pinned:
        raise LratError(f"{text}: --require-pinned allows only references at a full commit sha, not a server.")
    retriever = RemoteRetriever(text, corpus=corpus)
    stage.record(name, f"{retriever.name}@{retriever.revision} (served at {retriever.url})", option="index")
    return retriever
