"""One grammar names retrievers, and one opener opens them: every form, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lrat_hub.documents import Documents
from lrat_hub.encoders import ModelConfig, write_model_config
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import Inputs, resolve
from lrat_hub.retrieval import Hit
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.retrieval.dense import DenseRetriever
from lrat_hub.retrieval.fusion import FusionRetriever, RerankedRetriever
from lrat_hub.retrieval.indexes import IndexManifest, corpus_pin, write_bm25_index
from lrat_hub.retrieval.opening import RetrieverName, RetrieverOpener, index_name, open_retriever
from lrat_hub.schema import Document

if TYPE_CHECKING:
    from datasets import Dataset


def read(text: str) -> object:
    """A name as nested tuples: (kind, text or parts)."""

    def nested(name: RetrieverName) -> object:
        return (name.kind, [nested(part) for part in name.parts] or name.text)

    return nested(RetrieverName.parse(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bm25", ("bm25", "bm25")),
        (" bm25 ", ("bm25", "bm25")),
        ("me/model", ("repository", "me/model")),
        ("me/model@v1.0", ("repository", "me/model@v1.0")),
        ("models/me/model", ("repository", "models/me/model")),
        ("me/index#config:split", ("repository", "me/index#config:split")),
        ("me/model:train", ("repository", "me/model:train")),
        ("./folder", ("repository", "./folder")),
        ("../folder:split", ("repository", "../folder:split")),
        ("~/folder", ("repository", "~/folder")),
        ("/data/folder", ("repository", "/data/folder")),
        ("index:me/index", ("index", "me/index")),
        ("index:./folder", ("index", "./folder")),
        # The prefix goes first, whatever comes after it.
        ("index:build", ("index", "build")),
        ("http://host:8971", ("url", "http://host:8971")),
        ("https://host/a%2Bb", ("url", "https://host/a%2Bb")),
        ("my_module:build", ("plugin", "my_module:build")),
        ("package.module:Class.method", ("plugin", "package.module:Class.method")),
        ("bm25+me/model", ("fusion", [("bm25", "bm25"), ("repository", "me/model")])),
        ("a:b + index:me/x + http://h", ("fusion", [("plugin", "a:b"), ("index", "me/x"), ("url", "http://h")])),
        ("bm25>me/cross", ("reranked", [("bm25", "bm25"), ("reranker", "me/cross")])),
        ("http://h > ./cross", ("reranked", [("url", "http://h"), ("reranker", "./cross")])),
        # + binds more tightly, and > takes what is left of it.
        (
            "bm25+me/a>me/b>me/c",
            (
                "reranked",
                [
                    ("reranked", [("fusion", [("bm25", "bm25"), ("repository", "me/a")]), ("reranker", "me/b")]),
                    ("reranker", "me/c"),
                ],
            ),
        ),
    ],
)
def test_names_are_read_by_one_grammar(text: str, expected: object):
    assert read(text) == expected


@pytest.mark.parametrize("text", ["", "  ", "bm25+", "+bm25", "bm25++me/model", "index:", ">me/cross", "bm25>"])
def test_empty_parts_are_refused(text: str):
    with pytest.raises(LratError, match="expected a retriever's name, found an empty one"):
        RetrieverName.parse(text)


def test_the_number_of_results_that_are_ranked_again_stands_before_the_reranker():
    name = RetrieverName.parse("bm25+me/model > 20 : me/cross>5:me/last")
    assert (name.depth, name.parts[0].depth, name.parts[0].parts[0].depth) == (5, 20, None)
    assert [leaf.text for leaf in name.leaves()] == ["bm25", "me/model", "me/cross", "me/last"]


def test_parts_have_other_texts_each_by_itself():
    """A part may be the beginning of another, or stand there twice."""

    def pinned(part: RetrieverName) -> str:
        return f"{part.text}@sha" if part.is_repository else part.text

    for text, expected in (
        ("bm25 + me/a + me/a-b > 20 : me/a>me/a", "bm25+me/a@sha+me/a-b@sha>20:me/a@sha>me/a@sha"),
        ("index:me/a>20:http://h/v1", "index:me/a@sha>20:http://h/v1"),
        ("m:build>./me/a", "m:build>./me/a@sha"),
        ("bm25", "bm25"),
    ):
        assert RetrieverName.parse(text).renamed(pinned) == expected


@pytest.mark.parametrize(
    "text",
    [
        "bm25>0:me/cross",
        "bm25>-1:me/cross",
        "bm25>20:bm25",
        "bm25>20:a:b",
        "a/b>bm25",
        "bm25>index:me/x",
        "bm25>a:b",
        "bm25>me/a+me/b",
    ],
)
def test_only_a_model_reranks(text: str):
    with pytest.raises(LratError, match="expected a reranker after '>'"):
        RetrieverName.parse(text)


def test_options_of_indexes_take_names_with_and_without_the_prefix():
    assert index_name("me/x") == index_name("index:me/x") == "index:me/x"
    assert index_name("https://host") == "https://host"


@pytest.fixture(scope="module")
def table(documents) -> Dataset:
    from datasets import Dataset

    return Dataset.from_list([{"docid": doc.docid, "title": doc.title, "text": doc.text} for doc in documents[:60]])


@pytest.fixture(scope="module")
def corpus(table: Dataset) -> Documents:
    return Documents(table)


@pytest.fixture(scope="module")
def cross_encoder(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CrossEncoder of random weights."""
    return _cross_encoder(model_folder, tmp_path_factory.mktemp("cross"), labels=1)


