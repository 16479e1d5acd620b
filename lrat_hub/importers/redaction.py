"""Taking secrets out of trajectories before anything is published."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from lrat_hub.errors import LratError
from lrat_hub.importers.values import load_json
from lrat_hub.ledger import Ledger
from lrat_hub.schema import Step, Trajectory

Hook = Callable[[str], str]
"""Gives a text back without what must not be published."""

TEXT_COLUMNS = (
    "trajectory_id", "query_id", "question", "gold_answer", "final_answer", "agent", "agent_revision", "retriever",
    "retriever_revision",
)  # fmt: skip
TEXTS_OF_STEP = ("reasoning", "queries", "docid", "observation", "error")
TEXTS_OF_CANDIDATE = ("docid", "title", "snippet")


@dataclass(frozen=True)
class Pattern:
    """One kind of secret.

    Args:
        name: What it is, for the ledger and in its place.
        regex: What it looks like. With a group `secret`, only that is replaced.
        marks: Lower-case texts of which one stands in every text that has such a secret: looking for them first is
            what makes redaction cheap.
    """

    name: str
    regex: re.Pattern[str]
    marks: tuple[str, ...]


def _pattern(name: str, regex: str, *marks: str) -> Pattern:
    return Pattern(name, re.compile(regex), marks)


# Mostly prefixes that issuers gave their keys, so that nothing else looks like one.
SECRETS: tuple[Pattern, ...] = (
    _pattern(
        "private key",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
        # To its end, also where a log has it in one line; without an end, as far as it looks like one.
        r"(?:(?:[^-]|-(?!-)){0,20000}-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
        r"|(?:(?:\s|\\[rn])*[A-Za-z0-9+/=]{20,})*)",
        "private key",
    ),
    _pattern("Hugging Face token", r"\b(?:hf|api_org)_[A-Za-z0-9]{30,}", "hf_", "api_org_"),
    _pattern("Anthropic key", r"\bsk-ant-[\w-]{20,}", "sk-ant-"),
    _pattern("OpenAI key", r"\bsk-(?:(?:proj|svcacct|admin|or-v1)-[\w-]{20,}|[A-Za-z0-9]{32,})", "sk-"),
    _pattern("AWS key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b", "akia", "asia", "abia", "acca"),
    _pattern(
        "AWS secret",
        r"(?i:aws_?secret_?(?:access_?)?key)[\"']?\s*[:=]\s*[\"']?(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])",
        "aws_secret", "awssecret",
    ),
    _pattern("Google key", r"\bAIza[\w-]{35}", "aiza"),
    _pattern(
        "GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{22,})",
        "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_",
    ),
    _pattern("GitLab token", r"\bglpat-[\w-]{20,}", "glpat-"),
    _pattern("Slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}", "xox"),
    _pattern("Stripe key", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}", "k_live_", "k_test_"),
    _pattern("npm token", r"\bnpm_[A-Za-z0-9]{36}\b", "npm_"),
    _pattern("PyPI token", r"\bpypi-AgE[\w-]{50,}", "pypi-age"),
    _pattern(
        "search service key", r"\b(?:tvly-(?:dev-|prod-)?[\w-]{28,}|jina_[A-Za-z0-9]{40,}|fc-[0-9a-f]{32}\b)",
        "tvly-", "jina_", "fc-",
    ),
    _pattern("JSON web token", r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}", "eyj"),
    _pattern("bearer token", r"\b(?i:bearer)\s+(?P<secret>(?=[\w.~+/-]*[0-9])[\w.~+/-]{20,}=*)", "bearer"),
    _pattern(
        "authorization header",
        r"(?i:authorization)\\*[\"']?\s*[:=]\s*\\*[\"']?(?i:basic|token)\s+(?P<secret>[\w.~+/-]{12,}=*)",
        "authorization",
    ),
    _pattern(
        "named secret",
        # Names of variables, such as SERPER_API_KEY, or of arguments; quotes are escaped in JSON within JSON.
        r"(?:(?i:(?<![a-z0-9])(?:api[_-]?key|secret[_-]?key|access[_-]?token|auth[_-]?token|client[_-]?secret|password))"
        r"|\b[A-Z][A-Z0-9]*_(?:[A-Z0-9]+_)*(?:KEY|TOKEN|SECRET))"
        r"\\*[\"']?\s*[:=]\s*\\*[\"']?(?P<secret>(?=[\w.~+/-]*[0-9])[\w.~+/-]{16,}=*)",
        "apikey", "_key", "-key", "token", "secret", "password",
    ),
    _pattern("password in an address", r"://[^\s:/@]{1,100}:(?P<secret>[^\s:/@]{3,200})@", "://"),
)  # fmt: skip

EMAIL = _pattern("e-mail address", r"\b[\w.%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b", "@")


@dataclass(frozen=True)
class Redactor:
    """Replaces what must not be published by `[redacted: <what it was>]`.

    Args:
        patterns: In the order they are applied.
        hook: Applied to each text after the patterns.
    """

    patterns: tuple[Pattern, ...] = SECRETS
    hook: Hook | None = None

    def redact(self, trajectory: Trajectory, ledger: Ledger) -> Trajectory:
        """The trajectory with every one of its texts redacted.

        Args:
            ledger: The account of texts; its notes count the replacements by pattern.

        Raises:
            LratError: The hook fails: nothing may be published that it has not passed.
        """
        return replace(
            trajectory,
            **{name: self._value(getattr(trajectory, name), ledger) for name in TEXT_COLUMNS},
            steps=tuple(self._step(step, ledger) for step in trajectory.steps),
            metadata=self._metadata(trajectory.metadata, ledger),
        )

    def text(self, text: str, ledger: Ledger) -> str:
        """One text, redacted."""
        if not text:
            return text
        ledger.keep()
        lowered = text.lower()
        for pattern in self.patterns:
            if any(map(lowered.__contains__, pattern.marks)):
                text, count = pattern.regex.subn(lambda match, name=pattern.name: _replacement(match, name), text)
                ledger.note(f"redacted, {pattern.name}", count)
        if self.hook is not None:
            passed = _passed(self.hook, text)
            ledger.note("redacted, hook", int(passed != text))
            text = passed
        return text

    def _step(self, step: Step, ledger: Ledger) -> Step:
        results = tuple(
            replace(hit, **{name: self._value(getattr(hit, name), ledger) for name in TEXTS_OF_CANDIDATE})
            for hit in step.results
        )
        return replace(
            step, **{name: self._value(getattr(step, name), ledger) for name in TEXTS_OF_STEP}, results=results
        )

    def _metadata(self, metadata: str, ledger: Ledger) -> str:
        """Redacted as the values it holds, because a secret of several lines looks different in a JSON string."""
        try:
            values = load_json(metadata)
        except (ValueError, RecursionError):
            return self.text(metadata, ledger)
        redacted = self._value(values, ledger)
        return metadata if redacted == values else json.dumps(redacted, ensure_ascii=False, sort_keys=True)

    def _value(self, value: Any, ledger: Ledger) -> Any:
        if isinstance(value, str):
            return self.text(value, ledger)
        if isinstance(value, (list, tuple)):
            return type(value)(self._value(part, ledger) for part in value)
        if isinstance(value, dict):
            return {self.text(key, ledger): self._value(part, ledger) for key, part in value.items()}
        return value


def _replacement(match: re.Match[str], name: str) -> str:
    mark = f"[redacted: {name}]"
    if "secret" not in match.re.groupindex:
        return mark
    start, end = (place - match.start() for place in match.span("secret"))
    return match[0][:start] + mark + match[0][end:]


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
