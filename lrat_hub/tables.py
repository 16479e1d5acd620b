"""Records as the tables that are published."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lrat_hub.errors import LratError
from lrat_hub.schema import Document, Pair, Trajectory, document_features, pair_features, trajectory_features

if TYPE_CHECKING:
    from datasets import Dataset, Features


def trajectory_table(trajectories: Iterable[Trajectory]) -> Dataset:
    """A config of trajectories."""
    return _table((trajectory.to_dict() for trajectory in trajectories), trajectory_features())


def pair_table(pairs: Iterable[Pair]) -> Dataset:
    """Config `pairs`."""
    return _table((pair.to_dict() for pair in pairs), pair_features())


def _table(rows: Iterable[dict[str, Any]], features: Features) -> Dataset:
    from datasets import Dataset

    rows = list(rows)
    # from_list takes the columns from the first row, which an empty table lacks.
    return (
        Dataset.from_list(rows, features=features)
        if rows
        else Dataset.from_dict({name: [] for name in features}, features=features)
    )


def require_documents(wanted: Iterable[str], documents: Mapping[str, Document]) -> None:
    """Raises LratError when an id that pairs name is not among the documents."""
    ids = set(wanted)
    if missing := sorted(docid for docid in ids if docid not in documents):
        raise LratError(
            f"Corpus: expected the {len(ids)} documents of the pairs, found {len(ids) - len(missing)}; "
            f"missing are {', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''}. "
            "Give the corpus that the trajectories were collected on."
        )


def document_table(pairs: Sequence[Pair], documents: Mapping[str, Document]) -> Dataset:
    """Config `documents`: each document that a pair names, once, ordered by id.

    Raises:
        LratError: The corpus lacks one of them.
    """
    from datasets import Dataset

    ids = {docid for pair in pairs for docid in (pair.positive_id, *pair.negative_ids)}
    require_documents(ids, documents)
    rows = [documents[docid] for docid in sorted(ids)]
    return Dataset.from_dict(
        {
            "docid": [row.docid for row in rows],
            "title": [row.title for row in rows],
            "text": [row.text for row in rows],
        },
        features=document_features(),
    )


def triplet_table(
    pairs: Sequence[Pair], documents: Mapping[str, Document], *, num_negatives: int, seed: int = 0
) -> Dataset | None:
    """Config `triplets`: anchor, positive, negative_1 ... negative_n and the weight as `label`.

    Negatives are drawn from each pair's pool, seeded by (seed, pair_id). A pool that is too small is drawn from more
    than once, as the paper's training framework does; pairs without any negative are left out. None when no pair is
    left.
    """
    from datasets import Dataset, Features, Value

    usable = [pair for pair in pairs if pair.negative_ids]
    if not usable:
        return None
    columns: dict[str, list[str] | list[float]] = {
        "anchor": [pair.query for pair in usable],
        "positive": [documents[pair.positive_id].content for pair in usable],
    }
    drawn = [_draw_filled(pair.negative_ids, num_negatives, f"{seed}/{pair.pair_id}") for pair in usable]
    for place in range(num_negatives):
        columns[f"negative_{place + 1}"] = [documents[docids[place]].content for docids in drawn]
    columns["label"] = [pair.weight for pair in usable]
    features = {name: Value("large_string") for name in columns} | {"label": Value("float64")}
    return Dataset.from_dict(columns, features=Features(features))


def _draw_filled(pool: Sequence[str], count: int, seed: str) -> list[str]:
    repeated = list(pool) * -(-count // len(pool)) if len(pool) < count else list(pool)
    return random.Random(seed).sample(repeated, count)
