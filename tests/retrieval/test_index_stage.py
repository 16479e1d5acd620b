"""`lrat index`: killed, resumed, shared by two processes, stamped, and used by the other stages."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from lrat_hub import cli
from lrat_hub.encoders import ModelConfig, write_model_config
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import LocalSource
from lrat_hub.hub.lineage import read_lineage
from lrat_hub.hub.refs import HubRef
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.retrieval.dense import DenseRetriever
from lrat_hub.retrieval.indexes import load_index, same_source
from tests.retrieval.conftest import make_documents

pytestmark = pytest.mark.slow

SHARDS = ["--shard_size", "8", "--batch_size", "4", "--threads", "1"]
NUM_SHARDS = 50


def index_words(published, to, *more):
    return ["index", "--corpus", published.corpus, "--model", published.model, "--to", to, *more]


def files_of(pin):
    """Contents of an index's files, without card and lineage, which name the repository and the options."""
    from huggingface_hub import snapshot_download

    folder = Path(snapshot_download(pin.repo_id, revision=pin.revision))
    return {name: (folder / name).read_bytes() for name in ("index.faiss", "docids.feather", "stamp.json")}


@pytest.fixture(scope="module", autouse=True)
def launched(published, tmp_path_factory):
    """Two processes under accelerate, started before the other tests: they take half a minute, most of it imports."""
    work_dir = tmp_path_factory.mktemp("shared")
    words = index_words(published, "lrat/index-shared", *SHARDS, "--work_dir", str(work_dir))
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]
    process = subprocess.Popen(
        [sys.executable, *launcher, "-m", "lrat_hub.dataset_builders.index", *words[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield process, work_dir
    # Not killed: the launcher passes this on to its processes.
    process.terminate()
    process.wait()
    process.stdout.close()


@pytest.fixture(scope="module")
def whole(published):
    """The index of a run that nothing disturbs."""
    import torch

    threads = torch.get_num_threads()
    yield cli.run(index_words(published, "lrat/index-whole", *SHARDS))
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def bm25(published):
    return cli.run(["index", "--bm25", "--corpus", published.corpus, "--to", "lrat/index-bm25"])


def test_a_run_killed_half_way_resumes_to_the_same_index_bit_for_bit(published, whole, tmp_path):
    words = index_words(published, "lrat/index-killed", *SHARDS, "--work_dir", str(tmp_path), "--keep_work")
    process = subprocess.Popen([sys.executable, "-m", "lrat_hub.cli", *words], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    while len(done := sorted(tmp_path.glob("*/shard-*.npy"))) < 10 and process.poll() is None:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = sorted(tmp_path.glob("*/shard-*.npy"))
    assert 10 <= len(done) < NUM_SHARDS
    times = [path.stat().st_mtime_ns for path in done]
    pin = cli.run(words)
    assert [path.stat().st_mtime_ns for path in done] == times
    assert files_of(pin) == files_of(whole)
    # They say nothing of where and how it was done; the cards have the names of their repositories.
    lineages = [asdict(read_lineage(one)) for one in (pin, whole)]
    cards = {lineage["files"].pop("README.md") for lineage in lineages}
    assert lineages[0] == lineages[1]
    assert len(cards) == 2


def test_an_index_serves_what_exact_search_finds_and_says_what_it_is(published, whole, model, documents):
    retriever = load_index(whole, corpus=published.corpus)
    queries = [document.text for document in documents[:40]]
    exact = DenseRetriever(model, documents).search(queries, 10)
    for found, expected in zip(retriever.search(queries, 10), exact, strict=True):
        assert found[0].docid == expected[0].docid
        assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected], abs=1e-5)
    pin = HubRef.parse(published.model)
    assert (retriever.name, retriever.revision) == (pin.repo_id, pin.revision)
    stamp = json.loads(files_of(whole)["stamp.json"])
    assert stamp["corpus"] == f"{published.corpus}#corpus:train"
    assert (stamp["kind"], stamp["model"]) == ("flat", published.model)
    assert (stamp["documents"], stamp["dimension"]) == (400, 32)
    encoding = stamp["settings"].pop("encoding")
    assert (encoding["dimension"], encoding["dtype"], encoding["document_prompt"]) == (32, "fp32", "")
    assert stamp["settings"] == {"fp16": False, "precision": "stored", "max_length": 64, "batch_size": 4,
                                 "shard_size": 8, "computed_in": "torch.float32", "normalized": True}  # fmt: skip
    lineage = read_lineage(whole)
    assert lineage.inputs == {"corpus": published.corpus, "model": published.model}


def test_the_same_run_again_gives_the_same_pin_and_settings_reach_the_index(published, whole):
    from huggingface_hub import ModelCard

    assert cli.run(index_words(published, "lrat/index-whole", *SHARDS)) == whole
    pin = cli.run(index_words(published, "lrat/index-hnsw", "--kind", "hnsw", "--fp16", "--max_length", "12"))
    stamp = json.loads(files_of(pin)["stamp.json"])
    assert {"hnsw_links": 32, "hnsw_build": 200, "hnsw_search": 128, "fp16": True,
            "max_length": 12}.items() <= stamp["settings"].items()  # fmt: skip
    assert len(load_index(pin, corpus=published.corpus).search(["kabe"], 7)[0]) == 7
    card = ModelCard.load(pin.repo_id)
    assert card.data.library_name == "faiss"
    assert card.data.datasets == ["lrat/index-corpus"]
    assert published.model in card.text


def test_an_index_that_was_computed_in_bf16_encodes_queries_in_bf16(published):
    pin = cli.run(index_words(published, "lrat/index-bf16", "--precision", "bf16"))
    stamp = json.loads(files_of(pin)["stamp.json"])
    assert {"precision": "bf16", "computed_in": "torch.bfloat16"}.items() <= stamp["settings"].items()
    retriever = load_index(pin, corpus=published.corpus)
    assert str(retriever._model.dtype) == "torch.bfloat16"
    assert retriever.search(["kabe lodo"], 3)[0][0].score == pytest.approx(1, abs=0.5)


def test_codes_in_memory_and_vectors_on_disk_are_an_index_whose_recall_is_measured(published, model, tmp_path, capsys):
    """Of as many documents as it takes to train the codes; fewer are refused before they are encoded."""
    from huggingface_hub import ModelCard, snapshot_download

    with pytest.raises(LratError, match="expected 9,984 documents or more"):
        cli.run(index_words(published, "lrat/index-few", "--kind", "ivfpq", "--work_dir", str(tmp_path / "work")))
    assert not list(tmp_path.glob("work/*/shard-*"))
    documents = make_documents(10_000)
    rows = [{"docid": document.docid, "title": "", "text": document.text} for document in documents]
    (tmp_path / "documents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = str(cli.run(["corpus", "--documents", str(tmp_path / "documents.jsonl"), "--to", "lrat/index-many"]))
    words = ["index", "--corpus", corpus, "--model", published.model, "--to", "lrat/index-ivfpq", "--kind", "ivfpq"]
    pin = cli.run([*words, "--fp16", "--pq_bytes", "8", "--pq_candidates", "200"])
    printed = capsys.readouterr().out
    assert "against exact search, of 256 queries that are the first words of documents: recall@10 " in printed
    stamp = json.loads(files_of(pin)["stamp.json"])
    assert stamp["kind"] == "ivfpq"
    assert {"pq_bytes": 8, "pq_candidates": 200, "fp16": True}.items() <= stamp["settings"].items()
    recall = stamp["settings"]["recall"]
    assert 0.5 < recall["recall@10"] <= 1
    assert f"recall@10 {recall['recall@10']:.3f}" in ModelCard.load(pin.repo_id).text
    assert [path.name for path in Path(snapshot_download(pin.repo_id)).glob("vectors*")] == [
        "vectors-00000-of-00001.npy"
    ]
    retriever = load_index(pin, corpus=corpus)
    queries = [document.text for document in documents[::500]]
    found, exact = retriever.search(queries, 10), DenseRetriever(model, documents).search(queries, 10)
    shares = [len({hit.docid for hit in a} & {hit.docid for hit in b}) / 10 for a, b in zip(found, exact, strict=True)]
    assert sum(shares) / len(shares) > 0.5
    assert [hits[0].score for hits in found] == pytest.approx([hits[0].score for hits in exact], abs=1e-3)


def test_a_bm25_index_serves_as_one_in_memory_and_bm25s_loads_it_from_the_hub(published, bm25, documents):
    from bm25s.hf import BM25HF

    queries = ["kabe lodo", "rast", "unknown"]
    assert load_index(bm25, corpus=published.corpus).search(queries, 10) == BM25Retriever(documents).search(
        queries, 10
    )
    plain = BM25HF.load_from_hub(
        bm25.repo_id, revision=bm25.revision, load_corpus=True, mmap=True, show_progress=False
    )
    found, _ = plain.retrieve([["rast"]], k=1, show_progress=False)
    assert found[0][0]["docid"] == BM25Retriever(documents).search(["rast"], 1)[0][0].docid


def test_another_corpus_or_model_than_the_stamps_is_refused_and_both_are_named(published, whole, bm25):
    with pytest.raises(LratError) as error:
        load_index(whole, corpus=HubRef.parse(published.corpus.replace("index-corpus", "other")))
    assert f"expected its corpus {published.corpus}#corpus:train, found datasets/lrat/other@" in str(error.value)
    with pytest.raises(LratError) as error:
        load_index(whole, corpus=published.corpus, model=HubRef("lrat/other", revision="1" * 40))
    assert f"expected its model {published.model}, found lrat/other@{'1' * 40}" in str(error.value)
    with pytest.raises(LratError, match="none, for it is BM25"):
        load_index(bm25, corpus=published.corpus, model=published.model)
    with pytest.raises(LratError, match=r"expected an index with its stamp\.json"):
        load_index(published.model, corpus=published.corpus)
    load_index(whole, corpus=f"{published.corpus}#corpus:train", model=published.model)
    with pytest.raises(LratError, match="expected its corpus"):
        load_index(whole, corpus=f"{published.corpus}#queries")


def test_an_index_of_a_local_model_asks_for_it_and_knows_it_by_its_content(published, model_folder, tmp_path):
    import shutil

    pin = cli.run(["index", "--corpus", published.corpus, "--model", str(model_folder), "--to", "lrat/index-local"])
    with pytest.raises(LratError, match="to be given, for it is not on the Hub"):
        load_index(pin, corpus=published.corpus)
    shutil.copytree(model_folder, tmp_path / "moved")
    load_index(pin, corpus=published.corpus, model=str(tmp_path / "moved"))
    (tmp_path / "moved" / "more").write_text("content")
    with pytest.raises(LratError, match="expected its model"):
        load_index(pin, corpus=published.corpus, model=str(tmp_path / "moved"))


def test_an_index_reads_queries_in_the_style_its_model_was_trained_with(published, model_folder, tmp_path):
    import shutil

    model = shutil.copytree(model_folder, tmp_path / "model")
    write_model_config(model, ModelConfig("history"))
    pin = cli.run(["index", "--corpus", published.corpus, "--model", str(model), "--to", "lrat/index-history"])
    assert load_index(pin, corpus=published.corpus, model=str(model)).query_style == "history"


def test_sources_are_compared_by_commit_or_content_and_by_what_of_them_is_read():
    sha = "a" * 40
    ref = HubRef.parse(f"datasets/n/c@{sha}")
    stamp = f"datasets/n/c@{sha}#corpus:train"
    assert same_source(stamp, ref, config="corpus")
    assert same_source(stamp, HubRef.parse(stamp), config="corpus")
    for other in (
        f"n/c@{sha}",
        f"datasets/n/d@{sha}",
        f"datasets/n/c@{'b' * 40}",
        f"{ref}#other",
        f"{ref}#corpus:test",
    ):
        assert not same_source(stamp, HubRef.parse(other), config="corpus")
    local = LocalSource(Path("folder"), "d" * 64)
    stamp = str(LocalSource(Path("elsewhere"), "d" * 64, "corpus", "train"))
    assert same_source(stamp, local, config="corpus")
    assert not same_source(stamp, LocalSource(Path("elsewhere"), "e" * 64), config="corpus")
    assert not same_source(stamp, LocalSource(Path("folder"), "d" * 64, "corpus", "test"))
    assert not same_source(stamp, ref, config="corpus")
    assert not same_source(str(ref), local)


def test_evaluations_take_indexes_and_report_the_fusion(published, whole, bm25):
    from datasets import load_dataset

    pin, _ = cli.run(["eval", "retrieval", "--corpus", published.corpus, "--queries", published.queries,
                      "--qrels", published.queries, "--index", str(whole), "lrat/index-bm25", "--fusion",
                      "--to", "lrat/index-evaluation"])  # fmt: skip
    rows = load_dataset(pin.repo_id, "summary", revision=pin.revision, split="test")
    name = f"lrat/index-whole@{whole.revision[:7]}"
    other = f"lrat/index-bm25@{bm25.revision[:7]}"
    assert list(rows["system"]) == [name, other, "bm25", f"bm25+{name}", f"bm25+{other}"]
    scores = {row.pop("system"): row for row in rows}
    # Documents are asked for with their own texts.
    assert scores[name]["recall@10"] == scores[f"bm25+{name}"]["recall@10"] == 1.0
    assert scores[f"lrat/index-bm25@{bm25.revision[:7]}"] == scores["bm25"]
    assert {"index_1": str(whole), "index_2": str(bm25)}.items() <= read_lineage(pin).inputs.items()


def test_rollouts_search_an_index_and_record_its_model(published, whole):
    from datasets import load_dataset

    words = ["rollout", "--corpus", published.corpus, "--queries", published.queries, "--index", str(whole)]
    words += ["--agent", "reader"]
    pin = cli.run([*words, "--max_turns", "2", "--to", "lrat/index-rollout"])
    lineage = read_lineage(pin)
    assert lineage.inputs == {"corpus": published.corpus, "queries": published.queries, "index": str(whole)}
    [config] = {name.rfilename.partition("/")[0] for name in _files(pin) if name.rfilename.endswith(".parquet")}
    assert config.endswith("lrat__index-model")
    row = load_dataset(pin.repo_id, revision=pin.revision, split="train")[0]
    assert HubRef.parse(published.model).revision in row.values()


def _files(pin):
    from huggingface_hub import HfApi

    return HfApi().repo_info(pin.repo_id, repo_type=pin.repo_type, revision=pin.revision).siblings


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["index", "--corpus", "{corpus}", "--to", "lrat/x"], "either --model REF or --bm25"),
        (["index", "--corpus", "{corpus}", "--model", "{model}", "--bm25", "--to", "lrat/x"], "either"),
        (["index", "--corpus", "{corpus}", "--bm25", "--to", "datasets/lrat/x"], "publishes a model"),
        (["index", "--corpus", "{corpus}", "--model", "{model}", "--kind", "tree", "--to", "lrat/x"], "tree"),
        (["eval", "retrieval", "--corpus", "{corpus}", "--queries", "{corpus}", "--qrels", "{corpus}", "--fusion",
          "--to", "lrat/x"], "`fusion` needs BM25 and another"),
        (["rollout", "--corpus", "{corpus}", "--queries", "{corpus}", "--retriever", "bm25", "--index", "lrat/x",
          "--to", "lrat/x"], "Give one."),
        (["rollout", "--corpus", "{corpus}", "--queries", "{corpus}", "--index", "http://127.0.0.1:9",
          "--require_pinned", "--to", "lrat/x"], "not a server"),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together_are_refused(published, words, message):
    with pytest.raises((LratError, SystemExit)) as error:
        cli.run([word.format(corpus=published.corpus, model=published.model) for word in words])
    assert isinstance(error.value, SystemExit) or message in str(error.value)


def test_bm25_is_built_by_one_process(published, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(LratError, match="expected one process"):
        cli.run(["index", "--bm25", "--corpus", published.corpus, "--to", "lrat/x"])


def test_two_processes_give_the_same_index_as_one(launched, whole):
    process, work_dir = launched
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert said.count("published:") == 1
    assert "process 2 of 2: 100%" in said
    assert not list(work_dir.iterdir())  # the shards are gone once the index is published
    assert files_of(HubRef("lrat/index-shared").pin()) == files_of(whole)
