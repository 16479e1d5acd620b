from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dataset_builders import index, rollout
from lrat_hub.agents.protocols import AgentPrompt
from lrat_hub.agents.settings import RolloutSettings
from lrat_hub.cli.stage import parse
from lrat_hub.errors import LratError
from lrat_hub.retrieval.settings import IndexSettings

RECIPES = Path(rollout.__file__).parent / "recipes"
AGENTS = [path.stem for path in sorted(RECIPES.glob("*.yaml")) if path.stem.startswith(("rollout_", "collect_"))]
ROOT = RECIPES.parents[1]


def read_yaml(folder, name):
    return yaml.safe_load((ROOT / folder / f"{name}.yaml").read_text())


INDEXES = [path.stem for path in sorted(RECIPES.glob("index_wiki_*.yaml"))]


@pytest.mark.parametrize("name", AGENTS)
def test_recipes_of_agents_have_known_options_and_say_their_hardware(name):
    words = ["--config", f"dataset_builders/{name}", "--corpus", "a/b", "--queries", "a/b", "--to", "a/c"]
    args, settings, _ = parse(words, "rollout", None, rollout.Arguments, rollout.AgentOptions, rollout.JudgeOptions)
    assert (RECIPES / f"{name}.yaml").read_text().startswith("# Hardware: ")
    assert args.agent == "llm"
    assert isinstance(read_yaml("lrat_hub/agents/prompts", settings.prompt), dict)
    assert (settings.temperature, settings.top_p, settings.presence_penalty, settings.seed) == (0.85, 0.95, 1.1, 2025)
    assert args.max_turns == {"collect_table_1_paper": 100, "rollout_json_small": 20}.get(name, 50)


@pytest.mark.parametrize("name", [name.removesuffix("_ours") for name in AGENTS if name.endswith("_ours")])
def test_the_recipes_of_an_agent_differ_in_its_environment_and_in_prompts_alone(name):
    ours, paper = (read_yaml(RECIPES, f"{name}_{environment}") for environment in ("ours", "paper"))
    assert {key for key in ours | paper if ours.get(key) != paper.get(key)} == {
        "environment", "prompt", "answer_judge_prompt"
    }  # fmt: skip
    assert (ours["environment"], paper["environment"]) == ("ours", "paper")
    AgentPrompt.load(ours["prompt"])
    # What the paper's agents were asked with is read from where it is published.
    assert "sha256" in str(read_yaml("lrat_hub/agents/prompts", paper["prompt"]))


def test_an_environment_is_named_with_what_was_changed():
    def name(**settings):
        return RolloutSettings(**settings).environment_name

    assert (name(), name(environment="paper")) == ("ours", "paper")
    assert name(environment="paper", k=5, browse_tokens=0) == "paper with k=5, browse_tokens=0"
    assert name(environment="paper", browse_tokens=512) == "paper"
    with pytest.raises(LratError, match="expected environment ours or paper"):
        RolloutSettings(environment="papers").check()


@pytest.mark.parametrize("name", INDEXES)
def test_recipes_of_indexes_have_known_options(name):
    words = ["--config", f"dataset_builders/{name}", "--corpus", "a/b", "--to", "a/c"]
    parse(words, "index", None, index.Arguments, index.WorkArguments, IndexSettings)
    assert (RECIPES / f"{name}.yaml").read_text().startswith("# Hardware: ")


def test_no_recipe_names_an_agent_without_the_tools_its_server_needs():
    for name in AGENTS:
        recipe = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
        if recipe["protocol"] == "tools":
            assert "--tool-call-parser=" in recipe["vllm_args"], name
