"""What every stage script shares: its options, its pins before anything is read, and its publication.

A stage script defines a dataclass that extends `StageArguments` and a `main(argv)`::

    def main(argv: list[str] | None = None) -> HubRef:
        (args,) = parse(argv, "mine", __doc__, Arguments)
        stage = Stage("mine", args)
        trajectories = stage.input("trajectories", args.trajectories)
        ...
        return stage.publish_dataset({"pairs": {"train": rows}}, template="pairs", counts=..., ...)
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.cli import following
from lrat_hub.cli.parsing import assignments, parse, read_recipe, recipe_path, with_flags
from lrat_hub.errors import LratError
from lrat_hub.option import option

if TYPE_CHECKING:
    from lrat_hub.hub.inputs import Source
    from lrat_hub.hub.lineage import Lineage
    from lrat_hub.hub.publish import Tables
    from lrat_hub.hub.refs import HubRef, RepoType

__all__ = ["Stage", "StageArguments", "assignments", "parse", "read_recipe", "recipe_path", "say", "with_flags"]


@dataclass(kw_only=True)
class StageArguments:
    """Options of every stage."""

    to: str = option(
        help="Repository to publish to: namespace/name, or namespace/name@branch.", group="inputs", recipe=False
    )
    private: bool = option(
        False,
        "Publish to a private repository, which is made if it is missing; a public one is refused.",
        group="inputs",
        recipe=False,
    )
    require_pinned: bool = option(False, "Refuse inputs that are not given by a full commit sha.", recipe=False)


@dataclass(kw_only=True)
class ModelArguments(StageArguments):
    """Options of the stages that load a model."""

    trust_remote_code: str = option(
        "",
        "Full commit sha of the code that the model brings and that may run, with your rights; without it "
        "such models are refused.",
    )


class Stage:
    """One run of a stage: it pins inputs as they are named, and publishes what comes out with its lineage.

    The recipe of the lineage is every option but those that name inputs and those whose field has
    `metadata={"recipe": False}`: they say where and how the work is done, and not what comes out.

    Args:
        name: The `lrat` command, as it stands in the lineage.
        args: The resolved options.
        settings: Further options that are part of the recipe.
        publishes: The kind of repository that `to` names.
        index: Whether an index is published, which is no model though its repository is of that kind.
        configs: Names of all configs that may be published; None where they are not known yet (see `expect`).
        splits: Names of the splits that will be published, where they are options.

    `private` says whether the repository has to be private: it is, it was asked for, or an input is and it is new.

    Raises:
        LratError: What comes out could not be published to `to`: see `lrat_hub.hub.preflight`. Refused now rather than
            after hours of work.
    """

    def __init__(
        self,
        name: str,
        args: StageArguments,
        *settings: Any,
        publishes: RepoType = "dataset",
        index: bool = False,
        configs: Collection[str] | None = None,
        splits: Iterable[str] = (),
    ) -> None:
        from lrat_hub.hub.inputs import Inputs
        from lrat_hub.hub.preflight import check_machine, look_at_target
        from lrat_hub.hub.publish import publication_target, refuse_public, require_loadable_names
        from lrat_hub.hub.refs import HubRef

        self.name, self.args = name, args
        self._recipe = {name: value for options in (args, *settings) for name, value in _recipe_of(options).items()}
        self.inputs = Inputs(
            require_pinned=args.require_pinned,
            on_record=lambda name, pin: say(f"  {name}: {pin}"),
            on_source=self._look_at_source,
        )
        self.target = publication_target(HubRef.parse(args.to, repo_type=publishes))
        if self.target.repo_type != publishes:
            raise LratError(f"--to {args.to}: lrat {name} publishes a {publishes}, not a {self.target.repo_type}.")
        require_loadable_names(self.target, configs or (), splits)
        check_machine()
        self._looked = look_at_target(self.target)
        self._looked.require(configs, splits, index=index)
        # A repository is made when something is published, so that a stage that is refused leaves none behind.
        self.private = args.private or bool(self._looked.private)
        if args.private:
            if self._looked.private is False:
                refuse_public(self.target)
            say(f"lrat {name}: will publish to {self.target} (private)")
        else:
            say(f"lrat {name}: will publish to {self._looked}")

    def expect(self, configs: Collection[str], splits: Iterable[str] = ()) -> None:
        """The names of what will be published, where they are known only after the inputs were looked at.

        Raises:
            LratError: They can't be published to `to`.
        """
        self._looked.require(configs, splits)

    def expect_cards(self, models: Iterable[str]) -> None:
        """Raises LratError when results can't be written into the cards of models, before they are evaluated."""
        from lrat_hub.hub.preflight import look_at_target
        from lrat_hub.hub.refs import HubRef

        for model in models:
            look_at_target(HubRef.parse(model))

    def need(self, what: str, *, disk: int = 0, folder: Path | None = None, memory: int = 0) -> None:
        """Says what the work will need of this machine, as estimated from sizes.

        Args:
            what: Such as "vectors".
            disk: Bytes in the folder.
            folder: Where they will be.
            memory: Bytes of memory. Too little of it is a warning: it may be swapped, or be another device's.

        Raises:
            LratError: The disk has less.
        """
        from lrat_hub.hub.preflight import free_memory, in_words, require_disk

        if folder is not None and disk:
            require_disk(folder, disk, f"for the {what}")
        needs = [f"{in_words(size)} of {kind}" for kind, size in (("disk", disk), ("memory", memory)) if size]
        say(f"  {what}: about {' and '.join(needs)}")
        if memory > (free := free_memory()):
            say(f"  warning: {in_words(free)} of memory are free, less than the {what} need")

    def input(self, name: str, text: str, *, repo_type: RepoType = "dataset") -> Source:
        """Resolves an input to its pin and says so; `name` is the input's in the lineage."""
        return self.inputs.resolve(name, text, repo_type=repo_type)

    def _look_at_source(self, source: Source) -> None:
        self._require_room_for(source)
        self._keep_private(source)

    def _keep_private(self, source: Source) -> None:
        """What is made of private inputs goes to a private repository if that is new; else a warning says where."""
        from lrat_hub.hub.inputs import LocalSource
        from lrat_hub.hub.publish import is_private

        if self.private or isinstance(source, LocalSource) or not is_private(source):
            return
        if self._looked.private is None:
            self.private = True
            say(f"  {source.repo_id} is private, so {self.target} is made private, too")
        else:
            say(
                f"  warning: {source.repo_id} is private, and what is made of it will be public in {self.target}: "
                "choose a new repository, or a private one"
            )

    def _require_room_for(self, source: Source) -> None:
        """Raises LratError when an input that is not in the cache is larger than the room on its disk."""
        from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE

        from lrat_hub.hub.inputs import LocalSource
        from lrat_hub.hub.integrity import snapshot_folder
        from lrat_hub.hub.preflight import download_size, require_disk

        if isinstance(source, LocalSource) or HF_HUB_OFFLINE or snapshot_folder(source).exists():
            return
        if size := download_size(source):
            # A dataset is there twice: as it was downloaded, and as Arrow.
            require_disk(Path(HF_HUB_CACHE), size * (2 if source.repo_type == "dataset" else 1), f"to read {source}")

    def choose(self, **values: Any) -> None:
        """Records in the recipe what was chosen for options that were left open."""
        self._recipe |= values

    def lineage(self, counts: Mapping[str, Any]) -> Lineage:
        from lrat_hub.hub.lineage import Lineage

        recipe = {key: value for key, value in self._recipe.items() if key not in self.inputs.pins}
        endpoints = {"endpoints": self.inputs.endpoints} if self.inputs.endpoints else {}
        return Lineage(self.name, dict(self.inputs.pins), recipe, {**counts, **endpoints})

    def publish_dataset(
        self, tables: Tables, *, template: str, counts: Mapping[str, Any],
        files: Mapping[str, str | bytes | Path] | None = None, **values: Any,
    ) -> HubRef:  # fmt: skip
        """Publishes tables with the card `model_cards/<template>.md`; see `lrat_hub.hub.publish.publish_dataset`."""
        from lrat_hub.hub.cards import render_card
        from lrat_hub.hub.publish import count_rows, publish_dataset

        lineage = self.lineage({**counts, "published_rows": count_rows(tables)})
        card = render_card(template, lineage, repo_id=self.target.repo_id, **values)
        return self.done(
            publish_dataset(self.target, tables, card=card, lineage=lineage, files=files, private=self.private)
        )

    def publish_model(self, folder: Path, *, card: str, lineage: Lineage, kind: str = "") -> HubRef:
        """Publishes a folder with a model that has been saved there; its kind says which commands follow."""
        from lrat_hub.hub.publish import CARD_FILE, publish_folder

        (folder / CARD_FILE).write_text(card, encoding="utf-8")
        return self.done(publish_folder(self.target, folder, lineage, private=self.private), kind)

    def output(self, *, keep_unfinished: bool = False) -> AbstractContextManager[Path]:
        """A folder for a model or an index, for `publish_model`: it stays when publishing fails."""
        from lrat_hub.hub.outputs import output_folder

        return output_folder(self.target, keep_unfinished=keep_unfinished)

    def done(self, ref: HubRef, kind: str = "") -> HubRef:
        """Says what was published, and keeps what follows it."""
        say(f"  published: {ref}")
        following.note(self.name, ref, self.inputs.pins, kind)
        return ref


def _recipe_of(options: Any) -> dict[str, Any]:
    return {item.name: getattr(options, item.name) for item in fields(options) if item.metadata.get("recipe", True)}


def is_first() -> bool:
    """Whether this is the first of several processes, which speaks for all."""
    return os.environ.get("RANK", "0") == "0"


def say(text: str) -> None:
    """Tells the person at the terminal; stages print, the library does not. Of several processes the first speaks."""
    if is_first():
        print(text, flush=True)
