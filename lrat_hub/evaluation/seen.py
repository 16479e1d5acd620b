"""What a model has seen of a benchmark: queries that pairs of its training were mined from, and documents in them.

The lineage of a model leads to the pairs that it was trained on, also over several rounds. Questions and documents are
compared by their texts, as ids of two datasets say nothing of each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import load_table
from lrat_hub.hub.lineage import Ancestor, trace
from lrat_hub.hub.refs import HubRef
from lrat_hub.storage import BATCH_ROWS

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from lrat_hub.hub.inputs import Source
    from lrat_hub.schema import Pair, Trajectory

READ_BY = "train"
"""The stage whose pairs a model is trained on."""

PAIR_COLUMNS = ("question", "query", "query_id", "positive_id", "negative_ids", "weight")


@dataclass(frozen=True)
class TrainingPairs:
    """The pairs that a model was trained on, as far as they are needed to know them again.

    Args:
        sources: Pins of the pairs; none where the lineage leads to none.
        questions: Keys (`text_key`) of the questions that agents were asked, or of the query where there is none.
        queries: Keys of the queries that agents searched with.
        query_ids: Ids of questions whose text the pairs lack, when they come from the same queries.
        positives, negatives: Ids of the benchmark's relevant documents that are positives and negatives of pairs.
        problem: Why the lineage or the pairs could not be read; "" where they could.
    """

    sources: tuple[str, ...] = ()
    questions: frozenset[str] = frozenset()
    queries: frozenset[str] = frozenset()
    query_ids: frozenset[str] = frozenset()
    positives: frozenset[str] = frozenset()
    negatives: frozenset[str] = frozenset()
    problem: str = ""

    @classmethod
    def of(
        cls,
        model: Source,
        *,
        queries: Source | None = None,
        corpus: Source | None = None,
        relevant: Mapping[str, str] | None = None,
    ) -> TrainingPairs:
        """The pairs that a model, or the model of an index, was trained on.

        Args:
            queries, corpus: Those of the evaluation: where the lineage has the same repositories, ids count as well.
            relevant: Id of each relevant document to the key of its text; other documents of pairs are not kept.
        """
        if not isinstance(model, HubRef):
            return cls(problem="it is not on the Hub, so nothing is known of its lineage")
        try:
            ancestors = list(trace(model))
            sources = list(dict.fromkeys(_pair_sources(ancestors)))
            outside = [one.source for one in ancestors if one.lineage is None and isinstance(one.source, HubRef)]
            models = [str(source) for source in outside if source.repo_type == "model"]
            if models and not sources:
                return cls(problem=f"what it has seen is unknown: {models[0]} has no lineage")
            repositories = {one.source.repo_id for one in ancestors if isinstance(one.source, HubRef)}
            same_queries, same_corpus = (
                isinstance(given, HubRef) and given.repo_id in repositories for given in (queries, corpus)
            )
            read = [_read(source, relevant or {}, same_corpus) for source in sources]
        except LratError as error:
            return cls(problem=f"its lineage can't be followed: {error}")
        questions, texts, query_ids, positives, negatives = (
            frozenset[str]().union(*(sets[index] for sets in read)) for index in range(5)
        )
        ids = query_ids if same_queries else frozenset[str]()
        return cls(tuple(map(str, sources)), questions, texts, ids, positives, negatives)

    def has_text(self, key: str) -> bool:
        """Whether a question or a query has the text of this key."""
        return key in self.questions or key in self.queries


def _pair_sources(ancestors: Sequence[Ancestor]) -> Iterable[HubRef]:
    """What stages that train have read as pairs, as their lineages name it: with its config and split."""
    for ancestor in ancestors:
        if ancestor.lineage is not None and ancestor.lineage.stage == READ_BY and not ancestor.seen:
            for name, text in ancestor.lineage.inputs.items():
                if name.partition("_")[0] == "pairs":
                    yield HubRef.parse(text)


def _read(source: HubRef, relevant: Mapping[str, str], same_corpus: bool) -> tuple[set[str], ...]:
    """Keys of questions and of queries, ids of questions, and the relevant documents that are positives and negatives,
    of the pairs that have a weight."""
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at run time: no type checker knows them
    table = load_table(source, "pairs", config="pairs")
    known = _documents_of_pairs(source, relevant, same_corpus)
    ids = pa.array(list(known), pa.string())
    questions, queries, query_ids, positives, negatives = (set[str]() for _ in range(5))
    for batch in _batches(table, PAIR_COLUMNS):
        trained = batch.filter(pc.is_valid(batch["weight"]))
        for row in trained.drop_columns(["positive_id", "negative_ids"]).to_pylist():
            questions.add(text_key(row.get("question") or row["query"]))
            queries.add(text_key(row["query"]))
            if not row.get("question") and row.get("query_id"):
                query_ids.add(row["query_id"])
        # Most negatives are of no interest: they are looked up before they become Python's strings.
        listed = pc.list_flatten(trained["negative_ids"])
        for found, column in ((positives, trained["positive_id"]), (negatives, listed)):
            docids = column.cast(pa.string())
            for docid in docids.filter(pc.is_in(docids, value_set=ids)).to_pylist():
                found.update(known[docid])
    return questions, queries, query_ids, positives, negatives


def _documents_of_pairs(source: HubRef, relevant: Mapping[str, str], same_corpus: bool) -> Mapping[str, Sequence[str]]:
    """Id of a document in the pairs to the relevant documents that it is: those with its text."""
    if not relevant:
        return {}
    try:
        documents = load_table(replace(source, config="documents", split=None), "documents")
    except LratError:
        # Pairs without a corpus are published without their texts.
        return {docid: [docid] for docid in relevant} if same_corpus else {}
    by_text: dict[str, list[str]] = {}
    for docid, key in relevant.items():
        by_text.setdefault(key, []).append(docid)
    rows = (row for batch in _batches(documents, ("docid", "text")) for row in batch.to_pylist())
    return {row["docid"]: same for row in rows if (same := by_text.get(text_key(row["text"] or "")))}


def _batches(table: Dataset, columns: Collection[str]) -> Iterator[pa.Table]:
    there = [name for name in columns if name in table.column_names]
    return cast("Iterator[pa.Table]", table.select_columns(there).with_format("arrow").iter(BATCH_ROWS))


@dataclass(frozen=True)
class Seen:
    """What a system has seen of a benchmark.

    Args:
        system: Its name in tables.
        query_ids: The judged queries whose questions pairs were mined from.
        same_text_ids: Those of other questions that have the text of a query, or of a question, of pairs.
        positives, negatives: The relevant documents that are positives and negatives of pairs.
        num_queries, num_documents: Of the benchmark: judged queries, and their relevant documents in the corpus.
        num_negative_queries: Judged queries with a relevant document that is a negative of pairs.
        pairs: What it was trained on.
        question_ids, num_questions: As `query_ids` for the questions that agents sent the queries for, where these are
            two things; none and 0 where they are one.
    """

    system: str
    query_ids: frozenset[str]
    same_text_ids: frozenset[str]
    positives: frozenset[str]
    negatives: frozenset[str]
    num_queries: int
    num_documents: int
    num_negative_queries: int
    pairs: TrainingPairs
    question_ids: frozenset[str] = frozenset()
    num_questions: int = 0

    @classmethod
    def of(
        cls,
        system: str,
        pairs: TrainingPairs,
        queries: Mapping[str, str],
        relevant: Mapping[str, Collection[str]],
        asked_for: Mapping[str, tuple[str, str]] | None = None,
    ) -> Seen:
        """Compares the pairs of a system with a benchmark.

        Args:
            queries: Id to text of the judged queries.
            relevant: Id of a query to the documents of the corpus that are relevant to it.
            asked_for: Id of a query to id and text of the question that an agent searched for with it; a query without
                is its own question.
        """
        asked = {key: (asked_for or {}).get(key, (key, text)) for key, text in queries.items()}
        query_ids = frozenset(
            key
            for key, (question_id, question) in asked.items()
            if question_id in pairs.query_ids or text_key(question) in pairs.questions
        )
        same_text_ids = frozenset(
            key for key, text in queries.items() if key not in query_ids and pairs.has_text(text_key(text))
        )
        docids = frozenset[str]().union(*relevant.values())
        questions = {key: question_id for key, (question_id, _) in (asked_for or {}).items()}
        return cls(
            system, query_ids, same_text_ids, docids & pairs.positives, docids & pairs.negatives,
            len(queries), len(docids), sum(not pairs.negatives.isdisjoint(some) for some in relevant.values()), pairs,
            frozenset(questions[key] for key in query_ids if key in questions), len(set(questions.values())),
        )  # fmt: skip

    @property
    def left_out(self) -> frozenset[str]:
        """The queries that an evaluation on held-out queries leaves out."""
        return self.query_ids | self.same_text_ids

    def __str__(self) -> str:
        return f"{self.system}: {seen_text(self.to_dict())}"

    def to_dict(self) -> dict[str, Any]:
        """For lineage and the config `seen`."""
        return {
            "system": self.system,
            "seen_queries": len(self.query_ids),
            "same_text_queries": len(self.same_text_ids),
            "queries": self.num_queries,
            "seen_documents": len(self.positives),
            "negative_documents": len(self.negatives),
            "negative_queries": self.num_negative_queries,
            "documents": self.num_documents,
            "pairs": list(self.pairs.sources),
            "note": self.pairs.problem,
        } | ({"seen_questions": len(self.question_ids), "questions": self.num_questions} if self.num_questions else {})

    def ids(self) -> dict[str, list[str]]:
        """What the figures of `to_dict` count, for the config `seen`."""
        return {
            "query_ids": sorted(self.query_ids),
            "same_text_ids": sorted(self.same_text_ids),
            "docids": sorted(self.positives),
            "negative_docids": sorted(self.negatives),
        }


def seen_text(row: Mapping[str, Any]) -> str:
    """What a row of `Seen.to_dict` says, also one that was published before negatives were counted."""
    if row["note"]:
        return row["note"]
    if not row["pairs"]:
        return "its lineage has no mined pairs"
    text = f"{row['seen_queries']} of {row['queries']} queries"
    if questions := row.get("questions"):
        text += f", of {row['seen_questions']} of {questions} questions,"
    text += " were mined from"
    if more := row.get("same_text_queries"):
        text += f", {more} more {'has' if more == 1 else 'have'} the text of a training query for another question"
    if row["documents"]:
        text += f", {row['seen_documents']} of {row['documents']} relevant documents are positives of training pairs"
        if "negative_documents" in row:
            text += f" and {row['negative_documents']} are negatives"
        if negative := row.get("negative_queries"):
            text += f" (for {negative} of {row['queries']} queries)"
    return text


def was_seen(one: Trajectory | Pair, trained: Iterable[TrainingPairs]) -> bool:
    """Whether a trajectory or a pair is about a question that any of some trainings had pairs of."""
    key = text_key(one.question) if one.question else None
    return any(pairs.has_text(key) if key else one.query_id in pairs.query_ids for pairs in trained)


def text_key(text: str) -> str:
    """What counts as one text: the words, whatever their case and the blanks between them."""
    return hashlib.blake2b(" ".join(text.casefold().split()).encode(errors="replace"), digest_size=16).hexdigest()
