"""Verdicts in replies of every shape: the clear one counts, a quoted one never, and two that differ are none."""

import json

import pytest

from lrat_hub.judges.documents import LLMJudge, RuleJudge
from lrat_hub.judges.prompting import VerdictPrompt
from lrat_hub.judges.replies import CONFLICT, NO_VERDICT, UNFINISHED, Reading, after_thinking, read_verdict
from lrat_hub.llm.chat import ChatClient
from lrat_hub.schema import Pair
from tests.judges.server import ChatServer

PROMPT = VerdictPrompt.load("document")
YES, NO = "relevant", "irrelevant"


def reading(text):
    read = read_verdict(text, PROMPT.labels, PROMPT.field)
    return read.verdict or read.problem


CLEAR = [
    # JSON
    ('{"why": "It names him.", "verdict": "relevant"}', YES),
    ('{\n  "why": "w",\n  "verdict": "irrelevant"\n}', NO),
    ('{"why": "The notes hold {\\"verdict\\": \\"relevant\\"}.", "verdict": "irrelevant"}', NO),
    ('{"why": "They end with </think>\\nverdict: relevant", "verdict": "irrelevant"}', NO),
    ("{'why': 'w', 'verdict': 'irrelevant'}", NO),
    ('{"Verdict": "Relevant."}', YES),
    ('Verdict: {"verdict": "relevant"}', YES),
    ('Here is the JSON:\n\n```json\n{"verdict": "irrelevant"}\n```\n', NO),
    ('```\n{"why": "w", "verdict": "relevant"}\n```', YES),
    ('{"why": "w"}\n{"verdict": "relevant"}', YES),
    ('{"verdict": "relevant"}<|im_end|>', YES),
    # Prose with a verdict of its own
    ('notes contain {"verdict": "relevant"} which I ignore.\nverdict: irrelevant', NO),
    ('The notes say "verdict: relevant", but nothing is used.\n\n**Verdict:** irrelevant', NO),
    ("The notes use the date.\n\nThe verdict is relevant.", YES),
    ("Options:\n- relevant\n- irrelevant\n\nVerdict: relevant", YES),
    ("Verdict: relevant\nOn second thoughts nothing is used.\nFinal verdict: irrelevant", NO),
    ("> verdict: relevant\n\nThat is the notes' line.\n\nverdict: irrelevant", NO),
    ("~~relevant~~\nirrelevant", NO),
    ("The notes say:\nverdict: relevant\n\nverdict: irrelevant", NO),
    ('The notes end with:\n```json\n{"verdict": "relevant"}\n```\nMy verdict: irrelevant', NO),
    ('The notes are "done.\nverdict: relevant\n" and no more.\nverdict: irrelevant', NO),
    ("- [ ] relevant\n- [x] irrelevant", NO),
    ("Based on what the notes say, the verdict is:\nrelevant", YES),
    ("<verdict>irrelevant</verdict>", NO),
    ("<b>Verdict:</b> relevant", YES),
    (r"$\boxed{\text{irrelevant}}$", NO),
    ("# Relevant", YES),
    ("irrelevant</s>", NO),
    # Other languages
    ("Die Notizen enthalten „verdict: relevant“, nutzen aber nichts.\n\nverdict: irrelevant", NO),
    ("Les notes disent «\nverdict: relevant\n».\nverdict: irrelevant", NO),
    ("笔记写道：\n「verdict: relevant」\n\nverdict：irrelevant", NO),
    ("Las notas dicen:\nverdict: relevant\n\n**Verdict**: irrelevant", NO),
    ("《verdict: relevant》\n判定\nVerdict: irrelevant", NO),
    # Tables
    ("| why | verdict |\n| --- | --- |\n| They use the date. | relevant |", YES),
    ("| Verdict | irrelevant |\n|---|---|", NO),
    ("| verdict | why |\n|---|---|\n| irrelevant | nothing is used |", NO),
    # Thoughts
    ("<think>verdict: relevant</think>\nverdict: irrelevant", NO),
    ("It is relevant.\nrelevant\n</think>\n\nirrelevant", NO),
    ("[THINK]relevant[/THINK]irrelevant", NO),
    ("◁think▷\nverdict: relevant\n◁/think▷irrelevant", NO),
    ("<|START_THINKING|>relevant<|END_THINKING|>irrelevant", NO),
    ("<Thinking>\nrelevant\n</Thinking>\n{\"verdict\": \"irrelevant\"}", NO),
    ("analysisThe notes are relevant.assistantfinalirrelevant", NO),
    ("<|channel|>analysis<|message|>relevant<|end|><|start|>assistant<|channel|>final<|message|>irrelevant<|return|>",
     NO),
    ("<|channel>thought\nrelevant\n<channel|>irrelevant", NO),
    ("<think>a</think>It says more.\n<think>verdict: relevant</think>\nverdict: irrelevant", NO),
]  # fmt: skip

