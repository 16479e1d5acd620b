"""`lrat train-agent` from the command line: what it publishes, how it goes on, and what it refuses."""

import dataclasses
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import read_lineage

from .published import publish

SMALL = ("--protocol", "tongyi", "--chat_template", "chatml", "--max_steps", "4", "--gradient_accumulation_steps", "2",
         "--learning_rate", "1e-2")  # fmt: skip
PLAIN = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
name, revision = sys.argv[1:]
model = AutoModelForCausalLM.from_pretrained(name, revision=revision)
tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
assert "lrat_hub" not in sys.modules
asked = [{"role": "user", "content": "Question"}]
text = tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
print(model.num_parameters(), model.dtype, text.endswith("<|im_start|>assistant\\n"))
"""


@pytest.fixture(scope="module")
def runs():
    """24 runs on the scripted chat server: of every four, three are known to be right."""
    from lrat_hub.agents import run_agents
    from tests.agents.scripted import QUESTIONS, agent, environment
    from tests.chat_server import ChatServer, Script

    with ChatServer(Script(protocol="tongyi")) as server:
        made = run_agents(agent(server.base_url, "tongyi"), QUESTIONS, environment(k=3), max_turns=20)
    return [dataclasses.replace(run, correct=bool(number % 4)) for number, run in enumerate(made)]


@pytest.fixture(scope="module")
def trajectories(hub, runs):
    from datasets import Dataset

    from lrat_hub.schema import trajectory_features

    table = Dataset.from_list([run.to_dict() for run in runs], features=trajectory_features())
    return publish("lrat/agent-runs", {"runs": {"train": table}})


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    from tests.agent_training.small import tiny_llama

    return tiny_llama(tmp_path_factory.mktemp("llama"))


def train(trajectories, model, to, *options):
    words = ("train-agent", "--trajectories", trajectories, "--model", model, "--to", to, *SMALL, *options)
    return cli.run([str(word) for word in words])


def weights(pin):
    from huggingface_hub import snapshot_download
    from safetensors.torch import load_file

    folder = Path(snapshot_download(pin.repo_id, revision=pin.revision))
    return load_file(folder / "model.safetensors"), folder


@pytest.mark.slow
@pytest.mark.parametrize("adapters", [0, 4])
def test_what_is_published_is_whole_and_says_what_it_learned_from(trajectories, llama, capsys, adapters):
    pin = train(
        trajectories, llama, f"lrat/agent-{adapters}", "--validation_share", 0.3, "--lora_rank", adapters,
    )  # fmt: skip
    shown = capsys.readouterr().out
    assert "runs: 24 read, 18 kept, 6 dropped" in shown
    assert "dropped, outcome incorrect: 6" in shown
    assert "on held-out runs" in shown
    assert "published: lrat/agent-" in shown
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, pin.repo_id, pin.revision], capture_output=True, text=True, check=True
    )
    parameters, dtype, prompted = done.stdout.split()
    assert (int(parameters) < 500_000, dtype, prompted) == (True, "torch.float32", "True")
    after, folder = weights(pin)
    assert not any("lora" in name for name in after)
    counts = read_lineage(pin).counts
    assert counts["runs"]["dropped"] == {"outcome incorrect": 6}
    assert counts["trained"]["runs"] + counts["validation"]["runs"] == 18
    first, last = counts["fit"]["validation_loss"]
    assert last < first
    card = (folder / "README.md").read_text()
    assert "6 were left out: outcome incorrect" in card
    assert f"lrat rollout --agent llm --model {pin.repo_id} --protocol tongyi" in card
    assert ("adapters of rank 4 merged" in card) == bool(adapters)
    capsys.readouterr()
    cli.main(["verify", str(pin)])
    checks = [line for line in capsys.readouterr().out.splitlines() if f"  {pin}  " in line]
    assert len(checks) >= 4
    assert all(line.startswith("ok") for line in checks)


@pytest.mark.slow
def test_runs_of_a_log_with_ids_alone_teach_the_same_by_the_corpus(trajectories, runs, llama, capsys):
    import torch
    from datasets import Dataset

    from lrat_hub.schema import trajectory_features
    from tests.agent_training.test_restoring import as_a_log

    rows = [as_a_log(run).to_dict() for run in runs]
    log = publish("lrat/agent-log", {"runs": {"train": Dataset.from_list(rows, features=trajectory_features())}})
    corpus = publish("lrat/agent-corpus", questions(runs[0]))
    with pytest.raises(LratError, match="18 what the agent was shown is not recorded"):
        train(log, llama, "lrat/agent-of-log")
    with pytest.raises(LratError, match="--method sft has no use for --max_turns"):
        train(log, llama, "lrat/agent-of-log", "--corpus", corpus, "--max_turns", 5)
    capsys.readouterr()
    restored = train(log, llama, "lrat/agent-of-log", "--corpus", corpus, "--k", 3)
    assert "results restored from the corpus" in capsys.readouterr().out
    lineage = read_lineage(restored)
    assert (lineage.inputs["corpus"], lineage.recipe["k"]) == (str(corpus), 3)
    as_recorded, _ = weights(train(trajectories, llama, "lrat/agent-of-runs"))
    assert all(torch.equal(values, as_recorded[name]) for name, values in weights(restored)[0].items())


@pytest.mark.slow
def test_a_training_that_was_killed_ends_with_the_weights_of_one_that_was_not(trajectories, llama, tmp_path):
    import torch

    whole, _ = weights(train(trajectories, llama, "lrat/agent-whole"))
    code = """
