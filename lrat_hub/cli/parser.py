"""Parsers of the commands: options in groups, and one line with the nearest name for what is not understood.

The metadata of an option's field says, besides its `help`: its `group` ("inputs", "essentials" or "expert"), what it
was called `formerly`, what `--no_NAME` does (`off`, for options that are on), where its choices are described
(`choices_in`), if they are too many for a line, and which names are `known`, where others are those of plug-ins.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, NoReturn, cast, get_args, get_origin, get_type_hints

from lrat_hub.cli.completion import complete
from lrat_hub.errors import LratError, did_you_mean

GROUPS = {
    "inputs": "inputs and output",
    "essentials": "essentials",
    "expert": "expert options",
}
WIDEST_CHOICES = 72
_OPTION = re.compile(r"--[a-zA-Z][\w-]*(?==|$)")
_METAVARS = {
    r"to": "REPOSITORY",
    r".*(model|models|corpus|queries|qrels\w*|pairs|trajectories|index|retriever|tokenizer)": "REF",
    r".*(dir|folder|journal|report)": "FOLDER",
    r".*(cache|log|mapping)": "FILE",
    r".*url": "URL",
    r".*_python": "PYTHON",
}


class UsageError(LratError):
    """A command line that is not understood; the command exits with 2."""


class CommandParser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong, with the nearest option or choice; `main` exits."""

    def error(self, message: str) -> NoReturn:
        missing = message.removeprefix("the following arguments are required: ")
        message = f"missing {missing}" if missing != message else message.removeprefix("argument ")
        raise UsageError(f"{self.prog}: {message.rstrip('.?')}{_end(message)} See {self.prog} --help.")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        words = list(sys.argv[1:] if args is None else args)
        # Before anything that is missing: with a typo, that is often the same.
        for word in words[: words.index("--") if "--" in words else None]:
            option = _OPTION.match(word)
            if option and option[0] not in self._option_string_actions and not self._subparsers:
                raise UsageError(self.unknown(option[0]))
        parsed, rest = super().parse_known_args(words, namespace)
        if rest and not any(_OPTION.match(word) for word in rest):
            raise UsageError(f"{self.prog}: expected options, found {rest[0]!r}. See {self.prog} --help.")
        return parsed, rest

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        complete(self)
        return super().parse_args(args, namespace)

    def given(self, words: Sequence[str]) -> set[str]:
        """Names of the options that a command line has, of those that this parser knows."""
        options = (option[0] for word in words if (option := _OPTION.match(word)))
        return {option.removeprefix("--") for option in options if option in self._option_string_actions}

    def add_port(self, default: int) -> None:
        """Adds the option of a port to listen on."""
        text = "Port to listen on; 0 picks a free one; default: %(default)s."
        self.add_argument("--port", type=int, default=default, metavar="N", help=text)

    def unknown(self, option: str) -> str:
        """The line about an option that is not known."""
        known = {name.lstrip("-") for name in self._option_string_actions if name.startswith("--")}
        near = did_you_mean(option.lstrip("-"), sorted(known, key=lambda name: "-" in name, reverse=True), mark="--")
        return f"{self.prog}: unknown option {option}{near or f'. See {self.prog} --help.'}"

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = list(map(str, action.choices))
        expected = f"one of {len(choices)}" if len(", ".join(choices)) > WIDEST_CHOICES else ", ".join(choices)
        near = did_you_mean(value, choices)
        name = action.option_strings[0] if action.option_strings else str(action.metavar or action.dest)
        raise UsageError(f"{self.prog}: {name}: expected {expected}, found {value!r}{near or '.'}")


def _end(message: str) -> str:
    return "?" if message.endswith("?") else "."


