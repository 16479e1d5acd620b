"""How a model encodes is read from the model, and its gaps are filled by rule."""

import json
import shutil

import numpy as np
import pytest

from lrat_hub.errors import LratError
from tests.fitting.small import tiny_bert


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def model(folder):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


def test_an_encoding_says_what_the_model_does(model):
    from lrat_hub.encoders import Encoding, encoding_of

    model.prompts = {"query": "query : ", "passage": "text : "}
    model.truncate_dim, model.max_seq_length, model.similarity_fn_name = 4, 32, "dot"
    assert encoding_of(model) == Encoding(
        similarity="dot", dimension=4, truncate_dim=4, pooling="mean", padding_side="right", pad_token="[PAD]",
        end_token="", max_length=32, query_prompt="query : ", document_prompt="text : ", dtype="fp32",
    )  # fmt: skip


def test_the_end_token_is_what_the_tokenizer_puts_behind_every_text(model):
    from tokenizers.processors import TemplateProcessing

    from lrat_hub.encoders.encoding import end_token

    tokenizer = model.tokenizer
    assert end_token(tokenizer) == ""
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A [PAD]", special_tokens=[("[PAD]", 0)])
    assert end_token(tokenizer) == "[PAD]"
    assert end_token(None) == ""


def test_a_distance_is_no_similarity(model):
    from lrat_hub.encoders import similarity_of

    model.similarity_fn_name = "euclidean"
    with pytest.raises(LratError, match="cosine or dot product, found euclidean"):
        similarity_of(model)


def test_a_model_without_a_pad_token_gets_one_and_encodes_as_before(model):
    from lrat_hub.encoders import ensure_pad_token

    alone = model.encode("one a")
    tokenizer = model.tokenizer
    tokenizer.pad_token = None
    model[0].auto_model.config.pad_token_id = None
    with pytest.raises(ValueError, match="padding token"):
        model.encode(["one a", "text of b"])
    assert ensure_pad_token(model) == "[PAD]"
    assert model[0].auto_model.config.pad_token_id == 0
    np.testing.assert_allclose(model.encode(["one a", "text of one two b"])[0], alone, atol=1e-6)


