"""Every recipe says what it needs and what to expect, and is read by the stage it is for."""

from pathlib import Path

import pytest
import yaml
from lrat_hub.training import sweep, train

from lrat_hub.cli.stage import parse
from lrat_hub.fitting.settings import FitSettings

RECIPES = sorted((Path(train.__file__).parent / "recipes").glob("*.yaml"))
GIVEN = ["--pairs", "ns/pairs", "--to", "ns/out"]
TASK = ["--corpus", "ns/wiki", "--queries", "ns/wiki", "--qrels", "ns/wiki"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_are_read_and_say_what_they_need(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Hardware: ")
    assert "# Expected" in text
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


def test_the_defaults_are_the_papers():
    """Section 6.1.4."""
    settings = FitSettings()
    assert (settings.epochs, settings.batch_size) == (2, 32)
    assert (1 + settings.num_negatives, settings.document_length) == (10, 512)
