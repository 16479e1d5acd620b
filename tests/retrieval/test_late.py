"""Late interaction over a corpus and behind a first stage, against sentence-transformers' own scores."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from lrat_hub import cli, open_retriever
from lrat_hub.documents import Documents
from lrat_hub.errors import LratError
from lrat_hub.retrieval.indexes import load_index
from lrat_hub.retrieval.late import LateRetriever, TokenVectors, estimated_tokens
from lrat_hub.retrieval.rerankers import LateReranker
from lrat_hub.schema import Document

QUERY = "kabe mifi rast"


@pytest.fixture(scope="module")
def late_folder(tmp_path_factory, documents):
    from tests.fitting.small import tiny_late

    words = sorted({word for document in documents for word in document.text.split()})
    return tiny_late(tmp_path_factory.mktemp("late"), words=words, document_length=24)


@pytest.fixture(scope="module")
def late(late_folder):
    from sentence_transformers import MultiVectorEncoder

    return MultiVectorEncoder(str(late_folder), device="cpu")


def theirs(model, query, documents):
    """Documents by sentence-transformers' own scores, each encoded alone; equal ones by position."""
    queries = model.encode_query([query])
    scores = [float(model.similarity(queries, model.encode_document([one.content]))[0, 0]) for one in documents]
    return sorted(zip(scores, range(len(documents)), strict=True), key=lambda one: (-one[0], one[1]))


def test_an_index_is_as_large_as_the_vectors_of_all_tokens(late, documents):
    corpus = documents[:5]
    lengths = [len(vectors) for vectors in late.encode_document([one.content for one in corpus])]
    size = LateRetriever(late, corpus).index_size
    width = late.encode_query([QUERY])[0].shape[-1]
    assert size.vectors == sum(lengths) > 5
    assert size.num_bytes == 4 * width * sum(lengths) + 8 * (5 + 1)


@pytest.mark.parametrize("size", [1, 4_000, 10**8])
def test_a_search_is_exact_whatever_the_size_of_a_block(late, documents, size, monkeypatch):
    corpus = documents[:60]
    retriever = LateRetriever(late, corpus)
    blocks = TokenVectors.blocks
    monkeypatch.setattr(TokenVectors, "blocks", lambda self: blocks(self, size))
    hits, others = retriever.search([QUERY, "lodo " * 30], 10)
    expected = theirs(late, QUERY, corpus)
    assert [hit.score for hit in hits] == pytest.approx([score for score, _ in expected[:10]], abs=1e-5)
    assert {hit.docid for hit in hits if hit.score > expected[10][0] + 1e-5} <= {
        corpus[at].docid for _, at in expected[:10]
    }
    assert [hit.rank for hit in hits] == list(range(1, 11))
    assert retriever.search([QUERY], 10)[0] == hits
    assert len(others) == 10
    assert retriever.search([QUERY], 100)[0][:10] == hits
    assert len(retriever.search([QUERY], 100)[0]) == 60
    assert retriever.search([], 3) == []
    # Every tenth document says what the one before it says.
    order = {hit.docid: hit.rank for hit in retriever.search([QUERY], 60)[0]}
    assert all(order[f"d{number}"] == order[f"d{number - 1}"] + 1 for number in range(9, 60, 10))


def test_a_reranker_scores_as_they_do_and_documents_are_cut(late, documents):
    texts = [document.content for document in documents[:20]]
    scores = LateReranker(late, batch_size=7).score(QUERY, texts)
    expected = {at: score for score, at in theirs(late, QUERY, documents[:20])}
    assert scores.tolist() == pytest.approx([expected[at] for at in range(20)], abs=1e-5)
    longer = LateReranker(late).score(QUERY, [" ".join(["kabe"] * 24), " ".join(["kabe"] * 24 + ["mifi"])])
    assert longer[0] == pytest.approx(longer[1], abs=1e-5)


def test_a_query_whose_vectors_are_not_finite_is_an_error(late_folder, documents):
    import torch
    from sentence_transformers import MultiVectorEncoder

    model = MultiVectorEncoder(str(late_folder), device="cpu")
    retriever = LateRetriever(model, documents[:5])
    # Half a surrogate pair, which JSON can write and tokenizers refuse, is read as what stands for it.
    assert retriever.search([f"{QUERY} \ud800"], 3) == retriever.search([f"{QUERY} \ufffd"], 3)
    with torch.no_grad():
        model[1].linear.weight.fill_(torch.nan)
    with pytest.raises(LratError, match="expected finite vectors, found others for the query 'kabe"):
        retriever.search([QUERY], 3)


def test_late_interaction_is_opened_by_name(late_folder, late, documents):
    from datasets import Dataset

    corpus = Documents(Dataset.from_list([asdict(one) for one in documents[:60]]))
    whole = open_retriever(str(late_folder), documents=corpus)
    again = open_retriever(f"bm25>7:{late_folder}", documents=corpus)
    assert isinstance(whole, LateRetriever)
    (first,), (hits,) = open_retriever("bm25", documents=corpus).search([QUERY], 7), again.search([QUERY], 7)
    assert {hit.docid for hit in hits} == {hit.docid for hit in first}
    scores = {hit.docid: hit.score for hit in whole.search([QUERY], 60)[0]}
    assert [hit.score for hit in hits] == pytest.approx([scores[hit.docid] for hit in hits], abs=1e-5)


