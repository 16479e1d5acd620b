"""The `lrat` command: finds a stage by its name and runs its script."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

COMMANDS: dict[str, tuple[str, str]] = {
    "quickstart": ("lrat_hub.cli.quickstart", "run the whole loop on an embedded Hub and report what it gains"),
    "corpus": ("lrat_hub.dataset_builders.corpus", "publish a corpus with its questions and relevance judgements"),
    "import": ("lrat_hub.dataset_builders.import_trajectories", "turn logs of search agents into trajectories"),
    "index": ("lrat_hub.dataset_builders.index", "build an index of a corpus: BM25, or a model's vectors in FAISS"),
    "questions": ("lrat_hub.dataset_builders.questions", "draw a slice of questions that excludes held-out ones"),
    "rollout": ("lrat_hub.dataset_builders.rollout", "run an agent over questions and record its trajectories"),
    "mine": ("lrat_hub.dataset_builders.mine", "mine weighted training pairs from trajectories"),
    "export": ("lrat_hub.cli.export", "write pairs or runs in the formats of other projects"),
    "train": ("lrat_hub.training.train", "train a retriever on mined pairs"),
    "sweep": ("lrat_hub.training.sweep", "train on variants of the pairs with several seeds, and compare them"),
    "train-agent": ("lrat_hub.training.train_agent", "train an agent's language model on trajectories"),
    "adopt": ("lrat_hub.training.adopt", "turn a bare checkpoint into a complete SentenceTransformer repository"),
    "eval retrieval": ("lrat_hub.eval.retrieval", "compare retrievers on queries with relevance judgements"),
    "eval agents": ("lrat_hub.eval.agents", "evaluate agents with retrievers: success, evidence recall, steps"),
    "eval grid": ("lrat_hub.eval.grid", "evaluate several agents with several retrievers on benchmarks"),
    "eval report": ("lrat_hub.eval.report", "make tables and figures of published evaluations"),
    "eval publish-metrics": ("lrat_hub.eval.publish_metrics", "publish the metric modules for `evaluate` as Spaces"),
    "analyze": ("lrat_hub.eval.analyze", "analyse how agents search: actions, positions, reasoning, reformulation"),
    "publish": ("lrat_hub.cli.publish", "publish the output of a stage that the Hub did not accept"),
    "view": ("lrat_hub.cli.view", "read runs in a browser: on this machine, from a folder, or in a Space"),
    "serve": ("lrat_hub.cli.serve", "serve an index by HTTP, for agents on other machines"),
    "flywheel": ("lrat_hub.cli.flywheel", "train retrievers in rounds, with a gate that decides which is used"),
    "lineage": ("lrat_hub.cli.lineage", "show what an artifact was made from, back to the corpus"),
    "verify": ("lrat_hub.cli.verify", "check an artifact and what it was made from against their lineages"),
    "diff": ("lrat_hub.cli.diff", "compare two artifacts: inputs, recipe, counts, rows, results"),
    "reproduce": ("lrat_hub.cli.reproduce", "make an artifact again from its lineage, and compare the two"),
    "plan": ("lrat_hub.cli.plan", "estimate hours and bytes of a whole loop at a scale, and what breaks first"),
    "doctor": (
        "lrat_hub.cli.doctor",
        "check versions, GPUs, disks, the Hub and the token, and say how to fix what is wrong",
    ),
    "hub": ("lrat_hub.cli.hub", "an embedded Hub: serve it, point a shell at it, tokens, gc, verify"),
}
"""Command words to the module whose `main(argv)` runs them, and a line of help."""


def usage(group: str = "") -> str:
    """The commands, or those of a group such as "eval", with a line of help each."""
    commands = {name: text for name, (_, text) in COMMANDS.items() if name.startswith(f"{group} ") or not group}
    width = max(map(len, commands))
    lines = [f"  {name:<{width}}  {text}" for name, text in commands.items()]
    if group:
        return "\n".join([f"usage: lrat {group} COMMAND [--config RECIPE.yaml] [OPTIONS]", "", *lines])
    return "\n".join(
        [
            "usage: lrat COMMAND [--config RECIPE.yaml] [OPTIONS]",
            "",
            "Turns the logs of search agents into better retrievers. Every stage reads pinned Hub revisions",
            "and publishes a Hub artifact; `lrat COMMAND --help` lists its options.",
            "",
            *lines,
        ]
    )


def find(words: list[str]) -> tuple[str, list[str]] | None:
    """The module of the command that the words begin with, and the words that are left for it."""
    for length in (2, 1):
        name = " ".join(words[:length])
        if len(words) >= length and name in COMMANDS:
            return COMMANDS[name][0], words[length:]
    return None


def run(words: list[str]) -> Any:
    """Runs a command in this process and gives what its `main` returns: for a stage, the pin of what it published.

    Raises:
        LratError: There is no such command, or it failed for a reason that the user can fix.
    """
    command = find(words)
    if command is None:
        raise _unknown(words)
    name, rest = command
    return _load(name).main(rest)


def run_recipe(stage: str, recipe: str, given: Mapping[str, Any]) -> Any:
    """Runs a stage by a recipe from within another one, as `lrat STAGE --config RECIPE` would.

    Args:
        stage: A stage whose script has `OPTIONS`, its dataclasses of options, and `run`, which takes one of each.
        recipe: A YAML file, or the name of a packaged recipe.
        given: Values that win over the recipe's, by the name of the option.

    Raises:
        LratError: The recipe can't be read, or the stage failed for a reason that the user can fix.
    """
    from lrat_hub.cli.parsing import read_recipe

    module = _load(COMMANDS[stage][0])
    return module.run(*read_recipe(stage, recipe, given, *module.OPTIONS))


def options_of_stage(stage: str) -> tuple[type[Any], ...]:
    """The dataclasses of a stage's options.

    Raises:
        LratError: There is no such stage.
    """
    from lrat_hub.errors import LratError

    name = COMMANDS.get(stage, ("", ""))[0]
    kinds = getattr(_load(name), "OPTIONS", None) if name else None
    if kinds is None:
        raise LratError(f"Stage {stage!r}: expected a stage that publishes, found none of that name.")
    return kinds


def _show_next() -> None:
    """Says what usually follows the stage that was run."""
    if "lrat_hub.cli.stage" in sys.modules:
        from lrat_hub.cli.following import legend, take
        from lrat_hub.cli.stage import say

        commands = take()
        for number, command in enumerate(commands):
            say(f"{'    or' if number else '  next'}: {command}")
        for line in legend(commands):
            say(f"    {line}")


def _is_group(words: list[str]) -> bool:
    """Whether the words ask for the commands of a group: `lrat eval`, `lrat eval --help`."""
    return any(name.startswith(f"{words[0]} ") for name in COMMANDS) and words[1:] in ([], ["-h"], ["--help"])


def _unknown(words: list[str]) -> Exception:
    """What to raise for words that begin with no command."""
    from lrat_hub.cli.parser import UsageError
    from lrat_hub.errors import did_you_mean

    given = " ".join(words[: 2 if any(name.startswith(f"{words[0]} ") for name in COMMANDS) else 1])
    near = did_you_mean(given, COMMANDS, mark="lrat ")
    return UsageError(f"lrat: expected a command, found {given!r}{near or '. See lrat --help.'}")


def _load(name: str) -> ModuleType:
    require_one_tree(name)
    return importlib.import_module(name)


def require_one_tree(stage: str) -> None:
    """Refuses a stage whose code is not from the tree that the library is from, before any of it runs.

    With an editable install of one checkout and `PYTHONPATH` at another, Python takes the library from the second and
    the stages from the first, and neither tree is what ran.

    Args:
        stage: The name of its module.

    Raises:
        LratError: They are from two trees, or the library is here without its stages.
    """
    from importlib.util import find_spec

    from lrat_hub.errors import LratError

    library = Path(__file__).resolve().parents[1]
    try:
        spec = find_spec(stage)
    except ModuleNotFoundError:
        spec = None
    code = Path(spec.origin).resolve() if spec and spec.origin else None
    # In a checkout the stage folders lie beside the library, in a wheel inside it.
    if code is None or (library not in code.parents and library.parent != code.parent.parent):
        raise LratError(
            f"lrat: expected the library and its stages from one tree, found the library in {library.parent} and "
            f"{stage} in {code.parent.parent if code else 'none'}. Unset PYTHONPATH, or install the tree that is "
            f"meant: pip install -e {library.parent}"
        )


def main(argv: list[str] | None = None) -> int:
    """Runs a command.

    Returns:
        The exit code: 0; with one line on stderr, 2 for a command line that is not understood and 1 for anything else
        that the user can fix.
    """
    from lrat_hub.cli import completion
    from lrat_hub.cli.failures import explanation_of, show_progress_to_people_only, use_no_proxy_for_this_machine
    from lrat_hub.errors import LratError

    words = sys.argv[1:] if argv is None else argv
    if completion.is_asked():
        _load(completion.command_of_line(COMMANDS, find)).main([])
    use_no_proxy_for_this_machine()
    show_progress_to_people_only()
    try:
        if not words or words[0] in ("-h", "--help"):
            print(usage())
        elif _is_group(words):
            print(usage(words[0]))
        elif words[0] == "--version":
            from lrat_hub import __version__

            print(f"lrat-hub {__version__}")
        else:
            run(words)
            _show_next()
        sys.stdout.flush()
    except LratError as error:
        from lrat_hub.cli.parser import UsageError
        from lrat_hub.cli.parsing import with_flags

        # Whatever a message quotes, it stays one line.
        print(f"error: {' '.join(with_flags(explanation_of(error) or str(error)).split())}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has seen enough. Nothing may be left to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt as error:
        print("lrat: interrupted.", *getattr(error, "__notes__", ()), file=sys.stderr)
        return 130
    except Exception as error:
        # What the machine refuses, such as a full disk, is no defect; whatever library it happened in, it is one line.
        if (explanation := explanation_of(error)) is None:
            raise
        print(f"error: {' '.join(explanation.split())}", file=sys.stderr)
        return 1
    return 0
