"""GRPO through `SearchEnv` on two cores: a tiny model learns to keep to its tools, is killed and goes on.

Needs the folder `twowiki` (corpus.jsonl, queries.tsv, qrels_evidence.txt) and the packages of the extra `dev`::

    python benchmarks/search_env_grpo.py --data twowiki --work work --steps 60 --kill 25

A Llama of about a million random weights first reads conversations of a plain agent, which searches for the question,
opens the first result and answers with its title, until some of its calls can be carried out. Then it searches
itself, with BM25, and learns by GRPO from the format of its runs and the evidence that they find and open. The
process is killed with SIGKILL once after `--kill` steps and started again with the same arguments; what is done is
not done again, also when this script is stopped and started. It prints the course of the mean reward and of its
parts, and the same model on other questions before and after, with a paired interval.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from natural_questions import NaturalData
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from lrat_hub.agent_training import (
    AgentFitSettings,
    ConversationTokenizer,
    GRPOSettings,
    RewardFunctions,
    RewardSettings,
    SearchEnv,
    conversation_of,
    fit_agent,
    fit_agent_by_rewards,
    prepare_tokenizer,
    question_rows,
    rewards_of,
    tokenize_runs,
)
from lrat_hub.agent_training.rewards import read_run
from lrat_hub.agents import Answer, Browse, Call, Observation, Question, Search, SearchEnvironment, run_agents
from lrat_hub.agents.protocols import AgentPrompt
from lrat_hub.fitting.runs import last_checkpoint
from lrat_hub.hub.cards import markdown_table
from lrat_hub.judges.answers import AnswerJudge
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.schema import Sampling, Trajectory
from lrat_hub.significance import paired_difference

PROMPT = AgentPrompt(
    system="Search the collection, open a document, then answer.",
    question="{question}",
    final="Answer now.",
    again="call a tool, or answer",
    tools=AgentPrompt.load("tools").tools,
)
K, SNIPPET_TOKENS, BROWSE_TOKENS, MAX_TURNS = 3, 6, 20, 4
MAX_COMPLETION, TEMPERATURE, GENERATIONS, QUESTIONS_PER_STEP = 320, 0.8, 8, 2
REWARDS = RewardSettings(answer=0.0, evidence_found=0.5, evidence_opened=0.5, format=1.0)
LEARNED_FROM = 300
"""Questions, from the first on, that both trainings see; the others are asked before and after."""


class Plain:
    """Searches for the question, opens the first result, and answers with its title."""

    name, revision, sampling, settings = "plain", None, Sampling(), {}

    def start(self, question: str) -> PlainEpisode:
        return PlainEpisode(question)


class PlainEpisode:
    def __init__(self, question: str) -> None:
        self._question, self.notes = question, {}

    async def act(self, observation: Observation | None) -> Call:
        if observation is None:
            return Search("", (self._question,))
        if observation.document is None:
            return Browse("", observation.results[0].docid)
        return Answer("", observation.document.title)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--kill", type=int, default=25, help="Step after which it is killed once; 0: never.")
    parser.add_argument("--warm-up", type=int, default=180, help="Steps of supervised training before.")
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=["all", "grpo"], default="all", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    world = World(NaturalData.load(args.data))
    if args.part == "grpo":
        return train(world, args)
    warm_up(world, args.work / "start", args.warm_up)
    if not (args.work / "trained" / "log.json").is_file():
        run_until_done(args)
    report(world, args)
    return None


class World:
    """The questions and what they are asked in."""

    def __init__(self, data: NaturalData) -> None:
        self.data = data
        self.environment = SearchEnvironment(
            BM25Retriever(list(data.documents)), data.by_docid,
            k=K, snippet_tokens=SNIPPET_TOKENS, browse_tokens=BROWSE_TOKENS,
        )  # fmt: skip

    def kind(self, **options: Any) -> type[SearchEnv]:
        return SearchEnv.over(
            self.environment, prompt=PROMPT, max_turns=MAX_TURNS, evidence=self.data.qrels, rewards=REWARDS, **options
        )

    def evidence(self, run: Trajectory) -> frozenset[str]:
        return frozenset(self.data.qrels[run.query_id])


def warm_up(world: World, folder: Path, steps: int) -> None:
    """The model at the start: its tokenizer has been trained on the plain agent's conversations, and so has it."""
    if folder.is_dir():
        return
    runs = run_agents(Plain(), world.data.questions[:LEARNED_FROM], world.environment)
    conversations = [conversation_of(run, "tools", PROMPT, reasoning="content") for run in runs]
    tokenizer = trained_tokenizer([json.dumps(one.messages, ensure_ascii=False) for one in conversations])
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=128, intermediate_size=384, num_hidden_layers=4,
            num_attention_heads=4, max_position_embeddings=2_048, tie_word_embeddings=True,
            bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip
    rows = tokenize_runs(conversations, ConversationTokenizer(tokenizer, "chatml"), max_length=2_048)
    start = time.monotonic()
    fitted = fit_agent(
        model, tokenizer, rows,
        AgentFitSettings(max_steps=steps, batch_size=8, gradient_accumulation_steps=1, learning_rate=2e-3),
    )  # fmt: skip
    print(f"warm-up: {steps} steps in {time.monotonic() - start:.0f} s; {fitted}", flush=True)
    part = folder.with_suffix(".part")
    fitted.model.save_pretrained(part)
    tokenizer.save_pretrained(part)
    part.rename(folder)


