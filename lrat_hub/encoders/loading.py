"""Models as every stage loads them: with a token that pads, and no code of theirs but at a commit that was named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lrat_hub.encoders.config import MODEL_FILE, read_text
from lrat_hub.encoders.encoding import PROBES, Precision, set_precision
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import LocalSource, fetch_file, load_cross_encoder, load_model, load_multi_vector_encoder
from lrat_hub.hub.retries import chain_of

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer

    from lrat_hub.encoders.encoding import Ranker
    from lrat_hub.hub.inputs import Source

MODULES_FILE = "modules.json"
"""What makes a repository a SentenceTransformer: the list of its modules, pooling among them."""

WEIGHTS_FILE = "model.safetensors"

PAD_TOKENS = ("<pad>", "[PAD]", "<|pad|>", "<|endoftext|>")
"""Tokens that families pad with, where their tokenizers know them."""


RETRIEVER, RERANKER, LATE_INTERACTION = "SentenceTransformer", "CrossEncoder", "MultiVectorEncoder"
"""Kinds of models, by the classes of sentence-transformers: one encodes texts, one reads a query and a document
together, one encodes the tokens of texts."""

COLBERT = {"ColBERT", "HF_ColBERT"}
"""What PyLate and Stanford's ColBERT call late interaction in their configurations."""

MAXSIM = {"maxsim", "meanmaxsim"}
"""Similarities of late interaction, in lower case: all that PyLate's earlier saves say of their kind."""


def load_encoder(
    source: Source, *, trust_remote_code: str = "", precision: Precision = "stored", **options: Any
) -> SentenceTransformer:
    """A SentenceTransformer at a pin, ready to encode batches.

    Args:
        trust_remote_code: Full commit sha of the code that comes with the model and may run; none runs without.
        precision: Type that it computes in; by default that of its file.
        options: Further arguments of `SentenceTransformer`.

    Raises:
        LratError: It can't be loaded, is a bare checkpoint or a model of another kind, makes no vectors of texts,
            needs code of its own, or the sha is none.
    """
    require_modules(source)
    options = _with_code(source, trust_remote_code, options)
    try:
        model = load_model(source, **options)
    except LratError as error:
        refuse_own_code(str(source), error)
        raise
    ensure_pad_token(model)
    require_vectors(model, str(source))
    set_precision(model, precision)
    return model


def load_reranker(source: Source, *, trust_remote_code: str = "", **options: Any) -> CrossEncoder:
    """A CrossEncoder at a pin that gives one score per pair, ready to score batches.

    Args:
        trust_remote_code: As for `load_encoder`.
        options: Further arguments of `CrossEncoder`.

    Raises:
        LratError: It can't be loaded, is of another kind, gives several scores, needs code of its own, or the sha is
            none.
    """
    kind = model_kind(source)
    if kind is None and _architecture(source).endswith("ForCausalLM"):
        raise LratError(
            f"{source}: expected a CrossEncoder, found a bare language model without {MODULES_FILE}, which doesn't "
            "say what it is asked, nor which token is its answer. Name a commit that has them, or serve the model by "
            "vLLM with its template."
        )
    if kind != RERANKER:
        found = f"a {kind}" if kind else "a bare checkpoint without a head that scores pairs"
        raise LratError(f"{source}: expected a CrossEncoder, found {found}: its scores would be random.")
    options = _with_code(source, trust_remote_code, options)
    try:
        model = load_cross_encoder(source, **options)
    except LratError as error:
        refuse_own_code(str(source), error)
        raise
    require_one_score(model, str(source))
    require_head(model, source)
    ensure_pad_token(model)
    return model


def load_late_interaction(
    source: Source, *, trust_remote_code: str = "", precision: Precision = "stored", **options: Any
) -> MultiVectorEncoder:
    """A MultiVectorEncoder at a pin, ready to encode batches; checkpoints of PyLate and Stanford's ColBERT are some.

    Args:
        trust_remote_code, precision: As for `load_encoder`.
        options: Further arguments of `MultiVectorEncoder`.

    Raises:
        LratError: It can't be loaded, is of another kind, needs code of its own, or the sha is none.
    """
    kind = model_kind(source)
    if kind != LATE_INTERACTION:
        found = f"a {kind}" if kind else "a bare checkpoint, whose vectors of tokens would be random"
        raise LratError(f"{source}: expected a MultiVectorEncoder, found {found}.")
    options = _with_code(source, trust_remote_code, options)
    try:
        model = load_multi_vector_encoder(source, **options)
    except LratError as error:
        refuse_own_code(str(source), error)
        raise
    ensure_pad_token(model)
    set_precision(model, precision)
    return model


def load_ranker(source: Source, *, trust_remote_code: str = "") -> Ranker:
    """What a repository holds, to be trained: a model of one of the three kinds above.

    Raises:
        LratError: It is of another kind, or can't be loaded.
    """
    kind = model_kind(source)
    if kind == "SparseEncoder":
        raise LratError(
            f"{source}: expected a SentenceTransformer, a MultiVectorEncoder or a CrossEncoder, found a "
            "SparseEncoder: beside a ranking loss it needs one that keeps its vectors sparse, which there is none of "
            "here."
        )
    loaders: dict[str | None, Callable[..., Ranker]] = {
        RERANKER: load_reranker,
        LATE_INTERACTION: load_late_interaction,
    }
    return loaders.get(kind, load_encoder)(source, trust_remote_code=trust_remote_code)


