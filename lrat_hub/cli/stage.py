"""What every stage script shares: its options, its pins before anything is read, and its publication.

A stage script defines a dataclass that extends `StageArguments` and a `main(argv)`::

    def main(argv: list[str] | None = None) -> HubRef:
        (args,) = parse(argv, "mine", __doc__, Arguments)
        stage = Stage("mine", args)
        trajectories = stage.input("trajectories", args.trajectories)
        ...
        return stage.publish_dataset({"pairs": {"train": rows}}, template="pairs", counts=..., ...)
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lrat_hub.errors import LratError

if TYPE_CHECKING:
    from argparse import Action

    from pydantic import TypeAdapter

    from lrat_hub.hub.inputs import Source
    from lrat_hub.hub.lineage import Lineage
    from lrat_hub.hub.publish import Tables
    from lrat_hub.hub.refs import HubRef, RepoType


_OPTIONS: set[str] = set()
"""Names of the options of the commands that were parsed in this process."""


@dataclass(kw_only=True)
class StageArguments:
    """Options of every stage."""

    to: str = field(
        metadata={"help": "Repository to publish to: namespace/name, or namespace/name@branch.", "recipe": False}
    )
    private: bool = field(
        default=False,
        metadata={
            "help": "Publish to a private repository, which is made if it is missing; a public one is refused.",
            "recipe": False,
        },
    )
    require_pinned: bool = field(
        default=False, metadata={"help": "Refuse inputs that are not given by a full commit sha.", "recipe": False}
    )


def parse(argv: list[str] | None, stage: str, description: str | None, *arguments: type[Any]) -> tuple[Any, ...]:
    """The stage's options, an object for each dataclass, from a recipe (`--config FILE`) and the command line.

    The command line wins over the recipe.

    Raises:
        LratError: The recipe can't be read, or has an unknown key or a value of another type.
    """
    import yaml
    from pydantic import ValidationError

    # trl exports its names lazily, which type checkers don't see.
    from trl import TrlParser  # pyright: ignore[reportPrivateImportUsage]

    argv = [
        part
        for word in (sys.argv[1:] if argv is None else argv)
        for part in (word.split("=", 1) if word.startswith("--config=") else [word])
    ]

    class Parser(TrlParser):
        def add_argument(self, *names: Any, recipe: bool = True, **options: Any) -> Action:
            # The parser hands over a field's whole metadata; `recipe` is for the lineage (see `Stage`).
            return super().add_argument(*names, **options)

    checks = [_type_check(kind) for kind in arguments]
    _OPTIONS.update(item.name for kind in arguments for item in fields(kind))
    parser = Parser(cast(Any, list(arguments)), prog=f"lrat {stage}", description=description, allow_abbrev=False)
    parser.add_argument(
        "--config", metavar="FILE", help="Recipe: a YAML file with these options, or the name of a packaged one."
    )
    if argv[-1:] == ["--config"]:
        raise LratError(f"lrat {stage}: --config: expected a recipe, found nothing behind it.")
    if "--config" in argv:
        index = argv.index("--config") + 1
        argv[index] = str(recipe_path(argv[index]))
    try:
        # --config leaves a namespace of its own behind the dataclasses.
        parsed = parser.parse_args_and_config(args=argv)[: len(arguments)]
        # argparse checks neither types nor choices of what a recipe sets.
        for check, values in zip(checks, parsed, strict=True):
            check.validate_python(asdict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = ".".join(map(str, first["loc"]))
        raise LratError(f"lrat {stage}: {option}: {first['msg']}, found {first['input']!r}.") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise LratError(f"lrat {stage}: {' '.join(str(error).split())}") from error
    return parsed


def read_recipe(stage: str, recipe: str, given: Mapping[str, Any], *arguments: type[Any]) -> tuple[Any, ...]:
    """The options of a stage that another one runs: those of a recipe, with others in their place.

    Args:
        given: Values that win over the recipe's, by the name of the option.

    Raises:
        LratError: The recipe can't be read, or has an unknown key or a value of another type.
    """
    import yaml
    from pydantic import ValidationError

    path = recipe_path(recipe)
    try:
        values = {**(yaml.safe_load(path.read_text(encoding="utf-8")) or {}), **given}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LratError(f"lrat {stage}: {' '.join(str(error).split())}") from error
    known = {item.name for kind in arguments for item in fields(kind)}
    if unknown := sorted(values.keys() - known):
        raise LratError(f"lrat {stage}: {path}: expected options of the stage, found {', '.join(unknown)}.")
    made = []
    try:
        for kind in arguments:
            own = {item.name: values[item.name] for item in fields(kind) if item.name in values}
            made.append(kind(**own))
            _type_check(kind).validate_python(asdict(made[-1]))
    except (ValidationError, TypeError) as error:
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


@lru_cache
def _type_check(arguments: type[Any]) -> TypeAdapter[Any]:
    """Checks values against the types of a dataclass. Made once, before the parser simplifies these types in place."""
    from pydantic import TypeAdapter

    return TypeAdapter(arguments)


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
        raise LratError(f"Recipe {name!r}: expected a YAML file or the name of a packaged recipe, found neither.")
    return packaged


class Stage:
    """One run of a stage: it pins inputs as they are named, and publishes what comes out with its lineage.

    The recipe of the lineage is every option but those that name inputs and those whose field has
    `metadata={"recipe": False}`: they say where and how the work is done, and not what comes out.

    Args:
        name: The `lrat` command, as it stands in the lineage.
        args: The resolved options.
        settings: Further options that are part of the recipe.
        publishes: The kind of repository that `to` names.

    Raises:
        LratError: Nothing of that kind can be published to `to`; refused now rather than after hours of work.
    """

    def __init__(
        self,
        name: str,
        args: StageArguments,
        *settings: Any,
        publishes: RepoType = "dataset",
    ) -> None:
        from lrat_hub.hub.inputs import Inputs
        from lrat_hub.hub.publish import publication_target, require_private
        from lrat_hub.hub.refs import HubRef

        self.name, self.args = name, args
        self._recipe = {name: value for options in (args, *settings) for name, value in _recipe_of(options).items()}
        self.inputs = Inputs(require_pinned=args.require_pinned, on_record=lambda name, pin: say(f"  {name}: {pin}"))
        self.target = publication_target(HubRef.parse(args.to, repo_type=publishes))
        if self.target.repo_type != publishes:
            raise LratError(f"--to {args.to}: lrat {name} publishes a {publishes}, not a {self.target.repo_type}.")
        if args.private:
            require_private(self.target)

    def input(self, name: str, text: str, *, repo_type: RepoType = "dataset") -> Source:
        """Resolves an input to its pin and says so; `name` is the input's in the lineage."""
        return self.inputs.resolve(name, text, repo_type=repo_type)

    def lineage(self, counts: Mapping[str, Any]) -> Lineage:
        from lrat_hub.hub.lineage import Lineage

        recipe = {key: value for key, value in self._recipe.items() if key not in self.inputs.pins}
        return Lineage(self.name, dict(self.inputs.pins), recipe, dict(counts))

    def publish_dataset(
        self, tables: Tables, *, template: str, counts: Mapping[str, Any],
        files: Mapping[str, str | bytes | Path] | None = None, **values: Any,
    ) -> HubRef:  # fmt: skip
        """Publishes tables with the card `model_cards/<template>.md`; see `lrat_hub.hub.publish.publish_dataset`."""
        from lrat_hub.hub.cards import render_card
        from lrat_hub.hub.publish import publish_dataset

        lineage = self.lineage(counts)
        card = render_card(template, lineage, repo_id=self.target.repo_id, **values)
        return self._done(publish_dataset(self.target, tables, card=card, lineage=lineage, files=files))

    def publish_model(self, folder: Path, *, card: str, lineage: Lineage) -> HubRef:
        """Publishes a folder with a model that has been saved there."""
        from lrat_hub.hub.publish import CARD_FILE, publish_folder

        (folder / CARD_FILE).write_text(card, encoding="utf-8")
        return self._done(publish_folder(self.target, folder, lineage))

    def _done(self, ref: HubRef) -> HubRef:
        say(f"  published: {ref}")
        return ref


def _recipe_of(options: Any) -> dict[str, Any]:
    return {item.name: getattr(options, item.name) for item in fields(options) if item.metadata.get("recipe", True)}


def say(text: str) -> None:
    """Tells the person at the terminal; stages print, the library does not. Of several processes the first speaks."""
    if os.environ.get("RANK", "0") == "0":
        print(text, flush=True)
