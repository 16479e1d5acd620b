"""A corpus, runs, pairs and an index on the tests' Hub, each made by its stage from the one before."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

DOCUMENTS = {"7": "Long text about bridges", "8": "Second text about rivers", "9": "Third text about roads"}


@dataclass(frozen=True)
class Family:
    """Pins, and the folder that the corpus and the runs came from."""

    corpus: str
    runs: str
    pairs: str
    index: str
    folder: Path


def write_corpus(folder: Path, documents: dict[str, str]) -> list[str]:
    """The words of the command that publishes it, without its target."""
    rows = [{"docid": docid, "title": "", "text": text} for docid, text in documents.items()]
    (folder / "documents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "queries.tsv").write_text("q1\tbridges\tA\nq2\trivers\tB\n")
    (folder / "qrels.txt").write_text("q1 Q0 7 1\nq2 Q0 8 1\n")
    files = {"documents": "documents.jsonl", "queries": "queries.tsv", "qrels": "qrels.txt"}
    return ["corpus", *(f"--{name}={folder / file}" for name, file in files.items())]


@pytest.fixture(scope="session")
def family(hub, tmp_path_factory: pytest.TempPathFactory) -> Family:
    from lrat_hub import cli
    from tests.importers.test_release import GOOD

    folder = tmp_path_factory.mktemp("family")
    corpus = str(cli.run([*write_corpus(folder, DOCUMENTS), "--to", "lrat/family-corpus"]))
    logs = folder / "logs"
    logs.mkdir()
    (logs / "one.json").write_text(json.dumps(GOOD))
    runs = str(cli.run(["import", str(logs), "--to", "lrat/family-runs"]))
    pairs = str(
        cli.run(["mine", "--trajectories", runs, "--corpus", corpus, "--judge", "rule", "--to", "lrat/family-pairs"])
    )
    index = str(cli.run(["index", "--bm25", "--corpus", corpus, "--to", "lrat/family-index"]))
    return Family(corpus, runs, pairs, index, folder)
