"""Texts of others are read from where a pointer says, and any other text is refused."""

from __future__ import annotations

import hashlib
import http.server
import os
import threading
from pathlib import Path

import pytest

from lrat_hub.agents.protocols import AgentPrompt
from lrat_hub.errors import LratError
from lrat_hub.judges.prompting import VerdictPrompt
from lrat_hub.llm import pinned
from lrat_hub.llm.pinned import Pointer

COMMIT = "0" * 40
SOURCE = '''"""A module that is never run."""
raise SystemExit
HEAD = """
Answer {Question} with 100\\\\% care, as {{this}}. """.strip()
TAIL = " The " "end."
COUNT = 3
'''
TEXT = "Answer {Question} with 100\\% care, as {{this}}. The end."


def pointer(**changes):
    known = {"repository": "somebody/Project", "commit": COMMIT, "file": "a/prompts.py", "constant": "HEAD+TAIL"}
    return Pointer(**{**known, "sha256": hashlib.sha256(TEXT.encode()).hexdigest(), **changes})


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "Project" / "a").mkdir(parents=True)
    (tmp_path / "Project" / "a" / "prompts.py").write_text(SOURCE)
    return tmp_path


@pytest.fixture
def published(checkout, tmp_path_factory, monkeypatch):
    """A server in the place of GitHub, with a cache of its own."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            found = self.path == f"/somebody/Project/{COMMIT}/a/prompts.py"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write((checkout / "Project/a/prompts.py").read_bytes() if found else b"none")

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(pinned, "SOURCE", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield asked
    server.shutdown()
    server.server_close()


def test_a_text_is_read_from_a_checkout_or_a_folder_of_them_without_running_its_code(checkout):
    assert pointer().read(checkout) == pointer().read(checkout / "Project") == TEXT


def test_fields_and_marks_are_filled_after_the_text_was_checked(checkout):
    filled = pointer(fields={"Question": "{question}"}, replace={"end": "start"}).read(checkout)
    assert filled == "Answer {question} with 100\\% care, as {this}. The start."


def test_a_text_is_read_from_its_source_once_and_then_out_of_the_cache(published, monkeypatch):
    assert pointer().read() == pointer().read() == TEXT
    assert len(published) == 1
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert pointer().read() == TEXT
    with pytest.raises(LratError, match=r"found HF_HUB_OFFLINE set\. Name a checkout"):
        pointer(sha256="0" * 64).read()


def test_a_source_that_lacks_the_file_is_named(published):
    with pytest.raises(LratError, match=r"expected to read http.*404.*Name a checkout"):
        pointer(file="b.py").read()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"sha256": "0" * 64}, "found a text with"),
        ({"constant": "HEAD"}, "found a text with"),
        ({"constant": "OTHER"}, "found no such constant"),
        ({"constant": "COUNT"}, "found no such constant"),
    ],
)
def test_another_text_is_refused(checkout, changes, found):
    with pytest.raises(LratError, match=found):
        pointer(**changes).read(checkout)
    with pytest.raises(LratError, match="expected its file in the checkout"):
        pointer(file="none.py").read(checkout)


def test_prompts_have_texts_in_the_place_of_pointers(checkout, tmp_path):
    parts = {"repository": "somebody/Project", "commit": COMMIT, "file": "a/prompts.py", "constant": "HEAD+TAIL"}
    lines = [f"  {key}: {value}" for key, value in {**parts, "sha256": pointer().sha256}.items()]
    body = "\n".join(["system: ''", "question:", *lines, "  fields: {Question: '{question}'}", "final: f", "again: a"])
    (tmp_path / "own.yaml").write_text(body)
    told = AgentPrompt.load(f"{tmp_path / 'own.yaml'}@{checkout}")
    assert told.opening("Who?") == [{"role": "user", "content": "Answer Who? with 100\\% care, as {this}. The end."}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("filds: {Question: '{question}'}", "Pointer to a text: expected repository, .* found .*filds"),
        ("fields: {question: '{question}'}", r"HEAD\+TAIL: expected a value for each .* found \['question'\]"),
    ],
)
def test_a_pointer_that_is_written_wrongly_is_one_line(checkout, tmp_path, line, message):
    given = {name: getattr(pointer(), name) for name in ("repository", "commit", "file", "constant", "sha256")}
    lines = [f"  {name}: '{text}'" for name, text in given.items()]
    (tmp_path / "own.yaml").write_text("\n".join(["question:", *lines, f"  {line}", "final: f", "again: a"]))
    with pytest.raises(LratError, match=message):
        AgentPrompt.load(f"{tmp_path / 'own.yaml'}@{checkout}")


SOURCES = ("LRAT_RELEASE", "BROWSECOMP_PLUS")


@pytest.mark.skipif(not set(SOURCES) <= set(os.environ), reason=f"{' and '.join(SOURCES)} name no checkouts")
@pytest.mark.parametrize(
    ("load", "name", "variable"),
    [
        (AgentPrompt.load, "released_tongyi", "LRAT_RELEASE"),
        (AgentPrompt.load, "released_webexplorer", "LRAT_RELEASE"),
        (AgentPrompt.load, "browsecomp_plus", "BROWSECOMP_PLUS"),
        (VerdictPrompt.load, "released_document", "LRAT_RELEASE"),
        (VerdictPrompt.load, "released_answer", "LRAT_RELEASE"),
        (VerdictPrompt.load, "browsecomp_plus", "BROWSECOMP_PLUS"),
    ],
)
def test_the_prompts_that_are_shipped_point_to_texts_that_are_there(load, name, variable):
    prompt = load(f"{name}@{os.environ[variable]}")
    if isinstance(prompt, VerdictPrompt):
        (message,) = prompt.messages(dict.fromkeys(prompt.fields, "WHAT IS ASKED"))
        assert message["content"].count("WHAT IS ASKED") == len(prompt.fields)
        assert "{" not in message["content"]
    else:
        assert "WHAT IS ASKED" in prompt.opening("WHAT IS ASKED")[-1]["content"]


def test_no_prompt_of_ours_holds_a_sentence_of_theirs():
    """Where checkouts are there: no run of ten words of ours stands in their prompts."""
    checkouts = [Path(os.environ[name]) for name in SOURCES if name in os.environ]
    if not checkouts:
        pytest.skip("no checkout is named")
    package = Path(pinned.__file__).parents[1]
    theirs = " ".join(
        " ".join(path.read_text(errors="replace").split())
        for checkout in checkouts
        for folder in ("search_agent", "src", "scripts_evaluation")
        for path in sorted((checkout / folder).rglob("*.py"))
    )
    for path in [*package.glob("agents/prompts/*.yaml"), *package.glob("judges/prompts/*.yaml")]:
        words = path.read_text().split()
        runs = (" ".join(words[start : start + 10]) for start in range(len(words) - 9))
        assert not [run for run in runs if run in theirs], path.name
