"""The rate of rollouts on several servers of one model, also when one of them is killed.

    python benchmarks/rollout_replicas.py [--questions 480] [--slots 8] [--delay 0.5]

Each server is a scripted one in a process of its own, which makes `slots` replies at a time that take `delay` seconds
each, as a GPU that is full: it can't give more than slots / delay replies a second. Twice as many questions as there
are slots are worked on, so that no slot waits. Replies are counted from the moment when as many runs have ended as are
worked on, to the moment when no question waits any more. Of a run with a kill those after the kill are counted, from
twice the delay on. Exits with 1 where a question has no completed run.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lrat_hub.agents import LanguageAgent, Question, run_each
from lrat_hub.llm.replicas import ReplicatedClient
from lrat_hub.schema import Step, Trajectory
from tests.agents.scripted import SAMPLING, Spread, environment
from tests.chat_server import Script, ServerProcess


def measure(args: argparse.Namespace, replicas: int, *, kill: bool = False) -> float:
    """Replies a second; with a kill, after one of the servers was killed when a third of the runs had ended."""
    concurrency = 2 * args.slots * replicas
    questions = [Question(f"q{number}", f"which is the thing {number}") for number in range(args.questions)]
    replies: list[float] = []
    ended: list[tuple[float, Question, Trajectory]] = []
    killed = 0.0
    with ExitStack() as stack:
        script = Script(protocol="json", delay=args.delay, slots=args.slots)
        servers = [stack.enter_context(ServerProcess(script)) for _ in range(replicas)]
        client = ReplicatedClient([server.base_url for server in servers], "scripted", timeout=60)
        agent = LanguageAgent(client, "json", sampling=SAMPLING, max_tokens=400)

        def on_step(_: Step) -> None:
            replies.append(time.perf_counter())

        async def keep(question: Question, run: Trajectory) -> None:
            nonlocal killed
            ended.append((time.perf_counter(), question, run))
            # Of all replies, the answer alone is no step that is told of.
            replies.append(ended[-1][0])
            if kill and len(ended) == args.questions // 3:
                servers[0].process.kill()
                killed = time.perf_counter()

        asyncio.run(run_each(agent, questions, environment(Spread()), keep, concurrency=concurrency, on_step=on_step))
    names = [question.query_id for _, question, run in ended if run.status == "completed"]
    if sorted(names) != sorted(question.query_id for question in questions):
        sys.exit(f"Expected {len(questions)} questions completed once each, found {len(names)}.")
    start = killed + 2 * args.delay if kill else ended[concurrency][0]
    end = ended[len(ended) - concurrency][0]
    return sum(start < moment <= end for moment in replies) / (end - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=480)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--delay", type=float, default=0.5)
    args = parser.parse_args()
    ceiling = args.slots / args.delay
    print("| servers | replies a second | of what they can give | of one |\n| --- | ---: | ---: | ---: |", flush=True)
    one = 0.0
    for replicas, kill in ((1, False), (2, False), (3, False), (3, True)):
        rate = measure(args, replicas, kill=kill)
        one = one or rate
        left = replicas - kill
        shown = "3, one of them killed" if kill else replicas
        print(f"| {shown} | {rate:.1f} | {rate / (left * ceiling):.3f} | {rate / one:.2f} |", flush=True)


if __name__ == "__main__":
    main()
