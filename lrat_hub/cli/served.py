"""Indexes that a stage serves to itself, each in a process of its own, on named GPUs, while it is searched."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import LocalSource
from lrat_hub.llm.processes import ServerProcess, free_port
from lrat_hub.llm.settings import ServerSettings
from lrat_hub.retrieval import Hit
from lrat_hub.retrieval.opening import RetrieverName, index_name
from lrat_hub.retrieval.remote import RemoteRetriever

if TYPE_CHECKING:
    from lrat_hub.hub.inputs import Inputs, Source
    from lrat_hub.retrieval import Retriever

SEARCH_SECONDS = 600.0
"""Longest wait for a search: an exact one on the CPU takes long, and many wait for it."""


class ServedIndex:
    """An index that `lrat serve` serves while inside `with`; a `Retriever` whose records are those of the index.

    Args:
        index, corpus: Their pins.
        devices: GPUs of its process, as `ServerProcess` takes them.
        model: The index's model, where that is not on the Hub.
        log: File for the output of its process.

    Raises:
        LratError: It is no index of the corpus.
    """

    def __init__(self, index: Source, corpus: Source, devices: str, *, model: Source | None = None, log: Path) -> None:
        from lrat_hub.retrieval.indexes import IndexManifest, identity_of

        stamp = IndexManifest.of(index)
        stamp.check(str(index), corpus=corpus, model=model)
        self._index, self._corpus, self._devices, self._model, self._log = index, corpus, devices, model, log
        self.stamp = stamp
        self.name, self.revision, self.query_style = identity_of(stamp, index, corpus, model)
        self._remote: RemoteRetriever | None = None

    def __enter__(self) -> ServedIndex:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        words = ["--index", _word(self._index), "--corpus", _word(self._corpus), "--port", str(port)]
        words += ["--model", _word(self._model)] if self._model is not None else []
        self._process = ServerProcess(
            f"lrat serve {self._index}",
            [sys.executable, "lrat_hub.cli", "serve", *words],
            url,
            log=self._log,
            timeout=ServerSettings().server_timeout,
            devices=self._devices,
        )
        self._process.__enter__()
        self._remote = RemoteRetriever(url, corpus=self._corpus, timeout=SEARCH_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remote = None
        self._process.__exit__(kind, error, trace)

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See `Retriever.search`."""
        assert self._remote is not None, "it is served inside `with` only"
        return self._remote.search(queries, k)


def served_indexes(
    inputs: Inputs, texts: Sequence[str], devices: str, *, corpus: Source, model: str = "", log: Path
) -> list[ServedIndex]:
    """Indexes that are served one after the other, recorded as inputs like those that are opened in the process.

    Args:
        texts: References of indexes.
        model: Their model, where that is not on the Hub.

    Raises:
        LratError: One of them is no index of the corpus.
    """
    model_source = inputs.resolve("retriever", model, repo_type="model") if model else None
    served = []
    for number, text in enumerate(texts, start=1):
        name = RetrieverName.parse(index_name(text))
        if name.kind != "index":
            raise LratError(f"{text}: expected an index to serve on `retriever_devices`, found a server.")
        label = "index" if len(texts) == 1 else f"index_{number}"
        source = inputs.resolve(label, name.text, repo_type="model")
        served.append(ServedIndex(source, corpus, devices, model=model_source, log=log))
    return served


def searchable(retriever: Retriever) -> AbstractContextManager[object]:
    """A context in which a retriever can be searched: one that is served is started for it."""
    return retriever if isinstance(retriever, ServedIndex) else nullcontext()


def _word(source: Source) -> str:
    """A pin as the command line takes it."""
    return str(source.path) if isinstance(source, LocalSource) else str(source)