def stage_parser(kinds: Sequence[type[Any]], stage: str, description: str | None) -> Any:
    """The parser of a stage's options, with a group for each kind of option."""
    # trl exports its names lazily, which type checkers don't see.
    from trl import TrlParser  # pyright: ignore[reportPrivateImportUsage]

    # Only in the names of parameters do the two differ.
    class StageParser(CommandParser, TrlParser):  # pyright: ignore[reportIncompatibleMethodOverride]
        def __init__(self) -> None:
            self._of_kind: dict[str, Any] = {}
            self._hints = {name: hint for kind in kinds for name, hint in get_type_hints(kind).items()}
            self.former: dict[str, str] = {}
            super().__init__(
                cast(Any, list(kinds)),
                prog=f"lrat {stage}",
                description=description,
                allow_abbrev=False,
                formatter_class=OptionHelp,
            )

        def add_argument(
            self, *names: Any, recipe: bool = True, group: str = "", formerly: Iterable[str] = (), off: str = "",
            choices_in: str = "", known: Iterable[str] = (), **options: Any,
        ) -> Any:  # fmt: skip
            # The parser hands over a field's whole metadata; `recipe` is for the lineage (see `Stage`).
            if names[0] == "-h":
                return super().add_argument(*names, **options)
            if not self._of_kind:
                self._of_kind = {kind: self.add_argument_group(title) for kind, title in GROUPS.items()}
            if group not in GROUPS:
                group = "inputs" if options.get("required") else "expert"
            name: str = names[0].removeprefix("--")
            for former in formerly:
                self.former[former] = name
            if options.get("action") == "store_false":
                options["help"] = off or f"Set --{name.removeprefix('no_')} to false."
            elif options.get("const") is True and options.get("default") is True:
                # One line says it: the one of what can be changed.
                options["help"] = argparse.SUPPRESS
            else:
                if get_origin(self._hints.get(name)) is dict:
                    # A recipe has a mapping there; on the command line it is written as JSON.
                    options |= {"type": json.loads, "metavar": "JSON"}
                options.setdefault("metavar", _metavar(name, self._hints.get(name), options))
                if choices_in:
                    count = len(options["choices"])
                    options["help"] += f" One of {count}; {choices_in} describes them."
            return self._of_kind[group].add_argument(*names, **options)

        def format_usage(self) -> str:
            self._shorten_usage()
            return super().format_usage()

        def format_help(self) -> str:
            self._shorten_usage()
            return super().format_help()

        def _shorten_usage(self) -> None:
            required = [f"{action.option_strings[0]} {action.metavar}" for action in self._actions if action.required]
            self.usage = " ".join([self.prog, "[--config RECIPE]", *required, "[OPTIONS]"])

        def current(self, words: Sequence[str]) -> list[str]:
            """The words with options by the names of today, and a note on stderr about those that have changed."""
            result = []
            for word in words:
                option = _OPTION.match(word)
                name = option[0].removeprefix("--").replace("-", "_") if option else ""
                if option and name in self.former:
                    _note(stage, name, self.former[name])
                    word = f"--{self.former[name]}{word[option.end() :]}"
                result.append(word)
            return result

        def require_nothing(self) -> None:
            """Lets options be left out that are required: a plan is made of what is given."""
            for action in self._actions:
                if action.required:
                    action.required, action.default = False, [] if action.nargs else ""

        def set_recipe(self, recipe: Mapping[str, Any], path: object) -> None:
            """Makes a recipe's values the defaults.

            Raises:
                UsageError: One of its keys is no option.
            """
            known = {action.dest for action in self._actions if action.dest != "help"} - {"config"}
            lists = {action.dest for action in self._actions if action.nargs == argparse.ONE_OR_MORE}
            current = current_keys(recipe, self.former, known, lists, stage, path)
            self.set_defaults_with_config(**current)

    types = [(item, item.type) for kind in kinds for item in fields(kind)]
    parser = StageParser()
    # trl's parser writes `int` in the place of `int | None` into fields, which
    # dataclasses share with those that inherit them.
    for item, annotated in types:
        item.type = annotated
    return parser


def current_keys(
    recipe: Mapping[str, Any],
    former: Mapping[str, str],
    known: Iterable[str],
    lists: Collection[str],
    stage: str,
    path: object,
) -> dict[str, Any]:
    """A recipe with its keys by the names of today.

    Args:
        lists: Options that take several values; a text by itself is one.

    Raises:
        UsageError: One of them is no option.
    """
    current: dict[str, Any] = {}
    known = set(known)
    for key, value in recipe.items():
        name = str(key).replace("-", "_")
        if name in former:
            _note(stage, name, former[name])
            name = former[name]
        if name not in known:
            raise UsageError(f"lrat {stage}: {path}: unknown option {key}{did_you_mean(key, known) or '.'}")
        current[name] = [value] if name in lists and isinstance(value, str) else value
    return current


def _note(stage: str, former: str, name: str) -> None:
    print(f"lrat {stage}: --{former} is now --{name}; the old name goes with the next minor release.", file=sys.stderr)


def _metavar(name: str, hint: Any, options: Mapping[str, Any]) -> str | None:
    if choices := options.get("choices"):
        shown = "{" + ",".join(map(str, choices)) + "}"
        return shown if len(shown) <= WIDEST_CHOICES else name.upper()
    if options.get("const") is True:
        return None
    for kind in (hint, *get_args(hint)):
        if kind in (int, float):
            return "N" if kind is int else "X"
    return next((shown for pattern, shown in _METAVARS.items() if re.fullmatch(pattern, name)), "TEXT")


class OptionHelp(argparse.HelpFormatter):
    """Each option by one name, with what it takes and its default where it has one that says something."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return ", ".join(action.option_strings[: 2 if action.dest == "help" else 1])
        return f"{action.option_strings[0]} {self._format_args(action, action.dest.upper())}".rstrip()

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        if action.nargs == argparse.OPTIONAL:
            return ""
        return f"{action.metavar or default_metavar}{' ...' if action.nargs == argparse.ONE_OR_MORE else ''}"

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        default = action.default
        if action.required:
            return f"{text} (required)"
        # A default of 0 says something, and equals False.
        if default is None or default is False or default in ("", [], {}, argparse.SUPPRESS) or action.nargs == 0:
            return text
        shown = " ".join(map(str, default)) if isinstance(default, list) else f"{default}"
        if shown == "default":
            return text
        return f"{text} (default: {shown.replace('%', '%%')})"
