"""GRPO on search environments: TRL shows what rollouts show, rewards are by part, and a run that is killed goes on."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lrat_hub.agent_training import (
    AgentFitSettings,
    GRPOSettings,
    RewardFunctions,
    RewardSettings,
    SearchEnv,
    SearchEnvFactory,
    fit_agent_by_rewards,
    prepare_tokenizer,
    question_rows,
)
from lrat_hub.agents.protocols import AgentPrompt
from lrat_hub.errors import LratError
from lrat_hub.fitting.runs import last_checkpoint
from lrat_hub.judges.answers import AnswerJudge, PluginAnswerJudge
from tests.agent_training.small import tiny_llama, tiny_tokenizer
from tests.agents.scripted import QUESTIONS, environment

PROMPT = AgentPrompt.load("tools")
MAX_TURNS = 3


class Vowels:
    """Finds answers right that have an "e": random words earn something, now and then."""

    def judge(self, cases):
        return ["correct" if "e" in answer else "incorrect" for _, _, answer in cases]


def rewards_for(tokenizer, **weights):
    settings = RewardSettings(
        **{"answer": 1.0, "evidence_found": 0.0, "evidence_opened": 0.0, "format": 0.2} | weights
    )
    judge = PluginAnswerJudge(Vowels(), "vowels")
    return RewardFunctions(PROMPT, settings, judge, MAX_TURNS, frozenset({tokenizer.eos_token_id}))


def kind(**options):
    return SearchEnv.over(environment(k=2, snippet_tokens=4), max_turns=MAX_TURNS, **options)


def model_and_tokenizer(folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    prepare_tokenizer(tokenizer, "chatml")
    return AutoModelForCausalLM.from_pretrained(folder), tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_llama(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Sums come out alike in each process; other tests get their threads back."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def fit(folder, work_dir=None, *, steps=4, sampling=None, environment_kind=None, **settings):
    model, tokenizer = model_and_tokenizer(folder)
    return fit_agent_by_rewards(
        model, tokenizer, question_rows(QUESTIONS, PROMPT), environment_kind or kind(owns_reward=False),
        rewards_for(tokenizer),
        AgentFitSettings(
            **{"max_steps": steps, "batch_size": 8, "gradient_accumulation_steps": 1, "learning_rate": 1e-3}
            | {"save_steps": 2} | settings
        ),
        sampling or GRPOSettings(num_generations=4, max_completion_length=40),
        work_dir=work_dir,
    )  # fmt: skip


def course(result):
    """What a training measured, apart from times."""
    return [{name: value for name, value in row.items() if name != "step_time"} for row in result.log]


def test_each_part_of_the_reward_is_logged_and_the_weights_move(folder):
    result = fit(folder, steps=3)
    assert [row["step"] for row in result.log] == [1, 2, 3]
    for row in result.log:
        assert {"rewards/answer/mean", "rewards/format/mean"} <= row.keys()
        assert "rewards/evidence_found/mean" not in row
        assert row["reward"] == pytest.approx(row["rewards/answer/mean"] + 0.2 * row["rewards/format/mean"], abs=1e-6)
    assert result.changed > 0
    assert 0 <= min(result.rewards) <= max(result.rewards) <= 1.2


RUN = """
import sys
from pathlib import Path
from tests.agent_training.test_grpo import fit, course
import json
result = fit(Path(sys.argv[1]), Path(sys.argv[2]), steps=8)
print(json.dumps(course(result)))
"""


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on_and_ends_as_if_nothing_had_been(folder, tmp_path):
    command = [sys.executable, "-c", RUN, str(folder)]
    options = {"cwd": Path(__file__).parents[2], "env": os.environ | {"OMP_NUM_THREADS": "1"}}
    killed = subprocess.Popen(
        [*command, str(tmp_path / "killed")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )
    while last_checkpoint(tmp_path / "killed") is None:
        assert killed.poll() is None
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    step = int(last_checkpoint(tmp_path / "killed").name.rpartition("-")[2])
    assert 2 <= step < 8

    def finished(name):
        done = subprocess.run([*command, str(tmp_path / name)], capture_output=True, text=True, check=False, **options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    resumed, whole = finished("killed"), finished("whole")
    assert [row["step"] for row in resumed] == list(range(1, 9))
    for one, two in zip(resumed, whole, strict=True):
        assert one.keys() == two.keys()
        for name, value in one.items():
            assert value == pytest.approx(two[name], rel=1e-4, abs=1e-6, nan_ok=True), (one["step"], name)


@pytest.fixture
def trainer(folder, tmp_path):
    """TRL's trainer as this library makes it, before it trains."""
    from lrat_hub.agent_training.grpo import _common, _config, _Trainer

    model, tokenizer = model_and_tokenizer(folder)
    rewards = rewards_for(tokenizer)
    settings = AgentFitSettings(batch_size=4, gradient_accumulation_steps=1, max_steps=1)
    sampling = GRPOSettings(num_generations=4, max_completion_length=40)
    common = _common(tmp_path, settings, sampling, rewards) | {"report_to": "none"}
    return _Trainer(
        tools=PROMPT.tools, model=model, args=_config(common, sampling, rewards),
        train_dataset=question_rows(QUESTIONS, PROMPT), processing_class=tokenizer,
        reward_funcs=rewards.functions(), environment_factory=kind(owns_reward=False),
    )  # fmt: skip


