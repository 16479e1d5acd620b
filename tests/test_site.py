"""The documentation as a site, and what its pages say of the code: messages, public names, pages that nobody finds."""

import ast
import os
import re
import runpy
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from importlib.util import find_spec

import pytest
import yaml

import lrat_hub
from tests.documentation import PAGES, ROOT

TROUBLE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = [text for _, text in re.findall(r"^> (`+) ?(.+?) ?\1$", TROUBLE, re.MULTILINE)]


@cache
def texts_of_the_code():
    """Every string literal of the code, with "..." for the values of formatted ones."""
    found = []
    for folder in ("lrat_hub", "dataset_builders", "training", "eval"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else "..." for part in node.values]
                    found.append("".join(parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return found


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_that_is_explained_is_one_of_the_code(message):
    assert any(text.startswith(message.rstrip(".")) for text in texts_of_the_code())


def test_each_quotation_is_looked_for():
    assert len(MESSAGES) == sum(line.startswith(">") for line in TROUBLE.splitlines()) > 10


def test_every_public_name_is_on_the_page_of_the_api_once():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    named = re.findall(r"^::: lrat_hub\.(\w+)$", page, re.MULTILINE)
    assert sorted(named) == sorted(set(lrat_hub.__all__) - {"__version__"})


HOOKS = runpy.run_path(str(ROOT / "docs" / "_site" / "hooks.py"))


def test_the_navigation_names_pages_that_exist_and_a_page_that_it_does_not_name_is_added(tmp_path):
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    listed = list(HOOKS["pages"](nav))
    assert len(listed) == len(set(listed))
    assert set(listed) <= {path.name for path in (ROOT / "docs").glob("*.md")}
    for name in [*listed, "another.md"]:
        (tmp_path / name).touch()
    assert HOOKS["on_config"]({"nav": nav, "docs_dir": str(tmp_path)})["nav"] == [*nav, {"More": ["another.md"]}]


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_to_other_files_of_the_repository_lead_to_some(page):
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert not [target for target in targets if not (page.parent / target).exists()]


def test_every_recipe_is_listed_with_what_stands_in_its_first_lines():
    class Page:
        class file:
            src_uri = "recipes.md"

    text = HOOKS["on_page_markdown"]((ROOT / "docs" / "recipes.md").read_text(encoding="utf-8"), Page)
    rows = dict(re.findall(r"^\| `([\w/]+)` \| (.*) \|$", text, re.MULTILINE))
    recipes = [path for path in ROOT.glob("**/recipes/*.yaml") if not {"build", ".venv"} & set(path.parts)]
    assert sorted(name.rpartition("/")[2] for name in rows) == sorted(path.stem for path in recipes)
    assert not [name for name, row in rows.items() if not row]
    assert "**Expected**" in rows["training/minilm"]


def test_the_glossary_is_in_the_order_of_the_alphabet_and_explains_a_word_once():
    table = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8").partition("## Glossary")[2]
    words = [row.split("|")[1].strip().lower() for row in table.splitlines() if row.startswith("| ")][1:]
    words.remove("---")
    assert words == sorted(set(words))


class Loaded(HTMLParser):
    """Addresses of what a page loads by itself."""

    def __init__(self):
        super().__init__()
        self.urls = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.urls.append(given.get("src") or "")
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon", "preconnect", "preload"):
            self.urls.append(given.get("href") or "")


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("material"), reason="mkdocs-material is not installed")
def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    ended = subprocess.run(
        words, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    urls = []
    for path in tmp_path.rglob("*.html"):
        parser = Loaded()
        parser.feed(path.read_text(encoding="utf-8"))
        urls += parser.urls
    assert urls
    styles = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.css")]
    urls += [url for style in styles for url in re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", style)]
    assert not [url for url in urls if re.match(r"(https?:)?//", url)]
    # Diagrams would be drawn by a script of a server elsewhere.
    assert not [path for path in tmp_path.rglob("*.html") if 'class="mermaid"' in path.read_text(encoding="utf-8")]
    assert "training/minilm" in (tmp_path / "recipes.html").read_text(encoding="utf-8")
    assert "half_life" in (tmp_path / "api.html").read_text(encoding="utf-8")
