"""Files that GitHub and archives read: forms of issues, and what to cite."""

import re
from pathlib import Path

import pytest
import yaml

from lrat_hub import cli

ROOT = Path(__file__).parents[1]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[0-9]*.yml"))


@pytest.mark.parametrize("path", FORMS, ids=[path.stem for path in FORMS])
def test_an_issue_form_has_what_github_wants_and_names_commands_that_there_are(path):
    text = path.read_text(encoding="utf-8")
    form = yaml.safe_load(text)
    assert set(form) == {"name", "description", "labels", "body"}
    asked = [item for item in form["body"] if item["type"] != "markdown"]
    assert {item["type"] for item in asked} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert len({item["id"] for item in asked}) == len(asked)
    assert all(item["attributes"]["label"] for item in asked)
    assert any(item.get("validations", {}).get("required") for item in asked)
    for command in re.findall(r"`lrat ([a-z][\w-]*)", text):
        assert command in cli.COMMANDS


def test_the_software_is_cited_by_its_latest_release():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    released = re.findall(r"^## (\d+\.\d+\.\d+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert citation["version"] == released[0]
