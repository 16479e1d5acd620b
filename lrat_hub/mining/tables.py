"""Mined pairs as the tables that are published: `pairs` in splits by question, `documents` and `triplets`.

A hash of the question alone decides on its split, so that mining again never moves one.
"""

from __future__ import annotations

import hashlib
import random
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from lrat_hub.documents import COMPARED_IDS
from lrat_hub.errors import LratError
from lrat_hub.ledger import Ledger
from lrat_hub.ledger.joins import near_miss
from lrat_hub.queries import QueryStyle, render_query
from lrat_hub.schema import Document, Pair, document_features, pair_features
from lrat_hub.storage import BATCH_ROWS, TableWriter, table_of

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from lrat_hub.documents import Documents
    from lrat_hub.mining.weights import WeightFit


Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


WITHOUT_NEGATIVES = "without a negative, and so without a row"
REPEATED_NEGATIVES = "rows with a negative more than once, as there are fewer"
COPIES_OF_POSITIVE = "pairs with a negative of the positive's text, which is left out"
"""What the account of config `triplets` counts."""


def question_key(pair: Pair) -> str:
    """What counts as one question: its text, whatever the case, accents, punctuation and articles.

    Pairs from logs that don't hold the question go by its id, and without one by the query.
    """
    return _key_of(pair.question, pair.query_id, pair.query)


def _key_of(question: str, query_id: str, query: str) -> str:
    return normalized_question(question) or query_id or normalized_question(query)


@lru_cache(maxsize=4096)
def normalized_question(text: str) -> str:
    """Lower case, without accents, punctuation, articles and extra blanks.

    It is not shared with how answers are compared, and must never change: questions would move between splits.
    """
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    words = re.sub(r"[^\w\s]|_", " ", plain.lower()).split()
    # A question of nothing but articles or signs is still one.
    return " ".join(word for word in words if word not in ("a", "an", "the")) or text.strip()


@dataclass(frozen=True)
class Splits:
    """Shares of the questions that go to each split; the rest is trained on.

    Growing one of them moves questions out of "train" only.
    """

    validation: float = 0.0
    test: float = 0.0

    def __post_init__(self) -> None:
        if min(self.validation, self.test) < 0 or self.validation + self.test >= 1:
            raise LratError(
                f"Splits: expected shares of 0 or more that leave something to train on, found validation "
                f"{self.validation:g} and test {self.test:g}."
            )

    def of(self, pair: Pair) -> Split:
        """The split of a pair's question."""
        position = _position(question_key(pair))
        if position < self.test:
            return "test"
        return "validation" if position >= 1 - self.validation else "train"


