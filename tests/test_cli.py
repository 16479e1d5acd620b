"""The `lrat` command: quick help, and one clear line for what the user can mend."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import Dataset

from lrat_hub import cli, load_trajectories
from lrat_hub.schema import trajectory_features

HEAVY = set(
    """accelerate aiohttp bm25s datasets faiss huggingface_hub matplotlib numpy pydantic scipy sentence_transformers
    torch transformers trl vllm""".split()  # noqa: SIM905
)


def run(*words):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)


def test_help_names_every_command_and_loads_nothing_that_takes_long():
    code = (
        "import sys; from lrat_hub import cli; cli.main(['--help']); "
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    ended = run("-c", code)
    assert all(f"\n  {command}" in ended.stdout for command in cli.COMMANDS)
    assert not set(ended.stderr.split()) & HEAVY


def test_a_reader_that_has_seen_enough_is_no_error():
    command = f"{sys.executable} -m lrat_hub.cli --help | true; exit ${{PIPESTATUS[0]}}"
    for _ in range(3):
        ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        assert ended.stderr == ""
        assert ended.returncode in (0, 141)


def test_importing_the_package_loads_nothing_heavy():
    code = "import lrat_hub, sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = set(run("-c", code).stdout.split())
    assert not loaded & HEAVY


def test_every_public_name_can_be_imported():
    import lrat_hub

    for name in lrat_hub.__all__:
        assert getattr(lrat_hub, name) is not None


def test_a_former_public_name_still_works_and_says_what_it_is_called_now():
    import lrat_hub

    with pytest.warns(DeprecationWarning, match=r"lrat_hub\.DocumentJudge is now lrat_hub\.LLMJudge"):
        former = lrat_hub.DocumentJudge
    assert former is lrat_hub.LLMJudge


@pytest.mark.slow
def test_a_library_and_stages_from_two_trees_are_refused(tmp_path):
    library = Path(cli.__file__).parents[1]
    tree = tmp_path / "other"
    # The library alone, as a checkout has it: its stages are found in the tree that is installed.
    shutil.copytree(library, tree / "lrat_hub", ignore=shutil.ignore_patterns("__pycache__"))
    words = [sys.executable, "-m", "lrat_hub.cli", "mine", "--help"]
    mixed = subprocess.run(
        words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tree)}, capture_output=True, text=True
    )
    assert mixed.returncode == 1
    assert mixed.stderr.count("\n") == 1
    assert str(tree) in mixed.stderr
    assert str(library.parent) in mixed.stderr
    by_module = [sys.executable, "-m", "lrat_hub.dataset_builders.mine", "--help"]
    mixed = subprocess.run(
        by_module, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tree)}, capture_output=True, text=True
    )
    assert mixed.returncode == 1
    assert "from one tree" in mixed.stderr
    # With its stages it is a whole tree.
    for folder in ("dataset_builders", "training", "eval", "model_cards"):
        shutil.copytree(library.parent / folder, tree / "lrat_hub" / folder)
    whole = subprocess.run(
        words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tree)}, capture_output=True, text=True
    )
    assert whole.returncode == 0
    assert subprocess.run(words, cwd=tmp_path, capture_output=True).returncode == 0


def test_every_command_has_help(capsys):
    for command in cli.COMMANDS:
        with pytest.raises(SystemExit) as ended:
            cli.main([*command.split(), "--help"])
        assert ended.value.code == 0
        assert f"lrat {command}" in capsys.readouterr().out


@pytest.fixture(scope="module")
def imported(hub, tmp_path_factory):
    """A trajectories dataset, by pin."""
    from tests.importers.test_release import GOOD

    folder = tmp_path_factory.mktemp("runs")
    (folder / "one.json").write_text(json.dumps(GOOD))
    return str(cli.run(["import", str(folder), "--to", "lrat/cli-runs"]))


def fails(capsys, *words):
    """Runs a command that must fail, and gives its one line of error."""
    capsys.readouterr()
    assert cli.main([str(word) for word in words]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1
    assert lines[-1] == errors[0]
    return errors[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nonsense",), "expected a command"),
        (("mine", "--trajectories", "lrat/nowhere", "--to", "lrat/x"), "no such dataset repository"),
        (("mine", "--trajectories", "{runs}@nope", "--to", "lrat/x"), "has no revision 'nope'"),
        (("train", "--pairs", "{pin}", "--model", "lrat/no-model", "--to", "lrat/x"), "no such model repository"),
        (("mine", "--trajectories", "{pin}#nope", "--to", "lrat/x"), "with a config 'nope'"),
        (("eval", "retrieval", "--corpus", "{pin}", "--queries", "{pin}", "--qrels", "{pin}", "--to", "lrat/x"),
         "expected a corpus dataset"),
        (("mine", "--trajectories", "{pin}", "--to", "no-namespace"), "expected namespace/name"),
        (("mine", "--trajectories", "{runs}", "--require-pinned", "--to", "lrat/x"), "only full commit shas"),
        (("import", "{empty}", "--to", "lrat/x"), "expected .json files"),
        (("import", "{empty}/nothing", "--to", "lrat/x"), "found nothing"),
        (("mine", "--config", "{empty}/recipe.yaml"), "neither"),
        (("lineage", "lrat/nowhere"), "no such model repository"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_a_failing_exit_code(imported, tmp_path, capsys, words, message):
    names = {"pin": imported, "runs": "datasets/lrat/cli-runs", "empty": str(tmp_path)}
    assert message in fails(capsys, *(word.format(**names) for word in words))


@pytest.mark.parametrize(
    "line",
    ["jugde: none", "judge: llm", "outcomes: correct", "half_life: [1]", "trajectories: null", "- 1"],
)
def test_a_recipe_with_an_unknown_key_or_a_wrong_value_is_an_error(imported, tmp_path, capsys, line):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"trajectories: [{imported}]\nto: lrat/x\n{line}\n")
    fails(capsys, "mine", "--config", recipe)


@pytest.mark.parametrize("option", ["--temperature=0", "--batch_size=0", "--num_negatives=-1", "--warmup_ratio=2"])
def test_settings_without_a_meaning_are_refused_before_anything_is_read(capsys, option):
    assert "Training: expected" in fails(capsys, "train", "--pairs", "a/b", "--model", "a/b", "--to", "a/c", option)


def test_the_wrong_kind_of_target_is_refused_before_anything_is_read(capsys):
    line = fails(capsys, "train", "--pairs", "a/b", "--model", "a/b", "--to", "datasets/a/c")
    assert "lrat train publishes a model, not a dataset" in line


def test_nothing_mined_is_one_line(imported, tmp_path, capsys):
    words = ["mine", "--trajectories", imported, "--outcomes", "incorrect", "--to", "lrat/x"]
    assert "found none: of 1 trajectories none was kept (1 " in fails(capsys, *words)


def test_runs_in_which_nothing_was_opened_mine_to_one_line(imported, tmp_path, capsys):
    (run,) = load_trajectories(imported)
    unread = dataclasses.replace(run, steps=tuple(step for step in run.steps if step.action != "browse"))
    table = Dataset.from_list([unread.to_dict()], features=trajectory_features())
    table.to_parquet(tmp_path / "train.parquet")
    for judge in ("none", "rule"):
        words = ["mine", "--trajectories", tmp_path, "--judge", judge, "--to", "lrat/x"]
        assert "found none: there were no browses. Only a document" in fails(capsys, *words)


def test_the_command_line_wins_over_the_recipe_and_the_lineage_has_what_was_used(imported, tmp_path):
    from lrat_hub.hub.lineage import read_lineage

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"trajectories: [{imported}]\njudge: none\nnegatives: formula\n")
    pin = cli.run(["mine", f"--config={recipe}", "--negatives", "unbrowsed", "--to", "lrat/cli-pairs"])
    lineage = read_lineage(pin)
    assert lineage.recipe["negatives"] == "unbrowsed"
    assert lineage.recipe["judge"] == "none"
    assert lineage.inputs == {"trajectories": imported}
    assert lineage.counts["pairs"] == {"read": 1, "kept": 1, "dropped": {}, "notes": {}}


def test_a_corpus_without_the_documents_is_one_line(imported, tmp_path, capsys):
    (tmp_path / "docs.jsonl").write_text('{"docid": "other", "title": "t", "text": "words"}\n')
    corpus = cli.run(["corpus", "--documents", str(tmp_path / "docs.jsonl"), "--to", "lrat/cli-corpus"])
    line = fails(capsys, "mine", "--trajectories", imported, "--corpus", corpus, "--judge", "none", "--to", "lrat/x")
    assert "expected the 2 documents of the pairs, found 0; missing are 7, 8." in line


def test_losses_of_an_import_are_errors_only_when_it_is_strict(hub, tmp_path, capsys):
    from tests.importers.test_release import GOOD

    (tmp_path / "good.json").write_text(json.dumps(GOOD))
    (tmp_path / "bad.json").write_text("{")
    assert cli.main(["import", str(tmp_path), "--to", "lrat/cli-lossy"]) == 0
    assert "dropped, not JSON: 1" in capsys.readouterr().out
    assert "--strict allows no loss" in fails(capsys, "import", tmp_path, "--strict", "--to", "lrat/x")
    (tmp_path / "good.json").unlink()
    assert "found none that can be read" in fails(capsys, "import", tmp_path, "--to", "lrat/x")


def test_an_unreachable_hub_is_one_line():
    environment = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    words = ["-m", "lrat_hub.cli", "mine", "--trajectories", "lrat/x", "--to", "lrat/y"]
    ended = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.strip().splitlines()[-1].startswith("error: datasets/lrat/x@main: the Hub at")
    assert "Traceback" not in ended.stderr


def test_a_recipe_that_is_not_named_is_one_line(capsys):
    assert cli.main(["mine", "--to", "a/b", "--config"]) == 1
    assert capsys.readouterr().err == "error: lrat mine: --config: expected a recipe, found nothing behind it.\n"
