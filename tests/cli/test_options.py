"""Options that are made out of the library's settings, and read back from the command line and from recipes."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import pytest

from lrat_hub.cli.options import options_of, settings_of
from lrat_hub.cli.parsing import recipe_path
from lrat_hub.cli.stage import parse, read_recipe
from lrat_hub.errors import LratError


@dataclass(frozen=True, kw_only=True)
class Server:
    base_url: str = field(default="", metadata={"help": "URL of the server.", "prefixed": "url", "recipe": False})
    attempts: int = field(default=4, metadata={"help": "Number of attempts."})

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise LratError(f"Server: expected attempts of 1 or more, found {self.attempts}.")


@dataclass(frozen=True, kw_only=True)
class Settings:
    judge: str = field(default="none", metadata={"help": "Who judges; llm asks `base_url`.", "prefixed": ""})
    words: list[str] = field(default_factory=list, metadata={"help": "Words."})
    server: Server = field(default_factory=Server)


def helps(options: type) -> dict[str, str]:
    return {item.name: item.metadata["help"] for item in fields(options)}


def test_nested_settings_are_flat_options_with_the_defaults_and_help_of_their_fields():
    Options = options_of(Settings)
    assert helps(Options) == {
        "judge": "Who judges; llm asks --base_url.",
        "words": "Words.",
        "base_url": "URL of the server.",
        "attempts": "Number of attempts.",
    }
    assert settings_of(Options(), Settings) == Settings()
    assert Options().words is not Options().words
    assert [item.name for item in fields(Options) if not item.metadata.get("recipe", True)] == ["base_url"]


def test_behind_a_prefix_options_and_their_help_have_the_names_of_that_prefix():
    First, Second = options_of(Settings, "judge"), options_of(Settings, "second_judge")
    assert list(helps(First)) == ["judge", "judge_words", "judge_url", "judge_attempts"]
    assert list(helps(Second)) == [
        "second_judge", "second_judge_words", "second_judge_url", "second_judge_attempts",
    ]  # fmt: skip
    assert helps(Second)["second_judge"] == "Who judges; llm asks --second_judge_url."
    options = Second(second_judge="llm", second_judge_url="http://x/v1", second_judge_words=["a"])
    assert settings_of(options, Settings, "second_judge") == Settings(
        judge="llm", words=["a"], server=Server(base_url="http://x/v1")
    )


def test_an_option_can_have_another_default_and_help():
    changed = field(default="recorded", metadata={"help": "Judge; recorded takes what is there."})
    Options = options_of(Settings, "judge", judge=changed)
    assert Options().judge == "recorded"
    assert helps(Options)["judge"] == "Judge; recorded takes what is there."
    assert settings_of(Options(), Settings, "judge").judge == "recorded"


def test_what_settings_refuse_is_refused_as_options():
    with pytest.raises(LratError, match="attempts of 1 or more, found 0"):
        settings_of(options_of(Settings)(attempts=0), Settings)


def test_the_command_line_reads_them_into_the_same_settings():
    Options = options_of(Settings, "judge")
    (options,) = parse(["--judge", "llm", "--judge_words", "a", "b", "--judge_attempts", "2"], "x", None, Options)
    assert settings_of(options, Settings, "judge") == Settings(
        judge="llm", words=["a", "b"], server=Server(attempts=2)
    )


def test_an_option_without_a_value_stays_one_for_every_stage_that_inherits_it(tmp_path):
    @dataclass(kw_only=True)
    class Shared:
        tokens: int | None = field(default=None, metadata={"help": "Tokens."})

    @dataclass(kw_only=True)
    class First(Shared):
        pass

    @dataclass(kw_only=True)
    class Second(Shared):
        pass

    (tmp_path / "recipe.yaml").write_text("tokens: null\n")
    for stage in (First, Second, Shared):
        assert parse([], "test", None, stage) == (stage(tokens=None),)
        assert parse(["--config", f"{tmp_path}/recipe.yaml"], "test", None, stage) == (stage(tokens=None),)
        assert parse(["--tokens", "3"], "test", None, stage) == (stage(tokens=3),)
        with pytest.raises(LratError, match="invalid int value"):
            parse(["--tokens", "many"], "test", None, stage)


def test_a_recipe_of_another_stage_is_read_with_some_values_in_the_place_of_its_own(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("judge: llm\nwords: [a]\nfirst_attempts: 3\n")
    kinds = options_of(Settings), options_of(Server, "first")
    settings, server = read_recipe("x", str(recipe), {"words": ["b"], "attempts": 2}, *kinds)
    assert settings_of(settings, Settings) == Settings(judge="llm", words=["b"], server=Server(attempts=2))
    assert settings_of(server, Server, "first") == Server(attempts=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jugde: llm\n", "unknown option jugde; did you mean judge"),
        ("attempts: many\n", "attempts"),
        ("a: [\n", "lrat x: "),
        (None, "expected a YAML file or the name of a packaged recipe, found neither"),
    ],
)
def test_a_recipe_that_cannot_be_read_or_has_other_keys_or_types_is_refused(tmp_path, text, message):
    recipe = tmp_path / "recipe.yaml"
    if text is not None:
        recipe.write_text(text)
    with pytest.raises(LratError, match=message):
        read_recipe("x", str(recipe), {}, options_of(Settings))


def test_a_mistyped_name_of_a_recipe_is_answered_with_the_nearest_one():
    with pytest.raises(LratError, match=r"found neither; did you mean training/minilm\?"):
        recipe_path("training/minlm")
    with pytest.raises(LratError, match=r"found neither\. Packaged are dataset_builders/.*training/minilm.*"):
        recipe_path("zzz")