@lru_cache(maxsize=4096)
def _position(key: str) -> float:
    """A number in [0, 1) that looks random and is always the same for a key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big") / 2**48


@dataclass(frozen=True)
class MinedTables:
    """What was mined, on disk.

    Args:
        splits: Config `pairs`; only splits that have a pair.
        ledger, fits: As in `MiningResult`.
    """

    splits: dict[Split, Dataset]
    ledger: dict[str, Ledger]
    fits: dict[str, WeightFit]

    @property
    def num_pairs(self) -> int:
        return sum(len(table) for table in self.splits.values())

    def num_questions(self, split: Split) -> int:
        """How many questions the pairs of a split are of, which are in no other split."""
        columns = self.splits[split].select_columns(["question", "query_id", "query"]).with_format("arrow")
        batches = (cast("pa.Table", batch).to_pylist() for batch in columns.iter(BATCH_ROWS))
        return len({hash(_key_of(**row)) for rows in batches for row in rows})

    def pairs(self, *splits: Split, trained: bool = False) -> Iterator[Pair]:
        """The pairs of some splits, or of all; on request only those to train on."""
        for split in splits or SPLITS:
            if split in self.splits:
                for pair in table_pairs(self.splits[split]):
                    if not trained or pair.weight is not None:
                        yield pair


def table_pairs(table: Dataset) -> Iterator[Pair]:
    """The pairs of a table, one at a time."""
    for batch in table.with_format("arrow").iter(BATCH_ROWS):
        yield from map(Pair.from_dict, cast("pa.Table", batch).to_pylist())


class SplitWriter:
    """Writes pairs into a table for each split. A context manager."""

    def __init__(self, folder: Path, splits: Splits) -> None:
        self._folder, self._splits = folder, splits
        self._writers: dict[Split, TableWriter] = {}

    def write(self, pairs: Iterable[Pair]) -> None:
        rows: dict[Split, list[dict[str, Any]]] = {}
        for pair in pairs:
            rows.setdefault(self._splits.of(pair), []).append(pair.to_dict())
        for split, batch in rows.items():
            if split not in self._writers:
                self._writers[split] = TableWriter(self._folder / f"pairs-{split}.arrow", pair_features())
            self._writers[split].write(batch)

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()

    def tables(self) -> dict[Split, Dataset]:
        """The tables of the splits that have a pair, once they are complete."""
        return {split: self._writers[split].open() for split in SPLITS if split in self._writers}


def pair_table(pairs: Iterable[Pair]) -> Dataset:
    """The table of pairs that config `pairs` holds, one row per pair in their order; it can be published as it is."""
    return table_of((pair.to_dict() for pair in pairs), pair_features())


def require_documents(wanted: Iterable[str], documents: Mapping[str, Document]) -> None:
    """Raises LratError when an id that pairs name is not among the documents."""
    ids = set(wanted)
    if missing := sorted(docid for docid in ids if docid not in documents):
        hint = near_miss(missing, islice(documents, COMPARED_IDS))
        raise LratError(
            f"Corpus: expected the {len(ids)} documents of the pairs, found {len(ids) - len(missing)}; "
            f"missing are {', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''}"
            + (
                f" ({hint}). Write ids alike, in the corpus or where the logs are read."
                if hint
                else ". Give the corpus that the trajectories were collected on."
            )
        )


def document_table(pairs: Iterable[Pair], documents: Mapping[str, Document]) -> Dataset:
    """Config `documents`: each document that a pair names, once, ordered by id.

    Rows of a corpus on disk (`Documents`) are selected there, and not read.

    Raises:
        LratError: The corpus lacks one of them.
    """
    from datasets import Dataset

    from lrat_hub.documents import Documents

    ids = {docid for pair in pairs for docid in (pair.positive_id, *pair.negative_ids)}
    require_documents(ids, documents)
    if isinstance(documents, Documents):
        return documents.table(sorted(ids))
    return Dataset.from_list(
        [{"docid": docid, "title": documents[docid].title, "text": documents[docid].text} for docid in sorted(ids)],
        features=document_features(),
    )


def triplet_table(
    pairs: Iterable[Pair],
    documents: Mapping[str, Document] | Documents,
    *,
    num_negatives: int,
    seed: int = 0,
    style: QueryStyle = "plain",
    path: Path | None = None,
    ledger: Ledger | None = None,
) -> Dataset | None:
    """Config `triplets`: anchor, positive, negative_1 ... negative_n and the weight as `label`.

    Negatives are drawn from each pair's pool, seeded by (seed, pair_id). A pool that is too small is drawn from more
    than once, as the paper's training framework does; documents with the positive's text are no negatives, and pairs
    without any negative are left out. None when no pair is left.

    Args:
        style: How the query is rendered into the anchor; a model that is trained on it must be served with the same.
        path: Where to write the table, when memory should not hold it.
        ledger: Counts the pairs that have a row, those left out, and the rows with a negative more than once.
    """
    from datasets import Features, Value

    account = Ledger("pairs") if ledger is None else ledger

    names = ["anchor", "positive", *(f"negative_{number}" for number in range(1, num_negatives + 1))]
    features = Features({name: Value("large_string") for name in names} | {"label": Value("float64")})

    def rows() -> Iterator[dict[str, Any]]:
        for pair in pairs:
            positive = documents[pair.positive_id].content
            drawn = _draw_filled(pair.negative_ids, num_negatives, key := f"{seed}/{pair.pair_id}")
            texts = [documents[docid].content for docid in drawn]
            if positive in texts:
                # The loss of `lrat train` masks them; here they would be taken for negatives.
                others = [docid for docid in pair.negative_ids if documents[docid].content != positive]
                account.note(COPIES_OF_POSITIVE)
                texts = [documents[docid].content for docid in _draw_filled(others, num_negatives, key)]
            if not texts:
                account.drop(WITHOUT_NEGATIVES)
                continue
            account.keep()
            account.note(REPEATED_NEGATIVES, int(len(set(texts)) < num_negatives))
            yield dict(zip(names, (render_query(pair, style), positive, *texts), strict=True)) | {"label": pair.weight}

    if path is None:
        table = table_of(rows(), features)
        return table if len(table) else None
    with TableWriter(path, features) as writer:
        writer.write(rows())
    return writer.open() if writer.num_rows else None


def _draw_filled(pool: Sequence[str], count: int, seed: str) -> list[str]:
    if not pool:
        return []
    repeated = list(pool) * -(-count // len(pool)) if len(pool) < count else list(pool)
    return random.Random(seed).sample(repeated, count)
