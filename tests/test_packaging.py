"""What is in the wheel: pyproject.toml lists packages by hand, so that nothing top-level is shadowed."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_every_package_of_the_checkout_is_listed():
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    library = {".".join(init.parent.relative_to(ROOT).parts) for init in ROOT.glob("lrat_hub/**/__init__.py")}
    stages = {f"lrat_hub.{folder}" for folder in ("dataset_builders", "training", "eval", "model_cards")}
    assert set(settings["packages"]) == library | stages
    assert {f"lrat_hub.{folder}": folder for folder in settings["package-dir"].values()} == settings["package-dir"]


def test_every_template_and_recipe_is_package_data():
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {name: ROOT / settings["package-dir"].get(name, name.replace(".", "/")) for name in settings["packages"]}
    shipped = {
        file for name, patterns in settings["package-data"].items() for p in patterns for file in folders[name].glob(p)
    }
    data = {
        file
        for folder in ("lrat_hub", "dataset_builders", "training", "eval", "model_cards")
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and file.suffix != ".py" and "__pycache__" not in file.parts
    }
    # Modules that `evaluate` loads by path are no package: they are data, too.
    data |= set((ROOT / "eval" / "metrics").glob("*/*.py"))
    assert data == shipped
