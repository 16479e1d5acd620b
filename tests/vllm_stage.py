"""A real vLLM: a reranker; and agents, over the quickstart's corpus, published, imported back equal, and mined.

    python -m tests.vllm_stage --python VLLM_PYTHON --model FOLDER --root FOLDER [--questions 8]

SmolLM2-135M can't research anything. What this shows is that a server is started from a model at its pin and stopped,
that a real vLLM accepts every request of both protocols, holds replies to the schemas, and parses tool calls, and that
what came of it is recorded, published and mined like any other run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrat_hub.hub.refs import HubRef

RERANKER = {
    "architectures": ["Qwen3ForSequenceClassification"],
    "classifier_from_token": ["no", "yes"],
    "is_original_qwen3_reranker": True,
}
"""What docs/retrieval.md tells vLLM of Qwen3-Reranker."""

CONTEXT = 512

AT_THE_LIMIT = "a final answer was expected at the limit of turns"


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs agents on a real vLLM.")
    parser.add_argument("--python", required=True, help="Interpreter that has vLLM.")
    parser.add_argument("--model", type=Path, required=True, help="Folder of the model to serve.")
    parser.add_argument("--root", type=Path, required=True, help="Folder for the Hub and what it publishes.")
    parser.add_argument("--questions", type=int, default=8)
    args = parser.parse_args()
    # vLLM's pages; half of the machine's memory by itself.
    os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "1", "TOKENIZERS_PARALLELISM": "false"}
    from lrat_hub.localhub import LocalHub

    with LocalHub(args.root / "hub") as hub:
        os.environ |= hub.env
        os.environ |= {"HF_HOME": str(args.root / "cache"), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        # Not before: transformers reads the Hub's address when it is imported.
        rerank(args.python, args.model, args.root / "reranker")
        check(args.python, args.model, args.root, args.questions)


def rerank(python: str, folder: Path, root: Path) -> None:
    """A Qwen3 of random weights with the tokenizer of a folder, served as Qwen3-Reranker is: its scores are the
    probability of "yes", and a document that is too long loses its end and not the template's."""
    import torch
    from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

    from lrat_hub.llm.serving import VllmServer
    from lrat_hub.llm.settings import ServerSettings
    from lrat_hub.retrieval.served_reranker import ServedReranker

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = (
        "Query: {{ (messages | selectattr('role', 'eq', 'query') | first).content }}\n"
        "Document: {{ (messages | selectattr('role', 'eq', 'document') | first).content }}\nAnswer:"
    )
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, head_dim=32,
            num_attention_heads=4, num_key_value_heads=2, initializer_range=0.5, max_position_embeddings=CONTEXT,
        )
    ).eval()  # fmt: skip
    model.save_pretrained(root)
    tokenizer.save_pretrained(root)
    no, yes = (tokenizer(text, add_special_tokens=False).input_ids for text in ("no", "yes"))
    query, short, long = "who wrote Faust", "Faust is a play by Goethe.", "honey " * 2 * CONTEXT

    def expected(document: str) -> float:
        text = f"Query: {query}\nDocument: {document}\nAnswer:"
        with torch.no_grad():
            logits = model(torch.tensor([tokenizer(text).input_ids])).logits[0, -1]
        return float(torch.sigmoid(logits[yes[0]] - logits[no[0]]))

    options = f"--runner pooling --dtype float32 --enforce-eager --max-model-len {CONTEXT}"
    options += f" --chat-template {root / 'chat_template.jinja'}"
    settings = ServerSettings(
        model="qwen3", vllm_python=python, vllm_args=f"{options} --hf_overrides '{json.dumps(RERANKER)}'"
    )
    with VllmServer(root, "lrat/qwen3-reranker", settings, root / "vllm.log") as server:
        reranker = ServedReranker(server.base_url)
        scores = reranker.score(query, [short, "Bees make honey.", ""])
        cut = reranker.score(query, [long, short])
    wanted = [expected(short), expected("Bees make honey."), expected("")]
    assert abs(scores - wanted).max() < 1e-4, (scores, wanted)
    lengths = range(CONTEXT - 60, CONTEXT)
    assert min(abs(cut[0] - expected(" ".join(["honey"] * length))) for length in lengths) < 1e-4, cut
    assert abs(cut[1] - wanted[0]) < 1e-4
    print("a real vLLM served a reranker")


