"""Cards: the templates in `model_cards/`, filled with what was published."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import Lineage

if TYPE_CHECKING:
    from lrat_hub.hub.inputs import Source

TAGS = ("lrat", "lrat-hub")

_LIBRARY = "sentence-transformers"
MODELS = {
    "retriever": (_LIBRARY, "sentence-similarity", _LIBRARY, "feature-extraction", "dense"),
    "late_interaction": (_LIBRARY, "sentence-similarity", _LIBRARY, "multi-vector", "late-interaction", "ColBERT"),
    "reranker": (_LIBRARY, "text-ranking", _LIBRARY, "cross-encoder", "reranker"),
    "agent": ("transformers", "text-generation", "search-agent"),
}
"""For each kind of trained model the library that loads it, its task on the Hub, and its tags."""

LINEAGE_TEMPLATE = "_lineage"
_SECTION = re.compile(r"(<!-- (\w+):start -->).*?(<!-- \2:end -->)", re.DOTALL)
_RESULTS = ("model-index",)
"""Fields of the metadata that evaluations write, as they do the sections above."""


def render_card(template: str, lineage: Lineage, **values: Any) -> str:
    """A card from `model_cards/<template>.md`.

    Every template sees `lineage` and the helper `table(rows)`; the other names are its own. An undefined name is an
    error: a card with holes is worse than none.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lrat_hub.model_cards", package_path=""),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(f"{template}.md").render(
        lineage=lineage, table=markdown_table, tags=TAGS, **values
    )


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with the same keys as a Markdown table; floats with three digits."""
    if not rows:
        return ""

    def cell(value: Any) -> str:
        text = f"{value:.3f}" if isinstance(value, float) else "" if value is None else str(value)
        # A line break would end the row, and with it the table.
        return " ".join(text.replace("|", "\\|").split("\n"))

    lines = [list(rows[0]), ["---"] * len(rows[0]), *([cell(value) for value in row.values()] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def model_metadata(kind: str, *, base_model: Source, datasets: Iterable[Source]) -> str:
    """The metadata of the card of a trained model, one of `MODELS`, as YAML without the fences."""
    from huggingface_hub import ModelCardData

    from lrat_hub.hub.refs import HubRef

    library, task, *tags = MODELS[kind]
    names = dict.fromkeys(source.repo_id for source in datasets if isinstance(source, HubRef))
    return ModelCardData(
        library_name=library,
        pipeline_tag=task,
        base_model=base_model.repo_id if isinstance(base_model, HubRef) else None,
        datasets=[*names] or None,
        tags=[*tags, *TAGS],
    ).to_yaml()


def replace_section(card: str, name: str, text: str) -> str:
    """The card with what stands between `<!-- name:start -->` and `<!-- name:end -->` replaced.

    Raises:
        LratError: The card has no such section.
    """
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    before, opened, rest = card.partition(start)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise LratError(
            f"Card: expected a section between {start} and {end}, found none. Was it published by lrat train?"
        )
    return f"{before}{start}\n{text}\n{end}{after}"


def lineage_section(lineage: Lineage) -> str:
    """What every card says of a lineage, as it stands in the card."""
    return render_card(LINEAGE_TEMPLATE, lineage).strip()


def card_digest(card: str) -> str:
    """sha256 of a card, in hex, without what evaluations write into it later: its sections, and results' metadata."""
    from huggingface_hub import RepoCard

    try:
        parsed = RepoCard(card, ignore_metadata_errors=True)
        metadata = {name: value for name, value in parsed.data.to_dict().items() if name not in _RESULTS}
        body = parsed.text
    except ValueError:  # there is no metadata, or none that can be read
        metadata, body = {}, card
    text = json.dumps(metadata, sort_keys=True, default=str) + "\0" + _SECTION.sub(r"\1\3", body).strip()
    return hashlib.sha256(text.encode()).hexdigest()
