"""Language models asked in bulk: engines of vLLM in a Ray cluster, through Ray Data (`ray.data.llm`)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from lrat_hub.errors import LratError
from lrat_hub.llm.chat import ChatError, Message, Reply, chat_request
from lrat_hub.llm.processes import STOP_SECONDS, interpreter_with, last_line
from lrat_hub.llm.settings import ServerSettings

PROGRAM = Path(__file__).with_name("ray_data_program.py")


class RayDataClient:
    """A `ChatBackend` that has to be asked for many replies at once.

    Args:
        folder: The model's files. Each node of the cluster has to reach them under this path.
        name: The model's name.
        revision: Its commit sha, where it is known.
        settings: The interpreter that has vLLM and Ray, options of vLLM, and how many copies of the model there are.
        concurrency: Requests under way at a time for each copy of the model.
        log: File that the output of Ray and vLLM is appended to.
    """

    def __init__(
        self, folder: Path, name: str, revision: str | None, settings: ServerSettings, *, concurrency: int, log: Path
    ) -> None:
        self.folder, self.name, self.revision = folder, name, revision
        self.settings, self.concurrency, self.log = settings, concurrency, log

    async def chat(self, messages: Sequence[Message], **options: Any) -> Reply:
        """Raises ChatError: one reply is not worth the start of a model."""
        raise ChatError(f"{self.name}: expected requests in bulk by `replies`, found one of its own.")

    def replies(
        self, conversations: Iterable[tuple[str, Sequence[Message]]], **options: Any
    ) -> Iterator[tuple[str, Reply | ChatError]]:
        """The replies to conversations, as they come, which is in no order; where there are none, nothing is started.

        Args:
            conversations: Each with a key of its own, which its reply has as well.
            options: Those of `ChatBackend.chat`, for all of them.

        Raises:
            LratError: vLLM or Ray is not installed, or the work has failed.
        """
        requests = (
            {"key": key, "body": chat_request(self.name, messages, **options)} for key, messages in conversations
        )
        first = next(requests, None)
        if first is None:
            return
        with self._program() as process:
            assert process.stdin is not None
            assert process.stdout is not None
            # The program says itself why it no longer reads.
            with contextlib.suppress(BrokenPipeError):
                for line in chain([self._settings(), first], requests):
                    process.stdin.write(f"{json.dumps(line)}\n")
                process.stdin.write("\n")
                process.stdin.flush()
            for line in process.stdout:
                reply = json.loads(line)
                key, error = reply.pop("key"), reply.pop("error", "")
                yield key, ChatError(f"{self.name}: {error}") if error else Reply(**reply)
            if process.wait():
                raise LratError(
                    f"Ray Data: it ended with code {process.returncode}: {last_line(self.log)} See {self.log}. "
                    "The same command goes on with what is not done."
                )

    def _settings(self) -> Mapping[str, Any]:
        return {
            "model": str(self.folder),
            "vllm_options": self.settings.vllm_options(),
            "tensor_parallel": self.settings.tensor_parallel,
            "copies": self.settings.data_parallel or 1,
            "concurrency": self.concurrency,
        }

    @contextlib.contextmanager
    def _program(self) -> Iterator[subprocess.Popen[str]]:
        """The program while inside `with`. Without its input it ends by itself, also when this process is killed."""
        python = interpreter_with(
            "vllm",
            "ray",
            "pandas",  # which Ray Data needs, and Ray alone has not
            given=self.settings.vllm_python,
            advice="Install vllm and ray[data] there, or give `vllm_python`, an interpreter that has both.",
        )
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [python, "-c", PROGRAM.read_text(encoding="utf-8")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8",
                start_new_session=True,
            )  # fmt: skip
        try:
            yield process
        finally:
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if stream is not None:
                        stream.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
