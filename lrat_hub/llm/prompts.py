"""Prompts are YAML files: those in the folder `prompts/` of a package, or anyone's own of the same shape.

Where a text of others has to be used to the letter, the file has a pointer in its place (`lrat_hub.llm.pinned`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.errors import LratError
from lrat_hub.llm.pinned import resolved

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def read_prompt(package: str, name: str | Path) -> Any:
    """What the file of a prompt holds.

    Args:
        name: Of one of the package's prompts, or any file's path; with "@" and the path of a checkout behind it, from
            which texts of others are read.

    Raises:
        LratError: There is none, it is not YAML, or a text that it points to can't be read.
    """
    import yaml

    name, _, checkout = str(name).partition("@")
    file = resources.files(package) / "prompts" / f"{name}.yaml"
    path = file if file.is_file() else Path(name)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LratError(f"Prompt {name}: expected the name of a prompt or a YAML file, found neither.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise LratError(f"Prompt {name}: expected YAML; {shortened(error)}") from error
    return resolved(content, Path(checkout) if checkout else None)


def digest_of(prompt: DataclassInstance) -> str:
    """Identifies a prompt, whatever file it came from: 16 hexadecimal digits."""
    # What is empty says nothing, so that digests of before stay when a field is added.
    said = {name: value for name, value in asdict(prompt).items() if value != {}}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def shortened(error: Exception) -> str:
    """What an exception says, in one line."""
    return " ".join(str(error).split())[:200]
