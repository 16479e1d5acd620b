"""A model that is asked in bulk, by a program that stands in for the one that needs vLLM and Ray.

tests/bulk_judging_stage.py has the real ones.
"""

import json
import sys
from types import SimpleNamespace

import pytest
import yaml
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from lrat_hub.errors import LratError
from lrat_hub.judges.documents import LLMJudge
from lrat_hub.judges.llm import NO_REPLY, ReplyCache
from lrat_hub.judges.settings import DocumentJudgeSettings
from lrat_hub.llm import ray_data, ray_data_program
from lrat_hub.llm.chat import ChatError
from lrat_hub.llm.prompts import read_prompt
from lrat_hub.llm.ray_data import RayDataClient
from lrat_hub.llm.settings import ServerSettings
from lrat_hub.schema import Sampling
from tests.judges.test_llm import pair

PROGRAM = """
import json, sys
settings, requests = json.loads(sys.stdin.readline()), []
for line in sys.stdin:
    if not line.strip():
        break
    requests.append(json.loads(line))
print(json.dumps([settings, requests]), file=open(settings["model"], "a"))
# The last one first: replies come in no order.
for request in reversed(requests):
    said = request["body"]["messages"][-1]["content"]
    if "ends here" in said:
        sys.exit("RuntimeError: no GPU is left")
    reply = {"content": "relevant" if "no verdict that" in said else "well", "prompt_tokens": 9}
    reply = {"error": "too long"} if "long" in said else reply
    print(json.dumps({"key": request["key"], **reply}), flush=True)
"""


@pytest.fixture
def python(tmp_path) -> str:
    """An interpreter for which vLLM and Ray Data are installed."""
    for module in ("vllm", "ray", "pandas"):
        (tmp_path / "site" / module).mkdir(parents=True)
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path / "site"} exec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    return str(wrapper)


@pytest.fixture
def client(python, tmp_path, monkeypatch) -> RayDataClient:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    monkeypatch.setattr(ray_data, "PROGRAM", program)
    settings = ServerSettings(vllm_python=python, vllm_args="--dtype float32", data_parallel=3)
    return RayDataClient(tmp_path / "asked", "org/judge", "a" * 40, settings, concurrency=8, log=tmp_path / "log")


def asked(client: RayDataClient) -> list[list]:
    """The settings and requests of each time that the program ran."""
    lines = client.folder.read_text().splitlines() if client.folder.exists() else []
    return [json.loads(line) for line in lines]


def test_replies_come_with_their_keys_and_nothing_runs_for_no_requests(client):
    conversations = [(name, [{"role": "user", "content": name}]) for name in ("a", "b", "long")]
    options = {
        "sampling": Sampling(temperature=0.0),
        "max_tokens": 5,
        "extra": {"top_k": 3},
        "schema": {"type": "object"},
    }
    assert list(client.replies([], **options)) == []
    assert asked(client) == []
    found = dict(client.replies(conversations, **options))
    assert list(found) == ["long", "b", "a"]
    assert isinstance(found["long"], ChatError)
    assert (found["a"].content, found["a"].finish_reason, found["a"].prompt_tokens) == ("well", "stop", 9)
    ((settings, requests),) = asked(client)
    assert settings["vllm_options"] == ["--dtype", "float32"]
    assert (settings["copies"], settings["concurrency"]) == (3, 8)
    assert requests[0]["body"] == {
        "model": "org/judge", "messages": [{"role": "user", "content": "a"}], "temperature": 0.0, "max_tokens": 5,
        "response_format": {"type": "json_schema", "json_schema": {"name": "reply", "schema": {"type": "object"}}},
        "top_k": 3,
    }  # fmt: skip


def test_a_judge_asks_in_bulk_for_what_is_not_known_and_once_more_where_there_is_no_verdict(client, tmp_path):
    with ReplyCache(tmp_path / "replies.sqlite") as cache:
        judge = LLMJudge(client, cache=cache)
        pairs = [pair("a"), pair("long"), pair("a"), pair("  ")]
        judge.fetch(lambda: pairs)
        assert [len(requests) for _, requests in asked(client)] == [2, 1]
        assert judge.judge(pairs) == ["relevant", "unjudged", "relevant", "unjudged"]
        # Neither what is known, nor what had no reply in this run.
        assert len(asked(client)) == 2
        assert judge.problems[NO_REPLY] == 1
        assert judge.requests == 3
    with ReplyCache(tmp_path / "replies.sqlite") as cache:
        assert LLMJudge(client, cache=cache).judge([pair("a"), pair("b")]) == ["relevant", "relevant"]
    assert [len(requests) for _, requests in asked(client)] == [2, 1, 1, 1]


