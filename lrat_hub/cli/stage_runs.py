"""Stages that are run from within a command: what they would be run with, and running them."""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from lrat_hub import cli
from lrat_hub.artifacts.stage_runs import StageRun, existing
from lrat_hub.cli.parsing import named_options, read_options, recipe_path, recipe_values
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import resolve
from lrat_hub.hub.refs import HubRef, RepoType
from lrat_hub.plugins import is_plugin, load_object

MODELS = re.compile(r"(.*_)?(models?|index|tokenizer)$")
"""Options whose references are to models, or to indexes, which are repositories of that kind."""

RETRIEVERS = re.compile(r"retrievers?$")
"""Options that name retrievers: see `lrat_hub.retrieval.opening.RetrieverName`."""


def stage_run(stage: str, options: Mapping[str, Any], to: HubRef) -> StageRun:
    """What a stage would be run with, its references at the pins that they have now.

    Args:
        options: Options as in a recipe of the stage; `config` may name a recipe that they stand in.
        to: The repository and branch to publish to.

    Raises:
        LratError: The stage has no such option, one has a value of another type, or a reference can't be resolved.
    """
    source = f"options for {to}"
    found = named(stage, options, source) | {"to": _target(to)}
    resolved = {
        item.name: (item, getattr(one, item.name))
        for one in read_options(stage, found, source, *cli.options_of_stage(stage))
        for item in fields(one)
    }
    shaping = {name: (item, value) for name, (item, value) in resolved.items() if _shapes(item)}
    values = {name: value for name, (_, value) in resolved.items()}
    return StageRun(
        stage,
        {name: _pinned(name, value, item, values) for name, (item, value) in shaping.items()},
        {name: default for name, (item, _) in shaping.items() if (default := _default(item)) is not MISSING},
        to,
        {
            name: value
            for name, (item, value) in resolved.items()
            if name not in shaping and name != "to" and value != _default(item)
        },
    )


def check_options(stage: str, options: Mapping[str, Any]) -> None:
    """Raises LratError for options that the stage does not have or understand, or plug-ins that can't be loaded."""
    kinds = cli.options_of_stage(stage)
    required = {item.name: "" for kind in kinds for item in fields(kind) if _default(item) is MISSING}
    found = named(stage, options, "options")
    read_options(stage, required | found, "options", *kinds)
    for value in found.values():
        if isinstance(value, str) and is_plugin(value):
            load_object(value)


def named(stage: str, options: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Options by their names of today, in the place of those of the recipe that `config` names."""
    kinds = cli.options_of_stage(stage)
    values = dict(options)
    recipe = values.pop("config", "")
    found = recipe_values(stage, recipe_path(recipe), *kinds) if recipe else {}
    return found | named_options(stage, values, source, *kinds)


def _shapes(item: Field[Any]) -> bool:
    """Whether an option shapes what comes out. What names inputs does, and is no part of a lineage's recipe."""
    names_inputs = item.metadata.get("group") == "inputs" or bool(MODELS.fullmatch(item.name))
    return bool(item.metadata.get("recipe", True)) or (names_inputs and item.name not in ("to", "private"))


def _default(item: Field[Any]) -> Any:
    return item.default_factory() if item.default_factory is not MISSING else item.default


def _pinned(name: str, value: Any, item: Field[Any], values: Mapping[str, Any]) -> Any:
    """An option's value with its references at their pins."""
    if isinstance(value, list):
        return [_pinned(name, text, item, values) for text in value]
    if not isinstance(value, str) or "/" not in value:
        return value
    if RETRIEVERS.fullmatch(name):
        return _pinned_retriever(value)
    if name == "index":
        from lrat_hub.retrieval.opening import index_name

        return _pinned_retriever(index_name(value)).removeprefix("index:")
    if match := MODELS.fullmatch(name):
        served = values.get(f"{match[1] or ''}url") and "@" not in value
        return value if served else _pin(value, "model")
    if item.metadata.get("group") == "inputs" and name != "results_into":
        return _pin(value, "dataset")
    return value


def _pin(text: str, kind: RepoType) -> str:
    source = resolve(text, repo_type=kind)
    return str(source) if isinstance(source, HubRef) else text


def _pinned_retriever(text: str) -> str:
    from lrat_hub.retrieval.opening import RetrieverName

    name = RetrieverName.parse(text)
    return name.renamed(lambda part: _pin(part.text, "model") if part.is_repository else part.text)


def execute(run: StageRun, *words: str, launch: str = "") -> HubRef:
    """Runs a stage, and gives the pin of what it published.

    Args:
        words: Further words of its command line.
        launch: A command that runs it as processes of their own, such as
            `accelerate launch -m lrat_hub.training.train`; without one it runs in this process.

    Raises:
        LratError: It failed for a reason that the user can fix, or published nothing.
    """
    changed = {
        name: value for name, value in run.options.items() if name not in run.defaults or value != run.defaults[name]
    }
    if not launch:
        return run_stage(run.stage, {**changed, **run.work}, run.to, *words)
    with _recipe({**changed, **run.work}) as recipe:
        command = [*shlex.split(launch), "--config", recipe, "--to", _target(run.to), *words]
        try:
            code = subprocess.run(command).returncode
        except OSError as error:
            raise LratError(f"lrat {run.stage}: expected a command in {launch!r}; {error}.") from error
    made = existing(run) if code == 0 else None
    if made is None:
        raise LratError(f"lrat {run.stage}: expected {launch!r} to publish to {run.to}; it ended with {code}.")
    return made


def run_stage(stage: str, options: Mapping[str, Any], to: HubRef, *words: str) -> HubRef:
    """Runs a stage by its options alone; see `execute`."""
    with _recipe(options) as recipe:
        made = cli.run([*stage.split(), "--config", recipe, "--to", _target(to), *words])
    pin = made[0] if isinstance(made, tuple) else made
    if pin is None:
        raise LratError(f"lrat {stage}: expected it to publish to {to}, found that runs of other shards are missing.")
    return pin


@contextmanager
def _recipe(options: Mapping[str, Any]) -> Iterator[str]:
    """The path of a file with the options."""
    import yaml

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_text(yaml.safe_dump(dict(options)), encoding="utf-8")
        yield str(path)


def _target(to: HubRef) -> str:
    return str(to).removesuffix("@main")
