"""Mined pairs as the tables that are published: `pairs`, `documents` and `triplets`."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.errors import LratError
from lrat_hub.queries import QueryStyle, render_query
from lrat_hub.schema import Document, Pair, document_features, pair_features
from lrat_hub.storage import TableWriter, table_of

if TYPE_CHECKING:
    from datasets import Dataset

    from lrat_hub.documents import Documents


def pair_table(pairs: Iterable[Pair]) -> Dataset:
    """Config `pairs`."""
    return table_of((pair.to_dict() for pair in pairs), pair_features())


def require_documents(wanted: Iterable[str], documents: Mapping[str, Document]) -> None:
    """Raises LratError when an id that pairs name is not among the documents."""
    ids = set(wanted)
    if missing := sorted(docid for docid in ids if docid not in documents):
        raise LratError(
            f"Corpus: expected the {len(ids)} documents of the pairs, found {len(ids) - len(missing)}; "
            f"missing are {', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''}. "
            "Give the corpus that the trajectories were collected on."
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
) -> Dataset | None:
    """Config `triplets`: anchor, positive, negative_1 ... negative_n and the weight as `label`.

    Negatives are drawn from each pair's pool, seeded by (seed, pair_id). A pool that is too small is drawn from more
    than once, as the paper's training framework does; pairs without any negative are left out. None when no pair is
    left.

    Args:
        style: How the query is rendered into the anchor; a model that is trained on it must be served with the same.
        path: Where to write the table, when memory should not hold it.
    """
    from datasets import Features, Value

    names = ["anchor", "positive", *(f"negative_{place + 1}" for place in range(num_negatives))]
    features = Features({name: Value("large_string") for name in names} | {"label": Value("float64")})

    def rows() -> Iterator[dict[str, Any]]:
        for pair in pairs:
            if pair.negative_ids:
                drawn = _draw_filled(pair.negative_ids, num_negatives, f"{seed}/{pair.pair_id}")
                texts = (documents[docid].content for docid in (pair.positive_id, *drawn))
                yield dict(zip(names, (render_query(pair, style), *texts), strict=True)) | {"label": pair.weight}

    if path is None:
        table = table_of(rows(), features)
        return table if len(table) else None
    with TableWriter(path, features) as writer:
        writer.write(rows())
    return writer.open() if writer.num_rows else None


def _draw_filled(pool: Sequence[str], count: int, seed: str) -> list[str]:
    repeated = list(pool) * -(-count // len(pool)) if len(pool) < count else list(pool)
    return random.Random(seed).sample(repeated, count)
