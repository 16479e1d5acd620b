"""Retrievers by name: one grammar for the command line, recipes and notebooks, and one place that opens them.

A model can also be opened with its vectors on disk: `lrat_hub.retrieval.encoding.streamed_retriever`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lrat_hub.encoders import (
    LATE_INTERACTION,
    load_encoder,
    load_late_interaction,
    model_kind,
    query_style_of,
)
from lrat_hub.errors import LratError, did_you_mean
from lrat_hub.hub.inputs import FILE_SUFFIXES, Inputs, load_table
from lrat_hub.plugins import is_plugin, load_plugin, plugin_identity
from lrat_hub.retrieval import Retriever
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.retrieval.dense import DenseRetriever
from lrat_hub.retrieval.fusion import (
    FusionRetriever,
    PluginRetriever,
    RerankedRetriever,
    require_one_style,
)
from lrat_hub.retrieval.indexes import (
    CORPUS_CONFIG,
    IndexManifest,
    identity_of,
    is_index,
    load_index,
)
from lrat_hub.retrieval.late import LateRetriever
from lrat_hub.retrieval.remote import RemoteRetriever, is_url
from lrat_hub.retrieval.rerankers import load_second_stage
from lrat_hub.retrieval.served_reranker import ServedReranker

if TYPE_CHECKING:
    from lrat_hub.documents import Documents
    from lrat_hub.hub.inputs import Source
    from lrat_hub.queries import QueryStyle

INDEX_PREFIX = "index:"
RETRIEVER_MEMBERS = ("name", "revision", "search")

PartKind = Literal["bm25", "url", "plugin", "index", "repository", "reranker", "served_reranker"]


@dataclass(frozen=True)
class RetrieverName:
    """A retriever's name, read. All names have this grammar, wherever they are given::

        retriever = ranker { ">" reranker }          "bm25>me/cross-encoder": the best of bm25, ranked again
        ranker    = part { "+" part }                "bm25+me/model": fused by reciprocal rank
        part      = "bm25"                           BM25 over the whole corpus
                  | "http://..." | "https://..."     a retriever that is served
                  | module ":" object                a plug-in: a retriever, or what makes one of the documents
                  | "index:" repository              an index, which the prefix makes sure of
                  | repository                       an index, or a SentenceTransformer or MultiVectorEncoder over the
                                                     whole corpus
        reranker  = [ depth ":" ] ( repository       a CrossEncoder, or a MultiVectorEncoder (late interaction);
                                                     "bm25>20:me/x" ranks the first 20 again, no more
                                  | "http://..." )   a reranker that vLLM serves, up to and including /v1

    A repository is `namespace/name[@revision]`, or a path that starts with `/`, `./`, `../` or `~`. It always has a
    slash or a dot in front, and so is never taken for a plug-in, whose two halves are dotted Python names. The
    prefix `index:` goes before everything else: a module of that name can't hold plug-ins. `+` binds more tightly
    than `>`. Neither may be in a part; in a URL they are written %2B and %3E. Blanks around parts don't count.

    Args:
        kind: What the text names; "fusion" and "reranked" are made of `parts`.
        text: The name, without the prefix of an index and the depth of a reranker.
        depth: Of what is reranked: how many results, where the name says so.
    """

    kind: PartKind | Literal["fusion", "reranked"]
    text: str
    parts: tuple[RetrieverName, ...] = ()
    depth: int | None = None

    @classmethod
    def parse(cls, text: str) -> RetrieverName:
        """Reads a name; nothing is looked up.

        Raises:
            LratError: A part is empty, or what reranks can't be a model.
        """
        ranked, separator, reranker = text.rpartition(">")
        if separator:
            depth = re.match(r"\s*(-?[0-9]+)\s*:", reranker)
            last = cls._part(reranker[depth.end() :] if depth else reranker, text)
            if last.kind not in ("repository", "url") or "+" in reranker or (depth and int(depth[1]) < 1):
                raise LratError(
                    f"Retriever {text!r}: expected a reranker after '>', as namespace/name, a path or a URL, with the "
                    f"number of results to rank before it (20:namespace/name) or without; found {reranker.strip()!r}."
                )
            kind: PartKind = "served_reranker" if last.kind == "url" else "reranker"
            if not ranked.strip():
                raise LratError(f"Retriever {text!r}: expected a retriever's name, found an empty one.")
            parts = (cls.parse(ranked), cls(kind, last.text))
            return cls("reranked", text.strip(), parts, int(depth[1]) if depth else None)
        parts = tuple(cls._part(part, text) for part in text.split("+"))
        return parts[0] if len(parts) == 1 else cls("fusion", text.strip(), parts)

    @classmethod
    def _part(cls, part: str, whole: str) -> RetrieverName:
        part = part.strip()
        if not part.removeprefix(INDEX_PREFIX):
            raise LratError(f"Retriever {whole!r}: expected a retriever's name, found an empty one.")
        if part == "bm25":
            return cls("bm25", part)
        if is_url(part):
            return cls("url", part)
        if "/" not in part and part[0] not in ".~" and not part.startswith(INDEX_PREFIX) and not is_plugin(part):
            raise LratError(
                f"Retriever {whole!r}: expected bm25, a model or an index as namespace/name or a path with / or ./ in "
                f"front, a URL, or a plug-in as module:object; found {part!r}{did_you_mean(part, ['bm25']) or '.'}"
            )
        if part.startswith(INDEX_PREFIX):
            return cls("index", part.removeprefix(INDEX_PREFIX))
        return cls("plugin" if is_plugin(part) else "repository", part)

    @property
    def is_repository(self) -> bool:
        """Whether it is one part, and that a repository or a folder."""
        return self.kind in ("index", "repository", "reranker")

    def renamed(self, text_of: Callable[[RetrieverName], str]) -> str:
        """The name with other texts for the parts that are opened, such as their pins."""
        parts = [part.renamed(text_of) for part in self.parts]
        if self.kind == "fusion":
            return "+".join(parts)
        if self.kind == "reranked":
            return f"{parts[0]}>{'' if self.depth is None else f'{self.depth}:'}{parts[1]}"
        return (INDEX_PREFIX if self.kind == "index" else "") + text_of(self)

    def leaves(self) -> Iterator[RetrieverName]:
        """The parts that are opened, from left to right."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()


