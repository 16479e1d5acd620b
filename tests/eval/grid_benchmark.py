"""What tests of `lrat eval grid` run: a benchmark of twenty questions, and scripted models served as by vLLM."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lrat_hub import cli
from lrat_hub.hub.refs import HubRef
from tests.agents.scripted import DOCUMENTS, QUESTIONS

ROOT = Path(__file__).parents[2]
COUNT = 20


def publish_benchmark(folder: Path, name: str) -> str:
    """Documents, and questions about them, by their pin."""
    rows = [json.dumps({"docid": d.docid, "title": d.title, "text": d.text}) for d in DOCUMENTS.values()]
    (folder / "documents.jsonl").write_text("\n".join(rows))
    questions = [f"{q.query_id}\t{q.text}\t{q.gold_answer}\n" for q in QUESTIONS[:COUNT]]
    (folder / "queries.tsv").write_text("".join(questions))
    words = ["--documents", str(folder / "documents.jsonl"), "--queries", str(folder / "queries.tsv")]
    return str(cli.run(["corpus", *words, "--to", name]))


def scripted_agents(folder: Path, protocols: list[str]) -> list[Path]:
    """Recipes of agents, each a model on the Hub that an interpreter with the scripted server serves as if by vLLM."""
    from huggingface_hub import HfApi

    module = folder / "site" / "vllm" / "entrypoints" / "openai" / "api_server.py"
    module.parent.mkdir(parents=True)
    (folder / "site" / "vllm" / "__init__.py").touch()
    module.write_text(
        "import sys\n"
        "options = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
        "name = options['--served-model-name']\n"
        f"print('serves', name, file=open({str(folder / 'served.log')!r}, 'a'), flush=True)\n"
        "protocol = name.rpartition('-')[2]\n"
        "sys.argv = ['', '--port', options['--port'], '--protocol', protocol, '--model', name, '--delay', '0.02']\n"
        "from tests.chat_server import main\n"
        "main()\n"
    )
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={folder / "site"}:{ROOT} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    recipes = []
    for protocol in protocols:
        model = f"lrat/scripted-{protocol}"
        HfApi().create_repo(model, exist_ok=True)
        HfApi().upload_file(repo_id=model, path_in_repo="config.json", path_or_fileobj=b'{"model_type": "llama"}')
        recipe = folder / f"rollout_{protocol}.yaml"
        recipe.write_text(
            f"agent: llm\nmodel: {model}\nprotocol: {protocol}\nvllm_python: {python}\nmax_turns: 12\n"
            f"max_tokens: 500\nconcurrency: 4\nserver_timeout: 60\n"
        )
        recipes.append(recipe)
    return recipes


Mark = Callable[[list[str], int], bool]
"""When a command is killed: by its output so far, and the number of runs in its journals."""


def killed_until_done(words: list[str], marks: list[Mark], home: Path) -> list[str]:
    """Runs a command, which is killed at each of the marks and begun again; the output of the last, whole run."""
    command = [sys.executable, "-m", "lrat_hub.cli", *words]
    output = home / "output"
    home.mkdir(exist_ok=True)
    for mark in [*marks, None]:
        with (
            output.open("w") as file,
            subprocess.Popen(
                command, cwd=ROOT, env=os.environ | {"HF_HOME": str(home)}, stdout=file, stderr=subprocess.STDOUT
            ) as process,
        ):
            while mark is not None and not mark(output.read_text().splitlines(), runs_in(home)):
                assert process.poll() is None, f"it ended before its mark:\n{output.read_text()}"
                time.sleep(0.01)
            if mark is not None:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == 0, output.read_text()
    return output.read_text().splitlines()


def runs_in(home: Path) -> int:
    """Runs in all journals of a home."""
    return sum(path.read_bytes().count(b"\n") for path in home.glob("lrat/rollouts/**/shard-*.jsonl"))


def commits_of(ref: HubRef) -> int:
    """How often a repository was published to."""
    from huggingface_hub import HfApi

    titles = [commit.title for commit in HfApi().list_repo_commits(ref.repo_id, repo_type=ref.repo_type)]
    return sum(title.startswith("lrat ") for title in titles)
