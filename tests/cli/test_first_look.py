"""Every stage looks before it works: what can't be published ends it in one line, and what was made is never lost."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from datasets import Dataset

from lrat_hub import HubRef
from lrat_hub.hub.lineage import Lineage
from lrat_hub.hub.publish import publish_dataset
from lrat_hub.localhub import LocalHub

LONGEST_SECONDS = 120
"""Far more than the 15 seconds that a first look takes on a machine with nothing else to do."""

CARD = "---\npretty_name: Test\n---\n\n# Test\n"

STAGES = {
    "corpus": ["--documents", "lrat/first-corpus"],
    "import": ["{log}"],
    "index": ["--corpus", "lrat/first-corpus", "--bm25"],
    "rollout": ["--corpus", "lrat/first-corpus", "--queries", "lrat/first-corpus"],
    "mine": ["--trajectories", "lrat/first-corpus"],
    "train": ["--pairs", "lrat/first-corpus", "--model", "lrat/first-model"],
    "train-agent": ["--trajectories", "lrat/first-corpus", "--model", "lrat/first-model"],
    "sweep": [
        "--pairs",
        "lrat/x",
        "--model",
        "lrat/x",
        "--corpus",
        "lrat/x",
        "--queries",
        "lrat/x",
        "--qrels",
        "lrat/x",
    ],
    "adopt": ["--model", "lrat/first-model", "--family", "minilm"],
    "eval retrieval": [
        "--corpus",
        "lrat/first-corpus",
        "--queries",
        "lrat/first-corpus",
        "--qrels",
        "lrat/first-corpus",
    ],
    "eval agents": ["--trajectories", "lrat/first-corpus", "--queries", "lrat/first-corpus"],
    "eval report": ["--evaluations", "lrat/first-corpus"],
    "analyze": ["--trajectories", "lrat/first-corpus"],
}
"""The shortest words that each stage takes for a command."""


def lrat(*words: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own; None removes a variable."""
    merged = {name: value for name, value in (os.environ | environment).items() if value is not None}
    command = [sys.executable, "-m", "lrat_hub.cli", *words]
    return subprocess.run(command, env=merged, capture_output=True, text=True, timeout=LONGEST_SECONDS)


def words_of(stage: str, to: str, folder: Path) -> list[str]:
    log = folder / "log.jsonl"
    log.write_text("{}\n")
    return [*stage.split(), *(word.format(log=log) for word in STAGES[stage]), "--to", to]


def require_one_line(ended: subprocess.CompletedProcess[str], pattern: str) -> None:
    assert ended.returncode == 1, ended.stderr
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1, ended.stderr
    assert re.match(f"error: .*{pattern}", lines[0]), lines[0]
    # No input was pinned, so that no work has begun.
    assert not re.search(r"@[0-9a-f]{40}", ended.stdout), ended.stdout


def corpus(name: str, **configs: str) -> HubRef:
    rows = {"train": Dataset.from_dict({"docid": ["a"], "title": [""], "text": ["a"]})}
    tables = dict.fromkeys(configs or {"corpus": ""}, rows)
    return publish_dataset(HubRef(name, "dataset"), tables, card=CARD, lineage=Lineage("test", {}, {}))


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    """The address of a Hub that accepts connections and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                held.append(listener.accept()[0])
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    for connection in held:
        connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_without_a_token_and_offline_no_stage_begins(hub, stage, tmp_path):
    words = words_of(stage, "lrat/first-target", tmp_path)
    home = {"HF_HOME": str(tmp_path / "home")}
    require_one_line(lrat(*words, HF_TOKEN=None, **home), "expected a token to publish with, found none")
    require_one_line(lrat(*words, HF_HUB_OFFLINE="1", **home), "HF_HUB_OFFLINE is set")


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_the_first_look_waits_for_no_heavy_import(stage, tmp_path):
    code = """
