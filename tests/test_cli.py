"""The `lrat` command: quick help, and one clear line for what the user can fix."""

import dataclasses
import json
import os
import re
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


def fails(capsys, *words, code=1):
    """Runs a command that must fail, and gives its one line of error."""
    capsys.readouterr()
    assert cli.main([str(word) for word in words]) == code
    lines = capsys.readouterr().err.strip().splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1
    assert lines[-1] == errors[0]
    return errors[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
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
    ["judge: llm", "outcomes: correct", "half_life: [1]", "trajectories: null", "- 1"],
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
    assert "found none: of 1 trajectories none was kept (1 " in (line := fails(capsys, *words))
    assert "--outcomes and --statuses say which are mined" in line


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
    assert ended.stderr.strip().splitlines()[-1].startswith("error: The Hub at")
    assert "Traceback" not in ended.stderr


def test_a_recipe_that_is_not_named_is_one_line(capsys):
    assert cli.main(["mine", "--to", "a/b", "--config"]) == 2
    assert capsys.readouterr().err == "error: lrat mine: --config: expected a recipe, found nothing behind it.\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nonsense",), "lrat: expected a command, found 'nonsense'. See lrat --help."),
        (("improt", "runs"), "lrat: expected a command, found 'improt'; did you mean lrat import?"),
        (("eval", "retreival"), "lrat: expected a command, found 'eval retreival'; did you mean lrat eval retrieval?"),
        (("mine", "--tokeniser", "x"), "lrat mine: unknown option --tokeniser; did you mean --tokenizer?"),
        (("mine", "--judge-promt=x"), "lrat mine: unknown option --judge-promt; did you mean --judge_prompt?"),
        (("mine", "--zzz", "x"), "lrat mine: unknown option --zzz. See lrat mine --help."),
        (("mine", "runs", "--to", "a/b"), "lrat mine: expected options, found 'runs'. See lrat mine --help."),
        (("mine",), "lrat mine: missing --to. See lrat mine --help."),
        (("mine", "--to", "a/b", "--seed", "many"), "lrat mine: --seed: invalid int value: 'many'."
         " See lrat mine --help."),
        (("mine", "--profile", "epsode", "--to", "a/b"),
         "lrat mine: --profile: expected paper, episode, released, found 'epsode'; did you mean episode?"),
        (("import", "x", "--format", "chta", "--to", "a/b"), "found 'chta'; did you mean chat?"),
        (("export", "--pair", "a/b"), "lrat export: unknown option --pair; did you mean --pairs?"),
        (("hub", "srve"), "lrat hub: COMMAND: expected serve, env, token, gc, verify, found 'srve'; did"
         " you mean serve?"),
        (("hub", "env", "--rot", "x"), "lrat hub env: unknown option --rot; did you mean --root?"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_answered_with_the_nearest_there_is(capsys, words, message):
    assert fails(capsys, *words, code=2).endswith(message)


@pytest.mark.parametrize(
    ("line", "message", "code"),
    [
        ("jugde: none", "recipe.yaml: unknown option jugde; did you mean judge?", 2),
        ("profile: epsode", "profile: expected paper, episode, released, found 'epsode'; did you mean episode?", 1),
        ("- 1", "expected options, as a YAML mapping; found a str.", 1),
    ],
)
def test_so_is_a_recipe(tmp_path, capsys, line, message, code):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"to: lrat/x\n{line}\n" if line[0] != "-" else "only words\n")
    assert fails(capsys, "mine", "--config", recipe, code=code).endswith(message)


def test_a_group_of_commands_lists_them(capsys):
    assert cli.main(["eval"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in cli.COMMANDS if name.startswith("eval "))
    assert "lineage" not in shown


def help_of(command, capsys):
    with pytest.raises(SystemExit):
        cli.main([*command.split(), "--help"])
    return capsys.readouterr().out


STAGES = ["corpus", "import", "index", "rollout", "mine", "train", "train-agent", "sweep", "adopt",
          "eval retrieval", "eval agents", "eval report", "analyze"]  # fmt: skip


@pytest.mark.parametrize("command", STAGES)
def test_help_has_each_option_once_in_groups_the_most_needed_first(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "100")
    shown = help_of(command, capsys)
    options = re.findall(r"^  --([\w-]+)", shown, re.MULTILINE)
    assert len(options) == len(set(options))
    assert not [name for name in options if "-" in name]
    assert not {name for name in options if f"no_{name}" in options}
    titles = re.findall(r"^(\w[\w ]+):$", shown, re.MULTILINE)
    assert titles == [title for title in ("options", "inputs and output", "essentials", "expert options")
                      if f"\n{title}:" in shown]  # fmt: skip
    assert titles[1:3] == ["inputs and output", "essentials"]
    essentials = shown.partition("\nessentials:")[2].partition("\nexpert options:")[0]
    assert len(re.findall(r"^  --", essentials, re.MULTILINE)) <= 14
    assert "(default: )" not in shown
    assert "None" not in shown
    assert "--to REPOSITORY" in shown.partition("\ninputs and output:")[2].partition("\nessentials:")[0]


def test_help_says_what_an_option_that_turns_something_off_does(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    shown = help_of("import", capsys)
    assert re.search(r"--no_redact +Do not redact keys, tokens and passwords\.", shown)
    assert re.search(r"--format FORMAT +.*One of \d\d; docs/importing\.md describes them\. \(default: auto\)", shown)
    assert "Leave BM25 out" in help_of("eval retrieval", capsys)


def test_both_spellings_and_both_ways_to_turn_off_are_understood():
    from lrat_hub.dataset_builders.import_trajectories import Arguments

    from lrat_hub.cli.parsing import parse

    for words in (["--no_redact"], ["--no-redact"], ["--redact", "false"]):
        (args,) = parse([*words, "--look-at", "2"], "import", None, Arguments)
        assert (args.redact, args.look_at) == (False, 2)


def test_a_text_of_a_recipe_is_the_only_value_of_an_option_that_takes_several(tmp_path):
    from lrat_hub.dataset_builders import rollout

    from lrat_hub.cli.parsing import parse, read_recipe

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("corpus: a/b\nqueries: a/b\nto: a/b\nurl: http://h/v1\n")
    for _, agent, _ in (
        parse(["--config", str(recipe)], "rollout", None, *rollout.OPTIONS),
        read_recipe("rollout", str(recipe), {}, *rollout.OPTIONS),
    ):
        assert agent.url == ["http://h/v1"]
    _, agent, _ = parse(["--config", str(recipe), "--url", "http://a", "http://b"], "rollout", None, *rollout.OPTIONS)
    assert agent.url == ["http://a", "http://b"]


def test_former_names_of_options_work_for_now_and_a_note_has_the_name_of_today(tmp_path, capsys):
    from lrat_hub.dataset_builders import rollout

    from lrat_hub.cli.parsing import parse

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("corpus: a/b\nqueries: a/b\nto: a/b\njudge: containment\n")
    words = ["--config", str(recipe), "--base-url", "http://h/v1", "--judge_model=m"]
    _, agent, judge = parse(words, "rollout", None, *rollout.OPTIONS)
    assert (agent.url, judge.answer_judge, judge.answer_judge_model) == (["http://h/v1"], "containment", "m")
    assert capsys.readouterr().err.splitlines() == [
        f"lrat rollout: --{former} is now --{name}; the old name goes with the next minor release."
        for former, name in (("base_url", "url"), ("judge_model", "answer_judge_model"), ("judge", "answer_judge"))
    ]
