"""The process behind `LocalHub`: `python -m lrat_hub.localhub --root DIR --port N --user NAME --parent PID`.

It writes one line of JSON to its standard output, `{"port": N}` or `{"error": "..."}`, and ends when its
parent does.
"""

from __future__ import annotations

import argparse
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
    print(json.dumps(message), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lrat_hub.localhub")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--parent", type=int, required=True)
    args = parser.parse_args()

    threading.Thread(target=exit_with_parent, args=(args.parent,), daemon=True).start()
    try:
        serve(args.root, port=args.port, user=args.user, on_ready=lambda port: report(port=port))
    except LratError as error:
        report(error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