def test_the_model_is_told_what_a_server_tells_it(trainer):
    rows = [trainer.train_dataset[0]]
    trainer._batch_environments = [None]
    ids, _, _ = trainer._tokenize_prompts([row["prompt"] for row in rows])
    tokenizer = tiny_tokenizer()
    prepare_tokenizer(tokenizer, "chatml")
    served = tokenizer.apply_chat_template(
        PROMPT.opening(QUESTIONS[0].text), tools=[*PROMPT.tools], add_generation_prompt=True, return_dict=False
    )
    assert ids == [served]
    assert tokenizer.decode(served).index('"search"') < tokenizer.decode(served).index('"get_document"')


def test_trl_takes_a_search_env_that_owns_its_reward(folder, tmp_path, monkeypatch):
    """The checks of TRL's own `test_train_with_environment_owned_reward`."""
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    model, tokenizer = model_and_tokenizer(folder)
    made = GRPOTrainer(
        model=model, processing_class=tokenizer, environment_factory=kind(),
        args=GRPOConfig(
            str(tmp_path), per_device_train_batch_size=3, num_generations=3, max_steps=1, report_to="none",
            max_completion_length=20, use_cpu=True, logging_steps=1, gradient_accumulation_steps=1,
            dataloader_pin_memory=False,
        ),
    )  # fmt: skip
    assert made.reward_func_names == ["SearchEnv"]
    assert made.reward_weights.tolist() == [1.0]
    assert [tool.__name__ for tool in made.tools] == ["get_document", "search"]
    made.train()
    assert made.state.log_history[-2]["rewards/SearchEnv/mean"] == 0.0


def test_trls_loop_shows_what_the_environment_shows(trainer, monkeypatch):
    """The tool loop is TRL's, on replies that call tools well and badly."""
    tokenizer = trainer.processing_class
    said = [
        ['<tool_call>\n{"name": "search", "arguments": {"queries": ["one", "two"]}}\n</tool_call>', "The answer."],
        ['<tool_call>\n{"name": "search", "arguments": {"queries": []}}\n</tool_call>', "None."],
        ['<tool_call>\n{"name": "peruse", "arguments": {}}\n</tool_call>', "None."],
        ['<tool_call>\n{"name": "get_document", "arguments": {"docid": "d1"}}\n</tool_call>', "None."],
    ]
    turns = iter([[replies[turn] for replies in said] for turn in (0, 1)])

    def generate(prompt_ids, *_, **__):
        return [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in next(turns)], None

    monkeypatch.setattr(trainer, "_generate_single_turn", generate)
    trainer.max_completion_length = 10_000
    trainer.model.train()
    inputs = [dict(trainer.train_dataset[0]) for _ in said]
    output = trainer._generate_and_score_completions(inputs)
    completions = trainer._logs["completion"]
    shown = [completion[1]["content"] for completion in completions]
    env = kind()()
    assert shown[0] == env.search(queries=["one", "two"])
    assert shown[1] == kind()().search(queries=[])
    assert "peruse" in shown[2]
    assert shown[3] == kind()().get_document(docid="d1")
    assert trainer._metrics["train"]["tools/call_frequency"] == [1.0]
    assert [*trainer._logs["rewards"]["format"]] == [1.0, 0.0, 0.0, 0.0]
    # Only what the model said is learned.
    mask = output["tool_mask"][0].tolist()
    learned = [token for token, one in zip(output["completion_ids"][0].tolist(), mask, strict=True) if one]
    assert "Results for" not in tokenizer.decode(learned)
    assert "The answer." in tokenizer.decode(learned)


