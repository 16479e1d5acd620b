"""What usually follows a stage: commands that can be pasted once what stands in capitals is chosen."""

from __future__ import annotations

import importlib
import shlex

import pytest

from lrat_hub import cli
from lrat_hub.cli import following
from lrat_hub.hub.refs import HubRef

SHA = "0" * 40
CORPUS = f"datasets/me/wiki@{SHA}"
NEW = f"datasets/me/new@{SHA}"


def published(stage):
    repo_type = "model" if stage in ("train", "index", "adopt") else "dataset"
    return HubRef("me/new", repo_type, SHA)


@pytest.mark.parametrize(
    ("stage", "inputs", "expected"),
    [
        ("import", {}, f"lrat mine --trajectories {NEW} --corpus CORPUS --to me/new-pairs"),
        ("rollout", {"corpus": CORPUS}, f"lrat mine --trajectories {NEW} --corpus {CORPUS} --to me/new-pairs"),
        ("mine", {"corpus": CORPUS, "tokenizer": f"me/base@{SHA}"},
         f"lrat train --pairs {NEW} --model me/base@{SHA} --to me/new-model"),
        ("mine", {"trajectories": "runs (unpinned, sha256:12)"},
         "lrat mine --trajectories TRAJECTORIES --corpus CORPUS --to me/new"),
        ("train", {"model": f"me/base@{SHA}", "corpus": CORPUS},
         f"lrat eval retrieval --models me/base@{SHA} me/new@{SHA} --corpus {CORPUS} --queries QUERIES --qrels QRELS"
         " --to me/new-results"),
        ("index", {"corpus": CORPUS},
         f"lrat rollout --index me/new@{SHA} --corpus {CORPUS} --queries QUERIES --to me/new-runs"),
        ("corpus", {"qrels": CORPUS}, f"lrat lineage {NEW}"),
        ("corpus", {"documents": CORPUS}, f"lrat index --bm25 true --corpus {NEW} --to me/new-bm25"),
        ("corpus", {"queries": CORPUS}, f"lrat rollout --agent reader --corpus {NEW} --queries {NEW}"
         " --to me/new-runs"),
        ("eval agents", {}, f"lrat eval report --evaluations {NEW} --to me/new-report"),
        ("eval report", {}, f"lrat lineage {NEW}"),
    ],
)  # fmt: skip
def test_pins_that_are_known_are_filled_in(stage, inputs, expected):
    assert following.next_commands(stage, published(stage), inputs)[0] == expected


class Parsed(Exception):
    pass


@pytest.mark.parametrize("stage", ["corpus", "import", "rollout", "mine", "train", "index", "adopt", "sweep",
                                   "analyze", "eval retrieval", "eval agents", "eval report"])  # fmt: skip
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
