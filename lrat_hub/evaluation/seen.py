"""What a model has seen of a benchmark: queries that pairs of its training were mined from, and documents it learned.

The lineage of a model leads to the pairs that it was trained on, also over several rounds. Questions and documents are
compared by their texts, as ids of two datasets say nothing of each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import load_table
from lrat_hub.hub.lineage import Ancestor, trace
from lrat_hub.hub.refs import HubRef
from lrat_hub.storage import rows_of

if TYPE_CHECKING:
    from lrat_hub.documents import Documents
    from lrat_hub.hub.inputs import Source
    from lrat_hub.schema import Pair, Trajectory

READ_BY = "train"
"""The stage whose pairs a model is trained on."""

PAIR_COLUMNS = ("question", "query", "query_id", "positive_id", "weight")


@dataclass(frozen=True)
class TrainingPairs:
    """The pairs that a model was trained on, as far as they are needed to know them again.

    Args:
        sources: Pins of the pairs; none where the lineage leads to none.
        questions: Keys (`text_key`) of the questions that agents were asked, and of the queries they searched with.
        query_ids: Ids of questions whose text the pairs lack, when they come from the same queries.
        positives: Keys of the texts of positives.
        positive_ids: Ids of positives without a text, when they are of the same corpus.
        problem: Why the lineage or the pairs could not be read; "" where they could.
    """

    sources: tuple[str, ...] = ()
    questions: frozenset[str] = frozenset()
    query_ids: frozenset[str] = frozenset()
    positives: frozenset[str] = frozenset()
    positive_ids: frozenset[str] = frozenset()
    problem: str = ""

    @classmethod
    def of(cls, model: Source, *, queries: Source | None = None, corpus: Source | None = None) -> TrainingPairs:
        """The pairs that a model, or the model of an index, was trained on.

        Args:
            queries, corpus: Those of the evaluation: where the lineage has the same repositories, ids count as well.
        """
        if not isinstance(model, HubRef):
            return cls(problem="it is not on the Hub, so nothing is known of its lineage")
        try:
            ancestors = list(trace(model))
            sources = list(dict.fromkeys(_pair_sources(ancestors)))
            read = [_read(source, ancestors, queries, corpus) for source in sources]
        except LratError as error:
            return cls(problem=f"its lineage can't be followed: {error}")
        questions, query_ids, positives, positive_ids = (
            frozenset[str]().union(*(sets[index] for sets in read)) for index in range(4)
        )
        return cls(tuple(map(str, sources)), questions, query_ids, positives, positive_ids)


def _pair_sources(ancestors: Sequence[Ancestor]) -> Iterable[HubRef]:
    """What stages that train have read as pairs, as their lineages name it: with its config and split."""
    for ancestor in ancestors:
        if ancestor.lineage is not None and ancestor.lineage.stage == READ_BY and not ancestor.seen:
            for name, text in ancestor.lineage.inputs.items():
                if name.partition("_")[0] == "pairs":
                    yield HubRef.parse(text)


def _read(
    source: HubRef, ancestors: Sequence[Ancestor], queries: Source | None, corpus: Source | None
) -> tuple[set[str], set[str], set[str], set[str]]:
    """Keys of questions, ids of questions, keys of positives and ids of positives of the pairs that have a weight."""
    repositories = {ancestor.source.repo_id for ancestor in ancestors if isinstance(ancestor.source, HubRef)}
    same_queries, same_corpus = (
        isinstance(given, HubRef) and given.repo_id in repositories for given in (queries, corpus)
    )
    table = load_table(source, "pairs", config="pairs")
    rows = rows_of(table.select_columns([name for name in PAIR_COLUMNS if name in table.column_names]))
    questions, query_ids, positive_ids = set[str](), set[str](), set[str]()
    for row in rows:
        if row["weight"] is None:
            continue
        questions.update(text_key(row[name]) for name in ("question", "query") if row.get(name))
        if not row.get("question") and row.get("query_id"):
            query_ids.add(row["query_id"])
        positive_ids.add(row["positive_id"])
    try:
        documents = load_table(replace(source, config="documents", split=None), "documents")
    except LratError:
        # Pairs without a corpus are published without their texts.
        return questions, query_ids if same_queries else set(), set(), positive_ids if same_corpus else set()
    positives = {text_key(row["text"] or "") for row in rows_of(documents) if row["docid"] in positive_ids}
    return questions, query_ids if same_queries else set(), positives, set()


@dataclass(frozen=True)
class Seen:
    """What a system has seen of a benchmark.

    Args:
        system: Its name in tables.
        query_ids: The judged queries that pairs were mined from.
        docids: The relevant documents that are positives of pairs.
        num_queries, num_documents: Of the benchmark: judged queries, and their relevant documents in the corpus.
        pairs: What it was trained on.
        question_ids, num_questions: The same for the questions that agents sent the queries for, where these are two
            things; none and 0 where they are one.
    """

    system: str
    query_ids: frozenset[str]
    docids: frozenset[str]
    num_queries: int
    num_documents: int
    pairs: TrainingPairs
    question_ids: frozenset[str] = frozenset()
    num_questions: int = 0

    @classmethod
    def of(
        cls,
        system: str,
        pairs: TrainingPairs,
        queries: Mapping[str, str],
        relevant: Iterable[str],
        documents: Documents | None,
        asked_for: Mapping[str, tuple[str, str]] | None = None,
    ) -> Seen:
        """Compares the pairs of a system with a benchmark.

        Args:
            queries: Id to text of the judged queries.
            relevant: Ids of the documents that are relevant to them.
            documents: The corpus; None where there is none, and then no documents are compared.
            asked_for: Id of a query to id and text of the question that an agent searched for with it. A query is seen
                as well when its question is.
        """
        texts = asked_for or {}
        query_ids = frozenset(
            key
            for key, text in queries.items()
            for question_id, question in (texts.get(key, (key, text)),)
            if question_id in pairs.query_ids or not pairs.questions.isdisjoint(map(text_key, (text, question)))
        )
        known = [docid for docid in dict.fromkeys(relevant) if documents is not None and docid in documents]
        docids = (
            docid
            for docid in known
            if docid in pairs.positive_ids
            or (pairs.positives and documents is not None and text_key(documents[docid].text) in pairs.positives)
        )
        questions = {key: question_id for key, (question_id, _) in texts.items()}
        return cls(
            system, query_ids, frozenset(docids), len(queries), len(known), pairs,
            frozenset(questions[key] for key in query_ids if key in questions), len(set(questions.values())),
        )  # fmt: skip

    def __str__(self) -> str:
        if self.pairs.problem:
            return f"{self.system}: {self.pairs.problem}"
        if not self.pairs.sources:
            return f"{self.system}: its lineage has no mined pairs"
        text = f"{self.system}: {len(self.query_ids)} of {self.num_queries} queries"
        if self.num_questions:
            text += f", of {len(self.question_ids)} of {self.num_questions} questions,"
        text += " were mined from"
        if self.num_documents:
            text += f", {len(self.docids)} of {self.num_documents} relevant documents are positives of training pairs"
        return text

    def to_dict(self) -> dict[str, Any]:
        """For lineage and the config `seen`."""
        return {
            "system": self.system,
            "seen_queries": len(self.query_ids),
            "queries": self.num_queries,
            "seen_documents": len(self.docids),
            "documents": self.num_documents,
            "pairs": list(self.pairs.sources),
            "note": self.pairs.problem,
        } | ({"seen_questions": len(self.question_ids), "questions": self.num_questions} if self.num_questions else {})


def was_seen(one: Trajectory | Pair, trained: Iterable[TrainingPairs]) -> bool:
    """Whether a trajectory or a pair is about a question that any of some trainings had pairs of."""
    key = text_key(one.question) if one.question else None
    return any(key in pairs.questions if key else one.query_id in pairs.query_ids for pairs in trained)


def text_key(text: str) -> str:
    """What counts as one text: the words, whatever their case and the blanks between them."""
    return hashlib.blake2b(" ".join(text.casefold().split()).encode(errors="replace"), digest_size=16).hexdigest()