import os, sys
from lrat_hub import cli
from transformers import TrainerCallback
from lrat_hub.agent_training import sft
class Killed(TrainerCallback):
    def on_save(self, args, state, control, **_):
        if state.global_step == 2: os._exit(9)
made = sft.SFTTrainer
sft.SFTTrainer = lambda **options: made(callbacks=[Killed()], **options)
cli.run(sys.argv[1:])
"""
    words = ["train-agent", "--trajectories", trajectories, "--model", llama, "--to", "lrat/agent-killed", *SMALL,
             "--work_dir", tmp_path / "work", "--save_steps", "1"]  # fmt: skip
    killed = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True)
    assert killed.returncode == 9, killed.stderr
    resumed, _ = weights(cli.run([str(word) for word in words]))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    # A second end has nothing left to do, and another training may not go on from there.
    again, _ = weights(cli.run([str(word) for word in words]))
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    with pytest.raises(LratError, match="one that differs in seed"):
        cli.run([*map(str, words), "--seed", "1"])


@pytest.mark.slow
def test_it_can_be_made_again_from_its_lineage(trajectories, hub, tmp_path):
    from huggingface_hub import HfApi

    from tests.agent_training.small import tiny_llama

    HfApi().create_repo("lrat/agent-base")
    sha = HfApi().upload_folder(repo_id="lrat/agent-base", folder_path=tiny_llama(tmp_path)).oid
    pin = train(trajectories, f"lrat/agent-base@{sha}", "lrat/agent-once")
    assert cli.main(["reproduce", str(pin), "--to", "lrat/agent-twice"]) == 0


@pytest.mark.slow
def test_what_cannot_be_trained_is_said_in_one_line(trajectories, llama):
    for options, message in (
        (("--outcomes", "unjudged"), "found none of 24 runs that fit .18 outcome correct, 6 outcome incorrect"),
        (("--max_length", "20"), "found none of 18 conversations that fit .18 longer than max_length"),
        (("--chat_template", ""), "expected a chat template that marks the replies"),
        (("--min_evidence", "0.5"), "--min_evidence needs --qrels"),
        (("--learning_rate", "1e-30"), "unchanged: .* differ from the base"),
    ):
        with pytest.raises(LratError, match=message):
            train(trajectories, llama, "lrat/agent-refused", *options)


def test_losses_are_not_logged_into_a_folder_that_goes_away():
    with pytest.raises(LratError, match="writes into --work_dir, found none"):
        cli.run(["train-agent", "--model", "ns/model", "--to", "ns/agent", "--report_to", "tensorboard"])


def test_the_plan_says_what_it_needs(llama, capsys):
    for options, moments in (((), True), (("--lora_rank", "8"), False)):
        words = ("--dry_run", "true", "--expect", "trajectories=12")
        assert train("lrat/none", llama, "lrat/agent-planned", *words, *options) is None
        shown = capsys.readouterr().out
        assert ("AdamW's moments" in shown) == moments
        assert "one training, of at most 12 runs" in shown


@contextmanager
def served(pin, log):
    """transformers' own server of what was published, while inside `with`: its address."""
    from lrat_hub.llm.processes import ServerProcess, free_port

    port = free_port()
    command = [sys.executable, "transformers.cli.transformers", "serve", pin.repo_id, "--device", "cpu"]
    command += ["--port", str(port)]
    with ServerProcess("transformers", command, f"http://127.0.0.1:{port}/health", log=log, timeout=600):
        yield f"http://127.0.0.1:{port}/v1"


@pytest.mark.slow
def test_what_is_published_is_served_as_an_agent_and_says_what_it_has_learned(trajectories, llama, tmp_path):
    """A model of random weights that has learned one run by heart searches as the run did, word by word."""
    from lrat_hub import load_trajectories

    pin = train(trajectories, llama, "lrat/agent-served", "--max_runs", 1, "--max_steps", 80,
                "--gradient_accumulation_steps", 1, "--learning_rate", 1e-2)  # fmt: skip
    (learned, *_) = [run for run in load_trajectories(trajectories) if run.correct]
    benchmark = publish("lrat/agent-questions", questions(learned))
    with served(pin, tmp_path / "server.log") as base_url:
        made = cli.run([
            "rollout", "--agent", "llm", "--protocol", "tongyi", "--model", str(pin), "--base-url", base_url,
            "--corpus", str(benchmark), "--queries", str(benchmark), "--k", "3", "--temperature", "0",
            "--max-tokens", "300", "--max-turns", "3", "--to", "lrat/agent-served-runs",
        ])  # fmt: skip
    (run,) = load_trajectories(made)
    assert (run.agent, run.agent_revision) == (pin.repo_id, pin.revision)
    first, own = run.steps[0], learned.steps[0]
    assert (first.action, first.reasoning, first.queries) == ("search", own.reasoning, own.queries)


def questions(run):
    """The collection of the runs, and the question of one of them."""
    from datasets import Dataset

    from tests.agents.scripted import DOCUMENTS

    documents = [dataclasses.asdict(document) for document in DOCUMENTS.values()]
    asked = [{"query_id": run.query_id, "query": run.question, "answer": run.gold_answer}]
    return {"corpus": {"train": Dataset.from_list(documents)}, "queries": {"train": Dataset.from_list(asked)}}
