"""How checkpoints of a family pool, normalise, prompt and end their texts.

A bare checkpoint, such as those that came with the LRAT paper, says nothing of pooling, normalisation and prompts.
sentence-transformers would then average all tokens and use no prompt, which for a model that was trained with
last-token pooling and an instruction gives poor vectors without any error.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lrat_hub.encoders.encoding import PROBES
from lrat_hub.encoders.loading import ensure_pad_token, refuse_own_code
from lrat_hub.errors import LratError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from lrat_hub.encoders.encoding import Ranker

Pooling = Literal["mean", "cls", "lasttoken"]

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
        end_tokens: The token that the family's tokenizers put behind every text, or one for each of its tokenizers;
            empty where nothing is known of it.
    """

    pooling: Pooling
    query_prompt: str = ""
    document_prompt: str = ""
    normalize: bool = True
    max_length: int = 512
    model_types: tuple[str, ...] = ()
    end_tokens: tuple[str, ...] = ()


FAMILIES: dict[str, Family] = {
    # No blank after "Query:": it is the model's published form.
    "qwen3-embedding": Family(
        "lasttoken", f"Instruct: {SEARCH_TASK}\nQuery:", max_length=8192, model_types=("qwen3",),
        end_tokens=("<|endoftext|>",),
    ),
    "e5-instruct": Family(
        "mean", f"Instruct: {SEARCH_TASK}\nQuery: ", model_types=("xlm-roberta",), end_tokens=("</s>",)
    ),
    "e5-mistral": Family(
        "lasttoken", f"Instruct: {SEARCH_TASK}\nQuery: ", max_length=4096, model_types=("mistral",),
        end_tokens=("</s>",),
    ),
    "e5": Family(
        "mean", "query: ", "passage: ", model_types=("bert", "xlm-roberta"), end_tokens=("[SEP]", "</s>")
    ),
    "bge": Family(
        "cls", "Represent this sentence for searching relevant passages: ", model_types=("bert",),
        end_tokens=("[SEP]",),
    ),
    "minilm": Family("mean", max_length=256, model_types=("bert",), end_tokens=("[SEP]",)),
    "plain": Family("mean"),
}  # fmt: skip
"""By name. Names and forms are those of the models' own cards."""


def find_family(name: str) -> Family:
    """Raises LratError when there is none of that name."""
    if name not in FAMILIES:
        raise LratError(f"Family: expected one of {', '.join(FAMILIES)}, found {name!r}.")
    return FAMILIES[name]


def wrap_checkpoint(folder: Path, family: Family, *, own_code: bool = False) -> SentenceTransformer:
    """A checkpoint of transformers as a complete SentenceTransformer.

    Args:
        folder: Holds config, weights and tokenizer.
        own_code: Whether code that lies in the folder may run; it never does otherwise, and nobody is asked.

    Raises:
        LratError: It is not of the family, or can't be loaded.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import AutoConfig

    trust: dict[str, Any] = {"trust_remote_code": own_code}
    try:
        model_type = AutoConfig.from_pretrained(folder, **trust).model_type
        if family.model_types and model_type not in family.model_types:
            fitting = [name for name, known in FAMILIES.items() if model_type in known.model_types]
            raise LratError(
                f"Family: expected a model of type {' or '.join(family.model_types)}, found {model_type}. "
                + (f"Families of that type: {', '.join(fitting)}." if fitting else "No family is of that type but "
                   "`plain`, which averages all tokens and has no prompts.")
            )  # fmt: skip
        transformer = Transformer(
            str(folder),
            max_seq_length=family.max_length,
            model_kwargs=dict(trust),
            config_kwargs=dict(trust),
            processor_kwargs=dict(trust),
        )
    except LratError:
        raise
    except Exception as error:
        # transformers and its tokenizers raise many kinds for what is missing or broken in a folder.
        refuse_own_code(str(folder), error)
        raise LratError(f"Checkpoint: expected one that transformers loads; {' '.join(str(error).split())}") from error
    modules = [transformer, Pooling(transformer.get_embedding_dimension(), pooling_mode=family.pooling)]
    if family.normalize:
        modules.append(Normalize())
    model = SentenceTransformer(
        modules=modules,
        prompts={"query": family.query_prompt, "document": family.document_prompt},
        similarity_fn_name="cosine" if family.normalize else "dot",
    )
    ensure_pad_token(model)
    return model


def set_prompts(
    model: Ranker,
    family: str = "",
    *,
    query: str | None = None,
    document: str | None = None,
) -> None:
    """Gives a model the prompts of a family, where one is named, and those that are given in their place.

    The model keeps them: they are saved with it, and `encode_query` and `encode_document` apply them, or a reranker's
    `predict`, which has one prompt for both texts.

    Raises:
        LratError: There is no such family, or a reranker is given what it has no use for, or doesn't read.
    """
    from sentence_transformers import CrossEncoder

    if isinstance(model, CrossEncoder):
        if family or document is not None:
            raise LratError(
                "Prompts: a CrossEncoder reads a query and a document together, after one prompt. Give it as "
                "`query_prompt`, and leave out `family` and `document_prompt`."
            )
        if query is not None:
            texts = [PROBES]
            with_prompt, without = (model.preprocess(texts, prompt=prompt)["input_ids"] for prompt in (query, None))
            if query.strip() and with_prompt.tolist() == without.tolist():
                raise LratError(
                    "Prompts: expected a CrossEncoder that reads a prompt before its texts, found one whose chat "
                    "template leaves it out. Leave out `query_prompt`, or put it into the template."
                )
            model.prompts["query"] = query
            model.default_prompt_name = "query"
        return
    prompts: dict[str, str | None] = {"query": query, "document": document}
    if family:
        known = find_family(family)
        prompts = {
            "query": known.query_prompt if query is None else query,
            "document": known.document_prompt if document is None else document,
        }
    model.prompts.update({name: prompt for name, prompt in prompts.items() if prompt is not None})