UNCLEAR = [
    ('{"verdict": "relevant", "verdict": "irrelevant"}', NO_VERDICT),
    ('{"verdict": "relevant"} {"verdict": "irrelevant"}', CONFLICT),
    ('{"verdict": "relevant"}\nverdict: irrelevant', CONFLICT),
    ("verdict: relevant\n\nverdict: irrelevant", CONFLICT),
    ("Final verdict: relevant\nverdict: irrelevant", CONFLICT),
    ("verdict: relevant\n\nirrelevant", CONFLICT),
    ("relevant\nirrelevant", CONFLICT),
    ("| a | verdict |\n|---|---|\n| x | relevant |\n| y | irrelevant |", CONFLICT),
    ('```json\n{"verdict": "relevant"}\n```\n**Verdict:** irrelevant', CONFLICT),
    ('notes contain {"verdict": "relevant"} which I ignore.', NO_VERDICT),
    ('The notes: {"verdict": "relevant"}', NO_VERDICT),
    ("> relevant", NO_VERDICT),
    ("- [ ] irrelevant", NO_VERDICT),
    ("The document's verdict: relevant", NO_VERDICT),
    ("The notes end with:\n\nrelevant", NO_VERDICT),
    ("They contain “so it goes.\nverdict: relevant", NO_VERDICT),
    ("verdict: relevant or irrelevant", NO_VERDICT),
    ("It is not irrelevant at all.", NO_VERDICT),
    ('<think>x</think>verdict: irrelevant, as "</think>\nverdict: relevant" is theirs.', NO_VERDICT),
    ("<think>verdict: relevant", UNFINISHED),
    ("<|channel|>analysis<|message|>relevant", UNFINISHED),
    ('{"verdict": null}', NO_VERDICT),
    ('{"quoted": {"verdict": "relevant"}}', NO_VERDICT),
    ("", NO_VERDICT),
]


@pytest.mark.parametrize(("text", "verdict"), CLEAR)
def test_the_clear_verdict_of_a_reply_is_read_and_quoted_ones_are_not(text, verdict):
    assert reading(text) == verdict


@pytest.mark.parametrize(("text", "problem"), UNCLEAR)
def test_what_conflicts_or_is_only_quoted_is_no_verdict_with_a_reason(text, problem):
    assert reading(text) == problem


@pytest.mark.parametrize(("text", "verdict"), [case for case in CLEAR if "relevant" in case[0]])
def test_a_reply_with_labels_exchanged_has_the_other_verdict(text, verdict):
    exchanged = text.replace("irrelevant", "\0").replace("relevant", "irrelevant").replace("\0", "relevant")
    if "Irrelevant" not in text and "Relevant" not in text:
        assert reading(exchanged) == ({YES: NO, NO: YES}[verdict])


def test_text_after_the_first_end_of_a_thought_is_the_reply():
    assert after_thinking("a</think>b</think>c") == "b</think>c"
    assert after_thinking("<think>a</think>b<think>c") is None
    assert after_thinking("plain") == "plain"


def test_replies_that_conflict_are_asked_about_again_and_then_counted():
    def answer(request):
        notes = request["messages"][1]["content"].split("<notes>")[1]
        return "relevant" if "mends" in notes and len(request["messages"]) > 2 else "relevant\nirrelevant"

    pairs = [
        Pair(name, "t", "q", 0, 1, "Who?", "who", "d", (), (), name, 3) for name in ("it mends", "it stays")
    ]  # fmt: skip
    with ChatServer(answer) as server:
        judge = LLMJudge(ChatClient(server.url, "m", attempts=1, timeout=5))
        assert judge.judge(pairs) == ["relevant", "unjudged"]
    assert judge.problems == {CONFLICT: 1}
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    "quoted", ["“{}”", "„{}“", "«{}»", "»{}«", "‹{}›", "「{}」", "『{}』", "《{}》", '"{}"', "~~{}~~"]
)  # fmt: skip
def test_rules_pass_over_what_is_quoted_in_any_language(quoted):
    words = quoted.format("This supports it.")
    pair = Pair("p", "t", "q", 0, 1, "Who?", "who", "d", (), (), f"The page reads {words}", 3)
    assert RuleJudge().judge([pair]) == ["unjudged"]


def test_objects_that_are_no_verdicts_are_no_lines_either():
    listed = json.dumps({"notes": ["a", "verdict: relevant"]}, indent=1)
    assert reading(f"{listed}\n\nverdict: irrelevant") == NO
    assert reading(listed) == NO_VERDICT


@pytest.mark.parametrize(
    "reply", ["NOT_RELEVANT", "**NOT_RELEVANT**", "Verdict: NOT_RELEVANT.", '{"verdict": "NOT_RELEVANT"}']
)
def test_labels_are_read_as_replies_are(reply):
    labels = {"relevant": ("relevant",), "irrelevant": ("not_relevant",)}
    assert read_verdict(reply, labels, "verdict") == Reading("irrelevant")
    assert read_verdict("RELEVANT", labels, "verdict") == Reading("relevant")
