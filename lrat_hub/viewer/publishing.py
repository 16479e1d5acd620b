"""The page of some runs as a static Space, with its card and its lineage."""

from __future__ import annotations

from pathlib import Path

from lrat_hub.errors import LratError
from lrat_hub.hub.cards import render_card
from lrat_hub.hub.lineage import Lineage
from lrat_hub.hub.outputs import CARD_FILE
from lrat_hub.hub.publish import publish_folder
from lrat_hub.hub.refs import HubRef
from lrat_hub.viewer.bundle import Bundle

SPACE_BYTES = 64_000_000
"""Largest page that is published: its files go into one request with the commit, which the client and the Hub hold in
memory. A larger one is as good in a folder, which any web server serves."""


def publish_bundle(ref: HubRef, folder: Path, bundle: Bundle, lineage: Lineage, *, private: bool = False) -> HubRef:
    """Publishes what `build_bundle` wrote, as one commit, and gives its pin.

    Args:
        private: Whether nobody else reads the Space, which then may show obfuscated questions in plain.

    Raises:
        LratError: It is too large, or shows questions to everybody that are published obfuscated; else as
            `lrat_hub.hub.publish.publish_folder`.
    """
    if bundle.bytes > SPACE_BYTES:
        raise LratError(
            f"{ref}: expected a page of at most {SPACE_BYTES // 10**6} MB, found {bundle.bytes / 10**6:.0f} MB. Show "
            "fewer runs (`runs`), or write the page to a folder (`bundle`) for a web server of your own."
        )
    if bundle.obfuscated and not private:
        raise LratError(
            f"{ref}: expected questions that may be read in plain, found {bundle.obfuscated} runs on questions that "
            "are published obfuscated. Publish to a private Space (`private`), or write a folder (`bundle`)."
        )
    card = render_card("viewer", lineage, repo_id=ref.repo_id, bundle=bundle)
    (folder / CARD_FILE).write_text(card, encoding="utf-8")
    return publish_folder(ref, folder, lineage, private=private)
