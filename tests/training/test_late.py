"""`lrat train` of a late-interaction model: what it publishes, how it is searched with, and what it refuses."""

import json
import shutil
import subprocess
import sys

import pytest

from lrat_hub import cli

from .published import publish_benchmark, publish_pairs
from .test_reranker import SMALL, files_of

PLAIN = """
import json, sys
from sentence_transformers import MultiVectorEncoder
name, revision = sys.argv[1:]
model = MultiVectorEncoder(name, revision=revision, device="cpu")
assert "lrat_hub" not in sys.modules
scores = model.similarity(model.encode_query(["one a"]), model.encode_document(["A\\ntext of a", "B\\ntext of b ."]))
print(json.dumps(scores[0].tolist()))
"""


@pytest.fixture(scope="module")
def pairs(hub):
    return publish_pairs("lrat/late-pairs")


@pytest.fixture(scope="module")
def late(hub, tmp_path_factory):
    from tests.fitting.small import tiny_late

    return tiny_late(tmp_path_factory.mktemp("late"), document_length=32)


def words(pairs, model, to, *options):
    return [str(word) for word in ("train", "--pairs", pairs, "--model", model, "--to", to, *SMALL, *options)]


@pytest.mark.slow
def test_what_is_published_is_a_multi_vector_encoder_that_ranks_again_what_bm25_finds(hub, pairs, late, capsys):
    from lrat_hub import load_corpus, open_retriever
    from lrat_hub.hub.inputs import load_multi_vector_encoder

    benchmark = publish_benchmark("lrat/late-benchmark")
    pin = cli.run(words(
        pairs, late, "lrat/late", "--query_prompt", "query : ", "--mini_batch_size", 3,
        "--corpus", benchmark, "--queries", benchmark, "--qrels", benchmark,
    ))  # fmt: skip
    shown = capsys.readouterr().out
    assert "the first 20 results of BM25 for 6 queries" in shown
    assert "temperature 1: MaxSim" in shown
    assert "scores of pairs moved by " in shown

    done = subprocess.run(
        [sys.executable, "-c", PLAIN, pin.repo_id, pin.revision], capture_output=True, text=True, check=True
    )
    scores = json.loads(done.stdout.splitlines()[-1])
    inside = load_multi_vector_encoder(pin, device="cpu")
    texts = ["A\ntext of a", "B\ntext of b ."]
    for prompt, equal in (("query : ", True), ("", False)):
        found = inside.similarity(inside.encode_query(["one a"], prompt=prompt), inside.encode_document(texts))
        assert (scores == pytest.approx(found[0].tolist(), abs=1e-5)) is equal
    assert inside[0].document_length == 32

    folder = files_of(pin)
    lineage = json.loads((folder / "lineage.json").read_text())
    assert lineage["recipe"]["temperature"] == 1.0
    assert lineage["counts"]["encoding"] == {
        "similarity": "maxsim", "dimension": 8, "padding_side": "right", "pad_token": "[PAD]", "query_length": 512,
        "document_length": 32, "expanded": False, "skipped": 1, "query_prompt": "query : ", "document_prompt": "",
        "dtype": "fp32",
    }  # fmt: skip
    card = (folder / "README.md").read_text()
    for text in ("- multi-vector", "8 dimensions a token, MaxSim", "at most 32 a document", '`query`: "query : "',
                 "BM25's first 20 results", f'MultiVectorEncoder("{pin.repo_id}")'):  # fmt: skip
        assert text in card, text

    documents = load_corpus(str(benchmark))
    retriever = open_retriever(f"bm25>3:{pin}", documents=documents)
    (first,), (hits,) = (
        one.search(["text of a"], 6) for one in (open_retriever("bm25", documents=documents), retriever)
    )
    assert {hit.docid for hit in hits} == {hit.docid for hit in first[:3]}
    expected = inside.similarity(
        inside.encode_query(["text of a"]), inside.encode_document([documents[hit.docid].content for hit in hits])
    )[0].tolist()
    assert [hit.score for hit in hits] == pytest.approx(expected, abs=1e-5)
    assert expected == sorted(expected, reverse=True)


@pytest.mark.slow
def test_options_that_do_nothing_for_late_interaction_are_refused(hub, pairs, late, capsys):
    for options, message in (
        (("--document_anchor", 1), "document_anchor holds documents' single vectors"),
        (("--loss", "pointwise"), "loss pointwise is for rerankers"),
    ):
        assert cli.main(words(pairs, late, "lrat/no", *options)) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_late_interaction_is_known_by_what_pylate_and_stanford_write(tmp_path, late):
    from lrat_hub.encoders import LATE_INTERACTION, RETRIEVER, load_late_interaction, model_kind
    from lrat_hub.hub.inputs import resolve

    def read(folder, name):
        return json.loads((folder / name).read_text())

    assert model_kind(resolve(str(late), repo_type="model")) == LATE_INTERACTION
    config = read(late, "config_sentence_transformers.json")
    modules, bare = read(late, "modules.json"), {name: config[name] for name in config if name != "model_type"}
    projection = [modules[0], modules[1] | {"type": "pylate.models.Dense.Dense"}]
    # PyLate before it wrote `model_type`: GTE-ModernColBERT-v1 has its similarity, older ones the name of a module.
    saves = {
        "typed": (config | {"model_type": "ColBERT"}, projection),
        "maxsim": (
            bare | {"similarity_fn_name": "MaxSim", "query_prefix": "", "do_query_expansion": False},
            projection,
        ),
        "module": (bare | {"similarity_fn_name": None, "query_prefix": "", "do_query_expansion": False}, projection),
    }
    vectors = {}
    for name, (written, listed) in saves.items():
        folder = shutil.copytree(late, tmp_path / name)
        (folder / "config_sentence_transformers.json").write_text(json.dumps(written))
        (folder / "modules.json").write_text(json.dumps(listed))
        source = resolve(str(folder), repo_type="model")
        assert model_kind(source) == LATE_INTERACTION, name
        model = load_late_interaction(source, device="cpu")
        vectors[name] = model.encode_document(["text of a"], convert_to_numpy=True)[0]
    own = load_late_interaction(resolve(str(late), repo_type="model"), device="cpu")
    expected = own.encode_document(["text of a"], convert_to_numpy=True)[0]
    for found in vectors.values():
        assert found == pytest.approx(expected, abs=1e-6)
    plain = tmp_path / "maxsim" / "config_sentence_transformers.json"
    plain.write_text(json.dumps(bare | {"similarity_fn_name": "cosine"}))
    (tmp_path / "maxsim" / "modules.json").write_text(json.dumps(modules))
    assert model_kind(resolve(str(tmp_path / "maxsim"), repo_type="model")) == RETRIEVER
    for unlisted in (False, True):
        config = read(tmp_path / "typed", "config.json")
        (tmp_path / "typed" / "config.json").write_text(json.dumps(config | {"architectures": ["HF_ColBERT"]}))
        (tmp_path / "typed" / "config_sentence_transformers.json").write_text(json.dumps(bare))
        if unlisted:
            (tmp_path / "typed" / "modules.json").unlink()
        assert model_kind(resolve(str(tmp_path / "typed"), repo_type="model")) == LATE_INTERACTION
