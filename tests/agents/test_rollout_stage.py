"""`lrat rollout` with a language model, from questions on the Hub to trajectories on the Hub."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lrat_hub import HubRef, cli, load_trajectories
from lrat_hub.errors import LratError
from lrat_hub.hub.lineage import read_lineage
from lrat_hub.schema import Trajectory
from tests.agents.scripted import QUESTIONS, timeless
from tests.chat_server import ChatServer, Script, serve

ROOT = Path(__file__).parents[2]


def words(corpus: str, base_url: str, to: str, journal: Path | str, *more: str, protocol: str = "json") -> list[str]:
    return [
        "rollout", "--agent", "llm", "--model", "scripted", "--url", base_url, "--protocol", protocol,
        "--corpus", corpus, "--queries", corpus, "--to", to, "--journal", str(journal), "--max_turns", "20",
        "--max_tokens", "500", "--concurrency", "8", "--request_timeout", "5", *more,
    ]  # fmt: skip


def runs_of(ref: HubRef | str) -> dict[str, Trajectory]:
    runs = list(load_trajectories(ref))
    assert len({run.trajectory_id for run in runs}) == len(runs)
    return {run.trajectory_id: run for run in runs}


def timeless_runs(ref: HubRef) -> dict[str, Trajectory]:
    return {name: timeless(run) for name, run in runs_of(ref).items()}


def test_a_rollout_is_published_with_its_counts_and_comes_back_and_mines(corpus, tmp_path):
    with ChatServer(Script(protocol="json")) as server:
        ref = cli.run(words(corpus, server.base_url, "lrat/run-json", tmp_path, "--answer_judge", "containment"))
    runs = runs_of(ref)
    assert list(runs) == [f"{question.query_id}-0" for question in QUESTIONS]
    assert all(run.sampling.seed == 2025 and run.correct is not None for run in runs.values())
    lineage = read_lineage(ref)
    assert lineage.inputs["agent"] == "scripted (served, unpinned)"
    assert "url" not in lineage.recipe
    assert "127.0.0.1" not in lineage.to_json()
    assert lineage.counts["statuses"] == {"completed": len(QUESTIONS), "limited": 0, "failed": 0, "missing": 0}
    everything = lineage.counts["outcomes"][-1]
    assert everything["outcome"] == "all"
    assert everything["Avg. T"] == pytest.approx(sum(run.num_steps for run in runs.values()) / len(runs))
    pairs = cli.run(["mine", "--trajectories", str(ref), "--corpus", corpus, "--outcomes", "correct", "incorrect",
                     "--to", "lrat/run-json-pairs"])  # fmt: skip
    assert read_lineage(pairs).counts["trajectories"]["kept"] == len(QUESTIONS)


@pytest.mark.slow
def test_the_same_command_repeats_nothing_and_tries_failures_again(corpus, tmp_path):
    with ChatServer(Script(protocol="json", broken=0.3)) as server:
        first = cli.run(words(corpus, server.base_url, "lrat/run-again", tmp_path, "--attempts", "1"))
    failed = [name for name, run in runs_of(first).items() if run.status == "failed"]
    assert failed
    with ChatServer(Script(protocol="json")) as server:
        second = cli.run(words(corpus, server.base_url, "lrat/run-again", tmp_path, "--attempts", "1"))
        asked = server.stats()["requests"]
        third = cli.run(words(corpus, server.base_url, "lrat/run-again", tmp_path, "--attempts", "1"))
        assert server.stats()["requests"] == asked
    before, after = runs_of(first), runs_of(second)
    assert {run.status for run in after.values()} == {"completed"}
    assert {name: run for name, run in after.items() if name not in failed} == {
        name: run for name, run in before.items() if name not in failed
    }
    assert third == second


@pytest.mark.slow
def test_other_settings_into_the_same_journal_are_refused_with_the_difference(corpus, tmp_path):
    with ChatServer(Script(protocol="json")) as server:
        first = words(corpus, server.base_url, "lrat/run-other", tmp_path, "--limit", "2")
        cli.run(first)
        with pytest.raises(
            LratError, match=r"agent\.sampling\.temperature was 0\.85 and is 0\.6; max_turns was 20 and"
        ):
            cli.run([*first, "--temperature", "0.6", "--max_turns", "9"])
        # More questions are no other settings.
        assert len(runs_of(cli.run([*first[:-1], "4"]))) == 4
        restarted = cli.run([*first, "--temperature", "0.6", "--restart", "true"])
        assert {run.sampling.temperature for run in runs_of(restarted).values()} == {0.6}


@pytest.mark.slow
def test_shards_of_several_machines_are_one_dataset(corpus, tmp_path):
    with ChatServer(Script(protocol="json")) as server:
        whole = cli.run(words(corpus, server.base_url, "lrat/run-whole", tmp_path / "whole"))
        for number in (1, 2, 3):
            sharded = words(corpus, server.base_url, "lrat/run-sharded", tmp_path / f"machine{number}")
            assert cli.run([*sharded, "--shard", f"{number}/3"]) is None
        for file in [*(tmp_path / "machine2").rglob("*.jsonl"), *(tmp_path / "machine3").rglob("*.jsonl")]:
            shutil.copy(file, next((tmp_path / "machine1").rglob("shard-1*")).parent)
    # No server runs any more, and none is needed.
    merged = words(corpus, server.base_url, "lrat/run-sharded", tmp_path / "machine1", "--publish_only", "true")
    assert timeless_runs(cli.run(merged)) == timeless_runs(whole)


@pytest.mark.slow
def test_what_is_there_is_published_while_runs_go_on(corpus, tmp_path):
    from huggingface_hub import HfApi

    with ChatServer(Script(protocol="json", delay=0.05)) as server:
        sent = words(
            corpus, server.base_url, "lrat/run-partly", tmp_path, "--publish_every", "10", "--concurrency", "2"
        )
        last = cli.run(sent)
    commits = [commit.commit_id for commit in HfApi().list_repo_commits(last.repo_id, repo_type="dataset")]
    partly = [HubRef.parse(f"datasets/{last.repo_id}@{sha}") for sha in commits[1:3]]
    missing = [read_lineage(ref).counts["statuses"]["missing"] for ref in partly]
    assert 0 < missing[0] < missing[1] < len(QUESTIONS)
    assert set(runs_of(partly[1])) < set(runs_of(last))


@pytest.mark.slow
def test_a_model_that_judges_is_asked_only_where_texts_do_not_match(corpus, tmp_path):
    with ChatServer(Script(protocol="json")) as server:
        sent = words(corpus, server.base_url, "lrat/run-judged", tmp_path, "--answer_judge", "llm")
        run = cli.run([*sent, "--answer_judge_model", "scripted", "--answer_judge_url", server.base_url])
        judged = [body for body in server.requests if "You grade answers" in body["messages"][0]["content"]]
    verdicts = read_lineage(run).counts["verdicts"]
    assert sum(verdicts.values()) == len(QUESTIONS)
    # The scripted model knows nothing of verdicts: what it says is none, and nobody is called wrong for it.
    assert verdicts["unjudged, reply without a verdict"] == sum(r.correct is None for r in runs_of(run).values()) > 0
    assert len({json.dumps(body["messages"][:2]) for body in judged}) == verdicts["unjudged, reply without a verdict"]


@pytest.mark.slow
def test_a_model_is_served_from_its_pin_for_the_time_of_the_run(corpus, tmp_path):
    """With the scripted server in vLLM's place; `tests/vllm_stage.py` has the real one."""
    from huggingface_hub import HfApi

    HfApi().create_repo("lrat/served-agent")
    sha = (
        HfApi()
        .upload_file(
            repo_id="lrat/served-agent", path_in_repo="config.json", path_or_fileobj=b'{"model_type": "llama"}'
        )
        .oid
    )
    module = tmp_path / "site" / "vllm" / "entrypoints" / "openai" / "api_server.py"
    module.parent.mkdir(parents=True)
    (tmp_path / "site" / "vllm" / "__init__.py").touch()
    module.write_text(
        "import pathlib, sys\n"
        "options = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
        "print((pathlib.Path(options['--model']) / 'config.json').read_text(), sys.argv, flush=True)\n"
        "name = options['--served-model-name']\n"
        "sys.argv = ['', '--port', options['--port'], '--protocol', 'json', '--model', name]\n"
        "from tests.chat_server import main\n"
        "main()\n"
    )
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path / "site"}:{ROOT} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    sent = words(corpus, "", "lrat/run-served", tmp_path / "journal", "--limit", "4", "--vllm_python", str(python))
    place = sent.index("--model") + 1
    sent[place] = "lrat/served-agent"
    ref = cli.run([*sent, "--tensor_parallel", "2", "--vllm_args=--dtype=float32 --seed 1"])
    assert {(run.agent, run.agent_revision) for run in runs_of(ref).values()} == {("lrat/served-agent", sha)}
    assert read_lineage(ref).inputs["agent"] == f"lrat/served-agent@{sha}"
    log = (tmp_path / "journal" / "vllm.log").read_text()
    assert '"model_type": "llama"' in log
    assert "'--tensor-parallel-size', '2', '--dtype=float32', '--seed', '1'" in log
    with pytest.raises(
        LratError, match=r"agent\.sampling\.temperature was 0\.85 and is 0\.6; agent\.settings\.vllm_args"
    ):
        cli.run([*sent, "--temperature", "0.6"])
    assert (tmp_path / "journal" / "vllm.log").read_text() == log, "a server was started for settings that are refused"
    (run, *_) = runs_of(ref).values()
    assert json.loads(run.metadata)["agent"]["vllm_args"] == ["--dtype=float32", "--seed", "1"]


