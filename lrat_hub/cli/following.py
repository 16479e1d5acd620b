"""The command that usually follows a stage, with the pins that are known by then filled in."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from lrat_hub.errors import LratError

if TYPE_CHECKING:
    from lrat_hub.hub.refs import HubRef

WITHOUT_PAIRS = "import without pairs"
"""The stage, for `note`, of an import whose runs opened nothing that they listed: nothing can be mined from them."""

WITHOUT_TEXTS = "import without texts"
"""The stage, for `note`, of an import whose runs show no text of any document: no corpus can be made of them."""

HELD_OUT = "0.2"
"""Share of the questions of logs that mining is told to hold out."""

SMALL_MODEL, ITS_RECIPE = "sentence-transformers/all-MiniLM-L6-v2", "training/minilm"
"""The model that a first training takes, where the Hub has it."""

PLACEHOLDERS = {
    "TRAJECTORIES": "trajectories, made by lrat import or lrat rollout",
    "CORPUS": "a corpus, made by lrat corpus, whose document ids are those of the runs",
    "PAIRS": "pairs, made by lrat mine",
    "MODEL": "the model that the training starts from, on this Hub or in a folder such as ./all-MiniLM-L6-v2",
    "QUERIES": "queries that no model was trained on, made by lrat corpus",
    "QRELS": "their relevance judgements, which may be the same repository",
}
"""What has to be chosen for the words in capitals."""

_LAST: list[str] = []
"""The commands that follow the last stage of this process that published."""


def note(stage: str, published: HubRef, inputs: Mapping[str, str], kind: str = "") -> None:
    """Keeps what follows a stage, for `take`. The Hub is asked for what the lineages of the inputs say."""
    known, splits = _with_ancestors(inputs) if stage in ("train", "index", "eval retrieval") else (inputs, ())
    has_model = stage == "mine" and "tokenizer" not in inputs and _is_there(SMALL_MODEL)
    _LAST[:] = next_commands(stage, published, known, kind, splits=splits, has_model=has_model)


def take() -> list[str]:
    """What was noted last, once."""
    last, _LAST[:] = list(_LAST), []
    return last


def _with_ancestors(inputs: Mapping[str, str]) -> tuple[Mapping[str, str], Collection[str]]:
    """The inputs with the corpus of the pairs, where the stage did not read it itself, and the splits of the pairs."""
    from lrat_hub.hub.lineage import read_lineage
    from lrat_hub.hub.refs import HubRef

    try:
        lineage = read_lineage(HubRef.parse(inputs["pairs"], repo_type="dataset")) if "pairs" in inputs else None
    except LratError:
        lineage = None  # a folder, or a Hub that is away: what follows is then said with gaps
    if lineage is None:
        return inputs, ()
    rows = lineage.counts.get("published_rows")
    splits = rows.get("pairs", {}) if isinstance(rows, Mapping) else {}
    return {"corpus": lineage.inputs.get("corpus", "")} | dict(inputs), list(splits)


def _is_there(model: str) -> bool:
    from huggingface_hub import HfApi

    from lrat_hub.hub.refs import HubRef, hub_errors

    try:
        with hub_errors(HubRef(model, "model")):
            return HfApi().repo_exists(model)
    except LratError:
        return False  # what was published is published: a Hub that is away since then is no failure


def _stem(name: str) -> str:
    """A repository's name without what these commands put behind it."""
    return re.sub(r"(?<=[^/])-(?:runs|corpus|pairs|model|index|bm25|results|analysis|trained)$", "", name)


def legend(commands: Collection[str]) -> list[str]:
    """What each word in capitals in the commands stands for."""
    words = {part for command in commands for part in re.split(r"[\s'>:]", command)}
    return [f"{word}: {meaning}" for word, meaning in PLACEHOLDERS.items() if word in words]


