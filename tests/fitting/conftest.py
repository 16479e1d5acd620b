"""A tiny model."""

from __future__ import annotations

import pytest


@pytest.fixture
def model():
    # Hugging Face libraries read the Hub's address when they are imported, and this file is read before it is set.
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = {word: index for index, word in enumerate(["[UNK]", "text", "of", *"abcdef", *"ABCDEF", "one", "two"])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    torch.manual_seed(0)
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu")