def test_trls_asynchronous_loop_takes_the_factory_and_the_rewards(tmp_path):
    """The checks of TRL's `TestAsyncRolloutWorkerEnvironments`, which need no vLLM."""
    import multiprocessing

    from trl.experimental.async_grpo.async_rollout_worker import _AsyncRolloutLoop

    (tmp_path / "corpus.jsonl").write_text(json.dumps({"docid": "d1", "title": "T", "text": "words of it"}))
    tokenizer = tiny_tokenizer()
    prepare_tokenizer(tokenizer, "chatml")
    factory = SearchEnvFactory(str(tmp_path / "corpus.jsonl"), options={"owns_reward": False})
    functions = rewards_for(tokenizer, format=0.5).functions(scaled=True)
    # They go to another process.
    factory, functions = pickle.loads(pickle.dumps((factory, functions)))
    loop = _AsyncRolloutLoop(
        model_name="any", dataset=question_rows(QUESTIONS, PROMPT), reward_funcs=functions,
        processing_class=tokenizer, rollout_buffer=multiprocessing.Queue(),
        model_version_value=multiprocessing.Value("i", 0), heartbeat_value=multiprocessing.Value("d", 0.0),
        failed_event=multiprocessing.Event(), exception_info_queue=multiprocessing.Queue(),
        metrics_queue=multiprocessing.Queue(), eos_token_ids=[tokenizer.eos_token_id],
        environment_factory=factory, num_generations=2, max_inflight_tasks=4,
    )  # fmt: skip
    try:
        assert [tool.__name__ for tool in loop._env_tools[None]] == ["get_document", "search"]
        assert len(loop._environment_pool[None]) == 1
        assert loop._environment_pool[None][0].search(queries=["words"]).startswith("Results for 'words'")
    finally:
        loop._loop.close()
    messages = [{"role": "assistant", "content": "", "tool_calls": [
        {"type": "function", "function": {"name": "search", "arguments": {"queries": ["words"]}}}]},
        {"role": "tool", "name": "search", "content": "Results for 'words':\n\nNothing was found."},
        {"role": "assistant", "content": "pen"}]  # fmt: skip
    row = {"query_id": ["q1"], "question": ["Q?"], "gold_answer": ["G"], "evidence": [["d1"]]}
    values = {one.__name__: one([messages], [[1, tokenizer.eos_token_id]], **row) for one in functions}
    assert values == {"answer": [1.0], "format": [0.5]}


def test_a_reply_that_was_cut_is_no_answer():
    tokenizer = tiny_tokenizer()
    (answer, _) = rewards_for(tokenizer).functions()
    messages = [{"role": "assistant", "content": "the answer and then"}]
    row = {"query_id": ["q1"], "question": ["Q?"], "gold_answer": ["G"], "evidence": [[]]}
    assert answer([messages], [[5, tokenizer.eos_token_id]], **row) == [1.0]
    assert answer([messages], [[5, 6]], **row) == [0.0]


