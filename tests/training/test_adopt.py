"""Bare checkpoints become repositories that encode right in a process without this project."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model, XLMRobertaConfig, XLMRobertaModel

from lrat_hub import cli
from lrat_hub.encoders import FAMILIES
from lrat_hub.errors import LratError

pytestmark = pytest.mark.slow

TEXT = "Instruct Given a web search query , retrieve relevant passages that answer the Query : red cat blue sea"
WORDS = ["<pad>", "<unk>", "<s>", "</s>", *dict.fromkeys(TEXT.split())]

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
    tokenizer.post_processor = TemplateProcessing(single=template, special_tokens=[("<s>", 2), ("</s>", 3)])
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
    save_tokenizer(tmp_path / "qwen3", "$A </s>")
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