def next_commands(
    stage: str,
    published: HubRef,
    inputs: Mapping[str, str],
    kind: str = "",
    *,
    splits: Collection[str] = (),
    has_model: bool = False,
) -> list[str]:
    """The commands that follow a stage; what has to be chosen stands in capitals.

    Args:
        published: The pin of what the stage has published.
        inputs: The pins of what it has read, by the names of its options.
        kind: Of a model that was trained: "reranker", "late_interaction", or anything else for a retriever.
        splits: Of the pairs that it was trained on.
        has_model: Whether the Hub has `SMALL_MODEL`.
    """
    name = _stem(published.repo_id)

    def command(stage: str, to: str = "", **options: str) -> str:
        words = [f"--{option} {value}" for option, value in options.items()]
        return " ".join(["lrat", stage, *words, *([f"--to {shlex.quote(name + to)}"] if to else [])])

    def known(option: str, otherwise: str = "") -> str:
        # What came from this machine is recorded with its hash behind, and can't be given so.
        given = inputs.get(option, "")
        return shlex.quote(given) if given and " (" not in given else otherwise or option.upper()

    pin = shlex.quote(str(published))
    corpus = known("corpus")
    if stage == "corpus" and not inputs.keys() & {"documents", "beir", "wikipedia", "trajectories", "trajectories_1"}:
        # Queries or judgements alone: there is nothing to search.
        return [f"lrat lineage {pin}"]
    if stage == "corpus":
        # Who has logs mines them; who has questions alone lets an agent make some.
        logs = [known(option) for option in inputs if option.startswith("trajectories")]
        # Logs alone bring no judgements, so some of their questions are kept to compare models with.
        held_out = {} if inputs.keys() & {"queries", "beir", "wikipedia"} or not logs else {"test": HELD_OUT}
        mine = command("mine", "-pairs", trajectories=" ".join(logs) or "TRAJECTORIES", corpus=pin, **held_out)
        if inputs.keys() & {"queries", "beir", "wikipedia"}:
            return [mine, command("rollout", "-runs", agent="reader", corpus=pin, queries=pin)]
        return [mine] if logs else [mine, command("index", "-bm25", bm25="true", corpus=pin)]
    if stage == WITHOUT_PAIRS:
        return [command("analyze", "-analysis", trajectories=pin)]
    if stage == "import":
        # Who has logs alone makes a corpus of what they show, and holds some questions out.
        mine = command("mine", "-pairs", trajectories=pin, corpus=corpus, test=HELD_OUT)
        return [command("corpus", "-corpus", trajectories=pin), mine]
    if stage in (WITHOUT_TEXTS, "rollout"):
        return [command("mine", "-pairs", trajectories=pin, corpus=corpus)]
    if stage == "mine" and ("corpus" in inputs or "trajectories" not in inputs):
        if has_model:
            return [command("train", "-model", config=ITS_RECIPE, pairs=pin, model=SMALL_MODEL)]
        return [command("train", "-model", pairs=pin, model=known("tokenizer", "MODEL"))]
    if stage == "mine":
        # Without their documents, pairs can't be trained on.
        again = command("mine", trajectories=known("trajectories"), corpus=corpus)
        return [f"{again} --to {shlex.quote(published.repo_id)}"]
    if stage == "train":
        # The queries that a training was watched by are no test of it, and neither are the pairs of its other splits.
        judged = {"queries": "QUERIES", "qrels": "QRELS"}
        if "test" in splits:
            judged = {"pairs": shlex.quote(f"{inputs['pairs'].partition('#')[0]}#pairs:test")}
        again = kind in ("reranker", "late_interaction")
        pins = known("model"), pin
        # A reranker, and late interaction with less work, ranks again what another finds.
        systems = " ".join(shlex.quote(f"bm25>20:{one}") for one in pins) if again else " ".join(pins)
        named = {"retrievers" if again else "models": systems}
        commands = [command("eval retrieval", "-results", **named, corpus=corpus, **judged)]
        if kind != "reranker":
            commands.append(command("index", "-index", model=pin, corpus=corpus))
        return commands
    if stage == "train-agent":
        return [command("rollout", "-runs", agent="llm", model=pin, corpus=corpus, queries="QUERIES")]
    if stage == "index":
        return [
            command("rollout", "-runs", index=pin, corpus=corpus, queries="QUERIES"),
            command("eval retrieval", "-results", index=pin, corpus=corpus, queries="QUERIES", qrels="QRELS"),
        ]
    if stage == "adopt":
        return [command("train", "-trained", model=pin, pairs="PAIRS")]
    if stage in ("eval retrieval", "eval agents"):
        return [command("eval report", "-report", evaluations=pin)]
    if stage == "sweep":
        return [command("train", "-model", model=known("model"), pairs=known("pairs_1", "PAIRS"))]
    if stage == "analyze":
        given = sorted(option for option in inputs if option.startswith("trajectories_")) or ["trajectories_1"]
        return [
            command(
                "mine",
                f"-pairs-{number}" if len(given) > 1 else "-pairs",
                trajectories=known(option, "TRAJECTORIES"),
                corpus=corpus,
            )
            for number, option in enumerate(given, start=1)
        ]
    return [f"lrat lineage {pin}"]