def _cross_encoder(model_folder: Path, folder: Path, *, labels: int) -> Path:
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification

    torch.manual_seed(1)
    config = AutoConfig.from_pretrained(model_folder, num_labels=labels)
    BertForSequenceClassification(config).save_pretrained(folder / "bare")
    AutoTokenizer.from_pretrained(model_folder).save_pretrained(folder / "bare")
    CrossEncoder(str(folder / "bare"), device="cpu").save_pretrained(str(folder / "whole"))
    return folder / "whole"


def test_documents_are_enough_for_bm25_and_models(corpus: Documents, model_folder: Path, model):
    queries = [corpus["d3"].text, corpus["d7"].text]
    lexical = open_retriever("bm25", documents=corpus)
    assert isinstance(lexical, BM25Retriever)
    assert lexical.search(queries, 5) == BM25Retriever(corpus.in_order()).search(queries, 5)
    inputs = Inputs()
    dense = open_retriever(str(model_folder), documents=corpus, inputs=inputs)
    assert dense.search(queries, 5) == DenseRetriever(model, corpus.in_order()).search(queries, 5)
    assert inputs.pins == {"retriever": str(resolve(str(model_folder), repo_type="model"))}
    fused = open_retriever(f"bm25+{model_folder}", documents=corpus, inputs=inputs, input_name="fused")
    assert fused.search(queries, 5) == FusionRetriever([lexical, dense], corpus.row).search(queries, 5)
    assert set(inputs.pins) == {"retriever", "fused_2"}


def test_parts_are_opened_once(corpus: Documents, model_folder: Path, monkeypatch: pytest.MonkeyPatch):
    made = []
    original = DenseRetriever.__init__
    monkeypatch.setattr(DenseRetriever, "__init__", lambda *args, **options: made.append(original(*args, **options)))
    inputs = Inputs()
    opener = RetrieverOpener(None, corpus, inputs=inputs)
    name = str(model_folder)
    assert opener.open(name) is opener.open(name)
    opener.open(f"bm25+{name}")
    opener.open(f"{name}+bm25")
    assert (len(made), list(inputs.pins)) == (1, ["retriever_1"])


