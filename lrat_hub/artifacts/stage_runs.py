"""Runs of stages, and whether what one would publish is on the Hub already, by its lineage.

What exists with the same stage, inputs, recipe and version of LRAT-Hub need not be made again: a piece of work of many
runs keeps its state on the Hub alone, and goes on from any machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lrat_hub.hub.inputs import resolve
from lrat_hub.hub.lineage import Lineage, package_versions, read_lineage, recorded_source
from lrat_hub.hub.refs import HubRef
from lrat_hub.hub.tags import named_commits
from lrat_hub.plugins import is_plugin, plugin_identity

VERSION = "lrat-hub"

_PIN = re.compile(r"(?:datasets/)?[\w.-]+/[\w.-]+@[0-9a-f]{40}(?:#[\w.-]+)?(?::[\w.-]+)?", re.ASCII)
_SHA = re.compile(r"@[0-9a-f]{40}")
_SERVED = " (served"


@dataclass(frozen=True)
class StageRun:
    """What a stage is run with.

    Args:
        stage: The `lrat` command, as it stands in lineages.
        options: Every option that shapes what comes out, resolved: its defaults filled in, its references as pins.
        defaults: The stage's defaults of these options.
        to: The repository and branch that it publishes to.
        work: Options that say where and how the work is done; they tell no run from another.
    """

    stage: str
    options: Mapping[str, Any]
    defaults: Mapping[str, Any]
    to: HubRef
    work: Mapping[str, Any] = field(default_factory=dict)

    def differences(self, lineage: Lineage) -> list[str]:
        """Why what has this lineage is not what the run would publish; empty if it is."""
        if lineage.stage != self.stage:
            return [f"it was made by lrat {lineage.stage}"]
        version = package_versions().get(VERSION)
        found = [] if lineage.versions.get(VERSION) == version else [f"{VERSION} is {version} now"]
        return [*found, *self._other_inputs(lineage), *self._other_recipe(lineage)]

    def _other_inputs(self, lineage: Lineage) -> Iterator[str]:
        expected = dict.fromkeys(self.sources())
        recorded = {_unserved(text): text for text in lineage.inputs.values()}
        for text in expected:
            if text not in recorded:
                yield f"{text} is no input of it"
        for text, whole in recorded.items():
            # What comes with a package is no option; its version tells what it was.
            if text not in expected and (isinstance(recorded_source(whole), HubRef) or "unpinned" in whole):
                yield f"{text} is no input now"
        for name, text in lineage.inputs.items():
            value = self.options.get(name)
            if isinstance(value, str) and _PIN.fullmatch(value) and value != text:
                yield f"{name} is {value}"
        for name, value in self.options.items():
            if isinstance(value, list | tuple):
                pins = [text for text in value if text in recorded]
                if pins != [text for text in recorded if text in pins]:
                    yield f"{name} has another order"

    def sources(self) -> Iterator[str]:
        """The inputs as a lineage records them: pins, files and plug-ins with their hashes, names of served models."""
        for name, value in self.options.items():
            prefix = name.removesuffix("model")
            asked = self.options.get(prefix.removesuffix("_") or "agent", "llm")
            if prefix != name and asked != "llm":
                # A language model that is named, and not asked.
                continue
            for text in _texts(value):
                if is_plugin(text):
                    yield plugin_identity(text)
                elif _is_path(text):
                    yield str(resolve(text, repo_type="dataset"))
                elif text and prefix != name and self.work.get(f"{prefix}url"):
                    # At a server that runs already, a model may have any name.
                    yield text
                else:
                    yield from _PIN.findall(text)

    def _other_recipe(self, lineage: Lineage) -> Iterator[str]:
        chosen = lineage.counts.get("chosen", {})
        for name, value in lineage.recipe.items():
            if name not in self.options:
                yield f"{name} is no option now"
            elif not (self.options[name] is None and name in chosen) and _plain(self.options[name]) != _plain(value):
                yield f"{name} is {self.options[name]!r}, and was {value!r}"
        for name, default in self.defaults.items():
            value = self.options[name]
            # Inputs are in no recipe, and were compared.
            known = name in lineage.recipe or name in lineage.inputs or name.endswith("model")
            known = known or any(map(_is_source, _texts(value)))
            if not known and value != default:
                yield f"{name} is {value!r}"


def _texts(value: Any) -> Iterator[str]:
    for text in value if isinstance(value, list | tuple) else [value]:
        if isinstance(text, str):
            yield text


def _is_path(text: str) -> bool:
    return text.startswith(("/", "./", "../", "~")) and Path(text.partition("#")[0]).expanduser().exists()


def _is_source(text: str) -> bool:
    return bool(_PIN.search(text)) or is_plugin(text) or _is_path(text)


def _unserved(text: str) -> str:
    """An input without the address that it was served at, which is another one every time."""
    return text.partition(_SERVED)[0]


def _plain(value: Any) -> Any:
    """A value of a recipe without commits, which the inputs have."""
    if isinstance(value, str):
        return _SHA.sub("", value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def existing(run: StageRun, *, tag: str = "") -> HubRef | None:
    """The pin of what a run would publish, where it is at its target already; None where it isn't.

    Args:
        tag: A tag to look at first; then come the branch, and all other tags.

    Raises:
        LratError: The Hub can't be reached, or a lineage there can't be read.
    """
    for sha in revisions(run.to, tag):
        pin = replace(run.to, revision=sha)
        lineage = read_lineage(pin)
        if lineage is not None and not run.differences(lineage):
            return pin
    return None


def revisions(target: HubRef, tag: str = "") -> list[str]:
    """The commits of a repository that have a name: the tag's, the branch's, those of other tags; [] without one."""
    named = named_commits(target)
    first = [named[name] for name in (tag, target.revision) if name in named]
    return list(dict.fromkeys([*first, *named.values()]))
