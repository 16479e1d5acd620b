"""A journal of runs: what is done is on the disk, so that a killed rollout goes on where it was.

A folder holds `settings.json`, which says what all its runs have in common, and a file of lines for each shard. A line
is one run, by its question, its sample number and a hash of the settings; it is on the disk before the next question
is taken. Folders of several machines are merged by copying their files into one.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import re
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lrat_hub.agents.environment import SearchEnvironment
from lrat_hub.agents.runner import Agent, Question
from lrat_hub.errors import LratError
from lrat_hub.schema import Status, Trajectory
from lrat_hub.storage import fsync_path

SETTINGS_FILE = "settings.json"

Key = tuple[str, int]
"""Query id and sample number of a run."""


@dataclass(frozen=True)
class Shard:
    """One machine's share of the questions: number `index` of `count`, from 1."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Reads "i/n". Raises LratError for anything else."""
        match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise LratError(f"Shard: expected i/n with i from 1 to n, found {text!r}.")
        return cls(int(match[1]), int(match[2]))

    def of(self, questions: Sequence[Question]) -> list[Question]:
        return list(questions[self.index - 1 :: self.count])

    @property
    def file_name(self) -> str:
        return f"shard-{self.index}-of-{self.count}.jsonl"


@dataclass(frozen=True)
class _Entry:
    """Where a run's line is."""

    path: Path
    start: int
    length: int
    status: Status


class Journal:
    """Runs that were made with one set of settings, inside `with`.

    Args:
        folder: Made when it is missing.
        settings: Everything that shapes a run, as values of JSON.
        shard: The file that this process writes.
        inherited: Dotted names of settings that the caller can't know: taken as they are in a journal that is there.

    Raises:
        LratError: The folder has runs with other settings, a file of it can't be read, or another process is writing
            this shard.
    """

    def __init__(
        self,
        folder: str | Path,
        settings: Mapping[str, Any],
        shard: Shard | None = None,
        *,
        inherited: Collection[str] = (),
    ) -> None:
        self.folder = Path(folder)
        self.settings = json.loads(json.dumps(settings))
        if not inherited:
            self.folder.mkdir(parents=True, exist_ok=True)
        self._agree(inherited)
        self.hash = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:16]
        self._entries: dict[Key, _Entry] = {}
        self._lock = threading.Lock()
        self._path = self.folder / (shard or Shard()).file_name
        self._file = self._open()
        try:
            for path in sorted(self.folder.glob("shard-*.jsonl")):
                self._index(path)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @staticmethod
    def compare(folder: str | Path, settings: Mapping[str, Any], *, inherited: Collection[str] = ()) -> None:
        """Looks whether a journal with these settings could be opened there, and writes nothing.

        Raises:
            LratError: The folder has runs with other settings.
        """
        there = _read_settings(Path(folder))
        if there is not None:
            _require_same(Path(folder), there, json.loads(json.dumps(settings)), inherited)

    @staticmethod
    def discard(folder: str | Path) -> None:
        """Throws a folder's runs and settings away, and nothing else that is in it."""
        for path in [*Path(folder).glob("shard-*.jsonl"), Path(folder) / SETTINGS_FILE]:
            path.unlink(missing_ok=True)

    def pending(self, questions: Sequence[Question]) -> list[Question]:
        """Those without a run, or with one that failed."""
        return [question for question in questions if self._status(question) in (None, "failed")]

    def statuses(self, questions: Iterable[Question]) -> Counter[str]:
        """How the runs of questions ended; those that have none yet are "missing"."""
        return Counter(self._status(question) or "missing" for question in questions)

    def trajectories(self, questions: Iterable[Question]) -> Iterator[Trajectory]:
        """The runs of questions, in their order; those without a run are left out."""
        for question in questions:
            entry = self._entries.get(_key(question))
            if entry is not None:
                with entry.path.open("rb") as file:
                    file.seek(entry.start)
                    yield Trajectory.from_dict(json.loads(file.read(entry.length))["trajectory"])

    async def append(self, question: Question, trajectory: Trajectory) -> None:
        """Writes a run; when this returns it is on the disk."""
        await asyncio.to_thread(self._write, question, trajectory)

    def _write(self, question: Question, trajectory: Trajectory) -> None:
        row = {
            "query_id": question.query_id,
            "sample": question.sample,
            "settings": self.hash,
            "trajectory": trajectory.to_dict(),
        }
        line = (json.dumps(row) + "\n").encode()
        with self._lock:
            start = self._file.tell()
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._entries[_key(question)] = _Entry(self._path, start, len(line), trajectory.status)

    def _status(self, question: Question) -> Status | None:
        entry = self._entries.get(_key(question))
        return entry.status if entry else None

    def _agree(self, inherited: Collection[str]) -> None:
        """Leaves the settings in the folder, or compares them with those that are there."""
        path = self.folder / SETTINGS_FILE
        content = (json.dumps(self.settings, indent=2, sort_keys=True) + "\n").encode()
        there = _read_settings(self.folder)
        if there is None:
            if inherited:
                raise LratError(f"Journal {self.folder}: expected a journal there, found none.")
            temporary = path.with_suffix(f".{os.getpid()}")
            with temporary.open("wb") as file:
                file.write(content)
                os.fsync(file.fileno())
            temporary.replace(path)
            fsync_path(self.folder)
            return
        _require_same(self.folder, there, self.settings, inherited)
        self.settings = there

    def _open(self) -> BinaryIO:
        """The shard's file, at its end, without the line that a killed process may have left unfinished."""
        file = self._path.open("a+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise LratError(
                f"Journal {self._path}: another process is writing it. Wait for it, or stop it."
            ) from error
        file.seek(0)
        end = 0
        for line in file:
            if not line.endswith(b"\n"):
                break
            end += len(line)
        file.truncate(end)
        file.seek(end)
        fsync_path(self.folder)
        return file

    def _index(self, path: Path) -> None:
        start = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                # Another process may be in the middle of a line of its own shard.
                if not line.endswith(b"\n"):
                    return
                try:
                    row = json.loads(line)
                    key, written = (row["query_id"], row["sample"]), row["settings"]
                    entry = _Entry(path, start, len(line), row["trajectory"]["status"])
                except (ValueError, KeyError, TypeError) as error:
                    raise LratError(f"Journal {path}, line {number}: expected a run; {error!r}.") from error
                if written != self.hash:
                    raise LratError(
                        f"Journal {path}, line {number}: a run with other settings, {written}. Move it away."
                    )
                known = self._entries.get(key)
                if known is None or known.status == "failed":
                    self._entries[key] = entry
                start += len(line)