PLUGIN = """
from lrat_hub.retrieval import Hit

class Everything:
    name, revision = "everything", None

    def __init__(self, documents):
        self.docids = list(documents)

    def search(self, queries, k):
        return [[Hit(docid, 0.0, rank) for rank, docid in enumerate(self.docids[:k], 1)] for _ in queries]

class Historian(Everything):
    query_style = "history"

ready = Everything(["d1"])
nothing = lambda documents: object()
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"retriever_{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}"
    (tmp_path / f"{name}.py").write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_plugins_get_the_documents_or_are_ready(corpus: Documents, plugin: str):
    inputs = Inputs()
    made = open_retriever(f"{plugin}:Everything", documents=corpus, inputs=inputs)
    assert [hit.docid for hit in made.search(["any"], 2)[0]] == ["d0", "d1"]
    assert open_retriever(f"{plugin}:ready", documents=corpus).search(["any"], 2)[0][0].docid == "d1"
    digest = hashlib.sha256(PLUGIN.encode()).hexdigest()
    assert inputs.pins == {"retriever": f"{plugin}:Everything (plug-in, unpinned, sha256:{digest})"}
    assert open_retriever(f"bm25+{plugin}:Everything", documents=corpus).name == "bm25+everything"


def test_what_is_no_retriever_is_refused(corpus: Documents, plugin: str):
    with pytest.raises(LratError, match="expected a retriever, found object without name, revision, search"):
        open_retriever(f"{plugin}:nothing", documents=corpus)
    with pytest.raises(LratError, match="in one style, found bm25: plain, everything: history"):
        open_retriever(f"bm25+{plugin}:Historian", documents=corpus)


def test_servers_and_plugins_are_refused_where_pins_are_required(corpus: Documents, plugin: str):
    for text, what in (("http://127.0.0.1:9", "a server"), (f"{plugin}:ready", "a plug-in")):
        with pytest.raises(LratError, match=f"only references at a full commit sha are allowed here, not {what}"):
            open_retriever(text, documents=corpus, inputs=Inputs(require_pinned=True))


@pytest.mark.slow
def test_repositories_are_indexes_or_models_and_everything_is_pinned(published):
    from lrat_hub import cli

    pin = str(cli.run(["index", "--bm25", "--corpus", published.corpus, "--to", "lrat/opened-bm25"]))
    inputs = Inputs()
    found = open_retriever("lrat/opened-bm25", "datasets/lrat/index-corpus", inputs=inputs).search(["kabe lodo"], 3)
    assert inputs.pins == {"corpus": published.corpus, "retriever": pin}
    for name in ("index:lrat/opened-bm25", pin, "bm25"):
        assert open_retriever(name, published.corpus).search(["kabe lodo"], 3) == found
    inputs = Inputs()
    model = open_retriever("lrat/index-model", resolve(published.corpus, repo_type="dataset"), inputs=inputs)
    assert isinstance(model, DenseRetriever)
    assert inputs.pins == {"retriever": published.model}
    with pytest.raises(LratError, match=r"expected an index with its stamp\.json"):
        open_retriever("index:lrat/index-model", published.corpus)
    with pytest.raises(LratError, match="only full commit shas"):
        open_retriever("lrat/index-model", published.corpus, inputs=Inputs(require_pinned=True))


def test_an_index_in_a_folder_is_opened_for_its_corpus_alone(corpus: Documents, tmp_path: Path):
    """Its manifest's corpus goes with the retriever; another corpus is refused before anything is loaded."""
    folders = {}
    for name in ("ours", "other"):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        (folders[name] / "corpus.jsonl").write_text(f"{name}\n")
    ours, other = (resolve(str(folder), repo_type="dataset") for folder in folders.values())
    bm25 = BM25Retriever(corpus.in_order())
    pin = corpus_pin(ours, "train")
    (tmp_path / "index").mkdir()
    write_bm25_index(tmp_path / "index", bm25, corpus, IndexManifest("bm25", pin, None, len(corpus), None, {}))
    queries = [corpus["d3"].text]
    for name in (f"index:{tmp_path}/index", f"{tmp_path}/index"):
        retriever = open_retriever(name, ours)
        assert isinstance(retriever, BM25Retriever)
        assert (retriever.corpus, retriever.search(queries, 5)) == (pin, bm25.search(queries, 5))
        with pytest.raises(LratError, match=r"expected its corpus ours#corpus:train .*, found other"):
            open_retriever(name, other)


def test_a_corpus_is_needed_where_it_is_compared(corpus: Documents, tmp_path: Path):
    with pytest.raises(LratError, match="expected a corpus or its documents, found neither"):
        open_retriever("bm25")
    with pytest.raises(LratError, match="expected `documents` as load_corpus gives them, found one list"):
        open_retriever("bm25", documents=list(corpus.in_order()))  # pyright: ignore[reportArgumentType]
    with pytest.raises(LratError, match="expected the corpus that it is of, found documents alone"):
        open_retriever("http://127.0.0.1:9", documents=corpus)
    with pytest.raises(LratError, match="expected one index beside its model"):
        open_retriever("bm25", documents=corpus, model=resolve(str(tmp_path), repo_type="model"))