import sys
from lrat_hub import cli
assert cli.main(sys.argv[1:]) == 1
print(*{"torch", "transformers", "sentence_transformers", "faiss"} & set(sys.modules))
"""
    words = words_of(stage, "lrat/first-target", tmp_path)
    environment = {name: value for name, value in os.environ.items() if name != "HF_TOKEN"}
    environment["HF_HOME"] = str(tmp_path / "home")
    ended = subprocess.run([sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True)
    assert "expected a token to publish with" in ended.stderr
    assert not ended.stdout.strip()


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_with_a_hub_that_has_stopped_no_stage_begins(stage, tmp_path):
    with LocalHub(tmp_path / "hub") as stopped:
        pass
    words = words_of(stage, "lrat/first-target", tmp_path)
    require_one_line(lrat(*words, **stopped.env), "The Hub at .* can't be reached")


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["mine", "train"])
def test_a_hub_that_never_answers_is_not_waited_for(silent, stage, tmp_path):
    ended = lrat(*words_of(stage, "lrat/first-target", tmp_path), HF_ENDPOINT=silent)
    require_one_line(ended, "The Hub at .* can't be reached")


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["import", "mine", "eval retrieval", "rollout", "train", "index"])
def test_a_token_that_is_wrong_or_may_only_read_is_named(hub, stage, tmp_path):
    from lrat_hub.localhub.root import create_token

    words = words_of(stage, "reader/first-target", tmp_path)
    require_one_line(lrat(*words, HF_TOKEN="hf_wrong"), "refuses the token")
    reading = create_token(hub.root, "reader", "read")
    require_one_line(lrat(*words, HF_TOKEN=reading), "expected a token that may write, found one of reader")
    writing = create_token(hub.root, "writer", "write")
    require_one_line(lrat(*words, HF_TOKEN=writing), "expected a namespace of writer.* found reader")


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["corpus", "import", "mine", "sweep", "eval retrieval"])
def test_configs_that_would_be_lost_are_seen_first(hub, stage, tmp_path):
    corpus("lrat/first-kept", precious="")
    ended = lrat(*words_of(stage, "lrat/first-kept", tmp_path))
    require_one_line(ended, "it has precious, which this would remove")


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["train", "train-agent", "index", "adopt"])
def test_a_target_of_another_kind_is_refused(hub, stage, tmp_path):
    from huggingface_hub import HfApi

    ended = lrat(*words_of(stage, "datasets/lrat/first-kept", tmp_path))
    require_one_line(ended, "publishes a model, not a dataset")
    there, new = ("config.json", "an index") if stage == "index" else ("stamp.json", "a model")
    name = f"lrat/first-kind-{stage}"
    HfApi().create_repo(name, exist_ok=True)
    for file in (there, "lineage.json"):
        HfApi().upload_file(path_or_fileobj=b"{}", path_in_repo=file, repo_id=name)
    require_one_line(lrat(*words_of(stage, name, tmp_path)), f"which {new} would replace")


@pytest.mark.slow
def test_a_split_that_cannot_be_loaded_is_refused_with_a_name_that_can(hub, tmp_path):
    ended = lrat(*words_of("corpus", "lrat/first-split", tmp_path), "--split", "test-2024")
    require_one_line(ended, "expected a split named with letters.*'test-2024'.*Call it 'test_2024'")


@pytest.mark.slow
def test_a_full_disk_is_seen_first_and_named(hub, tmp_path):
    """No file may grow beyond a few kilobytes in the shell's children: their disk is full, for all they know."""
    words = words_of("import", "lrat/first-full", tmp_path)
    command = f"ulimit -f 8; exec {shlex.join([sys.executable, '-m', 'lrat_hub.cli', *words])}"
    environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=LONGEST_SECONDS
    )
    require_one_line(ended, "expected a folder that can be written, found none .*File too large")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variable", "pattern"),
    [
        ("HF_HOME", r"expected \S+ MB of free space, found"),
        ("TMPDIR", "no space is left on the disk.*TMPDIR is"),
    ],
)
def test_a_disk_that_is_really_full_is_named(hub, small_disk, tmp_path, variable, pattern):
    documents = tmp_path / "docs.jsonl"
    documents.write_text("".join(json.dumps({"docid": f"d{n}", "text": "word " * 200}) + "\n" for n in range(8_000)))
    ended = lrat("corpus", "--documents", str(documents), "--to", "lrat/first-small", **{variable: str(small_disk)})
    assert ended.returncode == 1
    assert re.search(pattern, ended.stderr.strip().splitlines()[-1]), ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_a_cache_that_may_not_be_written_is_named_where_it_is_needed(hub, small_disk, tmp_path):
    subprocess.run(["mount", "-o", "remount,ro,size=1g", str(small_disk)], check=True)
    publish_dataset(
        HubRef("lrat/first-readonly", "dataset"),
        {"corpus": {"train": Dataset.from_list([{"docid": "d1", "title": "", "text": "a"}])}},
        card=CARD,
        lineage=Lineage("corpus", {}, {}),
    )
    ended = lrat(
        "index", "--bm25", "--corpus", "lrat/first-readonly", "--to", "lrat/first-index", HF_HOME=str(small_disk)
    )
    assert re.search("^error: .*: the disk is read-only. HF_HOME is ", ended.stderr.strip().splitlines()[-1]), (
        ended.stderr
    )


