"""A language model of some hundred thousand random weights, with a byte-pair tokenizer trained on prompts."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def tiny_tokenizer(chat_template: str = ""):
    """A fast tokenizer with the special tokens of ChatML; the same each time."""
    from tokenizers import Tokenizer
    from tokenizers.decoders import ByteLevel as Decoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer
    from transformers import PreTrainedTokenizerFast

    prompts = files("lrat_hub.agents") / "prompts"
    texts = [(prompts / f"{name}.yaml").read_text(encoding="utf-8") for name in ("tongyi", "tools", "json")]
    texts += ['Results for "it":\n\n[1] DocID: d1\nTitle: Title 1\nThe text of document 1 has some words.'] * 20
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = ByteLevel(add_prefix_space=False), Decoder()
    trainer = BpeTrainer(
        vocab_size=1_500, special_tokens=[*SPECIAL], initial_alphabet=ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=SPECIAL[2], pad_token=SPECIAL[0])
    made.chat_template = chat_template or None
    return made


def tiny_llama(folder: Path, chat_template: str = "") -> Path:
    """Saves a Llama of two layers with random weights, the same each time, and gives its folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_tokenizer(chat_template)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=8_192, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
