"""Recipes: known options, agents whose recipes are there, the judge that the paper names, and the hardware."""

from pathlib import Path

import pytest
import yaml
from lrat_hub.eval import agents, report

from lrat_hub.cli.stage import assignments, parse, recipe_path

RECIPES = Path(agents.__file__).parent / "recipes"
OF_AGENTS = ["infoseek_eval", "browsecomp_plus", "table_2_infoseek_eval", "table_2_browsecomp_plus", "top_k"]


@pytest.mark.parametrize("name", OF_AGENTS)
def test_recipes_of_agents_have_known_options_and_the_judge_of_the_paper(name):
    words = ["--config", f"eval/{name}", "--queries", "me/bench", "--to", "me/evaluation"]
    args, judge, _ = parse(
        words, "eval agents", None, agents.Arguments, agents.JudgeOptions, agents.SecondJudgeOptions
    )
    assert (judge.answer_judge, judge.answer_judge_model) == ("llm", "Qwen/Qwen3-30B-A3B-Thinking-2507")
    # What quotes the questions of BrowseComp-Plus stays private.
    assert args.private is (args.benchmark == "BrowseComp-Plus")
    assert all(recipe_path(recipe).exists() for recipe in args.rollouts)
    baselines = assignments("baselines", args.baselines)
    assert set(baselines) | set(baselines.values()) <= set(args.names)
    assert (RECIPES / f"{name}.yaml").read_text().startswith("# Hardware: ")


def test_the_recipes_of_table_2_have_its_six_agents_and_four_retrievers():
    halves = [yaml.safe_load((RECIPES / f"{name}.yaml").read_text()) for name in OF_AGENTS if "table_2" in name]
    assert [(len(half["rollouts"]), len(half["names"])) for half in halves] == [(6, 4), (6, 4)]
    differing = {"benchmark", "private", "browsecomp", "expect"}
    first, second = ({key: value for key, value in half.items() if key not in differing} for half in halves)
    assert first == second
    parse(["--config", "eval/table_2", "--evaluations", "a/b", "--to", "a/c"], "eval report", None, report.Arguments)
