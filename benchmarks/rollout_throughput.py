"""How close rollouts come to the rate that the chat server allows, and how searches reach the retriever.

    python benchmarks/rollout_throughput.py [--questions 64] [--concurrency 32] [--delay 0.05] [--rounds 3]

A scripted server, in a process of its own, waits before each reply. Measured in the same run are the times

- of the rollout;
- of its ideal: every reply comes as fast as replies come to a single client that does nothing else, and workers take
  the questions in turn;
- of the waiting alone, the same without any time of network, client and server;
- and of sending the very same requests again by the same client at the same concurrency, with nothing in between.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from lrat_hub.agents import LanguageAgent, Question, run_agents
from lrat_hub.llm.chat import ChatClient
from tests.agents.scripted import SAMPLING, Spread, environment
from tests.chat_server import Script, serve

LONE = 4
"""Questions whose requests are sent one after the other, for the ideal."""


class Recording(ChatClient):
    """Keeps the requests of each question."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sent: dict[str, list[tuple[Any, dict[str, Any]]]] = {}

    async def chat(self, messages: Sequence[Any], **options: Any) -> Any:
        self.sent.setdefault(messages[1]["content"].removeprefix("Question: "), []).append(
            ([dict(m) for m in messages], options)
        )
        return await super().chat(messages, **options)


def measure(questions: int, concurrency: int, delay: float, protocol: str) -> dict[str, float]:
    asked = [Question(f"q{number}", f"which is the thing {number}") for number in range(questions)]
    with serve(Script(protocol=protocol, delay=delay)) as base_url:
        client, retriever = Recording(base_url, "scripted"), Spread()
        agent = LanguageAgent(client, protocol, sampling=SAMPLING, max_tokens=400)
        # Connections and imports are made before the clock runs.
        run_agents(agent, asked[:concurrency], environment(Spread()), concurrency=concurrency)
        client.sent.clear()
        rollout = _timed(lambda: run_agents(agent, asked, environment(retriever), concurrency=concurrency))
        runs = [client.sent[question.text] for question in asked]
        replay = _timed(lambda: asyncio.run(_replay(client, runs, concurrency)))
        lone = runs[:LONE]
        reply = _timed(lambda: asyncio.run(_replay(client, lone, 1)))[0] / sum(map(len, lone))
    lengths = [len(client.sent[question.text]) for question in asked]
    batches = [len(batch) for batch in retriever.batches]
    return {
        "requests": sum(lengths),
        "rollout_seconds": rollout[0],
        "replay_seconds": replay[0],
        "ideal_seconds": _makespan([length * reply for length in lengths], concurrency),
        "waiting_seconds": _makespan([length * delay for length in lengths], concurrency),
        "rollout_cpu_seconds": rollout[1],
        "replay_cpu_seconds": replay[1],
        "searches": sum(batches),
        "batches": len(batches),
        "largest_batch": max(batches),
    }


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the wall and of this process on a CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


async def _replay(client: Recording, runs: Sequence[Sequence[tuple[Any, dict[str, Any]]]], concurrency: int) -> None:
    waiting = iter(runs)

    async def work() -> None:
        for requests in waiting:
            for messages, options in requests:
                await ChatClient.chat(client, messages, **options)

    await asyncio.gather(*(work() for _ in range(concurrency)))


def _makespan(seconds: Sequence[float], workers: int) -> float:
    """When workers that take jobs in turn are done."""
    free = [0.0] * workers
    for job in seconds:
        heapq.heapreplace(free, free[0] + job)
    return max(free)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the rate of rollouts.")
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--delay", type=float, default=0.05)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--protocol", default="json")
    args = parser.parse_args()
    rounds = [measure(args.questions, args.concurrency, args.delay, args.protocol) for _ in range(args.rounds)]
    for row in rounds:
        print(json.dumps({name: round(value, 3) for name, value in row.items()}))
    for other in ("ideal_seconds", "waiting_seconds", "replay_seconds"):
        shares = [row[other] / row["rollout_seconds"] for row in rounds]
        name = other.removesuffix("_seconds")
        print(f"{name} / rollout: median {statistics.median(shares):.2f}, best {max(shares):.2f}")


if __name__ == "__main__":
    main()
