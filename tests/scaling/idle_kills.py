"""Maps tasks on several processes, kills all of these but one as they are told to end, and prints the results.

    python -m tests.scaling.idle_kills

One that waits for a task holds the lock that the others wait for: where it is killed, they would wait forever, and
this process for them at its exit.
"""

import os
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

from lrat_hub.scaling.processes import map_in_order
from tests.waiting import wait_until

PROCESSES = 3


def begin(work):
    global folder
    folder = Path(work)


def square(number):
    # Processes start one after the other, and no further ones where the first have nothing to do.
    (folder / str(os.getpid())).touch()
    wait_until(lambda: len(list(folder.iterdir())) == PROCESSES)
    return number**2


def main():
    for survivor in range(PROCESSES):
        with tempfile.TemporaryDirectory() as started:
            mapped = map_in_order(square, range(10), begin=begin, work=started, processes=PROCESSES)
            results = [next(mapped) for _ in range(10)]
            workers = [psutil.Process(int(pid.name)) for pid in Path(started).iterdir()]
        # Those that stand still are killed before they hear that there is nothing left to do.
        for worker in workers:
            worker.suspend()
        ending = threading.Thread(target=results.extend, args=(mapped,))
        ending.start()
        time.sleep(0.5)
        for number, worker in enumerate(workers):
            with suppress(psutil.NoSuchProcess):  # it has ended
                worker.resume() if number == survivor else worker.kill()
        ending.join()
        print(*results, flush=True)


if __name__ == "__main__":
    main()
