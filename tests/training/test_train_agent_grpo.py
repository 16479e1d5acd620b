"""`lrat train-agent --method grpo` from the command line: what it publishes, and what it refuses."""

from pathlib import Path

import pytest

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import read_lineage

from .published import publish_benchmark

NO_EVIDENCE = ("--reward_evidence_found", 0, "--reward_evidence_opened", 0)
JUDGE = "tests.agent_training.test_grpo:Vowels"


@pytest.fixture(scope="module")
def benchmark(hub):
    return publish_benchmark("lrat/grpo-benchmark")


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    from tests.agent_training.small import tiny_llama

    return tiny_llama(tmp_path_factory.mktemp("llama"))


def train(benchmark, model, to, *options, qrels=True):
    words = ["train-agent", "--config", "training/agent_tiny_grpo", "--model", model, "--corpus", benchmark]
    words += ["--queries", benchmark, *(["--qrels", benchmark] if qrels else []), "--to", to, *options]
    return cli.run([str(word) for word in words])


@pytest.mark.slow
def test_what_is_published_says_what_was_earned(benchmark, llama, capsys, tmp_path):
    from huggingface_hub import snapshot_download
    from transformers import AutoModelForCausalLM, AutoTokenizer

    pin = train(benchmark, llama, "lrat/learned", "--answer_judge", JUDGE, "--work_dir", tmp_path / "work")
    shown = capsys.readouterr().out
    assert "a search shows about " in shown
    assert "mean reward " in shown
    folder = Path(snapshot_download(pin.repo_id, revision=pin.revision))
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "trained by GRPO" in card
    for part, weight in (("answer", 1.0), ("evidence_found", 0.2), ("evidence_opened", 0.2), ("format", 0.2)):
        assert f"| {part} | {weight} | 0." in card or f"| {part} | {weight} | 1." in card
    lineage = read_lineage(pin)
    assert {"corpus", "queries", "qrels", "model"} <= lineage.inputs.keys()
    assert (lineage.recipe["method"], lineage.recipe["reward_answer"], lineage.recipe["k"]) == ("grpo", 1.0, 2)
    assert lineage.counts["questions"] == 6
    assert lineage.counts["fit"]["steps"] == 2
    assert (folder / "rewards.png").read_bytes().startswith(b"\x89PNG")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    assert model.num_parameters() == AutoModelForCausalLM.from_pretrained(llama).num_parameters()
    asked = [{"role": "user", "content": "Question"}]
    text = tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
    assert text.endswith("<|im_start|>assistant\n")
    # It is done: the same command only publishes, and another run is refused the folder.
    again = train(benchmark, llama, "lrat/learned", "--answer_judge", JUDGE, "--work_dir", tmp_path / "work")
    assert again.revision == pin.revision
    with pytest.raises(LratError, match=r"differs in .*k"):
        train(benchmark, llama, "lrat/other", "--answer_judge", JUDGE, "--work_dir", tmp_path / "work", "--k", 3)


@pytest.mark.parametrize(
    ("options", "qrels", "said"),
    [
        (["--reward_evidence_found", 0], False, "--reward_evidence_opened need --qrels"),
        (["--protocol", "tongyi"], True, "speaks the protocol tools"),
        (["--outcomes", "incorrect"], True, "no use for --outcomes"),
        (["--validation_share", 0.1], True, "no use for --validation_share"),
        (["--trajectories", "ns/runs"], True, "found --trajectories"),
        (["--vllm", "server"], True, "expected vllm_url"),
        (["--num_generations", 1], True, "num_generations of 2 or more"),
        (["--reward_answer", 0, "--reward_format", 0, *NO_EVIDENCE], True, "weight that is not 0"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused_at_once(options, qrels, said, benchmark, tmp_path):
    with pytest.raises(LratError, match=said):
        train(benchmark, tmp_path / "no-model", "lrat/refused", *options, qrels=qrels)


@pytest.mark.slow
def test_evidence_of_other_questions_is_refused(benchmark, llama, tmp_path):
    other = tmp_path / "qrels.txt"
    other.write_text("another-question 0 d1 1\n")
    with pytest.raises(LratError, match="need --qrels of the questions, found none of 6"):
        train(benchmark, llama, "lrat/refused", "--qrels", other, qrels=False)


def test_each_method_refuses_the_options_of_the_other():
    words = ["train-agent", "--model", "ns/model", "--trajectories", "ns/runs", "--to", "ns/agent"]
    for option in (["--k", "3"], ["--reward_answer", "2"], ["--beta", "0.1"], ["--queries", "ns/questions"],
                   ["--retriever", "bm25"], ["--answer_judge", "none"]):  # fmt: skip
        with pytest.raises(LratError, match=f"sft has no use for {option[0]}"):
            cli.run([*words, *option])
    with pytest.raises(LratError, match="found no --corpus and no --queries"):
        cli.run(["train-agent", "--method", "grpo", "--model", "ns/model", "--to", "ns/agent"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--max_completion_length", 30], "room for the results of two searches"),
        (["--num_generations", 3], "multiple of num_generations"),
        (["--reward_answer", 0, *NO_EVIDENCE], "all earned the same"),
        (["--vllm", "colocate"], "vLLM"),
        (["--chat_template", ""], "shows calls and their results"),
    ],
)  # fmt: skip
def test_what_cannot_run_ends_in_one_line(options, said, benchmark, llama):
    with pytest.raises(LratError, match=said):
        train(benchmark, llama, "lrat/refused", *options)


def test_the_plan_says_how_many_runs_are_made(benchmark, llama, capsys):
    train(benchmark, llama, "lrat/planned", "--dry_run", "true")
    assert "makes 8 runs of its own" in capsys.readouterr().out
