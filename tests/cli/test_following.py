"""What usually follows a stage: commands that can be pasted once what stands in capitals is chosen."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys

import pytest

from lrat_hub import cli
from lrat_hub.cli import following
from lrat_hub.hub.refs import HubRef

SHA = "0" * 40
CORPUS = f"datasets/me/wiki@{SHA}"
NEW = f"datasets/me/new@{SHA}"


def published(stage):
    repo_type = "model" if stage in ("train", "train-agent", "index", "adopt") else "dataset"
    return HubRef("me/new", repo_type, SHA)


@pytest.mark.parametrize(
    ("stage", "inputs", "expected"),
    [
        ("import", {}, f"lrat corpus --trajectories {NEW} --to me/new-corpus"),
        (following.WITHOUT_TEXTS, {}, f"lrat mine --trajectories {NEW} --corpus CORPUS --to me/new-pairs"),
        ("rollout", {"corpus": CORPUS}, f"lrat mine --trajectories {NEW} --corpus {CORPUS} --to me/new-pairs"),
        ("mine", {"corpus": CORPUS, "tokenizer": f"me/base@{SHA}"},
         f"lrat train --pairs {NEW} --model me/base@{SHA} --to me/new-model"),
        ("mine", {"trajectories": "runs (unpinned, sha256:12)"},
         "lrat mine --trajectories TRAJECTORIES --corpus CORPUS --to me/new"),
        ("train", {"model": f"me/base@{SHA}", "corpus": CORPUS},
         f"lrat eval retrieval --models me/base@{SHA} me/new@{SHA} --corpus {CORPUS} --queries QUERIES --qrels QRELS"
         " --to me/new-results"),
        ("train-agent", {},
         f"lrat rollout --agent llm --model me/new@{SHA} --corpus CORPUS --queries QUERIES --to me/new-runs"),
        ("index", {"corpus": CORPUS},
         f"lrat rollout --index me/new@{SHA} --corpus {CORPUS} --queries QUERIES --to me/new-runs"),
        ("corpus", {"qrels": CORPUS}, f"lrat lineage {NEW}"),
        ("eval agents", {}, f"lrat eval report --evaluations {NEW} --to me/new-report"),
        ("eval report", {}, f"lrat lineage {NEW}"),
    ],
)  # fmt: skip
def test_pins_that_are_known_are_filled_in(stage, inputs, expected):
    assert following.next_commands(stage, published(stage), inputs)[0] == expected


def test_names_do_not_grow_with_every_command():
    for made in ("me/logs", "me/logs-corpus", "me/logs-pairs", "me/logs-model"):
        (first, *_) = following.next_commands("adopt", HubRef(made, "model", SHA), {})
        assert first.endswith("--to me/logs-trained")
    assert following.next_commands("adopt", HubRef("me/-model", "model", SHA), {})[0].endswith("me/-model-trained")


def test_a_first_training_takes_a_small_model_where_the_hub_has_it():
    (first,) = following.next_commands("mine", published("mine"), {"corpus": CORPUS}, has_model=True)
    assert "--config training/minilm" in first
    assert "--model sentence-transformers/all-MiniLM-L6-v2" in first
    assert following.legend([first]) == []


def test_pairs_that_were_held_out_are_what_a_training_is_compared_by():
    inputs = {"model": f"me/base@{SHA}", "corpus": CORPUS, "pairs": f"{NEW}#pairs:train"}
    first, _ = following.next_commands("train", published("train"), inputs, splits=["train", "test"])
    assert f"--corpus {CORPUS} --pairs '{NEW}#pairs:test' --to me/new-results" in first
    assert "QUERIES" in following.next_commands("train", published("train"), inputs, splits=["train"])[0]


@pytest.mark.parametrize("stage", ["import", "mine", "train", "train-agent", "adopt", "sweep", "index", "analyze"])
@pytest.mark.parametrize("kind", ["", "reranker"])
def test_every_word_in_capitals_is_explained(stage, kind):
    commands = following.next_commands(stage, published(stage), {"trajectories": "a file (unpinned)"}, kind)
    words = {word for command in commands for word in re.findall(r"\b[A-Z]{2,}\b", command)}
    assert {line.partition(":")[0] for line in following.legend(commands)} == words


MINE = f"lrat mine --trajectories TRAJECTORIES --corpus {NEW} --to me/new-pairs"

HELD_OUT = MINE.replace(" --to", " --test 0.2 --to")


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"documents": CORPUS}, [MINE, f"lrat index --bm25 true --corpus {NEW} --to me/new-bm25"]),
        ({"documents": CORPUS, "queries": CORPUS},
         [MINE, f"lrat rollout --agent reader --corpus {NEW} --queries {NEW} --to me/new-runs"]),
        ({"trajectories": CORPUS}, [HELD_OUT.replace("TRAJECTORIES", CORPUS)]),
        ({"trajectories_1": CORPUS, "trajectories_2": NEW}, [HELD_OUT.replace("TRAJECTORIES", f"{CORPUS} {NEW}")]),
        ({"trajectories": CORPUS, "queries": CORPUS},
         [MINE.replace("TRAJECTORIES", CORPUS),
          f"lrat rollout --agent reader --corpus {NEW} --queries {NEW} --to me/new-runs"]),
        ({"queries": CORPUS, "qrels": CORPUS}, [f"lrat lineage {NEW}"]),
    ],
)  # fmt: skip
def test_after_a_corpus_come_the_logs_or_what_makes_some(inputs, expected):
    assert following.next_commands("corpus", published("corpus"), inputs) == expected


@pytest.mark.parametrize("kind", ["reranker", "late_interaction"])
def test_what_ranks_again_is_compared_behind_a_first_stage(kind):
    base = f"me/base@{SHA}"
    first, *others = following.next_commands("train", published("train"), {"model": base}, kind)
    assert first == (
        f"lrat eval retrieval --retrievers 'bm25>20:{base}' 'bm25>20:me/new@{SHA}' --corpus CORPUS --queries QUERIES"
        " --qrels QRELS --to me/new-results"
    )
    assert [one.split()[1] for one in others] == ([] if kind == "reranker" else ["index"])


class Parsed(Exception):
    pass


@pytest.mark.parametrize(
    "stage",
    ["corpus", "import", following.WITHOUT_PAIRS, following.WITHOUT_TEXTS, "rollout",
     "mine", "train", "train-agent", "index", "adopt", "sweep",
     "analyze", "eval retrieval", "eval agents", "eval report"],
)  # fmt: skip
@pytest.mark.parametrize("inputs", [{}, {"corpus": CORPUS, "queries": CORPUS, "trajectories": CORPUS}])
def test_every_command_that_is_shown_is_understood(stage, inputs, monkeypatch):
    from lrat_hub.cli.parsing import parse

    def parse_only(*arguments):
        raise Parsed(parse(*arguments))

    commands = following.next_commands(stage, published(stage), inputs)
    assert commands
    for command in commands:
        first, *words = shlex.split(command)
        assert first == "lrat"
        module, rest = cli.find(words)
        if module == "lrat_hub.cli.lineage":
            continue
        script = importlib.import_module(module)
        monkeypatch.setattr(script, "parse", parse_only)
        with pytest.raises(Parsed):
            script.main(rest)


def test_only_the_outermost_stage_of_a_command_says_what_follows(monkeypatch, capsys):
    def run(words):
        following.note("rollout", published("rollout"), {})
        following.note("eval agents", published("eval agents"), {})

    monkeypatch.setattr(cli, "run", run)
    assert cli.main(["eval", "agents", "--to", "x/y"]) == 0
    assert capsys.readouterr().out == f"  next: lrat eval report --evaluations {NEW} --to me/new-report\n"
    assert following.take() == []


def test_a_hub_that_is_away_since_it_took_what_was_published_changes_no_more_than_what_is_suggested():
    script = (
        "from lrat_hub.cli import following; from lrat_hub.hub.refs import HubRef\n"
        f"following.note('mine', HubRef('me/new', 'dataset', {SHA!r}), {{'corpus': {CORPUS!r}}})\n"
        "print(*following.take())"
    )
    away = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    said = subprocess.run([sys.executable, "-c", script], env=away, capture_output=True, text=True, check=True).stdout
    assert said.strip() == f"lrat train --pairs {NEW} --model MODEL --to me/new-model"
