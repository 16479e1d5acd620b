"""Plug-ins are named as module:object, found in the current directory, and refused in one clear line."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from lrat_hub.errors import LratError
from lrat_hub.plugins import is_plugin, load_object, load_plugin, plugin_identity

MODULE = """
class Shouter:
    name = "shouter"

    def __init__(self, sign="!"):
        self.sign = sign

    def shout(self, text):
        return text.upper() + self.sign

ready = Shouter("?")
number = 7

def build(sign):
    return Shouter(sign)

def wrong(sign):
    return object()
"""
MEMBERS = ("name", "shout")


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current directory, of a name that no other test has."""
    name = f"plugin_{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    # As for an installed command: the current directory is not on the path.
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    return name


@pytest.mark.parametrize("text", ["my_module:build", "package.module:Class", "module:Class.method", "größe:bauen"])
def test_a_plugin_is_two_dotted_names_with_a_colon_between(text: str):
    assert is_plugin(text)


@pytest.mark.parametrize(
    "text",
    [
        "bm25", "me/model", "me/model@main", "datasets/me/data#config:split", "me/data:train", "http://host:80",
        "https://host", "./folder:split", "~/folder#a:b", "/folder", "index:me/index", "module:", ":object",
        "module:object:more", "module:2", "my-module:build", "module: build",
    ],
)  # fmt: skip
def test_references_paths_and_urls_are_no_plugins(text: str):
    assert not is_plugin(text)


def test_a_class_or_function_is_called_and_an_object_is_taken_as_it_is(plugin: str):
    assert load_plugin(f"{plugin}:Shouter", "shouter", MEMBERS).shout("a") == "A!"
    assert load_plugin(f"{plugin}:build", "shouter", MEMBERS, ".").shout("a") == "A."
    assert load_plugin(f"{plugin}:build", "shouter", MEMBERS, sign=";").shout("a") == "A;"
    assert load_plugin(f"{plugin}:ready", "shouter", MEMBERS, ".").shout("a") == "A?"
    assert load_object(f"{plugin}:Shouter.name") == "shouter"


def test_what_is_no_plugin_of_the_kind_is_refused(plugin: str):
    with pytest.raises(
        LratError, match="expected a shouter, or a class or function that makes one; found int without"
    ):
        load_plugin(f"{plugin}:number", "shouter", MEMBERS)
    with pytest.raises(LratError, match="expected a shouter, found object without name, shout"):
        load_plugin(f"{plugin}:wrong", "shouter", MEMBERS, ".")
    with pytest.raises(LratError, match=r"expected buidl there, found .*Shouter, ready, number, build"):
        load_object(f"{plugin}:buidl")
    with pytest.raises(LratError, match="expected module:object"):
        load_object("me/model")


def test_modules_that_cannot_be_imported_are_told_apart(plugin: str, tmp_path: Path):
    with pytest.raises(LratError, match="expected a module no_such_module_here, found none"):
        load_object("no_such_module_here.part:build")
    (tmp_path / f"{plugin}_needs.py").write_text("import no_such_library_here")
    with pytest.raises(LratError, match="needs no_such_library_here, which is not installed"):
        load_object(f"{plugin}_needs:build")
    (tmp_path / f"{plugin}_broken.py").write_text("1 / 0")
    with pytest.raises(LratError, match="can't be imported; ZeroDivisionError: division by zero"):
        load_object(f"{plugin}_broken:build")


def test_lineage_records_the_code(plugin: str):
    digest = hashlib.sha256(MODULE.encode()).hexdigest()
    assert plugin_identity(f"{plugin}:build") == f"{plugin}:build (plug-in, unpinned, sha256:{digest})"
    assert plugin_identity("sys:path").endswith("(plug-in, unpinned, sha256:unknown)")