def test_samples_of_a_question_differ_by_their_seed(corpus, tmp_path):
    with ChatServer(Script(protocol="tools")) as server:
        sent = words(
            corpus, server.base_url, "lrat/run-samples", tmp_path, "--samples", "2", "--limit", "3", protocol="tools"
        )
        runs = runs_of(cli.run(sent))
    assert [run.sampling.seed for run in runs.values()] == [2025, 2026] * 3
    assert list(runs)[:2] == ["q0-0", "q0-1"]


@pytest.mark.slow
def test_a_killed_rollout_goes_on_where_it_was(corpus, tmp_path):
    """Three kills; `benchmarks/rollout_kills.py` does it more often."""
    rng = random.Random(7)
    with serve(Script(protocol="json", delay=0.1)) as base_url:
        calm = cli.run(words(corpus, base_url, "lrat/run-calm", tmp_path / "calm"))
        sent = words(corpus, base_url, "lrat/run-killed", tmp_path / "killed", "--concurrency", "2")
        kills = 0
        for _ in range(3):
            process = subprocess.Popen([sys.executable, "-m", "lrat_hub.cli", *sent], cwd=ROOT, env=os.environ)
            # Not while Python is still importing.
            deadline = time.monotonic() + 60
            while not (size := _journal_size(tmp_path / "killed")) or size == kills:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            time.sleep(rng.random() / 2)
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills = _journal_size(tmp_path / "killed")
        assert 0 < _runs(tmp_path / "killed") < len(QUESTIONS)
        killed = cli.run(sent)
    assert timeless_runs(killed) == timeless_runs(calm)


