"""A stage's options from a recipe and the command line, checked against the types of their dataclasses."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.cli.parser import UsageError, current_keys, stage_parser
from lrat_hub.errors import LratError, did_you_mean

if TYPE_CHECKING:
    from pydantic import ValidationError

_OPTIONS: set[str] = set()
"""Names of the options of the commands that were parsed in this process."""


def parse(argv: list[str] | None, stage: str, description: str | None, *arguments: type[Any]) -> tuple[Any, ...]:
    """The stage's options, an object for each dataclass, from a recipe (`--config FILE`) and the command line.

    The command line wins over the recipe.

    Raises:
        LratError: The recipe can't be read, or has an unknown key or a value of another type.
    """
    from pydantic import TypeAdapter, ValidationError

    _OPTIONS.update(item.name for kind in arguments for item in fields(kind))
    parser = stage_parser(arguments, stage, description)
    parser.add_argument(
        "--config",
        group="inputs",
        metavar="FILE",
        help="Recipe: a YAML file with these options, or the name of a packaged one.",
    )
    words, recipe = _without_recipe(parser.current(sys.argv[1:] if argv is None else argv), stage)
    try:
        if recipe:
            path = recipe_path(recipe)
            values = _read_yaml(path, stage)
            # As trl's scripts do: variables of the environment beside the options.
            os.environ |= {name: str(value) for name, value in (values.pop("env", None) or {}).items()}
            parser.set_recipe(values, path)
        # --config leaves a namespace of its own behind the dataclasses.
        parsed = parser.parse_args_into_dataclasses(words, look_for_args_file=False)[: len(arguments)]
        # argparse checks neither types nor choices of what a recipe sets.
        for kind, values in zip(arguments, parsed, strict=True):
            TypeAdapter(kind).validate_python(asdict(values))
    except ValidationError as error:
        raise LratError(f"lrat {stage}: {_wrong_value(error)}") from error
    except (OSError, ValueError) as error:
        raise LratError(f"lrat {stage}: {' '.join(str(error).split())}") from error
    return parsed


def _without_recipe(words: list[str], stage: str) -> tuple[list[str], str]:
    """The words but for `--config FILE`, and the recipe; the last of several."""
    rest: list[str] = []
    recipe = ""
    given = iter(words)
    for word in given:
        name, equals, value = word.partition("=")
        if name != "--config":
            rest.append(word)
            continue
        recipe = value if equals else next(given, "")
        if not recipe:
            raise UsageError(f"lrat {stage}: --config: expected a recipe, found nothing behind it.")
    return rest, recipe


def _read_yaml(path: Path, stage: str) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LratError(f"lrat {stage}: {' '.join(str(error).split())}") from error
    if values is not None and not isinstance(values, dict):
        raise LratError(f"lrat {stage}: {path}: expected options, as a YAML mapping; found a {type(values).__name__}.")
    return values or {}


def _wrong_value(error: ValidationError) -> str:
    """The first option with a wrong value: what was expected, what was found, and what may have been meant."""
    first = error.errors(include_url=False)[0]
    option = ".".join(map(str, first["loc"]))
    allowed = re.findall(r"'([^']*)'", first["msg"]) if first["type"] == "literal_error" else []
    if allowed:
        end = did_you_mean(first["input"], allowed) or "."
        return f"{option}: expected {', '.join(allowed)}, found {first['input']!r}{end}"
    return f"{option}: {first['msg']}, found {first['input']!r}."


def read_recipe(stage: str, recipe: str, given: Mapping[str, Any], *arguments: type[Any]) -> tuple[Any, ...]:
    """The options of a stage that another one runs: those of a recipe, with others in their place.

    Args:
        given: Values that win over the recipe's, by the name of the option.

    Raises:
        LratError: The recipe can't be read, or has an unknown key or a value of another type.
    """
    from pydantic import TypeAdapter, ValidationError

    path = recipe_path(recipe)
    options = [item for kind in arguments for item in fields(kind)]
    former = {old: item.name for item in options for old in item.metadata.get("formerly", ())}
    values = current_keys(_read_yaml(path, stage), former, [item.name for item in options], stage, path) | {**given}
    made = []
    try:
        for kind in arguments:
            own = {item.name: values[item.name] for item in fields(kind) if item.name in values}
            made.append(kind(**own))
            TypeAdapter(kind).validate_python(asdict(made[-1]))
    except ValidationError as error:
        raise LratError(f"lrat {stage}: {path}: {_wrong_value(error)}") from error
    except TypeError as error:
        raise LratError(f"lrat {stage}: {path}: {' '.join(str(error).split())}") from error
    return tuple(made)


def with_flags(message: str) -> str:
    """A message of the library in terms of the command line: `` `name` `` becomes `--name` where that is an option."""
    return re.sub(r"`(\w+)`", lambda match: f"--{match[1]}" if match[1] in _OPTIONS else match[0], message)


def assignments(option: str, texts: list[str]) -> dict[str, str]:
    """What an option of the form `NAME=VALUE ...` says, by name.

    Raises:
        LratError: One of them has no "=", or a name comes twice.
    """
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip() or name.strip() in values:
            raise LratError(f"--{option}: expected NAME=VALUE, each name once, found {text!r}.")
        values[name.strip()] = value.strip()
    return values


def recipe_path(name: str) -> Path:
    """A recipe's file: a path, or the name of one that comes with the package, such as `training/tiny_cpu`."""
    path = Path(name)
    if path.exists():
        return path
    folder, _, recipe = name.rpartition("/")
    packaged = Path(__file__).parents[1] / folder / "recipes" / f"{recipe}.yaml"
    if not packaged.exists():
        # In a checkout the stage folders lie beside the library, not in it.
        packaged = Path(__file__).parents[2] / folder / "recipes" / f"{recipe}.yaml"
    if not folder or not packaged.exists():
        roots = (Path(__file__).parents[1], Path(__file__).parents[2])
        stages = ("training", "dataset_builders", "eval")
        known = [
            f"{stage}/{path.stem}"
            for stage in stages
            for root in roots
            for path in (root / stage).glob("recipes/*.yaml")
        ]
        raise LratError(
            f"Recipe {name!r}: expected a YAML file or the name of a packaged recipe, found neither"
            f"{did_you_mean(name, known) or '. Packaged are ' + ', '.join(sorted(set(known))) + '.'}"
        )
    return packaged
