"""What a plan knows of a stage's inputs: their sizes by their lineages, or else those that a recipe expects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lrat_hub import cli
from lrat_hub.cli.parsing import assignments, read_recipe
from lrat_hub.cli.stage import StageArguments
from lrat_hub.errors import LratError, did_you_mean
from lrat_hub.option import option

if TYPE_CHECKING:
    from lrat_hub.retrieval.settings import IndexSettings

NUMBERS = ("documents", "questions", "pairs", "trajectories", "reply_tokens", "document_tokens", "disk_gb")
NAMES = ("retrievers", "index")
UNNAMED = {"corpus": "-", "queries": "-", "to": "-/-"}
"""In the place of what a recipe leaves to the command line."""


@dataclass(kw_only=True)
class PlannedArguments(StageArguments):
    """Options of the stages that say what they need."""

    dry_run: bool = option(
        False, "Show what would be run, what each process needs, and what is missing here; run nothing.", recipe=False
    )
    expect: list[str] = option(
        help="Sizes for --dry_run of inputs that can't be read, as NAME=VALUE, or BENCHMARK/NAME=VALUE: "
        f"{', '.join(NUMBERS)} are numbers, retrievers are models or bm25, each as [NAME=]MODEL, with commas "
        "between, and index is a recipe of lrat index.",
        factory=list,
        recipe=False,
    )


class Expected:
    """Sizes of inputs: of those that can be read, and else those that a recipe expects.

    Args:
        texts: Of `PlannedArguments.expect`.

    Raises:
        LratError: One has another form.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.values = assignments("expect", list(texts))
        self.notes: list[str] = []
        for name, value in self.values.items():
            plain = name.rpartition("/")[2]
            if plain not in (*NUMBERS, *NAMES) or (plain in NUMBERS and not value.replace("_", "").isdigit()):
                end = did_you_mean(plain, [*NUMBERS, *NAMES]) or "."
                raise LratError(f"`expect` {name}={value}: expected a number of {', '.join(NUMBERS)}, or names{end}")

    def get(self, name: str, benchmark: str = "") -> str:
        return self.values.get(f"{benchmark}/{name}", self.values.get(name, ""))

    def count(self, name: str, text: str = "", config: str = "", *, benchmark: str = "") -> int:
        """The number of rows of an input by its lineage, or else the expected one; 0 where neither is known.

        Args:
            text: The input's reference; "" where none is given.
            config: Its config.
        """
        if text and (found := published_rows(text, config)):
            return found
        value = int(self.get(name, benchmark) or 0)
        of = f" of {benchmark}" if benchmark else ""
        self.notes.append(
            f"{value:,} {name}{of}: as expected by the recipe" if value else f"{name}{of}: not known; give {name}=N"
        )
        return value

    def retrievers(self, names: Sequence[str] = (), benchmark: str = "") -> dict[str, str]:
        """The expected retrievers, by these names where there are as many, and else by their own: [NAME=]RETRIEVER."""
        found = [text.rpartition("=") for text in self.get("retrievers", benchmark).split(",") if text]
        own = [name or text for name, _, text in found]
        return dict(zip(names if len(names) == len(found) else own, (text for *_, text in found), strict=True))

    def index(self) -> IndexSettings:
        """The settings of indexes, by a recipe."""
        from lrat_hub.retrieval.settings import IndexSettings

        recipe = self.get("index")
        return index_settings(recipe) if recipe else IndexSettings()


def published_rows(text: str, config: str) -> int:
    """Rows that the lineage of a dataset says a config has; 0 where it can't be read, or doesn't say."""
    from lrat_hub.hub.inputs import resolve
    from lrat_hub.hub.lineage import read_lineage
    from lrat_hub.hub.refs import HubRef

    try:
        source = resolve(text, repo_type="dataset")
        lineage = read_lineage(source) if isinstance(source, HubRef) else None
    except (LratError, OSError):
        return 0
    if lineage is None:
        return 0
    rows: dict[str, dict[str, int]] = lineage.counts.get("published_rows", {})
    chosen = rows.get(source.config or config) or (next(iter(rows.values())) if len(rows) == 1 else {})
    return chosen.get(source.split or "", 0) or sum(chosen.values())


def index_settings(recipe: str) -> IndexSettings:
    return read_recipe("index", recipe, UNNAMED, *cli.options_of_stage("index"))[1]