def _journal_size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("shard-*.jsonl"))


def _runs(folder: Path) -> int:
    return sum(file.read_bytes().count(b"\n") for file in folder.rglob("shard-*.jsonl"))


@pytest.mark.slow
def test_calls_that_could_not_be_carried_out_are_counted_by_kind(corpus, tmp_path):
    with ChatServer(Script(protocol="tools", malformed=0.4)) as server:
        ref = cli.run(words(corpus, server.base_url, "lrat/run-malformed", tmp_path, protocol="tools"))
    counted = read_lineage(ref).counts["errors"]
    assert sum(counted.values()) == sum(run.count("invalid") for run in runs_of(ref).values())
    assert counted["there is no tool ..."] > 0


def test_a_rollout_that_goes_elsewhere_takes_the_runs_that_are_there(corpus):
    """Its journal is named after the work, and other work has another one."""

    def run(to: str, *more: str) -> HubRef:
        named = words(corpus, server.base_url, to, "", *more)
        at = named.index("--journal")
        return cli.run([*named[:at], *named[at + 2 :]])

    with ChatServer(Script(protocol="json")) as server:
        first = run("lrat/run-here")
        asked = server.stats()["requests"]
        assert runs_of(run("lrat/run-there")) == runs_of(first)
        assert server.stats()["requests"] == asked
        run("lrat/run-there", "--max_turns", "19")
        assert server.stats()["requests"] > asked
