"""Rules of the house that no linter knows (docs/architecture.md)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import lrat_hub

LIBRARY = Path(lrat_hub.__file__).parent
MODULES = sorted(path for path in LIBRARY.rglob("*.py") if path.relative_to(LIBRARY).parts[0] != "cli")
FLAG = re.compile(r"(?<![\w-])--[a-z]\w[\w-]*")
OTHERS_FLAGS = {
    "llm/serving.py": "options of vLLM's server",
    "localhub/maintenance.py": "options of git",
    "localhub/routes_files.py": "options of git",
}
"""Programs of others are called with their own options here."""


def names_of(paths):
    return [str(path.relative_to(LIBRARY)) for path in paths]


@pytest.mark.parametrize("path", MODULES, ids=names_of(MODULES))
def test_a_module_of_the_library_names_no_option_prints_nothing_and_knows_no_command_line(path):
    text = path.read_text(encoding="utf-8")
    if str(path.relative_to(LIBRARY)) not in OTHERS_FLAGS:
        assert FLAG.findall(text) == []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imported = {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported = {node.module or "", *(f"{node.module}.{name.name}" for name in node.names)}
        else:
            continue
        assert not any(f"{name}.".startswith("lrat_hub.cli.") or name == "argparse" for name in imported)
    calls = [node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    assert not any(isinstance(call, ast.Name) and call.id == "print" for call in calls)


def test_loose_modules_are_few():
    loose = [path for path in LIBRARY.glob("*.py") if path.name != "__init__.py"]
    assert len(loose) <= 10, names_of(loose)


def test_exceptions_are_needed():
    for name in OTHERS_FLAGS:
        assert FLAG.search((LIBRARY / name).read_text(encoding="utf-8")), f"{name} needs no exception any more"
