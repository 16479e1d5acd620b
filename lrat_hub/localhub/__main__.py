"""The process behind `LocalHub`: `python -m lrat_hub.localhub JSON`, with root, port, user and parent (a process id).

It writes one line of JSON to its standard output, `{"port": N}` or `{"error": "..."}`, and ends when its
parent does. `lrat hub serve` is what people run.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from lrat_hub.errors import LratError
from lrat_hub.localhub.process import serve

PARENT_CHECK_SECONDS = 0.5


def exit_with_parent(parent: int) -> None:
    """Ask this process to stop once `parent` is gone.

    The parent's id is compared, rather than waiting for the end of an inherited pipe, because workers that the
    parent forked hold that pipe too, and outlive a parent that was killed.
    """
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def report(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> int:
    settings = json.loads(sys.argv[1])
    threading.Thread(target=exit_with_parent, args=(settings["parent"],), daemon=True).start()
    try:
        serve(
            Path(settings["root"]),
            port=settings["port"],
            user=settings["user"],
            on_ready=lambda port: report(port=port),
        )
    except LratError as error:
        report(error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