def test_documents_without_a_vector_and_files_that_do_not_fit_are_refused(late, tmp_path):
    with pytest.raises(LratError, match="tokens of empty, found none: the model skips all its tokens"):
        LateRetriever(late, [Document("empty", "", ". . .")])
    with pytest.raises(LratError, match="expected a MultiVectorEncoder, found a str"):
        LateRetriever("me/late", [Document("a", "", "kabe")])
    with pytest.raises(LratError, match="at least one document, found none"):
        LateRetriever(late, [])
    with pytest.raises(LratError, match="expected 2 documents of 5 tokens, found 1 documents of 5"):
        TokenVectors(np.zeros((5, 8)), np.array([0, 5]), ["a", "b"])
    vectors, starts = np.ones((5, 8), np.float32), np.array([0, 2, 5])
    for given in ((vectors, starts[::-1]), (vectors, np.array([0, 0, 5])), (vectors, starts.astype(float)),
                  (vectors, starts[None]), (vectors, starts[:0]), (vectors.ravel(), starts),
                  (vectors.astype(np.int8), starts)):  # fmt: skip
        with pytest.raises(LratError, match="places that rise from document to document"):
            TokenVectors(*given, ["a", "b"])
    with pytest.raises(LratError, match="expected 8 numbers, as late makes, found 4"):
        LateRetriever(late, TokenVectors(vectors[:, :4], starts, ["a", "b"]))
    vectors[4] = np.nan
    with pytest.raises(LratError, match="expected finite ones, found others for b"):
        LateRetriever(late, TokenVectors(vectors, starts, ["a", "b"])).search([QUERY], 1)
    with pytest.raises(LratError, match=r"expected token_vectors\.npy and token_starts\.npy"):
        TokenVectors.load(tmp_path, ["a"])
    for content in (b"", b"\x93NUMPY\x01\x00", np.lib.format.magic(1, 0) + b"garbage"):
        (tmp_path / "token_vectors.npy").write_bytes(content)
        with pytest.raises(LratError, match=r"expected token_vectors\.npy and token_starts\.npy"):
            TokenVectors.load(tmp_path, ["a"])
    texts = ["kabe mifi", "lodo . . rast rast"]
    assert estimated_tokens(late, 2, texts.__getitem__) == 5


@pytest.mark.slow
def test_an_index_is_published_goes_on_after_a_kill_and_is_searched_alike(
    published, late_folder, late, documents, tmp_path, capsys, monkeypatch
):
    from huggingface_hub import snapshot_download

    from lrat_hub.retrieval.late import EncodedTokens

    words = ["index", "--corpus", published.corpus, "--model", str(late_folder), "--shard_size", "64",
             "--work_dir", str(tmp_path), "--threads", "1"]  # fmt: skip
    whole = cli.run([*words, "--to", "lrat/late-whole"])
    shown = capsys.readouterr().out
    assert "tokens have a vector of 8 numbers" in shown
    assert "of 400 documents are longer than 24 tokens" in shown

    encode, made = EncodedTokens._encode_shard, []

    def stopping(self, number, *given):
        if number == 3 and -1 not in made:
            # As when its process ends.
            self.unlock()
            raise KeyboardInterrupt
        made.append(number)
        encode(self, number, *given)

    monkeypatch.setattr(EncodedTokens, "_encode_shard", stopping)
    with pytest.raises(KeyboardInterrupt):
        cli.run([*words, "--to", "lrat/late-resumed"])
    made[:] = [-1]
    resumed = cli.run([*words, "--to", "lrat/late-resumed"])
    assert made[1] == 3
    folders = [Path(snapshot_download(pin.repo_id, revision=pin.revision)) for pin in (whole, resumed)]
    for name in ("token_vectors.npy", "token_starts.npy", "docids.feather", "stamp.json"):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1, name
    stamp = json.loads((folders[0] / "stamp.json").read_text())
    vectors = np.load(folders[0] / "token_vectors.npy")
    assert (stamp["kind"], stamp["documents"], stamp["dimension"]) == ("late", len(documents), 8)
    assert stamp["settings"]["tokens"] == len(vectors)
    assert f"The vectors of {len(vectors)} tokens" in (folders[0] / "README.md").read_text()
    assert cli.main(["verify", str(whole)]) == 0

    index = load_index(str(whole), corpus=published.corpus, model=str(late_folder))
    expected = LateRetriever(late, documents)
    (hits,), (wanted,) = index.search([QUERY], 20), expected.search([QUERY], 20)
    assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in wanted], abs=1e-5)

    half = cli.run([*words, "--fp16", "--max_length", "8", "--to", "lrat/late-half"])
    folder = Path(snapshot_download(half.repo_id, revision=half.revision))
    vectors, starts = np.load(folder / "token_vectors.npy"), np.load(folder / "token_starts.npy")
    assert vectors.dtype == np.float16
    assert np.diff(starts).max() == 8

    rows = "".join(json.dumps({"docid": one.docid, "text": one.text}) + "\n" for one in documents[:3])
    (tmp_path / "other.jsonl").write_text(rows)
    cli.run(["corpus", "--documents", str(tmp_path / "other.jsonl"), "--to", "lrat/late-other"])
    for wrong, message in (
        ({"corpus": "lrat/late-other"}, "expected its corpus"),
        ({"model": str(published.model)}, "expected its model"),
    ):
        with pytest.raises(LratError, match=message):
            load_index(str(whole), **({"corpus": published.corpus, "model": str(late_folder)} | wrong))
    assert cli.main([*words, "--kind", "hnsw", "--to", "lrat/late-no"]) == 1
    assert "expected flat, found a late-interaction model" in capsys.readouterr().err
