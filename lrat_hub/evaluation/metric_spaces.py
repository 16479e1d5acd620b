"""Metric modules of the `evaluate` library as Spaces on a Hub, where `evaluate.load` finds them."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

from lrat_hub.errors import LratError
from lrat_hub.hub.cards import render_card
from lrat_hub.hub.lineage import LINEAGE_FILE, Lineage
from lrat_hub.hub.refs import HubRef, hub_errors

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo

TEMPLATE = "metric_space"
APP = """import evaluate
from evaluate.utils import launch_gradio_widget

launch_gradio_widget(evaluate.load("{repo_id}"))
"""
REQUIREMENTS = "evaluate\ndatasets\n"


def metric_texts(script: Path) -> dict[str, str]:
    """A module's DESCRIPTION, INPUTS and CITATION, read without importing it."""
    assigned = [node for node in ast.parse(script.read_text(encoding="utf-8")).body if isinstance(node, ast.Assign)]
    texts = {node.targets[0].id: node.value.value for node in assigned if isinstance(node.value, ast.Constant)}
    return {name: texts[name].strip() for name in ("DESCRIPTION", "INPUTS", "CITATION")}


def publish_metric(script: Path, namespace: str, *, private: bool = False) -> str:
    """Publishes a module with its card and a small app as the Space `namespace/<name of the script>`, in one commit.

    The same module again makes no new commit.

    Returns:
        The sha of the commit that the Space is at.

    Raises:
        LratError: The Space holds something else, or the Hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    repo_id = f"{namespace}/{script.stem}"
    target = HubRef(repo_id)
    lineage = Lineage("eval publish-metrics", {}, {"metric": script.stem}, {})
    files = {
        script.name: script.read_text(encoding="utf-8"),
        "README.md": render_card(TEMPLATE, lineage, repo_id=repo_id, name=script.stem, **metric_texts(script)),
        "app.py": APP.format(repo_id=repo_id),
        "requirements.txt": REQUIREMENTS,
        LINEAGE_FILE: lineage.to_json(),
    }
    api = HfApi()
    with hub_errors(target):
        api.create_repo(repo_id, repo_type="space", space_sdk="gradio", private=private, exist_ok=True)
        tip = api.repo_info(repo_id, repo_type="space")
        there = {item.rfilename for item in tip.siblings} - {".gitattributes", "README.md"}
        if there and LINEAGE_FILE not in there:
            raise LratError(f"Space {repo_id}: expected nothing or an earlier publication there, found other files.")
        commit: CommitInfo = api.create_commit(
            repo_id,
            [CommitOperationAdd(name, text.encode()) for name, text in files.items()],
            repo_type="space",
            commit_message=f"lrat {lineage.stage}",
            parent_commit=tip.sha,
        )
    return commit.oid
