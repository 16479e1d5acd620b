"""Options out of the library's settings, also of nested ones and behind a prefix, and the agents with short names.

A stage's parser takes flat dataclasses; the library's settings are nested (`AgentSettings.server`), and the same ones
are asked for several times (a judge, a second judge). `options_of` flattens settings into options, and `settings_of`
reads them back::

    JudgeOptions = options_of(AnswerJudgeSettings, "answer_judge")     # answer_judge, answer_judge_model, ...
    args, options = parse(argv, "rollout", __doc__, Arguments, JudgeOptions)
    settings = settings_of(options, AnswerJudgeSettings, "answer_judge")
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, field, fields, is_dataclass, make_dataclass
from typing import Any, TypeVar, get_type_hints

Settings = TypeVar("Settings")

AGENTS = {"reader": "lrat_hub.demo.natural:NaturalReader"}
"""Agents without a language model that have a short name on the command line."""


def options_of(
    settings: type[Any], prefix: str = "", *, formerly: str = "", essential: bool = True, **changed: Any
) -> type[Any]:
    """A flat dataclass with an option for each field of settings, those of nested settings included.

    Args:
        prefix: Stands before the names of the options, such as "judge" in `judge_model`. A field may have another name
            there, in its metadata as `prefixed`; "" is the prefix itself.
        formerly: A prefix under which the options are still understood, with a note.
        essential: Whether those that are essential to the settings are so to the stage.
        changed: Fields with another default or help (`field(...)`), by the name of the option.
    """
    leaves = list(_leaves(settings, prefix))
    names = {item.name: option for option, item, _ in leaves}
    # Without a prefix, an option that has another name than its field was called as the field is.
    former_names = {
        option: _option_name(item, formerly) if prefix else item.name
        for option, item, _ in leaves
        if formerly or not prefix
    }

    def option_field(option: str, item: Field[Any]) -> Any:
        item = changed.get(option, item)
        # Help names other fields of the same settings, which are options with this prefix here.
        help = re.sub(r"`(\w+)`", lambda match: f"--{names.get(match[1], match[1])}", item.metadata["help"])
        metadata = {key: value for key, value in item.metadata.items() if key not in ("option", "prefixed")}
        metadata["help"] = help
        if not essential and metadata.get("group") == "essentials":
            del metadata["group"]
        former = former_names.get(option)
        if former and former != option:
            metadata["formerly"] = (former,)
        if item.default_factory is not MISSING:
            return field(default_factory=item.default_factory, metadata=metadata)
        return field(default=item.default, metadata=metadata)

    made = [(option, kind, option_field(option, item)) for option, item, kind in leaves]
    return make_dataclass(f"{prefix.title()}{settings.__name__}Options", made, kw_only=True)


def settings_of(options: Any, settings: type[Settings], prefix: str = "") -> Settings:
    """The settings that options were made of, with the options' values.

    Raises:
        LratError: The settings refuse a value.
    """
    hints = get_type_hints(settings)
    values: dict[str, Any] = {}
    for item in fields(settings):  # pyright: ignore[reportArgumentType]  (a type variable can't say "dataclass")
        if is_dataclass(kind := hints[item.name]):
            values[item.name] = settings_of(options, kind, prefix)  # pyright: ignore[reportArgumentType]  (a type)
        else:
            values[item.name] = getattr(options, _option_name(item, prefix))
    return settings(**values)


def _leaves(settings: type[Any], prefix: str) -> Iterator[tuple[str, Field[Any], Any]]:
    """Name, field and type of each option, in the order of the settings."""
    hints = get_type_hints(settings)
    for item in fields(settings):
        kind = hints[item.name]
        if is_dataclass(kind):
            yield from _leaves(kind, prefix)  # pyright: ignore[reportArgumentType]  (a type)
        else:
            yield _option_name(item, prefix), item, kind


def _option_name(item: Field[Any], prefix: str) -> str:
    name = item.metadata.get("option", item.name)
    if not prefix:
        return name
    return "_".join(part for part in (prefix, item.metadata.get("prefixed", name)) if part)
