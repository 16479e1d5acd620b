"""An option of a stage, or of the library's settings: a field of a dataclass that says what it is for."""

from __future__ import annotations

from dataclasses import MISSING, field
from typing import Any


def option(default: Any = MISSING, help: str = "", *, factory: Any = MISSING, **metadata: Any) -> Any:
    """A field of a dataclass with its help on the command line.

    Args:
        default: Its value where none is given; without it and `factory` the option is required.
        help: What it is for. Names of other fields in backticks become the names of their options.
        factory: Makes the value where none is given, such as `list`.
        metadata: `group` under which help lists it, "essentials" for those that short help has too; `recipe=False` for
            what no recipe may hold; and what `lrat_hub.cli` knows besides.
    """
    metadata["help"] = help
    if factory is not MISSING:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)
