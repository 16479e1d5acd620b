"""Six documents, pairs of them, and a transformer that knows their words."""

from __future__ import annotations

from lrat_hub.fitting import TrainingRows
from lrat_hub.fitting.settings import FitSettings
from lrat_hub.mining.tables import pair_table
from lrat_hub.schema import Document, Pair

DOCUMENTS = {name: Document(name, name.upper(), f"text of {name}") for name in "abcdef"}


def pair(query, positive, negatives, weight=1.0):
    return Pair(
        pair_id=f"{query}-{positive}", trajectory_id="t", query_id="t", search_turn=0, browse_turn=1, question="Q?",
        query=query, positive_id=positive, negative_ids=tuple(negatives), negative_kinds=("list",) * len(negatives),
        reasoning="", reasoning_length=0, weight=weight,
    )  # fmt: skip


def rows_of(*pairs, **settings):
    return TrainingRows(pair_table(pairs), DOCUMENTS, FitSettings(**{"num_negatives": 2, **settings}))


def tiny_bert(folder, dropout=0.0):
    """Saves a SentenceTransformer of two layers with random weights, the same each time, and gives its folder."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "text", "of", "one", "two", ".", *"abcdef", *"ABCDEF", "query", ":"]
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder / "bert")
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(
        folder / "bert"
    )
    modules = [Transformer(str(folder / "bert")), Pooling(16, pooling_mode="mean")]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"
