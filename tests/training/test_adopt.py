"""Bare checkpoints become repositories that encode right in a process without this project."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    MistralConfig,
    MistralModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3Model,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from lrat_hub import cli
from lrat_hub.encoders import FAMILIES
from lrat_hub.errors import LratError

pytestmark = pytest.mark.slow

TEXT = "Instruct Given a web search query , retrieve relevant passages that answer the Query : red cat blue sea"
WORDS = ["<pad>", "<unk>", "<s>", "</s>", "<|endoftext|>", *dict.fromkeys(TEXT.split())]

PLAIN = """
import json, sys
from sentence_transformers import SentenceTransformer
assert "lrat_hub" not in sys.modules
name, revision = sys.argv[1:]
model = SentenceTransformer(name, revision=revision, device="cpu")
print(json.dumps([model.encode_query("red cat").tolist(), model.encode_document("blue sea").tolist()]))
"""


def save_tokenizer(folder, template):
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    special = [("<s>", 2), ("</s>", 3), ("<|endoftext|>", 4)]
    tokenizer.post_processor = TemplateProcessing(single=template, special_tokens=special)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)


@pytest.fixture
def qwen3(tmp_path):
    """A tiny decoder with random weights, saved as transformers saves it: no word of pooling or prompts."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, max_position_embeddings=64,
    )  # fmt: skip
    Qwen3Model(config).save_pretrained(tmp_path / "qwen3")
    save_tokenizer(tmp_path / "qwen3", "$A <|endoftext|>")
    return tmp_path / "qwen3"


@pytest.fixture
def xlm_roberta(tmp_path):
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=520, pad_token_id=0, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    XLMRobertaModel(config).save_pretrained(tmp_path / "xlmr")
    save_tokenizer(tmp_path / "xlmr", "<s> $A </s>")
    return tmp_path / "xlmr"


def expected_vector(folder, text, pooling):
    """Pooled and normalised by hand."""
    from transformers import AutoModel, AutoTokenizer

    inputs = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    inputs.pop("token_type_ids", None)
    states = AutoModel.from_pretrained(folder)(**inputs).last_hidden_state[0]
    vector = states[-1] if pooling == "lasttoken" else states.mean(dim=0)
    return (vector / vector.norm()).detach().numpy()


@pytest.mark.parametrize(("checkpoint", "family"), [("qwen3", "qwen3-embedding"), ("xlm_roberta", "e5-instruct")])
def test_an_adopted_checkpoint_encodes_as_its_family_does_without_this_project(hub, request, checkpoint, family):
    folder = request.getfixturevalue(checkpoint)
    pin = cli.run(["adopt", "--model", str(folder), "--family", family, "--to", f"lrat/adopted-{checkpoint}"])
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, pin.repo_id, pin.revision], capture_output=True, text=True, check=True
    )
    query, document = json.loads(done.stdout.splitlines()[-1])
    expected = FAMILIES[family]
    by_hand = expected_vector(folder, f"{expected.query_prompt}red cat", expected.pooling)
    np.testing.assert_allclose(query, by_hand, atol=1e-5)
    np.testing.assert_allclose(document, expected_vector(folder, "blue sea", expected.pooling), atol=1e-5)


def test_what_a_family_says_can_be_overridden(hub, xlm_roberta):
    pin = cli.run(
        ["adopt", "--model", str(xlm_roberta), "--family", "e5-instruct", "--query_prompt", "Query : ",
         "--to", "lrat/adopted-other"]
    )  # fmt: skip
    from sentence_transformers import SentenceTransformer

    vector = SentenceTransformer(pin.repo_id, revision=pin.revision, device="cpu").encode_query("red cat")
    np.testing.assert_allclose(vector, expected_vector(xlm_roberta, "Query : red cat", "mean"), atol=1e-5)


@pytest.mark.parametrize(
    ("family", "message"), [("qwen3", "expected one of qwen3-embedding"), ("qwen3-embedding", "found xlm-roberta")]
)
def test_a_family_that_does_not_fit_is_refused(hub, xlm_roberta, family, message):
    with pytest.raises(LratError, match=message):
        cli.run(["adopt", "--model", str(xlm_roberta), "--family", family, "--to", "lrat/adopted-no"])


@pytest.fixture
def mistral(tmp_path):
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, max_position_embeddings=64,
    )  # fmt: skip
    MistralModel(config).save_pretrained(tmp_path / "mistral")
    save_tokenizer(tmp_path / "mistral", "$A </s>")
    return tmp_path / "mistral"


def adopt(folder, family, to, *options):
    return cli.run(["adopt", "--model", str(folder), "--family", family, "--to", to, *options])


