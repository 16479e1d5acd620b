"""A stage's options from a recipe and the command line, checked against the types of their dataclasses."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.cli.completion import complete
from lrat_hub.cli.parser import UsageError, current_keys, stage_parser
from lrat_hub.errors import LratError, did_you_mean
from lrat_hub.plugins import require_known

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
    complete(parser, packaged_recipes)
    words, recipe = _without_recipe(parser.current(sys.argv[1:] if argv is None else argv), stage)
    try:
        if recipe:
            path = recipe_path(recipe)
            values = _read_yaml(path, stage)
            # As trl's scripts do: variables of the environment beside the options.
            os.environ |= {name: str(value) for name, value in (values.pop("env", None) or {}).items()}
            parser.set_recipe(values, path)
        if not {"--dry_run", "--dry-run"}.isdisjoint(words):
            parser.require_nothing()
        # --config leaves a namespace of its own behind the dataclasses.
        parsed = parser.parse_args_into_dataclasses(words, look_for_args_file=False)[: len(arguments)]
        # argparse checks neither types nor choices of what a recipe sets.
        for kind, values in zip(arguments, parsed, strict=True):
            TypeAdapter(kind).validate_python(asdict(values))
            _require_known(values, f"lrat {stage}")
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


def _require_known(options: Any, source: str) -> None:
    """Raises LratError for the name of a thing that is neither one there is (`known`) nor that of a plug-in."""
    for item in fields(options):
        value = getattr(options, item.name)
        for name in value if isinstance(value, list) else [value]:
            if "known" in item.metadata and name != item.default:
                require_known(f"{source}: {item.name}", name, item.metadata["known"])


def read_recipe(stage: str, recipe: str, given: Mapping[str, Any], *arguments: type[Any]) -> tuple[Any, ...]:
    """The options of a stage that another one runs: those of a recipe, with others in their place.

    Args:
        given: Values that win over the recipe's, by the name of the option.

    Raises:
        LratError: The recipe can't be read, or has an unknown key or a value of another type.
    """
    path = recipe_path(recipe)
    return read_options(stage, recipe_values(stage, path, *arguments) | {**given}, path, *arguments)


def recipe_values(stage: str, path: Path, *arguments: type[Any]) -> dict[str, Any]:
    """What a recipe says, by the names of the options today.

    Raises:
        LratError: It can't be read, or has an unknown key.
    """
    return named_options(stage, _read_yaml(path, stage), path, *arguments)


def named_options(stage: str, values: Mapping[str, Any], source: object, *arguments: type[Any]) -> dict[str, Any]:
    """Values by the names that the options have today.

    Args:
        source: Where they come from, for messages.

    Raises:
        UsageError: One of them is no option of the stage.
    """
    options = [item for kind in arguments for item in fields(kind)]
    former = {old: item.name for item in options for old in item.metadata.get("formerly", ())}
    lists = [item.name for item in options if str(item.type).startswith("list[")]
    return current_keys(values, former, [item.name for item in options], lists, stage, source)


def read_options(stage: str, values: Mapping[str, Any], source: object, *arguments: type[Any]) -> tuple[Any, ...]:
    """The options of a stage, an object for each dataclass, out of values by name.

    Args:
        source: Where they come from, for messages.

    Raises:
        LratError: One is missing, or has a value of another type.
    """
    from pydantic import TypeAdapter, ValidationError

    made = []
    try:
        for kind in arguments:
            own = {item.name: values[item.name] for item in fields(kind) if item.name in values}
            # As on the command line, a text such as 1e-4, which YAML takes for one, may stand for a number.
            made.append(TypeAdapter(kind).validate_python(own))
            _require_known(made[-1], f"lrat {stage}: {source}")
    except ValidationError as error:
        raise LratError(f"lrat {stage}: {source}: {_wrong_value(error)}") from error
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


def packaged_recipes() -> dict[str, Path]:
    """The files of the recipes that come with the package, by their names, such as `training/tiny_cpu`."""
    # In a checkout the stage folders lie beside the library, not in it.
    return {
        f"{file.parents[1].name}/{file.stem}": file
        for root in Path(__file__).parents[1:3]
        for file in root.glob("*/recipes/*.yaml")
    }


def recipe_path(name: str) -> Path:
    """A recipe's file: a path, or the name of one that comes with the package, such as `training/tiny_cpu`."""
    path = Path(name)
    if path.exists():
        return path
    packaged = packaged_recipes()
    if name not in packaged:
        raise LratError(
            f"Recipe {name!r}: expected a YAML file or the name of a packaged recipe, found neither"
            f"{did_you_mean(name, packaged) or '. Packaged are ' + ', '.join(sorted(packaged)) + '.'}"
        )
    return packaged[name]
