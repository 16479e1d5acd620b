"""What the documentation site adds to the pages of docs/: the list of recipes, links that leave them, new pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDERS = ("dataset_builders", "training", "eval", "lrat_hub/flywheel")


def on_config(config: Any) -> Any:
    """A page that the navigation doesn't name stands at its end, under the page's own title, rather than nowhere."""
    listed = set(pages(config["nav"]))
    new = sorted(path.name for path in Path(config["docs_dir"]).glob("*.md") if path.name not in listed)
    if new:
        config["nav"] = [*config["nav"], {"More": new}]
    return config


def pages(entry: Any) -> Iterator[str]:
    """The pages of an entry of the navigation."""
    if isinstance(entry, str):
        yield entry
    else:
        for part in entry.values() if isinstance(entry, dict) else entry:
            yield from pages(part)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """MkDocs calls this with the text of each page."""
    if page.file.src_uri == "recipes.md":
        markdown = markdown.partition("<!-- recipes -->")[0] + "\n\n".join(map(_recipes, FOLDERS)) + "\n"
    # Files of the repository are not part of the site: their paths stay, as text.
    return re.sub(r"\[([^\]]+)\]\(\.\./([^)#]+)[^)]*\)", r"\1 (`\2` in the repository)", markdown)


def _recipes(folder: str) -> str:
    """The recipes of a folder with the comments that they begin with: hardware, purpose, and expected results."""
    stage = folder.rpartition("/")[2]
    rows = [f"## `{folder}/recipes/`", "", "| recipe | hardware, purpose, and expected results |", "| --- | --- |"]
    for path in sorted((ROOT / folder / "recipes").glob("*.yaml")):
        lines = path.read_text(encoding="utf-8").splitlines()
        comments = [line.lstrip("# ") for line in lines[: next(n for n, line in enumerate(lines) if line[:1] != "#")]]
        text = " ".join(comments).replace("|", "&#124;").replace("<", "&lt;")
        text = re.sub(r"(?<!\S)(Hardware|Expected)(?= ?[:(])", r"**\1**", text).replace(
            " **Expected**", "<br>**Expected**"
        )
        rows.append(f"| `{stage}/{path.stem}` | {text} |")
    return "\n".join(rows)
