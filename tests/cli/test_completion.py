"""Completion, asked as argcomplete's function of the shell asks."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("argcomplete")


def completed(line, tmp_path):
    """What may stand in the place of the last word of a line."""
    answer = tmp_path / "answer"
    environment = os.environ | {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_SHELL": "bash",
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    command = [sys.executable, "-m", "lrat_hub.cli"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
    return answer.read_text().split("\n")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("lrat li", ["lineage"]),
        ("lrat train", ["train", "train-agent"]),
        ("lrat eval re", ["retrieval", "report"]),
        ("lrat doctor --j", ["--json"]),
        ("lrat hub s", ["serve"]),
        ("lrat hub token create --ro", ["--root", "--role"]),
        ("lrat quickstart --base st", ["static"]),
        ("lrat train --con", ["--config"]),
        ("lrat train --config training/quickstart_", ["training/quickstart_minilm", "training/quickstart_static"]),
        ("lrat mine --profile e", ["episode"]),
        ("lrat mine --profile episode --tok", ["--tokenizer"]),
        ("lrat train-agent --max_le", ["--max_length"]),
        ("lrat nonsense --t", [""]),
    ],
)
def test_what_fits_is_offered(line, expected, tmp_path):
    assert sorted(completed(line, tmp_path)) == sorted(expected)


def test_all_commands_are_offered_by_their_first_words(tmp_path):
    from lrat_hub import cli

    assert {name.split()[0] for name in cli.COMMANDS} <= set(completed("lrat ", tmp_path))
