"""Which runs an agent learns from, with an account of the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from lrat_hub.agent_training.conversations import Conversation, conversation_of
from lrat_hub.agent_training.restoring import is_unseen, restore_shown
from lrat_hub.agent_training.settings import ConversationSettings
from lrat_hub.agents.protocols import AgentPrompt
from lrat_hub.agents.showing import ShownDocuments
from lrat_hub.agents.writing import ReasoningPlace
from lrat_hub.errors import LratError
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Trajectory
from lrat_hub.walk import Walk


@dataclass(frozen=True)
class RunSelection:
    """The runs that are learned from.

    Args:
        conversations: In the order of the runs.
        questions: Of each conversation.
        ledger: Every run, kept or left out with the reason.
    """

    conversations: list[Conversation] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    ledger: Ledger = field(default_factory=lambda: Ledger("runs"))


def select_runs(
    runs: Iterable[Trajectory],
    settings: ConversationSettings,
    *,
    reasoning: ReasoningPlace = "field",
    evidence: Mapping[str, Set[str]] | None = None,
    shown: ShownDocuments | None = None,
    k: int = 10,
) -> RunSelection:
    """The conversations of the runs that fit the rules.

    Args:
        reasoning: Where function calling puts the reasoning.
        evidence: Documents with the evidence of each question, for `min_evidence`.
        shown: The corpus, for runs whose logs have only the ids of documents: see `restore_shown`. Without it such
            runs are dropped.
        k: Results of each query that such runs show.

    Raises:
        LratError: `min_evidence` has no evidence to go by, or there is no such prompt.
    """
    if settings.min_evidence and evidence is None:
        raise LratError("Agent training: min_evidence needs qrels, found none. Give qrels, or set it to 0.")
    prompt = AgentPrompt.load(settings.prompt or settings.protocol)
    selected = RunSelection()
    for run in runs:
        reason = _unfit(run, settings, evidence or {})
        if not reason and 0 < settings.max_runs <= len(selected.conversations):
            reason = "more than max_runs"
        if reason:
            selected.ledger.drop(reason, example=run.trajectory_id)
            continue
        try:
            if shown is not None and any(map(is_unseen, run.steps)):
                run = restore_shown(run, shown, k=k)
                selected.ledger.note("results restored from the corpus")
            conversation = conversation_of(run, settings.protocol, prompt, reasoning=reasoning)
        except LratError as error:
            selected.ledger.drop(str(error), example=run.trajectory_id)
            continue
        selected.ledger.keep()
        selected.ledger.lose("calls that could not be carried out", run.num_invalid, example=run.trajectory_id)
        selected.conversations.append(conversation)
        selected.questions.append(run.question)
    return selected


def _unfit(run: Trajectory, settings: ConversationSettings, evidence: Mapping[str, Set[str]]) -> str:
    """The first rule that a run does not keep, or ""."""
    if run.outcome not in settings.outcomes:
        return f"outcome {run.outcome}"
    if run.status not in settings.statuses:
        return f"status {run.status}"
    if 0 < settings.max_run_steps < run.num_steps:
        return "more steps than max_run_steps"
    if 0 <= settings.max_invalid < run.num_invalid:
        return "more calls that could not be carried out than max_invalid"
    if settings.min_evidence:
        wanted = evidence.get(run.query_id, frozenset())
        if not wanted:
            return "no evidence is known of its question"
        opened = Walk.over(run.steps).first_opened.keys() & wanted
        if len(opened) < settings.min_evidence * len(wanted):
            return "less of the evidence opened than min_evidence"
    return ""