def test_what_a_prompt_says_of_its_requests_goes_with_them(client, tmp_path):
    own = read_prompt("lrat_hub.judges", "document") | {"request": {"temperature": 0.7, "top_k": 20}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(own))
    LLMJudge(client, prompt=tmp_path / "own.yaml", max_tokens=64).judge([pair("a")])
    body = asked(client)[0][1][0]["body"]
    assert (body["temperature"], body["top_k"], body["max_tokens"]) == (0.7, 20, 64)
    assert body["response_format"]["json_schema"]["schema"] == own["schema"]


def test_a_program_that_ends_says_why_and_what_it_had_said_is_kept(client, tmp_path):
    with ReplyCache(tmp_path / "replies.sqlite") as cache:
        judge = LLMJudge(client, cache=cache)
        with pytest.raises(LratError, match=r"ended with code 1: RuntimeError: no GPU is left See .*log\. The same"):
            judge.judge([pair("ends here"), pair("a")])
        assert len(cache) == 1


def test_without_ray_or_with_urls_of_servers_the_error_says_what_to_do(client, tmp_path):
    (tmp_path / "site" / "ray").rmdir()
    with pytest.raises(LratError, match=r"ray: expected it to be installed for .* Install vllm and ray\[data\] there"):
        LLMJudge(client).judge([pair("a")])
    with pytest.raises(LratError, match="neither `base_url` nor `devices` with the executor ray, found URLs"):
        DocumentJudgeSettings(judge="llm", executor="ray", server=ServerSettings(base_url=["http://a:1/v1"]))


@pytest.fixture(scope="module")
def tokenizer():
    words = Tokenizer(WordLevel({"<unk>": 0, "</s>": 1, "user": 2, "thinking": 3}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    template = "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}{% if think %}thinking{% endif %}"
    return PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", chat_template=template)


MODEL = SimpleNamespace(
    max_model_len=8,
    get_diff_sampling_param=lambda: {"temperature": 0.6, "repetition_penalty": 1.1},
    try_get_generation_config=lambda: {"eos_token_id": [1, 7]},
)


def row(tokenizer, content, **fields):
    body = {"model": "m", "messages": [{"role": "user", "content": content}], **fields}
    return ray_data_program.row_of({"key": "k", "body": body}, tokenizer, MODEL)


def test_a_row_has_the_prompt_and_sampling_that_vllms_server_takes_for_the_request(tokenizer):
    response_format = {"type": "json_schema", "json_schema": {"name": "reply", "schema": {"type": "object"}}}
    made = row(
        tokenizer, "a b", temperature=0.0, top_k=3, max_tokens=2, response_format=response_format,
        chat_template_kwargs={"think": True},
    )  # fmt: skip
    assert made["tokens"] == [2, 0, 0, 3]
    assert json.loads(made["sampling"]) == {
        "temperature": 0.0, "repetition_penalty": 1.1, "top_k": 3, "max_tokens": 2,
        "structured_outputs": {"json": '{"type": "object"}'},
    }  # fmt: skip
    # A reply ends with the context, and has to have room there.
    assert row(tokenizer, "a b c d e", max_tokens=50)["max_tokens"] == 2
    assert row(tokenizer, "a b c d e f g")["error"] == "expected a prompt of less than 8 tokens, found 8"


@pytest.mark.parametrize(("tokens", "reason"), [([4, 5], "stop"), ([4, 5, 6], "length"), ([4, 5, 7], "stop")])
def test_a_reply_was_cut_off_if_it_is_as_long_as_it_may_be_and_has_no_end(tokenizer, tokens, reason):
    came = {"key": "k", "generated_text": "t", "generated_tokens": tokens, "max_tokens": 3, "__inference_error__": ""}
    came |= {"num_input_tokens": 9, "num_generated_tokens": len(tokens)}
    reply = ray_data_program.reply_of(came, ray_data_program.ends_of(MODEL, tokenizer))
    assert reply["finish_reason"] == reason
    failed = ray_data_program.reply_of({"key": "k", "__inference_error__": "ValueError: no"}, set())
    assert failed == {"key": "k", "error": "ValueError: no"}