def test_a_decoder_is_not_pooled_as_an_encoder_of_the_same_name(hub, mistral):
    """e5-mistral takes the last token, where e5-instruct averages all."""
    with pytest.raises(LratError, match=r"found mistral. Families of that type: e5-mistral"):
        adopt(mistral, "e5-instruct", "lrat/adopted-no")
    pin = adopt(mistral, "e5-mistral", "lrat/adopted-mistral", "--allow_failed_checks", "true")
    from sentence_transformers import SentenceTransformer

    vector = SentenceTransformer(pin.repo_id, revision=pin.revision, device="cpu").encode_document("blue sea")
    np.testing.assert_allclose(vector, expected_vector(mistral, "blue sea", "lasttoken"), atol=1e-5)


def failed(folder, family, *options):
    """Names of the failed checks, as they are recorded."""
    from huggingface_hub import hf_hub_download

    pin = adopt(folder, family, "lrat/adopted-failed", "--allow_failed_checks", "true", *options)
    lineage = json.loads(Path(hf_hub_download(pin.repo_id, "lineage.json", revision=pin.revision)).read_text())
    card = Path(hf_hub_download(pin.repo_id, "README.md", revision=pin.revision)).read_text()
    names = {check["name"] for check in lineage["counts"]["checks"] if check["passed"] is False}
    assert ("It failed checks, and was published all the same" in card) == bool(names)
    return names


def test_a_tokenizer_that_ends_no_text_is_not_published_without_a_flag(hub, qwen3):
    save_tokenizer(qwen3, "$A")
    with pytest.raises(LratError, match=r"last token: failed: expected `<\|endoftext\|>` .* found none"):
        adopt(qwen3, "qwen3-embedding", "lrat/adopted-no")
    assert "last token" in failed(qwen3, "qwen3-embedding")


def test_a_pooling_that_the_repository_contradicts_is_not_published_without_a_flag(hub, xlm_roberta):
    (xlm_roberta / "1_Pooling").mkdir()
    (xlm_roberta / "1_Pooling" / "config.json").write_text('{"word_embedding_dimension": 16, "pooling_mode": "cls"}')
    with pytest.raises(LratError, match="pooling: failed: expected cls, as the repository itself has it, found mean"):
        adopt(xlm_roberta, "e5-instruct", "lrat/adopted-no")
    assert "pooling" in failed(xlm_roberta, "e5-instruct")
    assert "pooling" not in failed(xlm_roberta, "e5-instruct", "--pooling", "cls")


def test_a_text_that_a_batch_changes_is_not_published_without_a_flag(hub, xlm_roberta):
    """Without a mask in what the tokenizer gives, padding counts as text."""
    config = json.loads((xlm_roberta / "tokenizer_config.json").read_text())
    config["model_input_names"] = ["input_ids"]
    (xlm_roberta / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(LratError, match="alone and in a batch: failed: expected one vector for a text"):
        adopt(xlm_roberta, "e5-instruct", "lrat/adopted-no")


def test_a_failed_known_pair_is_not_published_without_a_flag(hub, qwen3, monkeypatch):
    from lrat_hub.encoders import checks

    monkeypatch.setattr(checks, "ANSWER", checks.OTHER)
    with pytest.raises(LratError, match="known pair: failed"):
        adopt(qwen3, "qwen3-embedding", "lrat/adopted-no")
    assert failed(qwen3, "qwen3-embedding") == {"known pair"}


def test_code_of_a_checkpoint_is_refused_and_nobody_is_asked(hub, xlm_roberta, monkeypatch, capsys):
    from tests.encoders.test_encoding import own_code

    own_code(xlm_roberta)
    asked = []
    monkeypatch.setattr("builtins.input", lambda *_: asked.append(1) or "y")
    words = ["adopt", "--model", str(xlm_roberta), "--family", "plain", "--to", "lrat/adopted-no"]
    assert cli.main(words) == 1
    error = capsys.readouterr().err
    assert "code of its own, which runs only at a commit that you name" in error
    assert "--trust_remote_code" in error
    assert error.count("\n") == 1
    assert cli.main([*words, "--trust_remote_code", "true"]) == 1
    assert "expected the full commit sha" in capsys.readouterr().err
    assert not asked


def test_rerankers_and_late_interaction_are_not_adopted_as_encoders(hub, tmp_path, capsys):
    from tests.fitting.small import tiny_late, tiny_reranker

    for folder, kind in (
        (tiny_reranker(tmp_path / "cross"), "CrossEncoder"),
        (tiny_late(tmp_path / "late"), "MultiVectorEncoder"),
        (tmp_path / "cross" / "scored", "CrossEncoder"),
    ):
        assert cli.main(["adopt", "--model", str(folder), "--family", "plain", "--to", "lrat/no-adopt"]) == 1
        assert f"found a {kind}, which needs no family" in capsys.readouterr().err