@pytest.fixture
def mortal(tmp_path):
    """A Hub of its own, that a test may kill, and commands that use it."""
    hub = LocalHub(tmp_path / "mortal").start()
    yield hub
    hub.stop()


LOG = {
    "id": "run-1",
    "messages": [
        {"role": "user", "content": "Who wrote Emma?"},
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "search", "arguments": '{"query": "emma author"}'}}]},
        {"role": "tool", "tool_call_id": "1", "content": '[{"docid": "d1", "title": "Emma", "snippet": "A novel."}]'},
        {"role": "assistant", "content": "Jane Austen"},
    ],
}  # fmt: skip

KILLED_WHILE_PUBLISHING = """
import os, signal, sys
from huggingface_hub import HfApi
from lrat_hub import cli
from lrat_hub.hub import retries
pid = int(sys.argv[1])
create = HfApi.create_commit
def dies(self, *args, **kwargs):
    os.kill(pid, signal.SIGKILL)
    return create(self, *args, **kwargs)
HfApi.create_commit = dies
retries.PATIENCE_SECONDS = 1.0
retries.retried.__kwdefaults__["patience"] = retries.commit.__kwdefaults__["patience"] = 1.0
sys.exit(cli.main(sys.argv[2:]))
"""


@pytest.mark.slow
def test_a_hub_that_is_killed_while_it_publishes_loses_nothing_and_the_printed_command_publishes(mortal, tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps(LOG) + "\n")
    home = {"HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", KILLED_WHILE_PUBLISHING, str(mortal.pid)]
    ended = subprocess.run(
        [*command, "import", str(log), "--to", "lrat/after-all"],
        env=os.environ | mortal.env | home, capture_output=True, text=True, timeout=LONGEST_SECONDS,
    )  # fmt: skip
    assert ended.returncode == 1, ended.stderr
    printed = re.search(r"Publish it with: lrat (publish .*)$", ended.stderr.strip())
    assert printed, ended.stderr
    mortal.stop()
    with LocalHub(mortal.root) as again:
        published = lrat(*shlex.split(printed[1]), **again.env, **home)
        assert published.returncode == 0, published.stderr
        reference = re.search(r"published: (\S+)", published.stdout)[1]
        shown = lrat("lineage", reference, **again.env, **home)
        assert "import" in shown.stdout, shown.stderr
        # A file that was cut short meanwhile is noticed.
        folder = Path(shlex.split(printed[1])[1])
        parquet = next(folder.rglob("*.parquet"))
        parquet.write_bytes(parquet.read_bytes()[:-1])
        require_one_line(lrat(*shlex.split(printed[1]), **again.env, **home), "The output is no longer complete")


@pytest.mark.slow
def test_the_embedded_hub_is_reached_past_a_proxy(hub, tmp_path):
    corpus("lrat/first-proxied")
    proxy = {
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "NO_PROXY": None,
        "no_proxy": None,
    }
    ended = lrat("lineage", "datasets/lrat/first-proxied", **proxy)
    assert ended.returncode == 0, ended.stderr
    code = "import os, huggingface_hub as h; print(h.HfApi().dataset_info('lrat/first-proxied').sha)"
    for environment, reached in [(hub.env, True), ({"HF_ENDPOINT": hub.endpoint}, False)]:
        merged = {name: value for name, value in (os.environ | proxy | environment).items() if value is not None}
        assert (
            subprocess.run([sys.executable, "-c", code], env=merged, capture_output=True).returncode == 0
        ) is reached
