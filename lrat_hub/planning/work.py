"""What each kind of work needs: servers of language models, retrievers, encoders, trainings, runs of agents."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lrat_hub.hub.preflight import in_words
from lrat_hub.llm.processes import NO_DEVICES
from lrat_hub.llm.settings import ServerSettings
from lrat_hub.paper import paper_values
from lrat_hub.planning.models import ModelSize, model_size
from lrat_hub.planning.plan import Process
from lrat_hub.retrieval.settings import CODED, IndexSettings
from lrat_hub.retrieval.vectors import build_memory, ivf_lists

SERVED_SHARE = 0.9
"""Part of a GPU that vLLM takes unless told otherwise (--gpu-memory-utilization)."""

WORKSPACE = 2 * 10**9
"""Bytes on each GPU for CUDA itself and activations: an estimate."""

TRAINED_PARAMETER = 16
"""Bytes of a parameter in training: weight, gradient, and AdamW's two moments, in float32."""

FLAT_BYTES_A_SECOND = 3.5 * 10**9
"""Bytes of vectors that one core compares with a query in a second, as measured with FAISS on 200,000 x 1,024."""

WORDS_BYTES = 900
"""Bytes of a document of 100 tokens in a BM25 index: an estimate (docs/retrieval.md has measurements)."""

REPLY_TOKENS = 300
"""Tokens of a reply, thinking included: an estimate, in whose place another can be expected."""

ANALYSIS_MEMORY, ANALYSED_RUN = 200 * 10**6, 2000
"""Bytes of an analysis, and more bytes of each run that it measures (docs/analysis.md: 196 MB for 6,000 runs)."""

TITLE_TOKENS = 16
"""Tokens of a result besides its snippet: an estimate."""


def server(name: str, settings: ServerSettings) -> list[Process]:
    """A vLLM server that is started; [] where one runs already."""
    if settings.base_url or not settings.model:
        return []
    split, copies = max(settings.tensor_parallel, 1), max(settings.data_parallel, 1)
    size = model_size(settings.model)
    if size is None:
        return [Process(f"{name}, {settings.model}", split * copies, known=False)]
    context = context_of(settings)
    least = size.weights / split + size.cache * context / split + WORKSPACE
    shown = [f"{in_words(size.weights)} of weights over {split}", f"{in_words(size.cache)} a token of its context"]
    shown += [f"one context of {context:,} tokens"] if context else []
    text = f"{', '.join(shown)}; sizes from {size.source}{f'; {copies} copies' if copies > 1 else ''}"
    return [Process(f"{name}, {size.name}", split * copies, round(least / SERVED_SHARE), of=text)]


def context_of(settings: ServerSettings) -> int:
    """Tokens of the longest conversation, as vLLM is told; 0 where it takes the model's own."""
    match = re.search(r"--max-model-len[= ](\d+)", settings.vllm_args)
    return int(match[1]) if match else 0


def index_bytes(documents: int, dimension: int, settings: IndexSettings) -> int:
    """Bytes of an index of a corpus's vectors."""
    numbers = documents * dimension * (2 if settings.fp16 else 4)
    if settings.kind in CODED:
        return numbers + code_bytes(documents, dimension, settings)
    # Twice as many links in the lowest layer of the graph, of 4 bytes each.
    return numbers + (documents * 2 * settings.hnsw_links * 4 if settings.kind == "hnsw" else 0)


def code_bytes(documents: int, dimension: int, settings: IndexSettings) -> int:
    """Bytes of what an index of kind ivfpq has in memory: codes, positions of 8 bytes, and the centres of clusters."""
    centres = 4 * dimension * ivf_lists(documents, settings)
    return documents * (settings.code_bytes(dimension) + 8) + centres


