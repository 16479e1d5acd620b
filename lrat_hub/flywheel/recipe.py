"""What a flywheel is: its questions, its agent and retriever, how each round trains, and the rules of its gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lrat_hub.errors import LratError
from lrat_hub.flywheel.figures import FIGURES
from lrat_hub.flywheel.gate import GateSettings
from lrat_hub.hub.refs import RepoType
from lrat_hub.option import option

BY_AGENTS = frozenset({"success", "evidence_any", "evidence_share", "steps"})
"""Figures that agents are run for; the others are measured of the retriever alone."""

CONTROLS = frozenset({"content", "titles"})
"""Figures of the controls, whose queries are made of passages."""

OUT_OF_DOMAIN = "out_of_domain"
"""The figure of another corpus, whose queries the recipe names under the same word."""

ALONE_KINDS = frozenset({"model", "index", "repository", "bm25"})
"""Kinds of starting retrievers that can be evaluated without agents."""


def _section(stage: str) -> dict[str, str]:
    return {"help": f"Options of lrat {stage}, as in a recipe of it; `config` may name one."}


@dataclass(kw_only=True)
class FlywheelRecipe:
    """Everything that shapes a flywheel. It is stated before the first round, and stays."""

    corpus: str = option(help="Corpus that the agent searches and browses.", group="inputs")
    questions: str = option(help="Questions that the rounds draw their own from, as ref#config:split.", group="inputs")
    held_out: str = option(
        help="Questions of the gate, which no round ever uses, as ref#config:split.", group="inputs"
    )
    qrels: str = option(help="Annotated evidence of the held-out questions.", group="inputs")
    model: str = option(help="SentenceTransformer that the first round trains from.", group="inputs")
    retriever: str = option(
        "", "Retriever to start with, as for lrat rollout; an index of the model if empty.", group="essentials"
    )
    out_of_domain: str = option(
        "",
        "Queries of another corpus, as ref#queries:split, in one repository with that corpus and its judgements. Each "
        "round then measures out_of_domain, which `limits` may name.",
        group="inputs",
    )
    trajectories: list[str] = option(
        help="Trajectories that were collected or imported, one for each round, in place of runs of the agent.",
        factory=list,
        group="inputs",
    )
    rounds: int = option(3, "Number of rounds.", group="essentials")
    questions_per_round: int = option(100, "Number of questions that each round asks.", group="essentials")
    seed: int = option(0, "Random seed of the rounds' questions.")
    mine_from: Literal["round", "all"] = option(
        "round", "Runs that a round mines: its own (round), or those of all rounds so far (all).", group="essentials"
    )
    train_from: Literal["base", "champion"] = option(
        "base", "Model that a round trains: the first one, or the champion.", group="essentials"
    )
    mix: str = option("", "Retriever to fuse with each index while the agent works, such as bm25; none if empty.")
    by_agents: bool = option(
        True,
        "Whether the gate looks at agents on the held-out questions.",
        off="Let the gate look at retrievers alone, which needs no agent.",
    )
    primary: str = option(
        "success", f"Figure on which a challenger has to be better: {', '.join(FIGURES)}.", group="essentials"
    )
    level: float = option(
        0.05, "Largest probability of any wrong promotion in all rounds together.", group="essentials"
    )
    limits: dict[str, float] = option(
        help="Largest loss of other figures, by name: in points of a share, for steps as a share of them.",
        factory=lambda: dict(GateSettings().limits),
        group="essentials",
    )
    stop_after: int = option(
        0,
        "Number of rounds in a row without a promotion after which the flywheel stops; 0 for none.",
        group="essentials",
    )
    shadow: bool = option(
        False, "Record what the retriever that is not the champion would have listed for a round's queries."
    )
    rollout: dict[str, Any] = field(default_factory=dict, metadata=_section("rollout"))
    mine: dict[str, Any] = field(default_factory=dict, metadata=_section("mine"))
    train: dict[str, Any] = field(default_factory=dict, metadata=_section("train"))
    index: dict[str, Any] = field(default_factory=dict, metadata=_section("index"))
    eval_agents: dict[str, Any] = field(default_factory=dict, metadata=_section("eval agents"))
    eval_retrieval: dict[str, Any] = field(default_factory=dict, metadata=_section("eval retrieval"))

    def check(self) -> None:
        """Raises LratError for options that don't go together, before anything is read."""
        if self.rounds < 1 or self.questions_per_round < 1 or self.stop_after < 0:
            raise LratError(
                "Flywheel: expected `rounds` and `questions_per_round` of 1 or more, and `stop_after` of 0 or more; "
                f"found {self.rounds}, {self.questions_per_round} and {self.stop_after}."
            )
        if self.trajectories and len(self.trajectories) != self.rounds:
            raise LratError(
                f"Flywheel: expected `trajectories` for each of {self.rounds} rounds, found {len(self.trajectories)}."
            )
        figures = {self.primary, *self.limits}
        if not self.by_agents and (wanted := sorted(figures & BY_AGENTS)):
            raise LratError(f"Flywheel: expected figures of retrievers alone without agents, found {wanted[0]}.")
        alone = figures - BY_AGENTS | ({OUT_OF_DOMAIN} if self.out_of_domain else set())
        if self.start_kind not in ALONE_KINDS and (wanted := sorted(alone)):
            raise LratError(
                f"Flywheel: {wanted[0]} is measured for a model, an index or bm25 alone; found `retriever` "
                f"{self.retriever}. Start with one of those, and mix the other in with `mix`."
            )
        self.gate_settings()
        if OUT_OF_DOMAIN in figures and not self.out_of_domain:
            raise LratError(
                f"Flywheel: the gate looks at {OUT_OF_DOMAIN}, found no queries of another corpus to measure it on. "
                "Give them as `out_of_domain`."
            )
        if self.eval_retrieval.get("check_passages") == 0 and (wanted := sorted(figures & CONTROLS)):
            raise LratError(
                f"Flywheel: {wanted[0]} needs passages, found 0 as `check_passages` of `eval_retrieval`. Without them "
                "nothing could ever be promoted."
            )
        for section, chosen in TAKEN.items():
            if taken := sorted((chosen.keys() | {"to"}) & set(getattr(self, section))):
                by = chosen.get(taken[0], "to")
                raise LratError(f"Flywheel: {taken[0]} of `{section}` is chosen by the flywheel ({by}).")

    @property
    def start_kind(self) -> str:
        """What the starting retriever is: a kind of `RetrieverName`; "model" where it is an index that is made."""
        from lrat_hub.retrieval.opening import RetrieverName

        return RetrieverName.parse(self.retriever).kind if self.retriever else "model"

    def gate_settings(self) -> GateSettings:
        return GateSettings(self.primary, self.level, self.rounds, dict(self.limits))

    def sources(self) -> Mapping[str, tuple[str, RepoType]]:
        """Every input, and the kind of repository that it is."""
        found: dict[str, tuple[str, RepoType]] = {"model": (self.model, "model")}
        for name in ("corpus", "questions", "held_out", "qrels"):
            found[name] = getattr(self, name), "dataset"
        if self.out_of_domain:
            found["out_of_domain"] = self.out_of_domain, "dataset"
        for number, text in enumerate(self.trajectories, start=1):
            found[f"trajectories_{number}"] = text, "dataset"
        return found


_CHAMPION, _ROUND = "champion and challenger", "what the round made"

TAKEN: Mapping[str, Mapping[str, str]] = {
    "rollout": {"corpus": "corpus", "queries": "questions", "retriever": "retriever, mix", "index": "retriever",
                "name": "one config for all rounds"},
    "mine": {"corpus": "corpus", "trajectories": "mine_from"},
    "train": {"pairs": _ROUND, "model": "model, train_from"},
    "index": {"corpus": "corpus", "model": _ROUND},
    "eval_agents": {"trajectories": _ROUND, "names": _CHAMPION, "queries": "held_out", "qrels": "qrels"},
    "eval_retrieval": {"corpus": "corpus", "queries": "held_out", "qrels": "qrels", "index": _CHAMPION,
                       "bm25": _CHAMPION},
}  # fmt: skip
"""Options of each stage's section that are not the recipe's, and what says them."""
