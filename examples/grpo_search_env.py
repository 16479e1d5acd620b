"""GRPO on a search environment with TRL alone: `SearchEnv` is its `environment_factory`, and gives the reward.

    python examples/grpo_search_env.py --model Qwen/Qwen3-1.7B --corpus datasets/me/wiki --queries datasets/me/wiki \
        --qrels datasets/me/wiki --retriever http://127.0.0.1:8971 --to runs/grpo

`lrat train-agent --method grpo` does the same, with each part of the reward logged apart, pinned inputs, a card and
lineage.
"""

from __future__ import annotations

import argparse

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from lrat_hub.agent_training import RewardSettings, SearchEnvFactory, prepare_tokenizer
from lrat_hub.agents.protocols import AgentPrompt
from lrat_hub.agents.settings import EnvironmentSettings
from lrat_hub.corpora.loading import load_questions

PROMPT = "tools_required"
"""Its tools are search, get_document and answer: an environment sees calls alone, so the answer has to be one."""


def main() -> None:
    args = arguments()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    # A chat template that TRL can read calls of; models that have one already need none.
    prepare_tokenizer(tokenizer, args.chat_template)
    environment = SearchEnvFactory(
        args.corpus,
        args.retriever,
        EnvironmentSettings(k=5, max_turns=args.turns),
        args.qrels,
        {"prompt": PROMPT, "rewards": RewardSettings(answer=1.0, evidence_opened=0.5, format=0.2)},
    )
    opening = AgentPrompt.load(PROMPT).opening
    rows = [
        {"prompt": opening(text), "query_id": query_id, "question": text, "gold_answer": answer}
        for query_id, (text, answer) in load_questions(args.queries).items()
    ]
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(args.model),
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(rows),
        environment_factory=environment,
        args=GRPOConfig(
            args.to,
            num_generations=args.generations,
            per_device_train_batch_size=args.generations,
            max_steps=args.steps,
            # Of a run: replies and results together. Without a limit of calls, TRL's loop goes on until then.
            max_completion_length=args.length,
            max_tool_calling_iterations=args.turns + 1,
            logging_steps=1,
            report_to="none",
            # TRL's default, which a CPU does not do.
            bf16=torch.accelerator.is_available(),
        ),
    )
    trainer.train()
    trainer.save_model(args.to)
    for row in trainer.state.log_history:
        if "reward" in row:
            print(f"step {row['step']}: mean reward {row['reward']:.3f}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True, help="Language model to start from.")
    parser.add_argument("--corpus", required=True, help="Corpus to search: a reference or a file.")
    parser.add_argument("--queries", required=True, help="Questions with their answers: a reference or a file.")
    parser.add_argument("--qrels", default="", help="Relevance judgements, for rewards by evidence.")
    parser.add_argument("--retriever", default="bm25", help="A retriever by name, or the address of lrat serve.")
    parser.add_argument("--chat-template", default="", help="Such as chatml, for models without tools in theirs.")
    parser.add_argument("--generations", type=int, default=8, help="Runs per question.")
    parser.add_argument("--turns", type=int, default=8, help="Calls of a run at most.")
    parser.add_argument("--length", type=int, default=4_096, help="Tokens of a run at most.")
    parser.add_argument("--steps", type=int, default=100, help="Optimizer steps.")
    parser.add_argument("--to", required=True, help="Folder of the checkpoints and of the model.")
    return parser.parse_args()


if __name__ == "__main__":
    main()
