"""Taking secrets out of trajectories before anything is published."""

from __future__ import annotations

import importlib
import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import accumulate, chain
from typing import Any, NamedTuple, cast

from ahocorasick_rs import BytesAhoCorasick, Implementation

from lrat_hub.errors import LratError
from lrat_hub.importers.redaction.issued_tokens import ISSUED
from lrat_hub.importers.redaction.named_secrets import NAMED, secret_under
from lrat_hub.importers.redaction.patterns import NOTHING, REDACTED, Finding, Pattern, Span
from lrat_hub.importers.redaction.private_keys import PRIVATE_KEYS
from lrat_hub.importers.redaction.quoting import start_after_escape
from lrat_hub.importers.redaction.transported_secrets import TRANSPORTED
from lrat_hub.importers.values import load_json
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Candidate, Step, Trajectory

Hook = Callable[[str], str]
"""Gives a text back without what must not be published."""

TEXT_COLUMNS = (
    "trajectory_id", "query_id", "question", "gold_answer", "final_answer", "agent", "agent_revision", "retriever",
    "retriever_revision",
)  # fmt: skip

SECRETS: tuple[Pattern, ...] = (*PRIVATE_KEYS, *ISSUED, *TRANSPORTED, *NAMED)
"""All kinds of secrets. Where two overlap, the first names the replacement."""

MAX_REPLACEMENT = 64
"""Characters of a replacement at most."""

_REPLACEMENT = re.compile(rf"{re.escape(REDACTED)}[^\[\]\n]{{1,{MAX_REPLACEMENT - len(REDACTED) - 1}}}\]")

# Between two texts that are scanned as one: no mark has it.
_BETWEEN = b"\0"

_LOCAL_PART = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.%+-"
_DOMAIN = re.compile(r"(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")


def _find_address(text: str, start: int, end: int) -> Finding:
    window = text[max(0, start - 64) : start]
    first = start_after_escape(text, start - len(window) + len(window.rstrip(_LOCAL_PART)))
    domain = _DOMAIN.match(text, end)
    return Finding((Span(first, domain.end()),), domain.end()) if domain and first < start else NOTHING


EMAIL = Pattern("e-mail address", ("@",), _find_address)


class _Change(NamedTuple):
    """A text that is not published as it is: what stands for it, and the replacements by pattern.

    Args:
        counts: Their number.
        examples: The first of each, masked.
    """

    text: str
    counts: Counter[str]
    examples: dict[str, str]


LEFT = "left as they are, "
"""The begin of a note on texts, which ends with the name of a pattern that is counted."""

CHANGED_DOCIDS = "document ids that redaction changed"
MERGED_DOCIDS = "document ids that redaction made equal to another"
CHANGED_QUERY_IDS = "query ids that redaction changed"

_REPLACED = "redacted, "
"""What the notes of replacements begin with; the pattern's name follows."""

MASKED_FROM = 12
"""Characters of a secret from which on two at each end say little of it."""


def num_redacted(ledger: Ledger) -> int:
    """Number of replacements that an account of texts has."""
    return sum(count for what, count in ledger.notes.items() if what.startswith(_REPLACED))


