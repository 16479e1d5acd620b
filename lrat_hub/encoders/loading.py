"""Models as every stage loads them: with a token that pads, and no code of theirs but at a commit that was named."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lrat_hub.encoders.config import read_text
from lrat_hub.encoders.encoding import PROBES
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import LocalSource, load_model

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from lrat_hub.hub.inputs import Source

MODULES_FILE = "modules.json"
"""What makes a repository a SentenceTransformer: the list of its modules, pooling among them."""

PAD_TOKENS = ("<pad>", "[PAD]", "<|pad|>", "<|endoftext|>")
"""Tokens that families pad with, where their tokenizers know them."""


def load_encoder(source: Source, *, trust_remote_code: str = "", **options: Any) -> SentenceTransformer:
    """A SentenceTransformer at a pin, ready to encode batches.

    Args:
        trust_remote_code: Full commit sha of the code that comes with the model and may run; none runs without.
        options: Further arguments of `SentenceTransformer`.

    Raises:
        LratError: It can't be loaded, is a bare checkpoint, makes no vectors of texts, needs code of its own, or the
            sha is none.
    """
    require_modules(source)
    if trust_remote_code:
        require_code_pin(source, trust_remote_code)
        pinned = {"code_revision": trust_remote_code}
        for name in ("model_kwargs", "config_kwargs", "processor_kwargs"):
            options[name] = {**(options.get(name) or {}), **pinned}
        options["trust_remote_code"] = True
    try:
        model = load_model(source, **options)
    except LratError as error:
        refuse_own_code(str(source), error)
        raise
    ensure_pad_token(model)
    require_vectors(model, str(source))
    return model


def require_modules(source: Source) -> None:
    """Raises LratError for a bare checkpoint: sentence-transformers would guess how its tokens are pooled, the mean.

    Where a model was trained to be read at its last token, it would rank poorly without any error.
    """
    if read_text(source, MODULES_FILE) is None and read_text(source, "config.json") is not None:
        raise LratError(
            f"{source}: expected a SentenceTransformer, found a bare checkpoint without {MODULES_FILE}, which doesn't "
            "say how its tokens are pooled. Wrap it by its family first (lrat adopt); `plain` takes the mean."
        )


def require_vectors(model: SentenceTransformer, name: str) -> None:
    """Raises LratError when a model gives vectors of tokens, and none of a text."""
    try:
        model.encode([PROBES[0]], show_progress_bar=False)
    except KeyError as error:
        if "sentence_embedding" not in str(error):
            raise
        modules = ", ".join(type(module).__name__ for module in model)
        raise LratError(
            f"{name}: expected modules that make one vector of a text, found {modules} without pooling. "
            "Add a pooling, or wrap its checkpoint by its family (lrat adopt)."
        ) from error


def require_code_pin(source: Source, sha: str) -> None:
    """Raises LratError unless code can be, and is, named by a full commit sha."""
    if not re.fullmatch(r"[0-9a-f]{40}", sha):
        raise LratError(
            f"`trust_remote_code`: expected the full commit sha of the model's code, 40 hexadecimal digits, found "
            f"{sha!r}. Read that code first: it runs with your rights."
        )
    if isinstance(source, LocalSource):
        raise LratError(
            f"`trust_remote_code`: expected a model on a Hub, found {source}: code in a folder has no commit. "
            "Publish it, and name it by its commit."
        )


def refuse_own_code(name: str, error: Exception) -> None:
    """Raises LratError, in one line, when a model could not be loaded as it needs code of its own."""
    cause: BaseException | None = error
    while cause is not None:
        if "trust_remote_code" in str(cause):
            raise LratError(
                f"{name}: it needs code of its own, which runs only at a commit that you name. Read that code, and "
                "give its full commit sha as `trust_remote_code`."
            ) from error
        cause = cause.__cause__ or cause.__context__


def ensure_pad_token(model: SentenceTransformer) -> str | None:
    """Gives a model's tokenizer a token to pad batches with, where it has none; gives that token.

    It is one that the family pads with, where the tokenizer knows it, or else the token that ends texts, as for
    decoders without one of their own. The vocabulary stays as it is, and padding is masked: no vector changes.

    Raises:
        LratError: The tokenizer has no token that could serve.
    """
    tokenizer: Any = getattr(model[0], "tokenizer", None)
    if tokenizer is None or not hasattr(tokenizer, "pad_token"):
        return None
    if tokenizer.pad_token is None:
        known = tokenizer.get_vocab()
        candidates = (*PAD_TOKENS, tokenizer.eos_token, tokenizer.sep_token, tokenizer.unk_token)
        token = next((token for token in candidates if token is not None and token in known), None)
        if token is None:
            raise LratError(
                "Model: expected a tokenizer with a token for padding, or one that ends texts, found neither. "
                "Set pad_token in its tokenizer_config.json."
            )
        tokenizer.pad_token = token
    config = getattr(getattr(model[0], "auto_model", None), "config", None)
    if config is not None and getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = tokenizer.pad_token_id
    return tokenizer.pad_token
