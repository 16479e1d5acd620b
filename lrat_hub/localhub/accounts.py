"""Who has a token of this Hub: its owner, and those whom `lrat hub token create` made one for.

ROOT/token            the owner's token; `lrat hub env` hands it out
ROOT/tokens.json      the tokens of others, of which only hashes are kept

Both are readable by the user who runs the Hub and nobody else; a file that others may read is refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from lrat_hub.errors import LratError
from lrat_hub.localhub.names import RepoId
from lrat_hub.storage import fsync_path

Role = Literal["read", "write"]

OWNER_TOKEN = "token"
TOKENS = "tokens.json"


@dataclass(frozen=True)
class Account:
    """Who sends a request.

    Args:
        name: Of the user.
        role: `read`, or `write`, which includes it.
        namespaces: Where the user reads private repositories, and writes with that role; None for everywhere.
    """

    name: str
    role: Role
    namespaces: frozenset[str] | None = None

    def reads(self, namespace: str) -> bool:
        return self.namespaces is None or namespace in self.namespaces

    def writes(self, namespace: str) -> bool:
        return self.role == "write" and self.reads(namespace)


@dataclass(frozen=True)
class TokenRecord:
    """A token of somebody other than the owner, as it is kept."""

    id: str
    user: str
    role: Role
    namespaces: tuple[str, ...]
    created_at: str
    sha256: str


class Accounts:
    """The accounts of a Hub by token. Tokens that are made or revoked count at once, also while the Hub is served."""

    def __init__(self, root: Path, owner: str) -> None:
        self.owner = Account(owner, "write")
        self._root = root
        self._owner_hash = _hash(read_token(root))
        self._stamp: tuple[int, ...] | None = None
        self._by_hash: dict[str, Account] = {}

    def find(self, token: str) -> Account | None:
        """Whose token it is; None if it is nobody's."""
        hashed = _hash(token)
        if hmac.compare_digest(hashed, self._owner_hash):
            return self.owner
        self._refresh()
        return self._by_hash.get(hashed)

    def link_key(self) -> bytes:
        """What links are signed with: the same after a restart, and another one with another owner's token."""
        return hmac.new(self._owner_hash.encode(), b"links", hashlib.sha256).digest()

    def _refresh(self) -> None:
        try:
            found = (self._root / TOKENS).stat()
        except FileNotFoundError:
            self._by_hash = {}
            return
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp != self._stamp:
            records = list_tokens(self._root)
            self._by_hash = {
                record.sha256: Account(record.user, record.role, frozenset(record.namespaces)) for record in records
            }
            self._stamp = stamp


def read_token(root: Path) -> str:
    """The owner's token; made on first use.

    Raises:
        LratError: others may read the file.
    """
    path = root / OWNER_TOKEN
    if not path.exists():
        draft = root / f".token-{secrets.token_hex(4)}"
        _write_private(draft, _new_token())
        # A link appears complete or not at all, and never replaces a token that another process has handed out.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return _read_private(path).strip()


def create_token(root: Path, user: str, role: Role, namespaces: Iterable[str] = ()) -> str:
    """A new token; it is shown this once.

    Args:
        user: Whose; also the name of the user's own namespace.
        role: What it allows in the user's namespaces.
        namespaces: Further ones, which the user shares with others.

    Raises:
        LratError: the user or a namespace has a name that no namespace may have.
    """
    own = tuple(dict.fromkeys((user, *namespaces)))
    for name in own:
        if not RepoId("models", name, "name").valid:
            raise LratError(
                f"token: expected a name that a namespace may have, found {name!r}; use letters and digits"
            )
    token = _new_token()
    created_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with _tokens(root) as records:
        records.append(TokenRecord(secrets.token_hex(4), user, role, own, created_at, _hash(token)))
    return token


def revoke_token(root: Path, token_id: str) -> None:
    """Make a token worthless. Raises LratError if there is none with this id."""
    with _tokens(root) as records:
        kept = [record for record in records if record.id != token_id]
        if len(kept) == len(records):
            raise LratError(f"token {token_id}: expected the id of a token, found none; see `lrat hub token list`")
        records[:] = kept


def list_tokens(root: Path) -> list[TokenRecord]:
    """The tokens of others than the owner. Raises LratError if the file is damaged, or others may read it."""
    path = root / TOKENS
    if not path.exists():
        return []
    try:
        return [
            TokenRecord(**{**record, "namespaces": tuple(record["namespaces"])})
            for record in json.loads(_read_private(path))
        ]
    except (ValueError, TypeError, KeyError):
        raise LratError(f"{path}: expected the tokens of a Hub, found something else; restore or remove it") from None


@contextlib.contextmanager
def _tokens(root: Path) -> Iterator[list[TokenRecord]]:
    """The tokens, to be changed in place: one process at a time, and written in one step."""
    with open(os.open(root / ".tokens.lock", os.O_RDWR | os.O_CREAT, 0o600)) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        records = list_tokens(root)
        yield records
        draft = root / f".tokens-{secrets.token_hex(4)}"
        _write_private(draft, json.dumps([asdict(record) for record in records], indent=1))
        draft.rename(root / TOKENS)
        fsync_path(root)


def _new_token() -> str:
    return "hf_" + secrets.token_hex(20)


def _hash(token: str) -> str:
    # Tokens are 160 random bits: there is nothing to guess that a slow hash would protect.
    return hashlib.sha256(token.encode()).hexdigest()


def _write_private(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _read_private(path: Path) -> str:
    with path.open() as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise LratError(
                f"{path}: expected a file that only you can read (mode 0600), found mode {mode:04o}; "
                f"run chmod 600 {path}, and remove it to get a new token if others may have read it"
            )
        return file.read()
