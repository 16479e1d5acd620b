"""Completion in shells, by argcomplete: the shell runs `lrat` with the line so far in its environment."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from typing import Any

_START = "_ARGCOMPLETE"
"""What the shell sets: how many words of the line come before those that a parser is for."""


def is_asked() -> bool:
    """Whether a shell wants to know how a line may go on."""
    return _START in os.environ


def command_of_line(commands: Iterable[str], find: Callable[[list[str]], tuple[str, list[str]] | None]) -> str:
    """The module of the command of a line, whose parser completes it; a line without one is completed here.

    Args:
        commands: The words of each command.
        find: Gives the module of the command that a line's words begin with, and the words that are left.
    """
    from argcomplete.lexers import split_line

    start = int(os.environ[_START])
    words = split_line(os.environ["COMP_LINE"], int(os.environ["COMP_POINT"]))[3][start:]
    name, rest = find(words) or ("", [])
    os.environ[_START] = str(start + len(words) - len(rest))
    if not name:
        known = [command.split() for command in commands]
        following = {one[len(words)] for one in known if one[: len(words)] == words and len(one) > len(words)}
        parser = argparse.ArgumentParser()
        parser.add_argument("command", choices=sorted(following))
        complete(parser)
    return name


def complete(parser: argparse.ArgumentParser, recipes: Callable[[], Iterable[str]] | None = None) -> None:
    """Completes the line by a parser's options and ends the process, where a shell asks; else does nothing.

    Args:
        recipes: Gives the names that `--config` takes, of a stage that reads recipes.
    """
    if is_asked():
        import argcomplete
        from argcomplete.completers import ChoicesCompleter, FilesCompleter

        if recipes is not None:
            config: Any = next(action for action in parser._actions if "--config" in action.option_strings)
            named = ChoicesCompleter(dict.fromkeys(recipes(), ""))
            files = FilesCompleter(("yaml", "yml"))
            config.completer = lambda **asked: [*named(**asked), *files(**asked)]
        argcomplete.autocomplete(parser)