def index_name(text: str) -> str:
    """The name of an index or a URL, for options that take nothing else."""
    return text if is_url(text) or text.startswith(INDEX_PREFIX) else INDEX_PREFIX + text


def open_retriever(
    name: str,
    corpus: Source | str | None = None,
    *,
    documents: Documents | None = None,
    model: Source | None = None,
    inputs: Inputs | None = None,
    input_name: str = "retriever",
    show_progress: bool = False,
) -> Retriever:
    """A retriever over a corpus, by the same text as on the command line.

    Args:
        name: "bm25"; a SentenceTransformer or MultiVectorEncoder, which encodes the corpus and is searched exactly; an
            index; the URL of a served retriever; a plug-in `module:object`; several of these joined by "+", fused by
            reciprocal rank; and "a>b", where the CrossEncoder or MultiVectorEncoder b ranks again what a finds, or
            "a>20:b" for its first 20, and b may be the URL of a reranker that vLLM serves. See `RetrieverName`.
        corpus: The corpus to search: a reference, or its pin. An index or a server of another corpus is refused.
        documents: The corpus's documents, where they are loaded already. Without `corpus` they are enough for
            whatever is neither an index nor served.
        model: The model of an index whose model is not on the Hub.
        inputs: Where what is read is recorded with its pin; a corpus that is given as text is recorded as "corpus".
        input_name: The name that the retriever is recorded under; where it joins several, their names are numbered:
            "retriever_1" and so on.
        show_progress: Show a progress bar while a model encodes the corpus.

    Raises:
        LratError: There is no such retriever, it is of another corpus, or it joins retrievers that read queries in
            different styles; nothing has been encoded then.

    Example:
        >>> from lrat_hub import open_retriever
        >>> retriever = open_retriever("bm25+me/wiki-index", corpus="datasets/me/wiki")
        >>> retriever.search(["who invented the printing press"], k=10)
    """
    if isinstance(corpus, str) and (Path(corpus).is_file() or Path(corpus).suffix in FILE_SUFFIXES):
        raise LratError(
            f"Retriever: `corpus` {corpus}: expected a corpus dataset as namespace/name, found a file. Its documents "
            f"do for what is neither an index nor served: documents=load_corpus({corpus!r})."
        )
    inputs = inputs or Inputs()
    pin = inputs.resolve("corpus", corpus) if isinstance(corpus, str) else corpus
    opener = RetrieverOpener(pin, documents, inputs=inputs, show_progress=show_progress)
    return opener.open(name, input_name=input_name, model=model)


@dataclass
class _Part:
    """What is known of a part before it is opened, and how it is."""

    style: QueryStyle | None
    load: Callable[[], Any]

    @cached_property
    def opened(self) -> Any:
        """The retriever; of a part that reranks, its pin and the model."""
        return self.load()


