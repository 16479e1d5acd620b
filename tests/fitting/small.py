"""Six documents, and pairs of them."""

from __future__ import annotations

from lrat_hub.fitting import TrainingRows
from lrat_hub.schema import Document, Pair
from lrat_hub.settings import FitSettings
from lrat_hub.tables import pair_table

DOCUMENTS = {name: Document(name, name.upper(), f"text of {name}") for name in "abcdef"}


def pair(query, positive, negatives, weight=1.0):
    return Pair(
        pair_id=f"{query}-{positive}", trajectory_id="t", query_id="t", search_turn=0, browse_turn=1, question="Q?",
        query=query, positive_id=positive, negative_ids=tuple(negatives), negative_kinds=("list",) * len(negatives),
        reasoning="", reasoning_length=0, weight=weight,
    )  # fmt: skip


def rows_of(*pairs, **settings):
    return TrainingRows(pair_table(pairs), DOCUMENTS, FitSettings(**{"num_negatives": 2, **settings}))
