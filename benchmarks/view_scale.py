"""How soon the page of many runs can be read: `lrat view` with 26,000 runs, looked at in headless Chromium.

    python benchmarks/view_scale.py [--runs 26000] [--steps 20] [--root FOLDER]

Makes runs of words that are drawn at random, two of each question, and writes their page. Then opens it as a file and
from the server, each in a browser that has not seen it: when the first runs can be read, when all of them can be
searched, how long a search takes then, and how long it takes to open a run that was not looked at before. Prints the
median and the worst of five visits, and the largest resident memory of the process that writes.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import random
import resource
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from lrat_hub.schema import Candidate, Step, Trajectory
from lrat_hub.viewer import Notes, build_bundle, create_app

VISITS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=26_000)
    parser.add_argument("--steps", type=int, default=20, help="searches and browses of a run")
    parser.add_argument("--root", type=Path, help="folder for the page, kept; a temporary one if not given")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.root or Path(temporary)) / "page"
        began = time.perf_counter()
        qrels = {f"q{number}": {f"d{number}": 1} for number in range(args.runs // 2)}
        bundle = build_bundle(runs(args.runs, args.steps), folder, title="many runs", notes=Notes(qrels=qrels))
        took = time.perf_counter() - began
        files = sum(1 for path in folder.rglob("*.js"))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{bundle.runs:,} runs, {bundle.bytes / 1e6:,.0f} MB in {files} files, written in {took:.0f} s; "
            f"{memory:,.0f} MB of memory\n"
        )
        print("| opened | first runs, ms | all searchable, ms | a search, ms | another run, ms |")
        print("| --- | ---: | ---: | ---: | ---: |")
        look("as a file", (folder / "index.html").as_uri())
        with served(folder) as address:
            look("from the server", address)


def runs(count: int, steps: int) -> Iterator[Trajectory]:
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 10))) for _ in range(20_000)]

    def text(length: int) -> str:
        return " ".join(rng.choices(words, k=length))

    def step(turn: int, question: int) -> Step:
        if turn == steps:
            return Step(turn, text(60), "answer")
        if turn % 2:
            return Step(turn, text(60), "browse", docid=f"d{question + turn - 1}", observation=text(300))
        hits = tuple(
            Candidate(0, rank, f"d{question + turn + rank - 1}", text(4), text(40), 1 / rank) for rank in range(1, 6)
        )
        return Step(turn, text(60), "search", queries=(text(8),), results=hits)

    for number in range(count):
        question = number // 2
        yield Trajectory(
            f"run-{number}", f"q{question}", text(90), tuple(step(turn, question) for turn in range(steps + 1)),
            correct=(True, False, None)[number % 3], retriever=("bm25", "dense")[number % 2],
        )  # fmt: skip


def serve(folder: Path, listener: socket.socket) -> None:
    import uvicorn

    app = create_app(folder)
    uvicorn.Server(uvicorn.Config(app, lifespan="off", ws="none", log_level="warning")).run(sockets=[listener])


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # In a process of its own, as it is for those who look.
        process = multiprocessing.get_context("fork").Process(target=serve, args=(folder, listener), daemon=True)
        process.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        process.terminate()
        process.join()


def look(how: str, address: str) -> None:
    from playwright.sync_api import sync_playwright

    figures: list[tuple[float, ...]] = []
    with sync_playwright() as playwright:
        for visit in range(VISITS):
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            figures.append(visited(browser.new_page(), address, visit))
            browser.close()
    shown = [f"{median(column):.0f} ({max(column):.0f})" for column in zip(*figures, strict=True)]
    print(f"| {how} | {' | '.join(shown)} |", flush=True)


# What the page itself can tell: from the moment at which the browser was sent there.
FIRST = "() => { const row = document.querySelector('#rows a'); return row && performance.now() }"


def visited(page: Any, address: str, visit: int) -> tuple[float, ...]:
    page.goto(address, wait_until="commit")
    first = wait(lambda: page.evaluate(FIRST))
    whole = wait(lambda: page.evaluate("() => lrat.runs.length === lrat.meta?.runs && performance.now()"))
    search = page.evaluate(
        "() => { const began = performance.now(); lrat.list.form.elements.text.value = 'run-1234'; lrat.list.filter();"
        " document.body.offsetHeight; return performance.now() - began }"
    )
    opened = page.evaluate(
        "async (number) => { const began = performance.now(); history.replaceState(null, '', `#run=run-${number}`);"
        " await lrat.app.route(); document.body.offsetHeight; return performance.now() - began }",
        5_000 * visit + 77,
    )
    return first, whole, search, opened


def wait(ask: Callable[[], float | bool | None]) -> float:
    while not (found := ask()):
        time.sleep(0.01)
    return float(found)


if __name__ == "__main__":
    main()
