"""`lrat eval retrieval --executor local`: the rankings of one process."""

import json
from pathlib import Path

import pytest

from lrat_hub import cli
from lrat_hub.hub.inputs import resolve
from lrat_hub.retrieval.encoding import streamed_retriever
from lrat_hub.retrieval.settings import SHARD_SIZE, IndexSettings
from lrat_hub.scaling.settings import ExecutionSettings
from tests.retrieval.conftest import make_documents
from tests.scaling.kills import kill_half_way

pytest.importorskip("datatrove")
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_model_whose_vectors_workers_make_finds_what_it_finds_alone(published, documents, tmp_path, workers):
    model, corpus = resolve(published.model, repo_type="model"), resolve(published.corpus, repo_type="dataset")
    settings, queries = IndexSettings(shard_size=32, batch_size=8), [document.text for document in documents[:50]]

    def found(folder, execution=None):
        with streamed_retriever(
            model, corpus, work_dir=tmp_path / folder, settings=settings, execution=execution
        ) as retriever:
            if execution:
                assert list((tmp_path / folder).glob("*/encoding-*/stats.json"))
            return retriever.search(queries, 20)

    assert found("workers", ExecutionSettings(executor="local", workers=workers)) == found("alone")


NUM_SHARDS = 6


@pytest.fixture(scope="module")
def evaluated(published, tmp_path_factory):
    """An evaluation of a model over several shards."""
    folder = tmp_path_factory.mktemp("evaluated")
    texts = [document.text for document in make_documents(SHARD_SIZE * NUM_SHARDS)]
    rows = [json.dumps({"docid": f"d{n}", "title": "", "text": text}) + "\n" for n, text in enumerate(texts)]
    (folder / "documents.jsonl").write_text("".join(rows))
    queries = range(0, len(texts), 500)
    (folder / "queries.tsv").write_text("".join(f"q{n}\t{texts[n]}\tanswer\n" for n in queries))
    (folder / "qrels.txt").write_text("".join(f"q{n} Q0 d{n} 1\n" for n in queries))
    files = [f"--{path.stem}={path}" for path in folder.iterdir()]
    corpus = str(cli.run(["corpus", *files, "--to", "lrat/scaled-evaluated"]))
    given = ["--corpus", corpus, "--queries", corpus, "--qrels", corpus, "--models", published.model]
    return ["eval", "retrieval", *given, "--check_passages", "0", "--to", "lrat/scaled-evaluation"]


def runs_of(pin):
    from huggingface_hub import snapshot_download

    folder = Path(snapshot_download(pin.repo_id, repo_type="dataset", revision=pin.revision)) / "runs"
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("victim", ["worker", "command"])
def test_an_evaluation_in_which_a_process_was_killed_goes_on_to_the_runs_of_one_process(evaluated, tmp_path, victim):
    scaled = [*evaluated, "--executor", "local", "--workers", "2", "--work_dir", str(tmp_path), "--keep_work"]
    code, said, times = kill_half_way(scaled, tmp_path, "*/shard-*.npy", count=2, whole=NUM_SHARDS, victim=victim)
    assert code == (1 if victim == "worker" else -9)
    assert "Traceback" not in said
    runs = runs_of(cli.run(scaled)[0])
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert len(runs) == 2
    assert runs == runs_of(cli.run(evaluated)[0])