def test_decoders_pad_with_the_token_that_ends_texts(tmp_path):
    """As those of Mistral and Llama do, which have no token for padding."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import MistralConfig, MistralModel, PreTrainedTokenizerFast

    from lrat_hub.encoders import load_encoder
    from lrat_hub.hub.inputs import LocalSource

    words = {word: index for index, word in enumerate(["<unk>", "</s>", "one", "two", "text"])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    config = MistralConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, max_position_embeddings=64,
    )  # fmt: skip
    MistralModel(config).save_pretrained(tmp_path / "bare")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>").save_pretrained(
        tmp_path / "bare"
    )
    modules = [Transformer(str(tmp_path / "bare")), Pooling(16, pooling_mode="lasttoken")]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(tmp_path / "whole"))
    model = load_encoder(LocalSource(tmp_path / "whole", ""), device="cpu")
    assert model.tokenizer.pad_token == "</s>"
    np.testing.assert_allclose(model.encode(["one", "one two text"])[0], model.encode("one"), atol=1e-6)
    model.save_pretrained(str(tmp_path / "again"))
    assert SentenceTransformer(str(tmp_path / "again"), device="cpu").tokenizer.pad_token == "</s>"


def test_the_similarity_of_a_model_is_that_of_its_loss_and_its_index(model):
    import torch

    from lrat_hub import WeightedMultipleNegativesRankingLoss
    from lrat_hub.losses import CachedWeightedMultipleNegativesRankingLoss
    from lrat_hub.retrieval.dense import DenseRetriever
    from lrat_hub.schema import Document

    documents = [Document("d", "", "text of b"), Document("e", "", "one a c d"), Document("f", "", "two")]
    for similarity, truncated in (("dot", None), ("cosine", None), ("dot", 4), ("cosine", 4)):
        model.similarity_fn_name, model.truncate_dim = similarity, truncated
        hits = DenseRetriever(model, documents).search(["one b"], 3)[0]
        scores = {hit.docid: hit.score for hit in hits}
        expected = -torch.log_softmax(torch.tensor([scores[name] for name in "def"]) * 2, dim=0)[0]
        columns = [["one b"], *([document.text] for document in documents)]
        for kind in (WeightedMultipleNegativesRankingLoss, CachedWeightedMultipleNegativesRankingLoss):
            loss = kind(model, scale=2.0)
            value = loss([model.preprocess(texts) for texts in columns], torch.ones(1))
            assert float(value.detach()) == pytest.approx(float(expected), abs=1e-5)
            assert loss.get_config_dict()["similarity_fct"] == ("dot_score" if similarity == "dot" else "cos_sim")


def own_code(folder):
    """A tiny model whose architecture is a file beside its weights."""
    import json

    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "own"
    config["auto_map"] = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    config.pop("architectures", None)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "README.md").write_text("---\n{}\n---\n")
    (folder / "own.py").write_text(
        "from transformers import BertConfig, BertModel\n"
        "class OwnConfig(BertConfig):\n    model_type = 'own'\n"
        "class OwnModel(BertModel):\n    config_class = OwnConfig\n"
    )


@pytest.mark.slow
def test_code_of_a_model_runs_at_a_commit_that_was_named_and_never_else(hub, tmp_path, monkeypatch):
    from lrat_hub.encoders import load_encoder
    from lrat_hub.hub.inputs import LocalSource
    from lrat_hub.hub.lineage import Lineage
    from lrat_hub.hub.publish import publish_folder
    from lrat_hub.hub.refs import HubRef

    folder = tiny_bert(tmp_path)
    own_code(folder)
    asked = []
    monkeypatch.setattr("builtins.input", lambda *_: asked.append(1) or "y")
    local = LocalSource(folder, "")
    pin = publish_folder(HubRef.parse("lrat/own-code"), folder, Lineage("test", {}, {}))
    for source in (local, pin):
        with pytest.raises(LratError, match="code of its own, which runs only at a commit that you name"):
            load_encoder(source, device="cpu")
    for wrong in ("main", "true", pin.revision[:12]):
        with pytest.raises(LratError, match="expected the full commit sha"):
            load_encoder(pin, trust_remote_code=wrong, device="cpu")
    with pytest.raises(LratError, match="code in a folder has no commit"):
        load_encoder(local, trust_remote_code=pin.revision, device="cpu")
    with pytest.raises(LratError):
        load_encoder(pin, trust_remote_code="0" * 40, device="cpu")
    assert not asked
    model = load_encoder(pin, trust_remote_code=pin.revision, device="cpu")
    assert type(model[0].auto_model).__name__ == "OwnModel"
    assert np.isfinite(model.encode(["one a", "text of b"])).all()


def test_a_checkpoint_whose_pooling_would_be_guessed_is_refused(folder, tmp_path):
    from lrat_hub.encoders import load_encoder
    from lrat_hub.hub.inputs import LocalSource

    # The checkpoints that were released with the paper are bare; sentence-transformers takes the mean of any such.
    shutil.copytree(folder, tmp_path / "bare")
    (tmp_path / "bare" / "modules.json").unlink()
    with pytest.raises(LratError, match=r"a bare checkpoint without modules\.json"):
        load_encoder(LocalSource(tmp_path / "bare", ""))


def test_a_model_without_pooling_is_refused_by_its_modules(folder, tmp_path):
    from lrat_hub.encoders import load_encoder
    from lrat_hub.hub.inputs import LocalSource

    shutil.copytree(folder, tmp_path / "tokens")
    path = tmp_path / "tokens" / "modules.json"
    path.write_text(json.dumps(json.loads(path.read_text())[:1]))
    with pytest.raises(LratError, match="one vector of a text, found Transformer without pooling"):
        load_encoder(LocalSource(tmp_path / "tokens", ""))
