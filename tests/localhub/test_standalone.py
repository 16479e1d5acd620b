"""The embedded Hub could be a distribution of its own."""

from __future__ import annotations

import subprocess
import sys

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        own = ("lrat_hub.errors", "lrat_hub.localhub")
        if name.startswith("lrat_hub.") and not any(name == each or name.startswith(each + ".") for each in own):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import lrat_hub.localhub
names = [module.name for module in pkgutil.iter_modules(lrat_hub.localhub.__path__)]
for name in names:
    importlib.import_module(f"lrat_hub.localhub.{name}")
print(len(names))
"""


def test_it_imports_nothing_else_of_the_library_but_errors() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_EVERYTHING], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


def test_its_docstring_names_every_module() -> None:
    import pkgutil

    import lrat_hub.localhub

    table = lrat_hub.localhub.__doc__ or ""
    names = {module.name for module in pkgutil.iter_modules(lrat_hub.localhub.__path__)} - {"__main__"}
    assert [name for name in sorted(names) if f"`{name}`" not in table] == []
