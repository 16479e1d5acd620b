"""The folder a Hub lives in: one process at a time owns it, and tokens in it say who may use the Hub.

ROOT/.lock                       held while a server runs; says which process holds it, and the port
ROOT/token                       the owner's token; `lrat hub env` hands it out
ROOT/tokens.json                 the tokens that the owner made for others, of which only hashes are kept
ROOT/repos/KIND/NS/NAME.git      repositories, see `store`
ROOT/objects/NS/AA/BB/SHA256     large files, see `objects`
ROOT/tmp                         uploads under way

The token files are readable by the user who runs the Hub and nobody else; a file that others may read is refused.
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
from lrat_hub.localhub.protocol import RepoId

Role = Literal["read", "write"]
# Inode, time of the last change and size of a file.
Stamp = tuple[int, int, int]

LOCK = ".lock"
OWNER_TOKEN = "token"
TOKENS = "tokens.json"


def prepare_root(root: Path) -> Path:
    """Make the folder if it is missing. Private to its user, like the private repositories in it."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise LratError(f"cannot open the Hub: expected a folder, found a file at {root}; give another root") from None
    except OSError as error:
        raise LratError(f"cannot open the Hub at {root}: {error.strerror}; give a root you can write to") from None
    _make_private(root)
    return root.resolve()


def _make_private(root: Path) -> None:
    """Take the folder of a Hub, or an empty one, away from the eyes of others, who may have made it before."""
    mode = stat.S_IMODE(root.stat().st_mode)
    of_a_hub = (root / OWNER_TOKEN).exists() or (root / "repos").is_dir() or not any(root.iterdir())
    if mode & 0o077 and of_a_hub:
        # Who is not its owner, as in a container, can't; tokens are private by themselves.
        with contextlib.suppress(PermissionError):
            root.chmod(mode & 0o700)


def existing_root(root: Path) -> Path:
    """The folder of a Hub that has been served before, or has a token. A mistyped one is not made.

    Raises:
        LratError: There is none.
    """
    if not any((root / name).exists() for name in (OWNER_TOKEN, LOCK, "repos")):
        raise LratError(
            f"cannot open the Hub at {root}: expected a folder of `lrat hub serve`, found none; check its name"
        )
    return root.resolve()


def note_port(root: Path, port: int) -> None:
    """Writes beside the process id of its owner the port that a Hub is served on. Only for who owns the folder."""
    (root / LOCK).write_text(f"{os.getpid()} {port}")


def served_port(root: Path) -> int | None:
    """The port that the Hub of a folder is served on now; None where it is not served."""
    try:
        with (root / LOCK).open() as lock:
            try:
                # Shared: whoever starts a server meanwhile is refused for this moment, not for longer.
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                words = lock.read().split()
                return int(words[1]) if len(words) == 2 else None
    except (OSError, ValueError):
        pass
    return None


@contextlib.contextmanager
def owned(root: Path) -> Iterator[int]:
    """Hold the folder for this process, and for others that inherit the descriptor which this gives.

    Raises:
        LratError: another process holds it; the message names its pid.
    """
    try:
        lock = (root / LOCK).open("a+")
    except OSError as error:
        raise LratError(f"cannot open the Hub at {root}: {error.strerror}; give a root you can write to") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = next(iter(lock.read().split()), "unknown")
            raise LratError(
                f"cannot open the Hub at {root}: process {holder} is already serving it; "
                "use that server, stop it, or give another root"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock.fileno()


def fsync_path(path: Path) -> None:
    """Make the content of a file, or what was made, renamed or removed in a folder, survive a power cut."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def stamp_of(path: Path) -> Stamp | None:
    """What the file system says of a file, which is another thing once it has changed; None if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def replace_file(path: Path, text: str) -> None:
    """Write a file that only its owner can read, in one step: whatever happens, it has the old content or the new."""
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        _write_private(draft, text)
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    fsync_path(path.parent)


@dataclass(frozen=True)
class Account:
    """Who sends a request.

    Args:
        name: The user's name.
        role: `read`, or `write`, which includes reading.
        namespaces: The namespaces whose private repositories the user may read, and, with the role `write`, change;
            None for all.
    """

    name: str
    role: Role
    namespaces: frozenset[str] | None = None

    def reads(self, namespace: str) -> bool:
        return self.namespaces is None or namespace.lower() in {name.lower() for name in self.namespaces}

    def writes(self, namespace: str) -> bool:
        return self.role == "write" and self.reads(namespace)


@dataclass(frozen=True)
class TokenRecord:
    """The record of a token that the owner made for another user."""

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
        self._stamp: Stamp | None = None
        self._by_hash: dict[str, Account] = {}
        # Now: a file that others may read, or that is damaged, is found before the Hub is served.
        self._refresh()

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
        stamp = stamp_of(self._root / TOKENS)
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
    """Make a token for a user other than the owner. Only its hash is kept, so that it can't be shown again.

    Args:
        user: Name of the user, and of the namespace that is theirs.
        role: What the token allows in the user's namespaces.
        namespaces: Further namespaces, which the user shares with others.

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
    """Make a token invalid at once. Raises LratError if no token has this id."""
    with _tokens(root) as records:
        kept = [record for record in records if record.id != token_id]
        if len(kept) == len(records):
            raise LratError(f"token {token_id}: expected the id of a token, found none; see `lrat hub token list`")
        records[:] = kept


def list_tokens(root: Path) -> list[TokenRecord]:
    """The tokens of users other than the owner. Raises LratError if the file is damaged, or others may read it."""
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
    try:
        with open(os.open(root / ".tokens.lock", os.O_RDWR | os.O_CREAT, 0o600)) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            records = list_tokens(root)
            yield records
            replace_file(root / TOKENS, json.dumps([asdict(record) for record in records], indent=1))
    except OSError as error:
        raise LratError(
            f"{root / TOKENS}: expected to write the tokens, found: {error.strerror}; nothing was changed"
        ) from None


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