def check(python: str, folder: Path, root: Path, questions: int) -> None:
    from huggingface_hub import HfApi

    from lrat_hub import cli, load_trajectories

    api = HfApi()
    api.create_repo("lrat/smollm2")
    sha = api.upload_folder(repo_id="lrat/smollm2", folder_path=folder).oid
    corpus = cli.run(["corpus", "--recorded", "--to", "lrat/recorded"])
    for protocol, prompt in (("json", "json"), ("tools", "tools_required")):
        started = time.monotonic()
        journal, before = root / protocol, servers()
        run = cli.run([
            "rollout", "--agent", "llm", "--protocol", protocol, "--prompt", prompt, "--model", f"lrat/smollm2@{sha}",
            "--vllm-python", python, "--corpus", str(corpus), "--queries", f"{corpus}#queries:train",
            "--limit", str(questions), "--k", "2", "--snippet-tokens", "16", "--browse-tokens", "100",
            "--max-turns", "3", "--max-tokens", "100", "--journal", str(journal), "--concurrency", "8",
            "--answer_judge", "containment", "--to", f"lrat/smollm2-{protocol}",
            "--vllm-args=--dtype=float32 --enforce-eager --gpu-memory-utilization=0.4 --max-model-len=8192 "
            "--enable-auto-tool-choice --tool-call-parser=hermes",
        ])  # fmt: skip
        print(f"{protocol}: {time.monotonic() - started:.0f} s, with the start of the server")
        assert not servers() - before, "the server was not stopped"

        published = list(load_trajectories(run))
        (file,) = journal.rglob("shard-*.jsonl")
        written = {json.loads(line)["query_id"]: json.loads(line)["trajectory"] for line in file.open()}
        assert len(published) == questions == len(written)
        for trajectory in published:
            row = json.loads(json.dumps(trajectory.to_dict()))
            # The journal has runs before they are judged.
            assert {**row, "correct": None, "metadata": ""} == {**written[trajectory.query_id], "metadata": ""}
            assert (trajectory.agent, trajectory.agent_revision) == ("lrat/smollm2", sha)
            assert trajectory.status != "failed", trajectory.metadata
            assert json.loads(trajectory.metadata)["agent"]["vllm"]
        actions = Counter(step.action for trajectory in published for step in trajectory.steps)
        print(f"{protocol}: {dict(actions)}, {dict(Counter(t.status for t in published))}")
        if protocol == "json":
            # Held to the schema: what a model of any size says is a call that can be carried out. Only a text that
            # was cut off is none.
            wrong = Counter(step.error for t in published for step in t.steps if step.error)
            assert set(wrong) <= {"the reply was cut off before it was complete", AT_THE_LIMIT}, wrong
            assert actions["search"] >= questions // 2, actions
        # Back through a file of session traces, which is what others would import.
        traces = root / f"{protocol}-traces"
        api.snapshot_download(run.repo_id, repo_type="dataset", revision=run.revision, local_dir=traces)
        back = {trajectory.trajectory_id: trajectory for trajectory in load_trajectories(traces / "traces")}
        assert back == {trajectory.trajectory_id: trajectory for trajectory in published}
        mine(cli, run, corpus)
    print("a real vLLM served both protocols")


def mine(cli: Any, run: HubRef, corpus: HubRef) -> None:
    """Mines the runs, whatever their outcome and end. Without a document that was opened there is no pair to publish:
    the stage says so, and the library gives an account of all runs."""
    from lrat_hub import load_trajectories, mine_pairs
    from lrat_hub.hub.lineage import read_lineage

    chosen = {"outcomes": ("correct", "incorrect", "unjudged"), "statuses": ("completed", "limited")}
    runs = list(load_trajectories(run))
    result = mine_pairs(runs, judge=None, **chosen)
    assert result.ledger["trajectories"].kept == len(runs), result.ledger["trajectories"]
    if not result.pairs:
        print("  mined: no pair, since no document was opened")
        assert not any(trajectory.count("browse") for trajectory in runs)
        return
    words = ["mine", "--trajectories", str(run), "--corpus", str(corpus), "--to", f"{run.repo_id}-pairs"]
    words += [word for name, values in chosen.items() for word in (f"--{name}", *values)]
    pairs = cli.run(words)
    print(f"  mined: {read_lineage(pairs).counts['trajectories']}, {len(result.pairs)} pairs")


def servers() -> set[str]:
    """The processes of vLLM on this machine, by id."""
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in listed.splitlines() if "VLLM::" in line or "vllm.entrypoints" in line}


if __name__ == "__main__":
    main()