def trained_tokenizer(texts: list[str]) -> Any:
    from tokenizers import Tokenizer
    from tokenizers.decoders import ByteLevel as Decoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(BPE())
    made.pre_tokenizer, made.decoder = ByteLevel(add_prefix_space=False), Decoder()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tools = [json.dumps(tool) for tool in PROMPT.tools] * 50
    trainer = BpeTrainer(
        vocab_size=2_000, special_tokens=special, initial_alphabet=ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator([*texts, *tools], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token=special[2], pad_token=special[0])


def load(folder: Path) -> tuple[Any, Any]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prepare_tokenizer(tokenizer, "chatml")
    return AutoModelForCausalLM.from_pretrained(folder), tokenizer


def train(world: World, args: argparse.Namespace) -> None:
    """The GRPO run, from its last checkpoint."""
    model, tokenizer = load(args.work / "start")
    functions = RewardFunctions(PROMPT, REWARDS, AnswerJudge(), MAX_TURNS, frozenset({tokenizer.eos_token_id}))
    fitted = fit_agent_by_rewards(
        model, tokenizer, question_rows(world.data.questions[:LEARNED_FROM], PROMPT, world.data.qrels),
        world.kind(owns_reward=False), functions,
        AgentFitSettings(
            max_steps=args.steps, batch_size=GENERATIONS * QUESTIONS_PER_STEP, gradient_accumulation_steps=1,
            learning_rate=args.learning_rate, save_steps=5, seed=args.seed,
        ),
        GRPOSettings(num_generations=GENERATIONS, max_completion_length=MAX_COMPLETION, temperature=TEMPERATURE),
        work_dir=args.work / "checkpoints",
    )  # fmt: skip
    folder = args.work / "trained"
    fitted.model.save_pretrained(folder)
    (folder / "log.json").write_text(json.dumps(fitted.log), encoding="utf-8")


def run_until_done(args: argparse.Namespace) -> None:
    """Runs the training in a process of its own, and kills the first one."""
    checkpoints, killed = args.work / "checkpoints", args.work / "killed"
    command = [sys.executable, __file__, *sys.argv[1:], "--part", "grpo"]
    while True:
        process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
        while process.poll() is None:
            time.sleep(0.2)
            if args.kill and not killed.exists() and reached(checkpoints) >= args.kill:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed.write_text(str(reached(checkpoints)), encoding="utf-8")
        if process.returncode == 0:
            return
        if process.returncode != -signal.SIGKILL:
            sys.exit(process.returncode)
        print(f"killed; goes on from step {reached(checkpoints)}", flush=True)


def reached(checkpoints: Path) -> int:
    last = last_checkpoint(checkpoints)
    return int(last.name.rpartition("-")[2]) if last else 0


def report(world: World, args: argparse.Namespace) -> None:
    log = json.loads((args.work / "trained" / "log.json").read_text(encoding="utf-8"))
    parts = [name for name in log[0] if name.startswith("rewards/") and name.endswith("/mean")]
    tenth = max(1, len(log) // 10)
    rows = []
    for start in range(0, len(log), tenth):
        some = log[start : start + tenth]
        mean = {name: sum(row[name] for row in some) / len(some) for name in ["reward", *parts, "step_time"]}
        rows.append(
            {"steps": f"{start + 1} to {start + len(some)}"}
            | {name.removeprefix("rewards/").removesuffix("/mean"): round(value, 3) for name, value in mean.items()}
        )
    print(markdown_table(rows))
    others = world.data.questions[LEARNED_FROM:]
    torch.manual_seed(1)
    before, after = (measured(world, args.work / name, args.work / "start", others) for name in ("start", "trained"))
    compared = []
    for name in before[0]:
        one = {question.query_id: row[name] or 0.0 for question, row in zip(others, before, strict=True)}
        two = {question.query_id: row[name] or 0.0 for question, row in zip(others, after, strict=True)}
        difference = paired_difference(two, one)
        compared.append(
            {"part": name, "before": round(sum(one.values()) / len(one), 3),
             "after": round(sum(two.values()) / len(two), 3), "difference": str(difference)}
        )  # fmt: skip
    print(f"{len(others)} other questions, one sampled run each:")
    print(markdown_table(compared))


def measured(
    world: World, folder: Path, start: Path, questions: tuple[Question, ...]
) -> list[dict[str, float | None]]:
    """The parts of the reward of one run for each question."""
    model, tokenizer = load(start)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    runs = [play(world, model, tokenizer, question) for question in questions]
    return rewards_of(runs, [world.evidence(run) for run in runs], AnswerJudge(), max_turns=MAX_TURNS)


def play(world: World, model: Any, tokenizer: Any, question: Question) -> Trajectory:
    """A run as the trainer makes it."""
    env = world.kind()()
    prompt = PROMPT.opening(question.text)
    env.reset(prompt=prompt, question=question.text, query_id=question.query_id, gold_answer=question.gold_answer)
    messages: list[dict[str, Any]] = []
    is_cut = False
    for message, was_cut in replies(model, tokenizer, prompt, messages):
        is_cut = was_cut
        messages.append(message)
        for call in message.get("tool_calls") or ():
            name, arguments = call["function"]["name"], call["function"]["arguments"]
            known = name in {tool["function"]["name"] for tool in PROMPT.tools} and isinstance(arguments, dict)
            text = getattr(env, name)(**arguments) if known else "{'error': 'there is no such tool'}"
            messages.append({"role": "tool", "name": name, "content": text})
    return read_run(
        messages, PROMPT, is_cut=is_cut, query_id=question.query_id, question=question.text,
        gold_answer=question.gold_answer,
    )  # fmt: skip


def replies(model: Any, tokenizer: Any, prompt: Any, messages: Any) -> Iterator[tuple[dict[str, Any], bool]]:
    """Replies until one calls no tool, or the run is as long as it may be; whether each was cut off."""
    from trl.chat_template_utils import parse_response

    first = None
    for _ in range(MAX_TURNS + 1):
        ids = tokenizer.apply_chat_template(
            [*prompt, *messages], tools=[*PROMPT.tools], add_generation_prompt=True, return_dict=False
        )
        first = first or len(ids)
        room = MAX_COMPLETION - (len(ids) - first)
        if room < 1:
            return
        with torch.no_grad():
            made = model.generate(
                torch.tensor([ids]), do_sample=True, temperature=TEMPERATURE, top_k=0, max_new_tokens=room
            )
        reply = made[0, len(ids) :].tolist()
        message = parse_response(tokenizer, reply, prefix=ids, tools=[*PROMPT.tools])
        yield message, reply[-1] != tokenizer.eos_token_id
        if not message.get("tool_calls"):
            return


if __name__ == "__main__":
    main()