@dataclass(frozen=True)
class Redactor:
    """Replaces what must not be published by `[redacted: <what it was>]`.

    The marks of all patterns are looked for in one scan of all texts of a run; patterns look only at the marks. Texts
    that occur several times are worked on once.

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
        texts = [*_texts_of(trajectory), *_texts_in(metadata)]
        changes = self._changes(texts, ledger)
        named = any(True for _ in _secrets_by_key(metadata)) if self._knows_names else False
        if not changes and not named:
            return trajectory
        passed = _Passed(changes, ledger, self._knows_names)
        redacted = passed.value(metadata)
        if redacted == metadata:
            redacted_metadata = trajectory.metadata
        elif isinstance(redacted, str) and metadata is trajectory.metadata:
            redacted_metadata = redacted
        else:
            redacted_metadata = json.dumps(redacted, ensure_ascii=False, sort_keys=True)
        _note_ids(trajectory, changes, ledger)
        columns: dict[str, Any] = {name: passed.text(getattr(trajectory, name)) for name in TEXT_COLUMNS}
        return replace(
            trajectory, **columns, steps=tuple(map(passed.step, trajectory.steps)), metadata=redacted_metadata
        )

    def text(self, text: str, ledger: Ledger) -> str:
        """One text, redacted."""
        changes = self._changes([text], ledger)
        return changes[text].text if changes else text

    def value(self, value: Any, ledger: Ledger) -> Any:
        """A JSON value with its texts and keys redacted, and with the values of keys such as `api_key`."""
        return _Passed(self._changes(_texts_in(value), ledger), ledger, self._knows_names).value(value)

    @cached_property
    def _scanner(self) -> tuple[BytesAhoCorasick, list[tuple[int, ...]]]:
        return _automaton(self._sought)

    @cached_property
    def _sought(self) -> tuple[Pattern, ...]:
        return (*self.patterns, *self.counted)

    def __reduce__(self) -> tuple[type[Redactor], tuple[Any, ...]]:
        """What another process needs, which builds its own automaton."""
        return Redactor, (self.patterns, self.hook, self.counted)

    @cached_property
    def _knows_names(self) -> bool:
        return any(pattern.name == NAMED_SECRET for pattern in self.patterns)

    def _changes(self, texts: list[str], ledger: Ledger) -> dict[str, _Change]:
        """By text, what changes in it; counted in the ledger as often as the text occurs."""
        occurrences = Counter(texts)
        occurrences.pop("", None)
        ledger.keep(occurrences.total())
        distinct = list(occurrences)
        changes: dict[str, _Change] = {}
        counted = {pattern.name for pattern in self.counted}
        for text, spans in self._found(distinct):
            if secrets := [(span, name) for span, name in spans if name not in counted]:
                changes[text] = _replaced(text, secrets)
            for span, name in spans:
                if name in counted:
                    ledger.note(f"{LEFT}{name}", occurrences[text], example=_masked(text[span.start : span.end]))
        if self.hook is not None:
            for text in distinct:
                before = changes.get(text) or _Change(text, Counter(), {})
                after = _passed(self.hook, before.text)
                if after != before.text:
                    changes[text] = _Change(after, before.counts + Counter(hook=1), before.examples)
        for text, change in changes.items():
            for name, count in change.counts.items():
                ledger.note(f"{_REPLACED}{name}", count * occurrences[text], example=change.examples.get(name, ""))
        return changes

    def _found(self, texts: list[str]) -> Iterator[tuple[str, list[tuple[Span, str]]]]:
        """The texts in which patterns find something, with its spans and the names of the patterns."""
        if not self._sought or not texts:
            return
        automaton, owners = self._scanner
        # Bytes, of which the scanner need not count the characters. No mark has a part of a lone surrogate.
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        joined = _BETWEEN.join(encoded)
        hits = automaton.find_matches_as_indexes(joined, overlapping=True)
        if not hits:
            return
        starts = [0, *accumulate([len(text) + len(_BETWEEN) for text in encoded])]
        spans: list[tuple[Span, int]] = []
        current, resume, at, characters = -1, {}, 0, 0
        for mark, start, end in hits:
            index = bisect_right(starts, start) - 1
            if index != current:
                if spans:
                    yield texts[current], self._resolved(spans)
                current, spans, resume, at, characters = index, [], {}, starts[index], 0
            # Hits come by their ends. Marks are ASCII: they have as many characters as bytes.
            characters += len(joined[at:end].decode("utf-8", "surrogatepass"))
            text, first, at = texts[index], characters - (end - start), end
            for owner in owners[mark]:
                if first >= resume.get(owner, 0):
                    finding = self._sought[owner].find(text, first, characters)
                    if finding is not NOTHING:
                        resume[owner] = finding.resume
                        spans.extend((part, owner) for span in finding.spans for part in _unreplaced(text, span))
        if spans:
            yield texts[current], self._resolved(spans)

    def _resolved(self, spans: list[tuple[Span, int]]) -> list[tuple[Span, str]]:
        """Spans in their order; those that overlap become one, which the first of their patterns names.

        What is counted comes behind them, where it touches no secret: it must not change what is redacted.
        """
        resolved: list[tuple[Span, int]] = []
        counted = []
        for span, owner in sorted(spans):
            if owner >= len(self.patterns):
                counted.append((span, owner))
            elif resolved and span.start < resolved[-1][0].end:
                before, first = resolved[-1]
                merged = Span(before.start, max(before.end, span.end), before.quote or span.quote)
                resolved[-1] = (merged, min(owner, first))
            elif span.start < span.end:
                resolved.append((span, owner))
        secrets = [span for span, _ in resolved]
        resolved += [
            (span, owner)
            for span, owner in counted
            if not any(span.start < secret.end and secret.start < span.end for secret in secrets)
        ]
        return [(span, self._sought[owner].name) for span, owner in resolved]


NAMED_SECRET = "named secret"


class _Passed:
    """Puts the redacted texts of a value where the texts were."""

    def __init__(self, changes: dict[str, _Change], ledger: Ledger, knows_names: bool) -> None:
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
            return (
                type(value)(map(self.value, value)) if type(value) in (list, tuple) else list(map(self.value, value))
            )
        if not isinstance(value, dict):
            return value
        redacted: dict[Any, Any] = {}
        for key, part in value.items():
            clean = self.text(key) if isinstance(key, str) else key
            if clean != key:
                clean = _unused(clean, redacted)
            if self._knows_names and _is_secret_by_key(key, part) and part not in self._changes:
                self._ledger.note(f"{_REPLACED}{NAMED_SECRET}", example=_masked(part))
                redacted[clean] = _replacement(NAMED_SECRET)
            else:
                redacted[clean] = self.value(part)
        return redacted


def _is_secret_by_key(key: Any, part: Any) -> bool:
    return isinstance(key, str) and isinstance(part, str) and secret_under(key, part)


def _secrets_by_key(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, part in value.items():
            if _is_secret_by_key(key, part):
                yield key
            yield from _secrets_by_key(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            if isinstance(part, (dict, list, tuple)):
                yield from _secrets_by_key(part)


def _unused(key: str | None, used: dict[Any, Any]) -> str:
    """A redacted key that does not hide another one."""
    number, candidate = 2, str(key)
    while candidate in used:
        number, candidate = number + 1, f"{key} ({number})"
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


@lru_cache(maxsize=8)
def _automaton(patterns: tuple[Pattern, ...]) -> tuple[BytesAhoCorasick, list[tuple[int, ...]]]:
    """All marks as one automaton, and for each the patterns that look at it. Built once in each process."""
    owners: dict[str, tuple[int, ...]] = {}
    for index, pattern in enumerate(patterns):
        for mark in pattern.marks:
            owners[mark] = (*owners.get(mark, ()), index)
    marks = [mark.encode() for mark in owners]
    return BytesAhoCorasick(marks, implementation=Implementation.DFA), list(owners.values())


def _note_ids(trajectory: Trajectory, changes: dict[str, _Change], ledger: Ledger) -> None:
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


def _masked(secret: str) -> str:
    """What of a secret may be shown to whoever imports it: four of its characters at most, and its length."""
    secret = secret.strip()
    shown = f"{secret[:2]}...{secret[-2:]}" if len(secret) >= MASKED_FROM else "..."
    return f"{shown} ({len(secret)} characters)"


def _replaced(text: str, spans: Iterable[tuple[Span, str]]) -> _Change:
    parts, index, counts, examples = [], 0, Counter[str](), dict[str, str]()
    for span, name in spans:
        examples.setdefault(name, _masked(text[span.start : span.end]))
        parts += (text[index : span.start], span.quote, _replacement(name), span.quote)
        index = span.end
        counts[name] += 1
    return _Change("".join((*parts, text[index:])), counts, examples)


def _unreplaced(text: str, span: Span) -> Iterator[Span]:
    """A span without the replacements in it, of which none is redacted again."""
    start = span.start
    for match in _REPLACEMENT.finditer(text, span.start, span.end + MAX_REPLACEMENT):
        if match.start() >= span.end:
            break
        yield span._replace(start=start, end=match.start())
        start = match.end()
    yield span._replace(start=start)


def _replacement(name: str) -> str:
    return f"{REDACTED}{name}]"


def _passed(hook: Hook, text: str) -> str:
    try:
        passed = hook(text)
    except Exception as error:  # it is anybody's code, and whatever it raises must stop the publication
        raise LratError(f"Redaction: the hook failed; {type(error).__name__}: {error}") from error
    if not isinstance(passed, str):
        raise LratError(f"Redaction: expected a text from the hook, found {type(passed).__name__}.")
    return passed


def load_hook(name: str) -> Hook:
    """A hook by its name, `module:function`; the module is looked for as `import` does.

    Raises:
        LratError: There is none.
    """
    module, _, function = name.partition(":")
    try:
        hook: Any = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise LratError(
            f"Redaction hook {name!r}: expected module:function; {error}. Is the module on PYTHONPATH?"
        ) from error
    if not callable(hook):
        raise LratError(f"Redaction hook {name!r}: expected a function, found {type(hook).__name__}.")
    return cast("Hook", hook)
