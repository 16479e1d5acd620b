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


def tiny_bert(folder, dropout=0.0, words=()):
    """Saves a SentenceTransformer of two layers with random weights, the same each time, and gives its folder."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "text", "of", "one", "two", ".", *"abcdef", *"ABCDEF", "query", ":", *words]
    words = list(dict.fromkeys(words))
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


def tiny_reranker(folder, dropout=0.0, words=(), labels=1):
    """Saves a CrossEncoder of two layers with random weights, the same each time, and gives its folder."""
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification

    encoder = tiny_bert(folder, dropout, words)
    torch.manual_seed(1)
    # Wide enough for scores that differ.
    config = AutoConfig.from_pretrained(encoder, num_labels=labels, initializer_range=0.3)
    BertForSequenceClassification(config).save_pretrained(folder / "scored")
    AutoTokenizer.from_pretrained(encoder).save_pretrained(folder / "scored")
    CrossEncoder(str(folder / "scored"), device="cpu").save_pretrained(
        str(folder / "reranker"), create_model_card=False
    )
    return folder / "reranker"


TEMPLATE = """{%- set query = messages | selectattr("role", "eq", "query") | map(attribute="content") | first -%}
{%- set document = messages | selectattr("role", "eq", "document") | map(attribute="content") | first -%}
[BOS] judge Query : {{ query }} Document : {{ document }} [EOS]"""


def tiny_language_reranker(folder, template=TEMPLATE):
    """Saves a language model of two layers in bf16 with random weights as a CrossEncoder that answers yes or no, and
    gives its folder: as Qwen3-Reranker is published. Its bare checkpoint is in `lm`, beside that."""
    import torch
    from sentence_transformers import CrossEncoder
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    words = ["[PAD]", "[UNK]", "[BOS]", "[EOS]", "yes", "no", "judge", "Query", "Document", ":", "text", "of", "one",
             "two", *"abcdef", *"ABCDEF"]  # fmt: skip
    torch.manual_seed(2)
    config = Qwen3Config(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        head_dim=8, intermediate_size=32, tie_word_embeddings=True, initializer_range=0.3, pad_token_id=0,
        bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    Qwen3ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder / "lm")
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", eos_token="[EOS]", padding_side="left",
        model_max_length=64, chat_template=template,
    ).save_pretrained(folder / "lm")  # fmt: skip
    model = CrossEncoder(str(folder / "lm"), device="cpu")
    model.save_pretrained(str(folder / "reranker"), create_model_card=False)
    return folder / "reranker"


def tiny_late(folder, dropout=0.0, words=(), **lengths):
    """Saves a MultiVectorEncoder of two layers with random weights, the same each time, and gives its folder.

    Args:
        lengths: Arguments of sentence-transformers' Transformer, such as `document_length` and `query_expansion`.
    """
    import torch
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    from sentence_transformers.sentence_transformer.modules import Normalize

    tiny_bert(folder, dropout, words)
    torch.manual_seed(1)
    transformer = Transformer(str(folder / "bert"), **lengths)
    project = Dense(16, 8, bias=False, activation_function=torch.nn.Identity(), module_input_name="token_embeddings")
    modules = [transformer, project, MultiVectorMask(skiplist_words=["."]),
               Normalize(module_input_name="token_embeddings")]  # fmt: skip
    MultiVectorEncoder(modules=modules, device="cpu").save_pretrained(str(folder / "late"), create_model_card=False)
    return folder / "late"
