"""The commands of the documentation: what is in its blocks of shell, and what a page says is not run.

A comment before a block names a reason, and the commands that it holds for by how they begin; without any it holds for
the whole block::

    <!-- not run: needs a GPU -->
    <!-- not run (lrat rollout --agent llm): needs a GPU -->
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(
    r"(?P<comments>(?:^<!-- not run[^\n]*-->\n)*)^```bash\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_COMMENT = re.compile(r"<!-- not run(?: \((?P<begins>[^)]+)\))?: (?P<reason>.+?) -->")


README = {
    "make ": "the whole loop, and all tests, which are this one among others",
    "lrat import": "docs/importing.md has the same commands",
    "pip install": "tests/wheel_stage.sh installs the wheel, and tests/vllm_stage.sh a vLLM",
}
"""What of the README is not run, and why: the front page has no marks of its own."""


@dataclass(frozen=True)
class Command:
    """A command as it stands in a page, its lines joined.

    Args:
        reason: Why it is not run; empty for one that is.
    """

    page: str
    text: str
    reason: str = ""


def commands_of(page: Path) -> Iterator[Command]:
    """Every command of a page, in its order."""
    for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        marks = {match["begins"] or "": match["reason"] for match in _COMMENT.finditer(block["comments"])}
        reasons = marks | (README if page.name == "README.md" else {})
        unused = set(marks)
        for text in _joined(block["text"]):
            begins = [begin for begin in reasons if text.startswith(begin)]
            unused -= set(begins)
            yield Command(page.name, text, reasons[begins[0]] if begins else "")
        assert not unused, f"{page.name}: no command begins with {unused}"


def _joined(text: str) -> Iterator[str]:
    """The lines of a block with what is continued put together, without comments; a loop is one command."""
    text = re.sub(r"\\\n\s*", "", text)
    lines = [re.sub(r"(^|\s)#(?=\s).*$", "", line).rstrip() for line in text.splitlines()]
    loop: list[str] = []
    for line in filter(None, lines):
        if loop or line.startswith("for "):
            loop.append(line.strip())
            if line == "done":
                yield "\n".join(loop)
                loop = []
        else:
            yield line.strip()