def test_what_cannot_run_is_said_before_anything_is_loaded(folder):
    with pytest.raises(LratError, match="multiple of num_generations"):
        fit(folder, sampling=GRPOSettings(num_generations=3))
    url = "http://127.0.0.1:8000"
    for sampling in (
        GRPOSettings(vllm="colocate"),
        GRPOSettings(vllm="server", vllm_url=url),
        GRPOSettings(trainer="async", vllm="server", vllm_url=url),
    ):
        with pytest.raises(LratError, match="vLLM"):
            fit(folder, sampling=sampling)
    with pytest.raises(LratError, match="vllm_url"):
        GRPOSettings(vllm="server")
    with pytest.raises(LratError, match="vllm=server"):
        GRPOSettings(trainer="async", vllm="off", vllm_url=url)
    with pytest.raises(LratError, match="num_generations of 2"):
        GRPOSettings(num_generations=1)
    with pytest.raises(LratError, match="weight that is not 0"):
        RewardSettings(answer=0, evidence_found=0, evidence_opened=0, format=0)


@pytest.mark.parametrize("mode", ["server", "colocate"])
def test_what_vllm_needs_goes_into_trls_configuration(tmp_path, mode):
    from lrat_hub.agent_training.grpo import _common, _config

    url = "http://10.0.0.1:8000" if mode == "server" else ""
    sampling = GRPOSettings(vllm=mode, vllm_url=url, vllm_memory=0.4, vllm_tensor_parallel=2)
    rewards = rewards_for(tiny_tokenizer())
    config = _config(_common(tmp_path, AgentFitSettings(), sampling, rewards), sampling, rewards)
    assert config.use_vllm
    assert (config.vllm_mode, config.vllm_server_base_url) == (mode, url or None)
    assert (config.vllm_gpu_memory_utilization, config.vllm_tensor_parallel_size) == (0.4, 2)


def test_the_asynchronous_trainer_is_configured_as_the_other(tmp_path):
    from lrat_hub.agent_training.grpo import _async_config, _common

    sampling = GRPOSettings(trainer="async", vllm="server", vllm_url="http://10.0.0.1:8000", temperature=0.7)
    config = _async_config(_common(tmp_path, AgentFitSettings(), sampling, rewards_for(tiny_tokenizer())), sampling)
    assert config.vllm_server_base_url == "http://10.0.0.1:8000"
    assert (config.temperature, config.num_generations, config.max_tool_calling_iterations) == (0.7, 8, MAX_TURNS)


def test_templates_whose_calls_nobody_reads_are_refused():
    plain = tiny_tokenizer("{% for message in messages %}{{ message['content'] }}{% endfor %}")
    with pytest.raises(LratError, match="shows calls and their results"):
        prepare_tokenizer(plain)
    unknown = tiny_tokenizer(
        "{% for message in messages %}{{ message['content'] }}{{ message.tool_calls | default('') }}{% endfor %}"
    )
    with pytest.raises(LratError, match="whose calls TRL can read"):
        prepare_tokenizer(unknown)
    assert AnswerJudge().name == "containment"


@pytest.mark.slow
def test_the_example_trains(folder, tmp_path):
    documents = [{"docid": f"d{number}", "title": f"T{number}", "text": f"word{number} here"} for number in range(4)]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, documents)))
    (tmp_path / "queries.tsv").write_text("q1\tWhich word?\tword1\nq2\tWhich other?\tword2")
    (tmp_path / "qrels.txt").write_text("q1 0 d1 1\nq2 0 d2 1")
    ran = subprocess.run(
        [
            sys.executable, Path(__file__).parents[2] / "examples" / "grpo_search_env.py", "--model", folder,
            "--corpus", tmp_path / "corpus.jsonl", "--queries", tmp_path / "queries.tsv",
            "--qrels", tmp_path / "qrels.txt", "--chat-template", "chatml", "--generations", "2", "--turns", "2",
            "--length", "20", "--steps", "2", "--to", tmp_path / "out",
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout.count("mean reward 0.000") == 2
    assert (tmp_path / "out" / "model.safetensors").is_file()
