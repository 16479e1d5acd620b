"""The loss is on the replies of the assistant: all of them, to the token that ends them, and nothing else."""

import re
from importlib.resources import files
from itertools import groupby

import pytest

from lrat_hub.agent_training import ConversationTokenizer, conversation_of, split_runs, tokenize_runs
from lrat_hub.agent_training.tokens import IGNORED
from lrat_hub.agents.protocols import PROTOCOLS, AgentPrompt
from lrat_hub.errors import LratError

from .small import tiny_tokenizer
from .test_conversations import hard_run


def trl_template(name):
    return (files("trl") / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


def learned(tokenizer, ids, labels):
    """The texts that have a loss, in order."""
    assert all(label in (IGNORED, token) for token, label in zip(ids, labels, strict=True))
    spans = groupby(zip(ids, labels, strict=True), key=lambda pair: pair[1] != IGNORED)
    return [tokenizer.decode([token for token, _ in pairs]) for marked, pairs in spans if marked]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_labels_are_the_replies_and_nothing_that_was_shown(protocol):
    tokenizer = ConversationTokenizer(tiny_tokenizer(), "chatml")
    place = tokenizer.reasoning_place(protocol)
    assert place == "content"
    conversation = conversation_of(hard_run(), protocol, AgentPrompt.load(protocol), reasoning=place)
    ids, labels = tokenizer(conversation)
    texts = learned(tokenizer.tokenizer, ids, labels)
    replies = [message for message in conversation.messages if message["role"] == "assistant"]
    assert len(texts) == len(replies) >= 4
    for text, reply in zip(texts, replies, strict=True):
        assert text.startswith(reply["content"])
        assert text.endswith("<|im_end|>")
        for call in reply.get("tool_calls", ()):
            assert call["function"]["arguments"] in text
    assert "I plan." in texts[0]
    assert "東京タワー" in texts[0]
    shown = " ".join(texts)
    assert not re.search(r"Results for|Title: A1|More <b>x</b>|What is \{it\}", shown)
    # What is not learned is what was told and shown, whole.
    rest = tokenizer.tokenizer.decode([token for token, label in zip(ids, labels, strict=True) if label == IGNORED])
    assert "More <b>x</b>." in rest
    assert "Results for" in rest
    assert "I plan" not in rest


@pytest.mark.parametrize(("template", "place"), [("qwen3", "field"), ("qwen2_5", "content")])
def test_models_that_trl_knows_are_trained_by_its_variant_of_their_template(template, place):
    tokenizer = ConversationTokenizer(tiny_tokenizer(trl_template(template)))
    assert tokenizer.template == trl_template(f"{template}_training")
    assert tokenizer.reasoning_place("tools") == place
    conversation = conversation_of(hard_run(), "tools", AgentPrompt.load("tools"), reasoning=place)
    texts = learned(tokenizer.tokenizer, *tokenizer(conversation))
    assert len(texts) == 4
    assert "I plan.\n\nThen I search." in texts[0]
    assert "Results for" not in "".join(texts)


def test_what_is_published_has_the_template_that_was_given_and_else_the_model_s_own(tmp_path):
    from transformers import AutoTokenizer

    own = trl_template("qwen3")
    for given in ("", "chatml"):
        tokenizer = ConversationTokenizer(tiny_tokenizer(own), given)
        tokenizer.save_pretrained(tmp_path / given)
        there = AutoTokenizer.from_pretrained(tmp_path / given).chat_template
        assert there == (tokenizer.template if given else own)


UNMARKED = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
UNENDED = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}<|im_end|>{% endfor %}"
TOOLLESS = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% if message.role == 'assistant' %}"
    "{% generation %}{{ message.content }}<|im_end|>{% endgeneration %}{% else %}{{ message.content }}<|im_end|>"
    "{% endif %}\n{% endfor %}"
)


@pytest.mark.parametrize(
    ("own", "given", "message"),
    [
        (UNMARKED, "", "base: expected a chat template that marks the replies .* found another. Give `chat_template`"),
        ("", "", "base: expected a chat template .* found none"),
        (UNENDED, "", "expected a chat template that marks the replies .* and the token that ends them"),
        ("", "no-such", "Chat template no-such: expected `chatml` or a Jinja file"),
    ],
)
def test_a_template_that_cannot_mark_replies_is_refused(own, given, message):
    with pytest.raises(LratError, match=message) as error:
        ConversationTokenizer(tiny_tokenizer(own), given, name="base")
    assert "\n" not in str(error.value)


def test_a_template_without_tools_can_train_protocols_in_tags_alone():
    tokenizer = ConversationTokenizer(tiny_tokenizer(TOOLLESS), name="base")
    with pytest.raises(LratError, match="shows tools, calls and results, found one without tools, calls"):
        tokenizer.reasoning_place("tools")
    assert tokenizer.reasoning_place("tongyi") == "content"


def test_a_template_that_drops_reasoning_is_refused():
    dropping = TOOLLESS.replace("message.content }}", "message.content.split('</think>')[-1] }}", 1)
    tokenizer = ConversationTokenizer(tiny_tokenizer(dropping), name="base")
    with pytest.raises(LratError, match="keeps reasoning, found one that drops it"):
        tokenizer(conversation_of(hard_run(), "tongyi", AgentPrompt.load("tongyi")))


def test_what_is_too_long_is_dropped_or_cut_after_a_reply_and_counted():
    tokenizer = ConversationTokenizer(tiny_tokenizer(), "chatml")
    conversations = [conversation_of(hard_run(), "tongyi", AgentPrompt.load("tongyi"))] * 2
    ids, labels = tokenizer(conversations[0])
    replies = learned(tokenizer.tokenizer, ids, labels)
    most = max(place for place, label in enumerate(labels) if label != IGNORED)
    dropped = tokenize_runs(conversations, tokenizer, max_length=most)
    assert not dropped.rows
    assert dropped.ledger.dropped == {"longer than max_length": 2}
    cut = tokenize_runs(conversations, tokenizer, max_length=most, over_length="cut")
    (row, _) = cut.rows
    count = len(row["input_ids"])
    assert row == {"input_ids": ids[:count], "labels": labels[:count]}
    # It ends with the reply before the last.
    assert learned(tokenizer.tokenizer, row["input_ids"], row["labels"]) == replies[:-1]
    assert cut.ledger.lost == {"replies after max_length": 2}
    nothing = tokenize_runs(conversations, tokenizer, max_length=10, over_length="cut")
    assert nothing.ledger.dropped == {"no reply within max_length": 2}
    whole = tokenize_runs(conversations, tokenizer, max_length=len(ids))
    assert (whole.ledger.kept, whole.tokens) == (2, 2 * len(ids))


def test_runs_of_one_question_are_on_one_side():
    tokenizer = ConversationTokenizer(tiny_tokenizer(), "chatml")
    conversations = [conversation_of(hard_run(), "tongyi", AgentPrompt.load("tongyi"))] * 40
    runs = tokenize_runs(conversations, tokenizer, max_length=10_000)
    questions = [f"Question {number // 2}" for number in range(40)]
    trained, held_out = split_runs(runs, questions, 0.3)
    sides = [{questions[place] for place in side.places} for side in (trained, held_out)]
    assert not sides[0] & sides[1]
    assert len(trained.rows) + len(held_out.rows) == 40
    assert split_runs(runs, questions, 0) == (runs, None)
