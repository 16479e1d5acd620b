"""`lrat eval retrieval --executor local`: the rankings of one process."""

from pathlib import Path

import pytest

from lrat_hub import cli
from lrat_hub.hub.inputs import resolve
from lrat_hub.retrieval.encoding import streamed_retriever
from lrat_hub.retrieval.settings import IndexSettings
from lrat_hub.scaling.settings import ExecutionSettings

pytest.importorskip("datatrove")
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("workers", [2, 4])
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


def test_the_runs_of_an_evaluation_do_not_depend_on_who_encodes(published, tmp_path):
    from huggingface_hub import snapshot_download

    def runs(*more):
        corpus = ["--corpus", published.corpus, "--queries", published.queries, "--qrels", published.queries]
        options = ["--models", published.model, "--check_passages", "0", "--work_dir", str(tmp_path)]
        pin, _ = cli.run(["eval", "retrieval", *corpus, *options, *more, "--to", "lrat/scaled-evaluation"])
        folder = Path(snapshot_download(pin.repo_id, repo_type="dataset", revision=pin.revision)) / "runs"
        return {path.name: path.read_text() for path in folder.iterdir()}

    alone = runs()
    assert len(alone) == 2
    assert runs("--executor", "local", "--workers", "2") == alone
