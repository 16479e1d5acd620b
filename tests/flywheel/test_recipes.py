"""The recipes that come with the package are understood, and say what they need."""

from __future__ import annotations

from pathlib import Path

import pytest

from lrat_hub import flywheel
from lrat_hub.cli.flywheel import Arguments, sections_of
from lrat_hub.cli.parsing import read_recipe
from lrat_hub.cli.stage_runs import check_options

RECIPES = sorted((Path(flywheel.__file__).parent / "recipes").glob("*.yaml"))
GIVEN = dict.fromkeys(("corpus", "questions", "held_out", "qrels"), "ns/wiki") | {"to": "ns/flywheel"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_have_known_options_and_say_their_hardware(path):
    assert path.read_text(encoding="utf-8").startswith("# Hardware: ")
    (args,) = read_recipe("flywheel", f"flywheel/{path.stem}", {"model": "ns/base"} | GIVEN, Arguments)
    args.check()
    for stage, options in sections_of(args).items():
        check_options(stage, options)


def test_the_recipe_of_the_paper_has_its_agent_and_its_questions_a_step():
    """Section 6.5."""
    (args,) = read_recipe("flywheel", "flywheel/paper", GIVEN, Arguments)
    assert args.questions_per_round == 10_000
    assert "tongyi" in args.rollout["config"]
    assert args.model == "Qwen/Qwen3-Embedding-0.6B"
