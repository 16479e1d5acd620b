"""Rules of the house that no linter knows (docs/architecture.md)."""

from __future__ import annotations

import argparse
import ast
import importlib
import re
from dataclasses import fields
from pathlib import Path

import pytest

import lrat_hub
from lrat_hub import cli

LIBRARY = Path(lrat_hub.__file__).parent
MODULES = sorted(path for path in LIBRARY.rglob("*.py") if path.relative_to(LIBRARY).parts[0] != "cli")
FLAG = re.compile(r"(?<![\w-])--[a-z]\w[\w-]*")
OTHERS_FLAGS = {
    "checkup/installation.py": "options of pip",
    "importers/redaction/transported_secrets.py": "options with which secrets are given to commands",
    "llm/serving.py": "options of vLLM's server",
    "localhub/maintenance.py": "options of git",
    "localhub/routes_discussions.py": "the first line of git's patches",
    "localhub/upload_pack.py": "options of git",
    "planning/machine.py": "options of nvidia-smi",
    "planning/work.py": "options of vLLM's server",
    "scaling/execution.py": "options of Ray",
    "scaling/slurm.py": "options of squeue",
}
"""Programs of others are called with their own options here."""

PLACE_OF_WORK = re.compile(
    r"(^|_)(to|url|python|timeout|retries|concurrency|parallel|(?<!across_)devices|threads|workers|work_dir|journal|log|restart|folder|"
    r"private|keep_work|report_to|push_checkpoints|require_pinned)$"
)
"""Names of options that say where and how the work is done, and not what comes out."""


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


@pytest.fixture(scope="module")
def options():
    """Every stage's dataclasses of options, by the stage's name."""

    class Parsed(Exception):
        pass

    found = {}

    def parse(argv, stage, description, *kinds):
        found[stage] = kinds
        raise Parsed

    with pytest.MonkeyPatch.context() as patch:
        for name, _ in cli.COMMANDS.values():
            module = importlib.import_module(name)
            if hasattr(module, "parse"):
                patch.setattr(module, "parse", parse)
                with pytest.raises(Parsed):
                    module.main([])
    assert {"mine", "train", "eval retrieval", "index"} <= set(found)
    return found


def test_where_and_how_the_work_is_done_is_no_part_of_a_recipe(options):
    wrong = [
        f"{stage}: {option.name}"
        for stage, kinds in options.items()
        for kind in kinds
        for option in fields(kind)
        if PLACE_OF_WORK.search(option.name)
        and option.metadata.get("recipe", True)
        # The metric modules are published as they are, with neither inputs nor a recipe.
        and stage != "eval publish-metrics"
    ]
    assert wrong == []


def helps(options):
    for stage, kinds in options.items():
        for kind in kinds:
            for option in fields(kind):
                yield f"{stage}: {option.name}", option.metadata.get("help", "")
    for name, (module, _) in cli.COMMANDS.items():
        make = getattr(importlib.import_module(module), "_parser", None)
        if make:
            yield from _helps_of(name, make())


def _helps_of(name, parser):
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, command in action.choices.items():
                yield from _helps_of(f"{name} {word}", command)
        elif not isinstance(action, argparse._HelpAction):
            yield f"{name}: {action.dest}", action.help or ""


def test_the_help_of_an_option_is_a_sentence_that_is_understood_alone(options):
    wrong = [
        f"{option}: {text!r}"
        for option, text in helps(options)
        if not re.match(r"[A-Z0-9`]", text) or not text.rstrip().endswith(".")
        or re.match(r"(Of|Its|Their|The same)\b", text)
    ]  # fmt: skip
    assert wrong == []


ROOT = Path(__file__).parents[1]
WRITTEN = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "model_cards/*.md", "benchmarks/*", "*/recipes/*", "lrat_hub/**/*.py")
    for path in ROOT.glob(pattern)
    # The changelog names what was.
    if path.suffix in (".md", ".py", ".yaml") and path.name != "CHANGELOG.md"
)
DOTTED = re.compile(r"(?<![\w/.-])lrat_hub(?:\.\w+)+")
IN_THE_TREE = re.compile(
    r"(?<![\w/])(?:lrat_hub|dataset_builders|training|eval|model_cards|tests|benchmarks|docs)/[\w./-]+\.(?:py|md|yaml|sh)"
)
# Files of other repositories, cited with their commits, to the end of the next line.
CITATION = re.compile(r"@[0-9a-f]{7,40}\b[^\n]*(?:\n[^\n]+)?")


def is_there(dotted):
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            named = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError as error:
            if error.name and not dotted.startswith(error.name):
                return True  # it is there, and needs what is not installed here
            continue
        for name in parts[length:]:
            if not hasattr(named, name):
                return False
            named = getattr(named, name)
        return True
    return False


def test_modules_and_files_that_are_written_about_exist():
    missing = []
    for path in WRITTEN:
        text = CITATION.sub("", path.read_text(encoding="utf-8"))
        missing += [(path.name, name) for name in sorted(set(DOTTED.findall(text))) if not is_there(name)]
        missing += [(path.name, name) for name in sorted(set(IN_THE_TREE.findall(text))) if not (ROOT / name).exists()]
    assert missing == []


def test_no_public_object_prints_as_an_address():
    public = [getattr(lrat_hub, name) for name in lrat_hub.__all__ if not name.startswith("_")]
    classes = [one for one in public if isinstance(one, type)]
    assert len(classes) > 20
    assert [one.__name__ for one in classes if one.__repr__ is object.__repr__] == []
