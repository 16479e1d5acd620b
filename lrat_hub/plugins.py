"""Plug-ins: agents, retrievers and judges of a user's own, named as `module:object` wherever a built-in one is named.

There is nothing to register: a plug-in is any object that Python can import, from an installed package or from a
file in the current directory.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import re
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from lrat_hub.errors import LratError, did_you_mean

_NAME = r"[^\W\d]\w*(\.[^\W\d]\w*)*"
_PLUGIN = re.compile(rf"{_NAME}:{_NAME}")


def is_plugin(text: str) -> bool:
    """Whether a text has the form `module:object`: two dotted Python names with a colon between them.

    A Hub reference has a slash, a path starts with one or with a dot or `~`, and a URL has `//`: none has this form.
    """
    return bool(_PLUGIN.fullmatch(text))


def require_known(what: str, name: str, names: Collection[str]) -> None:
    """Raises LratError for the name of a thing that is neither one of some names nor that of a plug-in."""
    if name not in names and not is_plugin(name):
        end = did_you_mean(name, names) or "."
        raise LratError(f"{what}: expected {', '.join(names)} or module:object, found {name!r}{end}")


def load_object(text: str) -> Any:
    """The object that a text names, such as `my_package.retrievers:build`.

    The module is imported as `python -m` would import it: from the current directory first.

    Raises:
        LratError: The text has another form, the module can't be imported, or there is no such object in it.
    """
    if not is_plugin(text):
        raise LratError(f"Plug-in: expected module:object, such as my_module:build, found {text!r}.")
    module_name, _, path = text.partition(":")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    # In a notebook the file may have been written a moment ago.
    importlib.invalidate_caches()
    try:
        loaded = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise LratError(f"Plug-in {text}: its module needs {error.name}, which is not installed.") from error
        raise LratError(
            f"Plug-in {text}: expected a module {error.name}, found none in the current directory or among the "
            "installed packages. Check the name and the directory."
        ) from error
    except (Exception, SystemExit) as error:
        # The module is somebody else's code, which may raise anything, or try to end the process.
        raise LratError(f"Plug-in {text}: its module can't be imported; {described(error)}") from error
    for name in path.split("."):
        if not hasattr(loaded, name):
            public = (
                [other for other in vars(loaded) if not other.startswith("_")] if hasattr(loaded, "__dict__") else []
            )
            raise LratError(f"Plug-in {text}: expected {name} there, found {', '.join(public) or 'nothing'}.")
        loaded = getattr(loaded, name)
    return loaded


def load_plugin(text: str, kind: str, members: Sequence[str], *arguments: Any, **options: Any) -> Any:
    """The plug-in that a text names: the object itself, or what it makes of the arguments when it is called.

    Args:
        text: `module:object`, where the object has the members, or is a class or function that makes one that has.
        kind: What the plug-in has to be, for messages: "retriever".
        members: Attributes and methods that it needs: those of the protocol.
        arguments, options: What the class or function is called with.

    Raises:
        LratError: The object can't be loaded, raised when it was called (its own error is the cause), or neither is
            nor makes what is wanted.
    """
    plugin = load_object(text)
    if isinstance(plugin, type) or _missing(plugin, members):
        if not callable(plugin):
            lacking = ", ".join(_missing(plugin, members))
            raise LratError(
                f"Plug-in {text}: expected a {kind}, or a class or function that makes one; "
                f"found {type(plugin).__name__} without {lacking}."
            )
        try:
            plugin = plugin(*arguments, **options)
        except LratError:
            raise
        except (Exception, SystemExit) as error:
            raise LratError(f"Plug-in {text}: it can't be made a {kind}; {described(error)}") from error
    if lacking := _missing(plugin, members):
        raise LratError(
            f"Plug-in {text}: expected a {kind}, found {type(plugin).__name__} without {', '.join(lacking)}."
        )
    return plugin


def plugin_identity(text: str) -> str:
    """What lineage records of a plug-in: its name and the sha256 of the file that its code is in.

    Raises:
        LratError: It can't be loaded.
    """
    load_object(text)
    try:
        path = inspect.getsourcefile(sys.modules[text.partition(":")[0]])
    except TypeError:
        # A module that is built in.
        path = None
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest() if path and Path(path).is_file() else "unknown"
    return f"{text} (plug-in, unpinned, sha256:{digest})"


def described(error: BaseException) -> str:
    """An error of somebody else's code in one line: its type, and its message if it has one."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # its message is somebody else's code, too
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def attribute_of(plugin: object, name: str, kind: type[Any] | tuple[type[Any], ...], default: Any) -> Any:
    """An attribute that a plug-in may have; the default where it has none, or None.

    Raises:
        LratError: It has another type.
    """
    value = getattr(plugin, name, None)
    if value is None:
        return default
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        expected = " or ".join(each.__name__ for each in kinds)
        raise LratError(
            f"Plug-in {type(plugin).__name__}: expected its `{name}` as {expected}, found {type(value).__name__}."
        )
    return " ".join(value.split()) if isinstance(value, str) else value


def _missing(plugin: object, members: Sequence[str]) -> list[str]:
    def has(name: str) -> bool:
        try:
            return hasattr(plugin, name)
        except Exception:
            # A property of somebody else's may raise anything.
            return False

    return [name for name in members if not has(name)]
