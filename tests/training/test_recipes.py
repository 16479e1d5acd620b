"""Every recipe says what it needs and what to expect, and is read by the stage it is for."""

from pathlib import Path

import pytest
import yaml
from lrat_hub.training import sweep, train, train_agent

from lrat_hub.cli.stage import parse
from lrat_hub.fitting.settings import FitSettings

ALL = sorted((Path(train.__file__).parent / "recipes").glob("*.yaml"))
RECIPES = [path for path in ALL if not path.stem.startswith("agent_")]
AGENTS = [path for path in ALL if path not in RECIPES]
GIVEN = ["--pairs", "ns/pairs", "--to", "ns/out"]
TASK = ["--corpus", "ns/wiki", "--queries", "ns/wiki", "--qrels", "ns/wiki"]


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_recipes_say_what_they_need(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Hardware: ")
    assert "# Expected" in text


@pytest.mark.parametrize("path", AGENTS, ids=lambda path: path.stem)
def test_recipes_of_agents_are_read(path):
    words = ["--config", str(path), "--to", "ns/agent", *([] if "model:" in path.read_text() else ["--model", "ns/m"])]
    args, telling, settings, _, _, sampling, *_ = parse(words, "train-agent", "", *train_agent.OPTIONS)
    # None of these models has a template that TRL is known to have a variant of.
    assert (args.method, telling.chat_template) == ("grpo" if path.stem.endswith("_grpo") else "sft", "chatml")
    assert settings.batch_size * settings.gradient_accumulation_steps % sampling.num_generations == 0


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_are_read(path):
    text = path.read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    model = [] if "model" in values else ["--model", "ns/base"]
    if "vary" in values:
        args, settings = parse(
            [*GIVEN, *TASK, *model, "--config", str(path)], "sweep", "", sweep.Arguments, FitSettings
        )
        assert args.vary == values["vary"]
    else:
        _, settings = parse([*GIVEN, *model, "--config", str(path)], "train", "", train.Arguments, FitSettings)
    assert settings.learning_rate == values["learning_rate"]


PAPERS = [path for path in RECIPES if path.stem.startswith("paper_") or "vary" in yaml.safe_load(path.read_text())]


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_recipes_of_the_paper_train_on_all_pairs(path):
    """The paper names no development split (section 6.1.1)."""
    assert len(PAPERS) == 5
    assert (
        yaml.safe_load(path.read_text(encoding="utf-8")).get("validation_share", FitSettings().validation_share) == 0
    )


def test_the_defaults_are_the_papers():
    """Section 6.1.4."""
    settings = FitSettings()
    assert (settings.epochs, settings.batch_size) == (2, 32)
    assert (1 + settings.num_negatives, settings.document_length) == (10, 512)
