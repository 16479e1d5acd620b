"""Models of a sweep on the Hub: each a revision of one repository with its lineage, tagged by its variant and seed."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.encoders import ModelConfig, write_model_config
from lrat_hub.hub.cards import render_card
from lrat_hub.hub.lineage import Lineage, package_versions, read_lineage
from lrat_hub.hub.publish import CARD_FILE, publish_folder
from lrat_hub.hub.refs import HubRef
from lrat_hub.hub.tags import named_commits, set_tag

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from lrat_hub.fitting.settings import FitSettings


@dataclass(frozen=True)
class KeptModels:
    """The repository of a sweep's models. What was trained with the same inputs and recipe is found there again.

    Args:
        target: The repository and its branch.
        lineage: That of the sweep, without counts.
        private: Whether the repository is private.
    """

    target: HubRef
    lineage: Lineage
    private: bool = False

    def find(self, variant: str, seed: int) -> HubRef | None:
        """The pin of a model that is there; None where it has to be trained."""
        tag = tag_of(variant, seed)
        named = named_commits(self.target)
        # A sweep that was killed may have published its last model without a tag.
        for sha in dict.fromkeys(named[name] for name in (tag, self.target.revision) if name in named):
            pin = replace(self.target, revision=sha)
            there = read_lineage(pin)
            if there is not None and self._is_same(there, variant, seed):
                set_tag(pin, tag)
                return pin
        return None

    def keep(
        self, model: SentenceTransformer, settings: FitSettings, variant: str, seed: int, **counts: Any
    ) -> HubRef:
        """Publishes a trained model as a new revision, and gives its pin."""
        tag = tag_of(variant, seed)
        lineage = replace(self.lineage, counts={"variant": variant, "seed": seed, **counts})
        text = (
            f"One training of a sweep: {variant}, seed {seed}. The tag `{tag}` names it; other tags, other trainings."
        )
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            model.save_pretrained(str(folder), create_model_card=False)
            write_model_config(folder, ModelConfig(settings.query_style))
            card = render_card("base_model", lineage, repo_id=self.target.repo_id, description=text)
            (folder / CARD_FILE).write_text(card, encoding="utf-8")
            pin = publish_folder(self.target, folder, lineage, private=self.private)
        set_tag(pin, tag)
        return pin

    def _is_same(self, there: Lineage, variant: str, seed: int) -> bool:
        version = package_versions().get("lrat-hub")
        # As JSON has it, in which what is there was written.
        here = Lineage.from_json(self.lineage.to_json())
        return (
            (there.stage, there.inputs, there.recipe) == (here.stage, here.inputs, here.recipe)
            and there.versions.get("lrat-hub") == version
            and (there.counts.get("variant"), there.counts.get("seed")) == (variant, seed)
        )


def tag_of(variant: str, seed: int) -> str:
    """The tag of a training's model, such as `filter-seed-0`."""
    return f"{re.sub(r'[^a-z0-9.]+', '-', variant.lower()).strip('-.')}-seed-{seed}"