def retriever(
    name: str, model: ModelSize | None, documents: int, settings: IndexSettings, devices: str = ""
) -> Process:
    """An index that is searched, and the encoder of its queries.

    Args:
        model: None for BM25, or for one whose size is not known.
        devices: GPUs that share it, such as "6,7"; none, and the memory of the machine, if empty or "cpu".
    """
    if model is None:
        size = documents * WORDS_BYTES
        return Process(name, memory=size, of=f"{documents:,} documents; BM25, an estimate", known=bool(documents))
    vectors = index_bytes(documents, model.vector, settings)
    if settings.kind in CODED:
        codes = code_bytes(documents, model.vector, settings)
        text = f"{documents:,} codes; {settings.pq_candidates:,} vectors are read from disk for each query, of "
        # They are there already where the index was searched before.
        return Process(name, memory=codes + model.weights, of=f"{text}{in_words(vectors)}")
    kind = f"{settings.kind}{', float16' if settings.fp16 else ''}"
    text = f"{documents:,} vectors of {model.vector}, {kind}, {in_words(vectors)}"
    if devices in ("", NO_DEVICES) or settings.kind == "hnsw":
        if settings.kind == "flat":
            text += f"; {vectors / FLAT_BYTES_A_SECOND:.2g} s a query and core"
        return Process(name, memory=vectors + model.weights, of=text)
    gpus = len(devices.split(","))
    # The first GPU has the encoder, too.
    return Process(name, gpus, vectors // gpus + model.weights + WORKSPACE, of=f"{text}, over {gpus} GPUs")


def second_stage(name: str, model: ModelSize) -> Process:
    """A reranker, or late interaction, that ranks again what a retriever finds."""
    text = f"{in_words(model.weights)} of weights; sizes from {model.source}"
    return Process(f"reranker {name}", memory=model.weights, of=text)


def analysis(runs: int) -> Process:
    """What figures about runs take, which are read one after the other."""
    memory = ANALYSIS_MEMORY + runs * ANALYSED_RUN
    return Process("measuring the runs", memory=memory, of=f"{runs:,} runs; an estimate", known=bool(runs))


def encoder(model: ModelSize, documents: int, settings: IndexSettings, tokens: int = 0) -> Process:
    """What encodes a corpus and builds its index.

    Args:
        tokens: Tokens of a document that have a vector, on average, for late interaction.
    """
    if model.token_dimension:
        vectors = index_bytes(documents * tokens, model.vector, settings)
        return Process(
            f"encoding with {model.name}",
            1,
            model.weights + WORKSPACE,
            disk=2 * vectors,
            of=f"{documents:,} documents of {tokens} tokens; {in_words(vectors)} of vectors of {model.vector} "
            f"numbers, in shards and in the index; sizes from {model.source}",
            known=bool(tokens),
        )
    vectors = index_bytes(documents, model.vector, settings)
    return Process(
        f"encoding with {model.name}",
        1,
        model.weights + WORKSPACE,
        memory=build_memory(documents, model.vector, settings),
        disk=2 * vectors,
        of=f"{documents:,} documents; {in_words(vectors)} of shards on the disk, and as much of the index; "
        f"memory is for building it; for one process, and accelerate launch takes more; sizes from {model.source}",
    )


def training(
    model: ModelSize, *, adapters: bool = False, frozen: int = 2, teacher: ModelSize | None = None
) -> Process:
    """One training of all parameters, or of adapters beside them, which are few.

    Args:
        frozen: Bytes of a parameter beside adapters.
        teacher: A model whose scores are learned from; it stays in memory.
    """
    taught = f"; {in_words(teacher.weights)} of weights of its teacher" if teacher else ""
    each, held = (frozen, "") if adapters else (TRAINED_PARAMETER, " with gradients and AdamW's moments")
    return Process(
        f"training of {model.name}",
        1,
        each * model.parameters + WORKSPACE + (teacher.weights if teacher else 0),
        disk=4 * model.parameters,
        of=f"{model.parameters / 1e9:.2g} billion parameters{held}{taught}; activations come on "
        f"top, which gradient checkpointing and mini-batches bound; sizes from {model.source}",
    )


def runs(
    questions: int, *, k: int, snippet: int, browse: int, max_turns: int, reply: int, prefix: bool
) -> Iterator[str]:
    """Requests and tokens of runs, by the searches and browses of the paper's Table 1.

    Args:
        questions: Number of runs.
        snippet, browse: Tokens that are shown of a result and of an opened document.
        reply: Tokens that the model writes in a turn.
        prefix: Whether the server keeps what it has read of a conversation.
    """
    mean = table_1_means()
    searches, browses = mean["searches"], mean["browses"]
    turns = min(searches + browses, max_turns) + 1
    scale = (turns - 1) / (searches + browses)
    shown = scale * (searches * k * (snippet + TITLE_TOKENS) + browses * browse)
    written = turns * reply
    read = shown + written if prefix else (shown + written) * (turns + 1) / 2
    yield (
        f"{questions:,} runs of about {turns:.1f} requests each ({searches} searches and {browses} browses on average "
        f"in the paper's Table 1, at most {max_turns}, and the answer): {questions * turns:,.0f} requests"
    )
    yield (
        f"about {in_millions(questions * written)} tokens written ({reply} a reply: an estimate), and "
        f"{in_millions(questions * read)} read, {'each once (prefix caching)' if prefix else 'without prefix caching'}"
    )


def in_millions(number: float) -> str:
    return f"{number / 1e6:,.1f} million"


def judged_browses(trajectories: int) -> str:
    """Requests to a judge of opened documents, in words."""
    browses = table_1_means()["browses"]
    return (
        f"{trajectories:,} trajectories with {browses} browses each on average (the paper's Table 1), each of which "
        f"is asked about once: {trajectories * browses:,.0f} requests, less those in the cache"
    )


def table_1_means() -> dict[str, float]:
    """The means of all runs with all retrievers in the paper's Table 1, by metric."""
    return {
        value.metric: value.value for value in paper_values("Table 1") if (value.row, value.column) == ("Total", "all")
    }