def model_kind(source: Source) -> str | None:
    """The class of sentence-transformers that a repository is saved for; None for a bare checkpoint.

    Loaded by another class it is converted without an error, and encodes or scores by what is left of it.

    Raises:
        LratError: Its configuration can't be read.
    """
    modules = read_text(source, MODULES_FILE)
    config = _read_json(source, MODEL_FILE) if modules is not None else {}
    kind = config.get("model_type") or _architecture(source)
    if kind in COLBERT:
        return LATE_INTERACTION
    if modules is not None:
        # Models of before sentence-transformers 5, such as GTE-ModernColBERT, don't say what they are.
        late = str(config.get("similarity_fn_name")).lower() in MAXSIM or '"pylate.' in modules
        return config.get("model_type") or (LATE_INTERACTION if late else RETRIEVER)
    # Rerankers of transformers, and of sentence-transformers before 5.4, come without a list of modules.
    return RERANKER if _architecture(source).endswith("ForSequenceClassification") else None


def _architecture(source: Source) -> str:
    return next(iter(_read_json(source, "config.json").get("architectures") or ()), "")


def _read_json(source: Source, name: str) -> dict[str, Any]:
    try:
        read = json.loads(read_text(source, name) or "{}")
    except ValueError as error:
        raise LratError(f"{source}: its {name} can't be read: {error}.") from error
    return read if isinstance(read, dict) else {}


def require_modules(source: Source) -> None:
    """Raises LratError for a bare checkpoint: sentence-transformers would guess how its tokens are pooled, the mean.

    Where a model was trained to be read at its last token, it would rank poorly without any error. A model of another
    kind would be converted, and rank poorly as well.
    """
    kind = model_kind(source)
    if kind is None and read_text(source, "config.json") is not None:
        raise LratError(
            f"{source}: expected a SentenceTransformer, found a bare checkpoint without {MODULES_FILE}, which doesn't "
            "say how its tokens are pooled. Wrap it by its family first (lrat adopt); `plain` takes the mean."
        )
    if kind not in (None, RETRIEVER):
        advice = {
            RERANKER: " It ranks again what another retriever finds: first>reranker.",
            LATE_INTERACTION: " It searches where retrievers are named, and ranks again what another finds: "
            "first>model.",
        }.get(kind, "")
        raise LratError(f"{source}: expected a SentenceTransformer, found a {kind}.{advice}")


def require_one_score(model: CrossEncoder, name: str) -> None:
    """Raises LratError when a CrossEncoder classifies pairs into several classes."""
    if model.num_labels != 1:
        raise LratError(f"{name}: expected a CrossEncoder with one score per pair, found {model.num_labels}.")


def require_head(model: CrossEncoder, source: Source) -> None:
    """Raises LratError when a checkpoint lacks the weights of the head that scores: transformers draws them."""
    transformer: Any = model.transformers_model
    if not type(transformer).__name__.endswith("ForSequenceClassification"):
        return
    prefix = f"{transformer.base_model_prefix}."
    head = {name for name, _ in transformer.named_parameters() if not name.startswith(prefix)}
    stored = _stored_names(source)
    if head and stored and not head & stored:
        raise LratError(
            f"{source}: expected a CrossEncoder with the weights of its head, {min(head)} among them, found a "
            "checkpoint without them: its scores would be random."
        )


def _stored_names(source: Source) -> set[str]:
    """Names of the weights of a checkpoint; none where they are not in safetensors."""
    from safetensors import safe_open

    try:
        path = source.path / WEIGHTS_FILE if isinstance(source, LocalSource) else fetch_file(source, WEIGHTS_FILE)
        if path is not None and path.is_file():
            with safe_open(path, framework="np") as file:
                return set(file.keys())
        return set(_read_json(source, f"{WEIGHTS_FILE}.index.json").get("weight_map", ()))
    except LratError:
        # Without a connection, which file is not there can't be known.
        return set()


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


def _with_code(source: Source, sha: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options of loading a model with its code at a commit, where one is named."""
    if not sha:
        return options
    require_code_pin(source, sha)
    names = ("model_kwargs", "config_kwargs", "processor_kwargs")
    pinned = {name: {**(options.get(name) or {}), "code_revision": sha} for name in names}
    return options | pinned | {"trust_remote_code": True}


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
    if any("trust_remote_code" in str(cause) for cause in chain_of(error)):
        raise LratError(
            f"{name}: it needs code of its own, which runs only at a commit that you name. Read that code, and give "
            "its full commit sha as `trust_remote_code` to lrat adopt, train, sweep or index; nothing else takes it."
        ) from error


def ensure_pad_token(model: Ranker) -> str | None:
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
