"""Prompts are YAML files: those in the folder `prompts/` of a package, or anyone's own of the same shape."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.errors import LratError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def read_prompt(package: str, name: str | Path) -> Any:
    """What the file of a prompt holds.

    Args:
        name: Of one of the package's prompts, or any file's path.

    Raises:
        LratError: There is none, or it is not YAML.
    """
    import yaml

    file = resources.files(package) / "prompts" / f"{name}.yaml"
    path = file if file.is_file() else Path(name)
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LratError(f"Prompt {name}: expected the name of a prompt or a YAML file, found neither.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise LratError(f"Prompt {name}: expected YAML; {shortened(error)}") from error


def digest_of(prompt: DataclassInstance) -> str:
    """Identifies a prompt, whatever file it came from: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(asdict(prompt), sort_keys=True).encode()).hexdigest()[:16]


def shortened(error: Exception) -> str:
    """What an exception says, in one line."""
    return " ".join(str(error).split())[:200]