def _key(question: Question) -> Key:
    return question.query_id, question.sample


def run_settings(
    agent: Agent, environment: SearchEnvironment, *, max_turns: int, inputs: Mapping[str, str]
) -> dict[str, Any]:
    """Everything that shapes a run, for a journal.

    Args:
        inputs: Pins of what the runs read, by the name of the input.
    """
    return {
        "agent": {
            "name": agent.name,
            "revision": agent.revision,
            "sampling": asdict(agent.sampling),
            "settings": dict(agent.settings),
        },
        "retriever": {"name": environment.retriever.name, "revision": environment.retriever.revision},
        "environment": environment.settings,
        "max_turns": max_turns,
        "inputs": dict(inputs),
    }


def _read_settings(folder: Path) -> dict[str, Any] | None:
    """The settings of the runs in a folder; None where there are none."""
    path = folder / SETTINGS_FILE
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise LratError(f"Journal {path}: expected the settings of its runs; {error}.") from error


def _require_same(folder: Path, there: Mapping[str, Any], here: Mapping[str, Any], inherited: Collection[str]) -> None:
    """Raises LratError when settings differ in anything that is not `inherited`, by its dotted name."""
    differences = [text for name, text in _differences(there, here) if name not in inherited]
    if differences:
        raise LratError(
            f"Journal {folder}: expected runs with these settings, found others: {'; '.join(differences)}. "
            "Give another `journal`, or `restart` to discard these runs."
        )


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What differs between two settings: each value's dotted name, and the difference in words."""
    old, new = dict(_flat(there)), dict(_flat(here))
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield name, f"{name} was {_shown(old.get(name))} and is {_shown(new.get(name))}"


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _flat(part, f"{name}.{key}" if name else key)
    else:
        yield name, value


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


def journals_folder() -> Path:
    """Where journals are kept when nobody says otherwise: in HF_HOME."""
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME) / "lrat" / "rollouts"


def default_folder(settings: Sequence[Mapping[str, Any]], *, inherited: Collection[str] = ()) -> Path:
    """The folder of the journals of some work, wherever it is published to: named after the agent and the settings.

    Args:
        settings: Those of the runs with each retriever (see `run_settings`).
        inherited: Dotted names of settings that are not known before the agent's server runs.
    """
    shaping = [
        sorted((name, json.dumps(value, sort_keys=True)) for name, value in _flat(one) if name not in inherited)
        for one in settings
    ]
    digest = hashlib.sha256(json.dumps(sorted(shaping)).encode()).hexdigest()[:16]
    agent = re.sub(r"[^\w.-]+", "-", str(settings[0]["agent"]["name"]), flags=re.ASCII)[:80]
    return journals_folder() / f"{agent}-{digest}"
