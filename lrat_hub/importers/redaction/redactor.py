"""Taking secrets out of trajectories and JSON values before anything is published."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any, cast

from lrat_hub.importers.redaction.detection import SECRETS, Detector
from lrat_hub.importers.redaction.named_secrets import NAMED_SECRET, secret_under
from lrat_hub.importers.redaction.patterns import Pattern
from lrat_hub.importers.redaction.replacement import REPLACED, Change, Hook, changes_of, masked, replacement
from lrat_hub.importers.values import load_json
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Candidate, Step, Trajectory

TEXT_COLUMNS = (
    "trajectory_id", "query_id", "question", "gold_answer", "final_answer", "agent", "agent_revision", "retriever",
    "retriever_revision",
)  # fmt: skip

CHANGED_DOCIDS = "document ids that redaction changed"
MERGED_DOCIDS = "document ids that redaction made equal to another"
CHANGED_QUERY_IDS = "query ids that redaction changed"


@dataclass(frozen=True)
class Redactor:
    """Replaces what must not be published by `[redacted: <what it was>]`.

    All texts of a run are scanned together, and texts that occur several times are worked on once.

    Args:
        patterns: The kinds of secrets; of two that overlap, the first names the replacement.
        hook: Applied to each text after the patterns.
        counted: Kinds that stay, and are counted where no secret is around them.
    """

    patterns: tuple[Pattern, ...] = SECRETS
    hook: Hook | None = None
    counted: tuple[Pattern, ...] = ()

    def redact(self, trajectory: Trajectory, ledger: Ledger) -> Trajectory:
        """The trajectory with every one of its texts redacted.

        Args:
            ledger: The account of texts; its notes count the replacements by pattern, with a masked example of each,
                and the ids that changed, distinct in each run.

        Raises:
            LratError: The hook fails: nothing may be published that it has not passed.
        """
        try:
            metadata = load_json(trajectory.metadata)
        except (ValueError, RecursionError):
            metadata = trajectory.metadata
        changes = self._changes([*_texts_of(trajectory), *_texts_in(metadata)], ledger)
        if not changes and not (self._knows_names and _has_secret_by_key(metadata)):
            return trajectory
        redacted_texts = _RedactedTexts(changes, ledger, self._knows_names)
        redacted = redacted_texts.value(metadata)
        if redacted == metadata:
            redacted_metadata = trajectory.metadata
        elif isinstance(redacted, str) and metadata is trajectory.metadata:
            redacted_metadata = redacted
        else:
            redacted_metadata = json.dumps(redacted, ensure_ascii=False, sort_keys=True)
        _note_ids(trajectory, changes, ledger)
        columns: dict[str, Any] = {name: redacted_texts.text(getattr(trajectory, name)) for name in TEXT_COLUMNS}
        steps = tuple(map(redacted_texts.step, trajectory.steps))
        return replace(trajectory, **columns, steps=steps, metadata=redacted_metadata)

    def text(self, text: str, ledger: Ledger) -> str:
        """One text, redacted."""
        changes = self._changes([text], ledger)
        return changes[text].text if changes else text

    def value(self, value: Any, ledger: Ledger) -> Any:
        """A JSON value with its texts and keys redacted, and with the values of keys such as `api_key`."""
        return _RedactedTexts(self._changes(_texts_in(value), ledger), ledger, self._knows_names).value(value)

    def _changes(self, texts: list[str], ledger: Ledger) -> dict[str, Change]:
        return changes_of(texts, self._detector, self.hook, ledger)

    @cached_property
    def _detector(self) -> Detector:
        return Detector(self.patterns, self.counted)

    @cached_property
    def _knows_names(self) -> bool:
        return any(pattern.name == NAMED_SECRET for pattern in self.patterns)


class _RedactedTexts:
    """Puts the redacted texts of a value where the texts were."""

    def __init__(self, changes: Mapping[str, Change], ledger: Ledger, knows_names: bool) -> None:
        self._changes, self._ledger, self._knows_names = changes, ledger, knows_names

    def text(self, text: str | None) -> str | None:
        change = self._changes.get(text) if text else None
        return change.text if change else text

    def step(self, step: Step) -> Step:
        return replace(
            step,
            reasoning=self.text(step.reasoning),
            queries=tuple(cast(str, self.text(query)) for query in step.queries),
            results=tuple(map(self._candidate, step.results)),
            docid=self.text(step.docid),
            observation=self.text(step.observation),
            error=self.text(step.error),
        )

    def _candidate(self, hit: Candidate) -> Candidate:
        texts = (hit.docid, hit.title, hit.snippet)
        if not any(text in self._changes for text in texts):
            return hit
        docid, title, snippet = (cast(str, self.text(text)) for text in texts)
        return replace(hit, docid=docid, title=title, snippet=snippet)

    def value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (list, tuple)):
            parts = map(self.value, value)
            return tuple(parts) if type(value) is tuple else list(parts)
        if not isinstance(value, dict):
            return value
        redacted: dict[Any, Any] = {}
        numbers: Counter[str] = Counter()
        for key, part in value.items():
            clean = key
            if isinstance(key, str) and key in self._changes:
                clean = _unused(self._changes[key].text, redacted, numbers)
            if self._knows_names and _is_secret_by_key(key, part) and part not in self._changes:
                self._ledger.note(f"{REPLACED}{NAMED_SECRET}", example=masked(part))
                redacted[clean] = replacement(NAMED_SECRET)
            else:
                redacted[clean] = self.value(part)
        return redacted


def _is_secret_by_key(key: Any, part: Any) -> bool:
    return isinstance(key, str) and isinstance(part, str) and secret_under(key, part)


def _has_secret_by_key(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_is_secret_by_key(key, part) or _has_secret_by_key(part) for key, part in value.items())
    return isinstance(value, (list, tuple)) and any(map(_has_secret_by_key, value))


def _unused(key: str, used: Mapping[Any, Any], numbers: Counter[str]) -> str:
    """A redacted key that does not hide another one.

    Args:
        numbers: By key, how many numbers have been tried: thousands of keys may become the same.
    """
    candidate = key
    while candidate in used:
        numbers[key] += 1
        candidate = f"{key} ({numbers[key] + 1})"
    return candidate


def _texts_of(trajectory: Trajectory) -> list[str]:
    texts: list[str | None] = [getattr(trajectory, name) for name in TEXT_COLUMNS]
    for step in trajectory.steps:
        texts += (step.reasoning, step.docid, step.observation, step.error)
        texts += step.queries
        for hit in step.results:
            texts += (hit.docid, hit.title, hit.snippet)
    return [text for text in texts if text]


def _texts_in(value: Any) -> list[str]:
    texts: list[str] = []
    _collect(value, texts)
    return texts


def _collect(value: Any, texts: list[str]) -> None:
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, (list, tuple, dict)):
        for part in chain.from_iterable(value.items()) if isinstance(value, dict) else value:
            # Most parts are texts, for which a call takes longer than everything else.
            if isinstance(part, str):
                texts.append(part)
            else:
                _collect(part, texts)


def _note_ids(trajectory: Trajectory, changes: Mapping[str, Change], ledger: Ledger) -> None:
    """Counts the ids of a run that changed: they meet those of a corpus, or of queries, no more."""
    changed = [docid for docid in docids_of(trajectory) if docid in changes]
    ledger.note(CHANGED_DOCIDS, len(changed), example=changes[changed[0]].text if changed else "")
    ledger.note(MERGED_DOCIDS, len(changed) - len({changes[docid].text for docid in changed}))
    if trajectory.query_id in changes:
        ledger.note(CHANGED_QUERY_IDS, example=changes[trajectory.query_id].text)


def docids_of(trajectory: Trajectory) -> dict[str, None]:
    """The ids of the documents that a run listed or opened, each once."""
    listed = (hit.docid for step in trajectory.steps for hit in step.results)
    opened = (step.docid for step in trajectory.steps if step.docid is not None)
    return dict.fromkeys(chain(listed, opened))
