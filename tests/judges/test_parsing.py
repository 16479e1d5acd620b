"""What is read as a verdict, and what is not."""

import pytest

from lrat_hub.judges.prompting import VerdictPrompt
from lrat_hub.judges.replies import read_verdict

DOCUMENT = VerdictPrompt.load("document")


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('{"why": "It names him.", "verdict": "relevant"}', "relevant"),
        ('```json\n{"why": "{no}", "verdict": "Irrelevant"}\n```', "irrelevant"),
        ("RELEVANT.", "relevant"),
        ("**RELEVANT**", "relevant"),
        ("Irrelevant", "irrelevant"),
        ("Not relevant.", "irrelevant"),
        ("**Verdict:** irrelevant", "irrelevant"),
        ("The notes cite the page.\n\nFinal verdict: `relevant`.", "relevant"),
        ("The notes take nothing from it.\n\nirrelevant\n", "irrelevant"),
        ('<think>Is it irrelevant? {"verdict": "irrelevant"} No.</think>\n\nRELEVANT', "relevant"),
        ('It may be irrelevant, but\n</think>\n{"verdict": "relevant"}', "relevant"),
        ("<|channel|>analysis<|message|>irrelevant\n<|end|><|start|>assistant<|channel|>final<|message|>relevant",
         "relevant"),
        ("", None),
        ("It is not quite irrelevant.", None),
        ("I can't say.", None),
        ("relevant\nirrelevant", None),
        ('{"verdict": "partly"}', None),
        ('{"verdict": "relevant"} {"verdict": "irrelevant"}', None),
        ('{"verdict": null}', None),
        ("<think>RELEVANT", None),
        ("<think>\nrelevant\n", None),
    ],
)  # fmt: skip
def test_a_verdict_is_read_from_what_models_write_and_only_from_that(text, verdict):
    assert read_verdict(text, DOCUMENT.labels, DOCUMENT.field).verdict == verdict


def test_labels_and_field_are_those_of_the_prompt():
    labels = {"correct": ("correct", "yes", "true"), "incorrect": ("incorrect", "no", "false")}
    assert read_verdict("**correct:** yes", labels, "correct").verdict == "correct"
    assert read_verdict('{"correct": false}', labels, "correct").verdict == "incorrect"


def test_a_prompt_is_known_by_its_content_and_refused_when_it_is_another_thing(tmp_path):
    import shutil
    from importlib import resources

    from lrat_hub.errors import LratError

    file = resources.files("lrat_hub.judges") / "prompts" / "document.yaml"
    copy = tmp_path / "mine.yaml"
    shutil.copy(str(file), copy)
    assert VerdictPrompt.load(copy).digest == DOCUMENT.digest
    copy.write_text(copy.read_text().replace("Did the opened document help?", "Well?"))
    assert VerdictPrompt.load(copy).digest != DOCUMENT.digest
    bad_template = copy.read_text().replace("{{ query }}", "{% query %}")
    for content, expected in (("a: 1", "a verdict prompt"), ("[", "YAML"), (bad_template, "a verdict prompt")):
        copy.write_text(content)
        with pytest.raises(LratError, match=f"expected {expected}; "):
            VerdictPrompt.load(copy)
    with pytest.raises(LratError, match="found neither"):
        VerdictPrompt.load("nothing")