def test_styles_are_compared_before_anything_is_encoded(
    corpus: Documents, model_folder: Path, cross_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import shutil

    historian = tmp_path / "historian"
    shutil.copytree(model_folder, historian)
    write_model_config(historian, ModelConfig("history"))
    monkeypatch.setattr(DenseRetriever, "of", lambda *args, **options: pytest.fail("a model was opened"))
    for name in (f"bm25+{historian}", f"{model_folder}+{historian}", f"{historian}>{cross_encoder}"):
        with pytest.raises(LratError, match=r"expected parts that read queries in one style, found .*history"):
            open_retriever(name, documents=corpus)


def test_a_cross_encoder_ranks_the_best_again(corpus: Documents, cross_encoder: Path):
    import torch
    from sentence_transformers import CrossEncoder

    inputs = Inputs()
    retriever = open_retriever(f"bm25>{cross_encoder}", documents=corpus, inputs=inputs)
    assert isinstance(retriever, RerankedRetriever)
    assert (retriever.name, retriever.revision) == (f"bm25>{resolve(str(cross_encoder), repo_type='model')}", None)
    assert list(inputs.pins) == ["retriever_2"]
    queries = [corpus["d3"].text, corpus["d7"].text, "nowhere"]
    results = retriever.search(queries, 8)
    first = BM25Retriever(corpus.in_order()).search(queries, 100)
    assert results[2] == first[2] == []
    model = CrossEncoder(str(cross_encoder), device="cpu")
    for query, hits, before in zip(queries[:2], results, first, strict=False):
        pairs = [(query, corpus[hit.docid].content) for hit in before]
        scores = model.predict(pairs, batch_size=64, activation_fn=torch.nn.Identity())
        assert len(before) > 8
        order = sorted(range(len(before)), key=lambda index: (-scores[index], index))[:8]
        assert [(hit.docid, hit.rank) for hit in hits] == [(before[i].docid, n) for n, i in enumerate(order, 1)]
        assert [hit.score for hit in hits] == [float(scores[index]) for index in order]
    # Neither the queries beside it nor their number change a query's ranking.
    assert [retriever.search([query], 8)[0] for query in queries] == results


class _Scored:
    """A model that gives the same score to everything, or what it is told."""

    num_labels = 1

    def __init__(self, score=0.5):
        self.score, self.pairs = score, []

    def predict(self, pairs, **options):
        self.pairs += pairs
        return [self.score for _ in pairs]


class _Listed:
    """A retriever that finds documents by their numbers."""

    name, revision, query_style = "listed", None, "plain"

    def __init__(self, count):
        self.count = count

    def search(self, queries, k):
        hits = [Hit(str(number), 1.0, number) for number in range(1, min(k, self.count) + 1)]
        return [hits for _ in queries]


class _Anything:
    def __getitem__(self, docid):
        return Document(docid, docid, docid)


def test_reranking_keeps_ties_in_order_and_takes_as_many_as_are_asked_for(corpus: Documents):
    first, model = BM25Retriever(corpus.in_order()), _Scored()
    retriever = RerankedRetriever(first, model, corpus, name="same", revision="1" * 40)
    query = corpus["d3"].text
    (before,) = first.search([query], 10)
    assert [hit.docid for hit in retriever.search([query], 2)[0]] == [hit.docid for hit in before[:2]]
    found = first.search([query], 100)[0]
    assert model.pairs == [(query, corpus[hit.docid].content) for hit in found]
    assert len(found) > 10
    more = RerankedRetriever(_Listed(150), model, _Anything(), name="same")
    assert len(more.search([query], 120)[0]) == 120
    # BM25 was made of documents without a commit.
    assert (retriever.name, retriever.revision, retriever.query_style) == ("bm25>same", None, "plain")


def test_a_depth_limits_what_is_scored_and_what_comes_out(corpus: Documents, cross_encoder: Path):
    whole, five = (open_retriever(f"bm25>{depth}{cross_encoder}", documents=corpus) for depth in ("", "5:"))
    query = corpus["d3"].text
    (before,), (all_hits,), (hits,) = (
        one.search([query], 8) for one in (BM25Retriever(corpus.in_order()), whole, five)
    )
    best = {hit.docid for hit in before[:5]}
    assert [hit.docid for hit in hits] == [hit.docid for hit in whole.search([query], 60)[0] if hit.docid in best]
    assert len(all_hits) == 8
    assert five.name.startswith("bm25>5:")
    with pytest.raises(LratError, match="a depth of 1 or more, found 0"):
        RerankedRetriever(BM25Retriever(corpus.in_order()), _Scored(), corpus, depth=0)


def test_scores_that_a_sigmoid_would_make_one_are_told_apart(corpus: Documents, cross_encoder: Path):
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(cross_encoder), device="cpu")
    model.model.classifier.weight.data *= 100
    model.model.classifier.bias.data.fill_(40.0)
    retriever = RerankedRetriever(BM25Retriever(corpus.in_order()), model, corpus)
    query = corpus["d3"].text
    (hits,) = retriever.search([query], 5)
    assert {float(score) for score in model.predict([(query, corpus[hit.docid].content) for hit in hits])} == {1.0}
    assert len({hit.score for hit in hits}) > 1


