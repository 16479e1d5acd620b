"""Commands with workers, of which some are killed."""

import signal
import subprocess
import sys
import time

import psutil


def kill_half_way(words, folder, pattern, *, count, whole, victim):
    """Kills the command or one of its workers once some files are there.

    Args:
        pattern: Of the files, below the folder.
        count, whole: How many files to wait for, and how many there would be at the end.
        victim: "command" or "worker".

    Returns:
        Exit status, standard error, and the time of writing of each file that was there, by its path.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "lrat_hub.cli", *map(str, words)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while len(list(folder.glob(pattern))) < count and process.poll() is None:
        time.sleep(0.005)
    children = psutil.Process(process.pid).children()
    workers = [child for child in children if "multiprocessing.spawn" in " ".join(child.cmdline())]
    (process if victim == "command" else workers[0]).send_signal(signal.SIGKILL)
    said = process.communicate(timeout=60)[1]
    # None goes on working for a command that is gone.
    assert psutil.wait_procs(workers, timeout=60)[1] == []
    done = {path: path.stat().st_mtime_ns for path in folder.glob(pattern)}
    assert count <= len(done) < whole
    return process.returncode, said, done