class RetrieverOpener:
    """Opens retrievers over one corpus by their names, each part once, however many retrievers it is a part of.

    Args:
        corpus: The corpus; None where the documents come from nowhere in particular.
        documents: Its documents; loaded when they are needed if not given.
        inputs: Where the pins of what is read are recorded.
        show_progress: Show a progress bar while a model encodes the corpus.

    Raises:
        LratError: Neither a corpus nor documents are given.
    """

    def __init__(
        self,
        corpus: Source | None,
        documents: Documents | None = None,
        *,
        inputs: Inputs | None = None,
        show_progress: bool = False,
    ) -> None:
        if corpus is None and documents is None:
            raise LratError("Retriever: expected a corpus or its documents, found neither. Give `corpus`.")
        if documents is not None and not hasattr(documents, "in_order"):
            raise LratError(
                f"Retriever: expected `documents` as load_corpus gives them, found one {type(documents).__name__}. "
                "BM25Retriever and DenseRetriever take lists of documents, too."
            )
        self._corpus, self._documents = corpus, documents
        self._inputs, self._show_progress = inputs or Inputs(), show_progress
        self._parts: dict[RetrieverName, _Part] = {}

    @property
    def documents(self) -> Documents:
        from lrat_hub.documents import Documents

        if self._documents is None:
            assert self._corpus is not None
            self._documents = Documents(load_table(self._corpus, "corpus", config=CORPUS_CONFIG))
        return self._documents

    def open(self, name: str, *, input_name: str | None = None, model: Source | None = None) -> Retriever:
        """The retriever of a name.

        All parts are pinned, and their query styles compared, before the first of them encodes anything.

        Args:
            name: See `RetrieverName`.
            input_name: What the retriever is called in the lineage; its parts, where there are several, have numbers
                behind it. By default they are numbered as they are opened first: "retriever_1" and so on.
            model: The model of an index, where that is not on the Hub.

        Raises:
            LratError: See `open_retriever`.
        """
        tree = RetrieverName.parse(name)
        leaves = list(tree.leaves())
        if model is not None and (tree.parts or tree.kind not in ("index", "repository", "url")):
            raise LratError(f"Retriever {name!r}: expected one index beside its model, found another retriever.")
        for number, leaf in enumerate(leaves, start=1):
            if leaf not in self._parts:
                label = f"{input_name}_{number}" if input_name and tree.parts else input_name
                self._parts[leaf] = self._prepared(leaf, label or f"retriever_{len(self._parts) + 1}", model)
        # A plug-in's is known when it is opened, and compared then.
        require_one_style(name, [(leaf.text, style) for leaf in leaves if (style := self._parts[leaf].style)])
        return self._open(tree)

    def _prepared(self, name: RetrieverName, label: str, model: Source | None) -> _Part:
        """A part's pin and query style. What costs nothing to open is opened: servers answer at once."""
        if name.kind == "bm25":
            revision = getattr(self._corpus, "revision", None)
            return _Part("plain", lambda: BM25Retriever(self.documents.in_order(), revision=revision))
        if name.kind in ("url", "plugin", "served_reranker") and self._inputs.require_pinned:
            what = "a plug-in" if name.kind == "plugin" else "a server"
            raise LratError(f"{name.text}: only references at a full commit sha are allowed here, not {what}.")
        if name.kind == "plugin":
            self._inputs.record(label, plugin_identity(name.text))
            return _Part(
                None,
                lambda: PluginRetriever(
                    load_plugin(name.text, "retriever", RETRIEVER_MEMBERS, self.documents), name.text, self.documents
                ),
            )
        if name.kind == "url":
            remote = RemoteRetriever(name.text, corpus=self._corpus_of(name))
            self._inputs.record(label, f"{remote.name}@{remote.revision} (served at {remote.url})")
            return _Part(remote.query_style, lambda: remote)
        if name.kind == "served_reranker":
            served = ServedReranker(name.text)
            self._inputs.record(label, f"{served.name} (served at {served.url}, unpinned)")
            return _Part(None, lambda: (None, served))
        source = self._inputs.resolve(label, name.text, repo_type="model")
        if name.kind == "reranker":
            return _Part(query_style_of(source), lambda: (source, load_second_stage(source)))
        if name.kind == "index" or is_index(source):
            stamp, corpus = IndexManifest.of(source), self._corpus_of(name)
            stamp.check(str(source), corpus=corpus, model=model)
            *_, style = identity_of(stamp, source, corpus, model)
            return _Part(style, lambda: load_index(source, corpus=corpus, model=model))
        if model is not None:
            raise LratError(f"{source}: expected an index beside its model, found a model.")
        return _Part(query_style_of(source), lambda: self._load_model(source))

    def _corpus_of(self, name: RetrieverName) -> Source:
        if self._corpus is None:
            raise LratError(f"{name.text}: expected the corpus that it is of, found documents alone. Give `corpus`.")
        return self._corpus

    def _open(self, name: RetrieverName) -> Retriever:
        if name.kind == "fusion":
            return FusionRetriever([self._open(part) for part in name.parts], self.documents.row)
        if name.kind == "reranked":
            first, reranker = name.parts
            # Before the first retriever, which may take hours to encode the corpus.
            source, model = self._parts[reranker].opened
            if source is None:
                return RerankedRetriever(
                    self._open(first), model, self.documents, name=model.name, depth=name.depth, query_style=None
                )
            return RerankedRetriever.of(source, self._open(first), model, self.documents, depth=name.depth)
        return self._parts[name].opened

    def _load_model(self, source: Source) -> DenseRetriever | LateRetriever:
        documents = self.documents.in_order()
        if model_kind(source) == LATE_INTERACTION:
            model = load_late_interaction(source)
            return LateRetriever.of(source, model, documents, show_progress=self._show_progress)
        return DenseRetriever.of(source, load_encoder(source), documents, show_progress=self._show_progress)