def test_a_model_of_another_kind_is_refused_where_its_scores_or_vectors_would_be_random(
    corpus: Documents, model_folder: Path, cross_encoder: Path, tmp_path: Path
):
    import shutil

    with pytest.raises(LratError, match="expected a CrossEncoder, found a SentenceTransformer: its scores would be"):
        open_retriever(f"bm25>{model_folder}", documents=corpus)
    with pytest.raises(LratError, match=r"found a CrossEncoder\. It ranks again what"):
        open_retriever(str(cross_encoder), documents=corpus)
    for folder, name in ((model_folder, "encoder"), (cross_encoder, "reranker")):
        shutil.copytree(folder, tmp_path / name)
        (tmp_path / name / "modules.json").unlink()
    # As rerankers of transformers come.
    assert open_retriever(f"bm25>{tmp_path / 'reranker'}", documents=corpus)
    with pytest.raises(LratError, match="found a bare checkpoint without a head that scores pairs"):
        open_retriever(f"bm25>{tmp_path / 'encoder'}", documents=corpus)
    with pytest.raises(LratError, match="expected a SentenceTransformer, found a CrossEncoder"):
        open_retriever(str(tmp_path / "reranker"), documents=corpus)


def test_models_that_cannot_rerank_are_refused(corpus: Documents, model_folder: Path, tmp_path: Path, monkeypatch):
    several = _cross_encoder(model_folder, tmp_path, labels=3)
    monkeypatch.setattr(BM25Retriever, "__init__", lambda *args, **options: pytest.fail("BM25 was built"))
    with pytest.raises(LratError, match="expected a CrossEncoder with one score per pair, found 3"):
        open_retriever(f"bm25>{several}", documents=corpus)
    monkeypatch.undo()
    retriever = RerankedRetriever(BM25Retriever(corpus.in_order()), _Scored(float("nan")), corpus)
    with pytest.raises(LratError, match="bm25>reranker: expected finite scores"):
        retriever.search([corpus["d3"].text], 2)


@pytest.mark.parametrize(
    ("text", "end"),
    [("bm52", "found 'bm52'; did you mean bm25?"), ("mine", "found 'mine'."), ("x+bm25", "'x'.")],
)
def test_a_name_that_can_be_none_is_answered_with_what_is_expected(text: str, end: str):
    with pytest.raises(LratError, match="expected bm25, a model or an index as namespace/name or a path") as error:
        RetrieverName.parse(text)
    assert str(error.value).endswith(end)


def test_a_file_as_corpus_is_answered_with_how_to_give_its_documents(tmp_path: Path):
    (tmp_path / "docs").write_text("")
    for name in ("docs.jsonl", str(tmp_path / "docs")):
        with pytest.raises(LratError, match=r"expected a corpus dataset .* documents=load_corpus\('.*docs"):
            open_retriever("bm25", corpus=name)
