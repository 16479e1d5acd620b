"""What a repository says of its model without loading it: how queries were rendered in training, and what compares."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.errors import LratError
from lrat_hub.queries import STYLES, QueryStyle

if TYPE_CHECKING:
    from lrat_hub.hub.inputs import Source

CONFIG_FILE = "lrat_config.json"

MODEL_FILE = "config_sentence_transformers.json"
"""Where sentence-transformers says how vectors are compared."""


@dataclass(frozen=True)
class ModelConfig:
    """Everything that sentence-transformers' own configuration has no place for.

    Args:
        query_style: How queries were rendered in training, for `render_query`.
    """

    query_style: QueryStyle = "plain"


def write_model_config(folder: Path, config: ModelConfig) -> None:
    (folder / CONFIG_FILE).write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")


def read_model_config(source: Source) -> ModelConfig | None:
    """What a model has to be served with; None where it says nothing: it was not trained by this project.

    Raises:
        LratError: The repository can't be read, or its file is not such a configuration.
    """
    if (text := read_text(source, CONFIG_FILE)) is None:
        return None
    try:
        config = ModelConfig(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise LratError(f"{source}: its {CONFIG_FILE} can't be read: {error}.") from error
    if config.query_style not in STYLES:
        raise LratError(f"{source}: expected a query style of {', '.join(STYLES)}, found {config.query_style!r}.")
    return config


def query_style_of(source: Source) -> QueryStyle:
    """How a model's queries are rendered: as it was trained, where this project trained it."""
    config = read_model_config(source)
    return config.query_style if config else "plain"


def retriever_options(source: Source) -> dict[str, Any]:
    """How a retriever calls the model that it searches with: `name`, `revision` and `query_style`."""
    name, revision = getattr(source, "repo_id", str(source)), getattr(source, "revision", None)
    return {"name": name, "revision": revision, "query_style": query_style_of(source)}


def require_query_style(source: Source, style: QueryStyle) -> None:
    """Raises LratError when a model was trained with another style of queries than it is to be served with.

    It would encode them all the same, and rank poorly without any error.
    """
    config = read_model_config(source)
    if config is not None and config.query_style != style:
        raise LratError(
            f"{source}: expected queries in the style it was trained with, {config.query_style!r}, found {style!r}. "
            f"Render them so (lrat_hub.queries.render_query), or take a model trained with {style!r} ones."
        )


def require_inner_product(source: Source) -> None:
    """Raises LratError when a model's repository says that it compares by a distance; see `similarity_of`."""
    try:
        name = json.loads(read_text(source, MODEL_FILE) or "{}").get("similarity_fn_name")
    except (ValueError, AttributeError) as error:
        raise LratError(f"{source}: its {MODEL_FILE} can't be read: {error}.") from error
    if name not in (None, "cosine", "dot"):
        raise LratError(
            f"{source}: expected a model that compares by cosine or dot product, found {name}. "
            "Take another, or change similarity_fn_name in its configuration."
        )


def read_text(source: Source, name: str) -> str | None:
    """The text of a file of a repository; None where there is none."""
    from lrat_hub.hub.inputs import LocalSource, fetch_file

    path = source.path / name if isinstance(source, LocalSource) else fetch_file(source, name)
    return path.read_text(encoding="utf-8") if path is not None and path.is_file() else None
