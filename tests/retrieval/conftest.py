"""A small corpus and a small transformer on the tests' Hub."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lrat_hub.schema import Document

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

WORDS = [f"{first}{second}" for first in ("ka", "lo", "mi", "nu", "ra") for second in ("be", "do", "fi", "gu", "st")]


def make_documents(count: int) -> list[Document]:
    """Documents of different lengths; every tenth says what the one before it says."""
    rng = random.Random(0)
    documents: list[Document] = []
    for number in range(count):
        text = " ".join(rng.choices(WORDS, k=rng.randint(3, 30)))
        text = documents[-1].text if number % 10 == 9 else text
        documents.append(Document(f"d{number}", "", text))
    return documents


@pytest.fixture(scope="session")
def documents() -> list[Document]:
    return make_documents(400)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformer of random weights: unlike averaged words, its last bits depend on which texts share a batch."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    words = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=64,
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(0)
    BertModel(
        BertConfig(
            vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
            max_position_embeddings=64,
        )
    ).save_pretrained(folder)  # fmt: skip
    transformer = Transformer(str(folder))
    whole = tmp_path_factory.mktemp("model")
    modules = [transformer, Pooling(transformer.get_embedding_dimension())]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(whole))
    return whole


@pytest.fixture(scope="session")
def model(model_folder: Path) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(model_folder), device="cpu")


@dataclass(frozen=True)
class Published:
    """Pins of what is on the Hub, as text."""

    corpus: str
    queries: str
    model: str


@pytest.fixture(scope="session")
def published(hub, documents, model_folder, tmp_path_factory) -> Published:
    from huggingface_hub import HfApi

    from lrat_hub import cli
    from lrat_hub.hub.refs import HubRef

    folder = tmp_path_factory.mktemp("corpus")
    rows = [{"docid": doc.docid, "title": doc.title, "text": doc.text} for doc in documents]
    (folder / "documents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "queries.tsv").write_text("".join(f"q{n}\t{documents[n].text}\tanswer\n" for n in range(0, 200, 10)))
    (folder / "qrels.txt").write_text("".join(f"q{n} Q0 d{n} 1\n" for n in range(0, 200, 10)))
    words = [f"--{name}={folder / file}" for name, file in
             (("documents", "documents.jsonl"), ("queries", "queries.tsv"), ("qrels", "qrels.txt"))]  # fmt: skip
    corpus = str(cli.run(["corpus", *words, "--to", "lrat/index-corpus"]))
    HfApi().create_repo("lrat/index-model", exist_ok=True)
    HfApi().upload_folder(repo_id="lrat/index-model", folder_path=model_folder)
    return Published(corpus, corpus, str(HubRef("lrat/index-model").pin()))
