"""Runs to look at in a browser: a page that works from a file, from a local server, and as a static Space.

`build_bundle` writes the page and its data into a folder, `create_app` serves it, and `publish_bundle` publishes it.
The page loads a compact index in parts, and a run when it is opened: it begins as soon with many runs as with few.
"""

from __future__ import annotations

from lrat_hub.viewer.bundle import Bundle, build_bundle
from lrat_hub.viewer.notes import Notes, PairsOfRuns
from lrat_hub.viewer.publishing import publish_bundle
from lrat_hub.viewer.serving import create_app

__all__ = ["Bundle", "Notes", "PairsOfRuns", "build_bundle", "create_app", "publish_bundle"]
