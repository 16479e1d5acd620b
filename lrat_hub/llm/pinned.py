"""Texts of others that have to be used to the letter: shipped as pointers, and read where their authors publish them.

A model was trained on one system message, and a benchmark's judge has one template. This project holds no copy of
them: a pointer names repository, commit, file and constant, and the SHA-256 of the text; any other text is refused.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lrat_hub.errors import LratError

SOURCE = "https://raw.githubusercontent.com"


@dataclass(frozen=True)
class Pointer:
    """A text in a Python file of a public repository.

    Args:
        repository: `owner/name` on GitHub.
        commit: Full SHA of the commit.
        file: Path inside the repository.
        constant: Name of the constant that holds the text; several are joined, as in "HEAD+TAIL".
        sha256: Of the text in UTF-8, before anything is put into it.
        fields: What stands in the place of the fields of a text that is a format string: `{Question}`.
        replace: Other texts to replace, and what by.
    """

    repository: str
    commit: str
    file: str
    constant: str
    sha256: str
    fields: Mapping[str, str] = field(default_factory=dict)
    replace: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.repository}@{self.commit[:7]}:{self.file}, {self.constant}"

    def read(self, checkout: Path | None = None) -> str:
        """The text, with its fields filled.

        Args:
            checkout: A checkout of the repository, or a folder with one by its name (`LRAT`). None reads the text from
                the cache in HF_HOME, or else from GitHub.

        Raises:
            LratError: It can't be read, is another text, or has fields that are not filled.
        """
        text = self._from_checkout(checkout) if checkout is not None else self._from_cache()
        try:
            text = text.format(**self.fields) if self.fields else text
        except (LookupError, ValueError) as error:
            raise LratError(f"{self}: expected a value for each of its fields, found {list(self.fields)}.") from error
        for old, new in self.replace.items():
            text = text.replace(old, new)
        return text

    def _from_checkout(self, checkout: Path) -> str:
        inside = checkout / self.repository.rpartition("/")[2] / self.file
        path = inside if inside.is_file() else checkout / self.file
        try:
            return self._checked(path.read_bytes(), str(path))
        except OSError as error:
            raise LratError(f"{self}: expected its file in the checkout; {error}.") from error

    def _from_cache(self) -> str:
        from huggingface_hub.constants import HF_HOME

        cached = Path(HF_HOME) / "lrat" / "pinned" / f"{self.sha256}.txt"
        if cached.is_file() and _sha256(text := cached.read_bytes().decode(errors="replace")) == self.sha256:
            return text
        text = self._checked(self._download(), self._url)
        cached.parent.mkdir(parents=True, exist_ok=True)
        cached.write_bytes(text.encode())
        return text

    @property
    def _url(self) -> str:
        return f"{SOURCE}/{self.repository}/{self.commit}/{self.file}"

    def _download(self) -> bytes:
        from huggingface_hub import constants
        from huggingface_hub.utils import get_session

        hint = "Name a checkout of the repository behind the name, as NAME@PATH."
        if constants.HF_HUB_OFFLINE:
            raise LratError(f"{self}: expected to read it from GitHub, found HF_HUB_OFFLINE set. {hint}")
        try:
            response = get_session().get(self._url, timeout=30)
            response.raise_for_status()
        except Exception as error:  # the session's library, and so its exceptions, differ between versions
            said = " ".join(str(error).split())
            raise LratError(f"{self}: expected to read {self._url}; {said}. {hint}") from error
        return response.content

    def _checked(self, source: bytes, where: str) -> str:
        constants = _constants(source)
        parts = [constants.get(name.strip()) for name in self.constant.split("+")]
        text = "".join(part for part in parts if part is not None)
        if None in parts or _sha256(text) != self.sha256:
            found = "no such constant" if None in parts else f"a text with {_sha256(text)}"
            raise LratError(f"{where}: expected {self.constant} with the SHA-256 {self.sha256}, found {found}.")
        return text


def resolved(value: Any, checkout: Path | None) -> Any:
    """A value out of YAML with a text in the place of each pointer, a mapping with the keys of `Pointer`.

    Raises:
        LratError: A pointer lacks a key or has another one, or its text can't be read.
    """
    if isinstance(value, Mapping):
        if "constant" in value and "sha256" in value:
            try:
                pointer = Pointer(**value)
            except TypeError as error:
                expected = ", ".join(item.name for item in dataclasses.fields(Pointer))
                raise LratError(f"Pointer to a text: expected {expected}; found {', '.join(value)}.") from error
            return pointer.read(checkout)
        return {key: resolved(part, checkout) for key, part in value.items()}
    return [resolved(part, checkout) for part in value] if isinstance(value, list) else value


def _constants(source: bytes) -> dict[str, str]:
    """The texts that a Python file assigns to names of its own, without running it."""
    try:
        with warnings.catch_warnings():
            # Escapes that are none, as in "100|\%|", are the authors' matter.
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {}
    assigned = (node for node in tree.body if isinstance(node, ast.Assign))
    named = ((target.id, node.value) for node in assigned for target in node.targets if isinstance(target, ast.Name))
    return {name: text for name, value in named if (text := _text(value)) is not None}


def _text(node: ast.expr) -> str | None:
    """A text literal, or one that is stripped."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Call(func=ast.Attribute(value=inner, attr="strip"), args=[], keywords=[]):
            text = _text(inner)
            return None if text is None else text.strip()
    return None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
