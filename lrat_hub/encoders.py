"""What a model needs besides its weights to encode, and to be served, as it was trained.

A *family* says how a checkpoint pools, normalises and prompts; the *configuration* that this project publishes with a
model says how queries were rendered in training.

A bare checkpoint, such as those that came with the LRAT paper, says nothing of pooling, normalisation and prompts.
sentence-transformers would then average all tokens and use no prompt, which for a model that was trained with
last-token pooling and an instruction gives poor vectors without any error.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lrat_hub.errors import LratError
from lrat_hub.queries import STYLES, QueryStyle

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from lrat_hub.hub.inputs import Source

Pooling = Literal["mean", "cls", "lasttoken"]

CONFIG_FILE = "lrat_config.json"

SEARCH_TASK = "Given a web search query, retrieve relevant passages that answer the query"


@dataclass(frozen=True)
class Family:
    """How models of a family encode.

    Args:
        pooling: What becomes the vector: the mean of all tokens, the first token, or the last.
        query_prompt, document_prompt: What is put before a text, to the letter.
        normalize: Whether vectors have length 1.
        max_length: Tokens of a text; the rest is cut off.
        model_types: `model_type` of the checkpoints' config; others are refused.
    """

    pooling: Pooling
    query_prompt: str = ""
    document_prompt: str = ""
    normalize: bool = True
    max_length: int = 512
    model_types: tuple[str, ...] = ()


FAMILIES: dict[str, Family] = {
    # No blank after "Query:": it is the model's published form.
    "qwen3-embedding": Family(
        "lasttoken", f"Instruct: {SEARCH_TASK}\nQuery:", max_length=8192, model_types=("qwen3",)
    ),
    "e5-instruct": Family("mean", f"Instruct: {SEARCH_TASK}\nQuery: ", model_types=("xlm-roberta", "mistral")),
    "e5": Family("mean", "query: ", "passage: ", model_types=("bert", "xlm-roberta")),
    "bge": Family("cls", "Represent this sentence for searching relevant passages: ", model_types=("bert",)),
    "minilm": Family("mean", max_length=256, model_types=("bert",)),
    "plain": Family("mean"),
}
"""By name. Names and forms are those of the models' own cards."""


def find_family(name: str) -> Family:
    """Raises LratError when there is none of that name."""
    if name not in FAMILIES:
        raise LratError(f"Family: expected one of {', '.join(FAMILIES)}, found {name!r}.")
    return FAMILIES[name]


def wrap_checkpoint(folder: Path, family: Family) -> SentenceTransformer:
    """A checkpoint of transformers as a complete SentenceTransformer.

    Args:
        folder: Holds config, weights and tokenizer.

    Raises:
        LratError: It is not of the family, or can't be loaded.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import AutoConfig

    try:
        model_type = AutoConfig.from_pretrained(folder).model_type
        if family.model_types and model_type not in family.model_types:
            raise LratError(
                f"Family: expected a model of type {' or '.join(family.model_types)}, found {model_type}. "
                "Name the family the checkpoint was trained as."
            )
        transformer = Transformer(str(folder), max_seq_length=family.max_length)
    except LratError:
        raise
    except Exception as error:
        # transformers and its tokenizers raise many kinds for what is missing or broken in a folder.
        raise LratError(f"Checkpoint: expected one that transformers loads; {' '.join(str(error).split())}") from error
    modules = [transformer, Pooling(transformer.get_embedding_dimension(), pooling_mode=family.pooling)]
    if family.normalize:
        modules.append(Normalize())
    return SentenceTransformer(
        modules=modules,
        prompts={"query": family.query_prompt, "document": family.document_prompt},
        similarity_fn_name="cosine" if family.normalize else "dot",
    )


def set_prompts(
    model: SentenceTransformer, family: str = "", *, query: str | None = None, document: str | None = None
) -> None:
    """Gives a model the prompts of a family, where one is named, and those that are given in their place.

    The model keeps them: they are saved with it, and `encode_query` and `encode_document` apply them.

    Raises:
        LratError: There is no such family.
    """
    prompts: dict[str, str | None] = {"query": query, "document": document}
    if family:
        known = find_family(family)
        prompts = {
            "query": known.query_prompt if query is None else query,
            "document": known.document_prompt if document is None else document,
        }
    model.prompts.update({name: prompt for name, prompt in prompts.items() if prompt is not None})


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
    from lrat_hub.hub.inputs import LocalSource
    from lrat_hub.hub.refs import hub_errors

    if isinstance(source, LocalSource):
        path = source.path / CONFIG_FILE
        if not path.is_file():
            return None
    else:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import RemoteEntryNotFoundError

        with hub_errors(source):
            try:
                path = Path(hf_hub_download(source.repo_id, CONFIG_FILE, revision=source.revision))
            except RemoteEntryNotFoundError:
                return None
    try:
        config = ModelConfig(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise LratError(f"{source}: its {CONFIG_FILE} can't be read: {error}.") from error
    if config.query_style not in STYLES:
        raise LratError(f"{source}: expected a query style of {', '.join(STYLES)}, found {config.query_style!r}.")
    return config


def query_style_of(source: Source) -> QueryStyle:
    """How a model's queries are rendered: as it was trained, where this project trained it."""
    config = read_model_config(source)
    return config.query_style if config else "plain"


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
