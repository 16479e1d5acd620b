"""What the runs of a journal have in common: everything that shapes a run, kept beside them and compared."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lrat_hub.agents.environment import SearchEnvironment
from lrat_hub.agents.runner import Agent
from lrat_hub.errors import LratError

SETTINGS_FILE = "settings.json"


def run_settings(
    agent: Agent, environment: SearchEnvironment, *, max_turns: int, inputs: Mapping[str, str]
) -> dict[str, Any]:
    """Everything that shapes a run, for a journal.

    Args:
        inputs: Pins of what the runs read, by the name of the input.
    """
    return {
        "agent": {
            "name": agent.name,
            "revision": agent.revision,
            "sampling": asdict(agent.sampling),
            "settings": dict(agent.settings),
        },
        "retriever": {"name": environment.retriever.name, "revision": environment.retriever.revision},
        "environment": environment.settings,
        "max_turns": max_turns,
        "inputs": dict(inputs),
    }


def read_settings(folder: Path) -> dict[str, Any] | None:
    """The settings of the runs in a folder; None where there are none."""
    path = folder / SETTINGS_FILE
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise LratError(f"Journal {path}: expected the settings of its runs; {error}.") from error


def require_same(folder: Path, there: Mapping[str, Any], here: Mapping[str, Any], unknown: Collection[str]) -> None:
    """Raises LratError when settings differ in anything that is not `unknown`, by its dotted name."""
    differences = [text for name, text in _differences(there, here) if name not in unknown]
    if differences:
        raise LratError(
            f"Journal {folder}: expected runs with these settings, found others: {'; '.join(differences)}. "
            "Give another --journal or --to, or --restart to throw them away."
        )


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What differs between two settings: each value's dotted name, and the difference in words."""
    old, new = dict(_flat(there)), dict(_flat(here))
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield name, f"{name} was {_shown(old.get(name))} and is {_shown(new.get(name))}"


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _flat(part, f"{name}.{key}" if name else key)
    else:
        yield name, value


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
