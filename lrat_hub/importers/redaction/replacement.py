"""What stands in texts instead of their secrets, what the ledger says of it, and the hook that sees each text last."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast

from lrat_hub.errors import LratError
from lrat_hub.importers.redaction.detection import Detector
from lrat_hub.importers.redaction.patterns import REDACTED, Span
from lrat_hub.ledger import Ledger

Hook = Callable[[str], str]
"""Gives a text back without what must not be published."""

LEFT = "left as they are, "
"""The begin of a note on texts, which ends with the name of a pattern that is counted."""

REPLACED = "redacted, "
"""What the notes of replacements begin with; the pattern's name follows."""

MASKED_FROM = 12
"""Characters of a secret from which on two at each end say little of it."""


class Change(NamedTuple):
    """A text that is not published as it is: what stands for it, and the replacements by pattern.

    Args:
        counts: Their number.
        examples: The first of each, masked.
    """

    text: str
    counts: Counter[str]
    examples: dict[str, str]


def changes_of(texts: list[str], detector: Detector, hook: Hook | None, ledger: Ledger) -> dict[str, Change]:
    """By text, what changes in it; counted in the ledger as often as the text occurs.

    Raises:
        LratError: The hook fails.
    """
    occurrences = Counter(texts)
    occurrences.pop("", None)
    ledger.keep(occurrences.total())
    distinct = list(occurrences)
    changes: dict[str, Change] = {}
    counted = {pattern.name for pattern in detector.counted}
    for text, spans in detector.find(distinct):
        if secrets := [(span, name) for span, name in spans if name not in counted]:
            changes[text] = _replaced(text, secrets)
        for span, name in spans:
            if name in counted:
                ledger.note(f"{LEFT}{name}", occurrences[text], example=masked(text[span.start : span.end]))
    if hook is not None:
        for text in distinct:
            before = changes.get(text) or Change(text, Counter(), {})
            after = _passed(hook, before.text)
            if after != before.text:
                changes[text] = Change(after, before.counts + Counter(hook=1), before.examples)
    for text, change in changes.items():
        for name, count in change.counts.items():
            ledger.note(f"{REPLACED}{name}", count * occurrences[text], example=change.examples.get(name, ""))
    return changes


def num_redacted(ledger: Ledger) -> int:
    """Number of replacements that an account of texts has."""
    return sum(count for what, count in ledger.notes.items() if what.startswith(REPLACED))


def masked(secret: str) -> str:
    """What of a secret may be shown to whoever imports it: four of its characters at most, and its length."""
    secret = secret.strip()
    shown = f"{secret[:2]}...{secret[-2:]}" if len(secret) >= MASKED_FROM else "..."
    return f"{shown} ({len(secret)} characters)"


def replacement(name: str) -> str:
    """What stands instead of a secret of the kind with that name."""
    return f"{REDACTED}{name}]"


def _replaced(text: str, spans: Iterable[tuple[Span, str]]) -> Change:
    parts, index, counts, examples = [], 0, Counter[str](), dict[str, str]()
    for span, name in spans:
        examples.setdefault(name, masked(text[span.start : span.end]))
        parts += (text[index : span.start], span.quote, replacement(name), span.quote)
        index = span.end
        counts[name] += 1
    return Change("".join((*parts, text[index:])), counts, examples)


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
