"""Questions that are published obfuscated: plain in memory, and nowhere on a disk or on the Hub."""

import binascii
import json
import os
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from lrat_hub import HubRef, cli, load_queries, load_trajectories
from lrat_hub.corpora.loading import load_question_rows
from lrat_hub.errors import LratError
from lrat_hub.hub.inputs import load_split
from lrat_hub.obfuscation import deobfuscate, obfuscate
from lrat_hub.schema import Candidate, Step, Trajectory, trajectory_features
from lrat_hub.storage import trajectory_batch, trajectory_table
from tests.corpora import published
from tests.judges.server import ChatServer

CANARY = "BENCHMARK DATA: canary GUID 4-5-6"
SECRET = ("quokka librarian", "Zanzibar Quillfeather")
"""Words of every question, and of every answer."""

AGENT = """
from lrat_hub.agents import Answer, Browse, Search

class Episode:
    def __init__(self, question):
        self.question, self.notes = question, {"asked": question}
        self.calls = iter([Search(f"I look for {question}", (question,)), Browse(f"About {question}", "d1")])

    async def act(self, observation):
        if "raise" in self.question:
            raise ValueError(f"can't do {self.question}")
        return next(self.calls, None) or Answer(f"{self.question}: I know", "It may be Zanzibar Quillfeather, or not")

class Agent:
    name = "scripted"
    def start(self, question):
        return Episode(question)
"""


def test_obfuscation_is_that_of_the_benchmarks_authors():
    for text in ("Which écrivain?", "", "x" * 100):
        assert obfuscate(text, CANARY) == published.obfuscate(text, CANARY)
        assert deobfuscate(obfuscate(text, CANARY), CANARY) == text
    with pytest.raises(binascii.Error):
        deobfuscate("plain text", CANARY)


def run(**columns):
    steps = (
        Step(0, "I think of a quokka librarian", "search", ("a quokka librarian",), (Candidate(0, 1, "d1", "T", "S"),),
             observation="A search for 'a quokka librarian'"),
        Step(1, None, "invalid", error="a quokka librarian is no document"),
        Step(2, "I know.", "answer"),
    )  # fmt: skip
    metadata = json.dumps({"obfuscated_with": CANARY, "asked": "a quokka librarian", "judge": {"by": "match"}})
    made = Trajectory("1-0", "1", "Who is the quokka librarian?", steps, gold_answer="Zanzibar Quillfeather",
                      final_answer="Zanzibar Quillfeather", metadata=metadata)  # fmt: skip
    return replace(made, **columns)


def test_a_run_is_stored_obfuscated_and_comes_back_as_it_was():
    row = run().to_dict()
    assert not found_in(json.dumps(row).encode())
    assert CANARY in row["metadata"]
    assert Trajectory.from_dict(json.loads(json.dumps(row))) == run()
    plain = run(metadata="{}")
    assert found_in(json.dumps(plain.to_dict()).encode()) == set(SECRET)
    assert Trajectory.from_dict(plain.to_dict()) == plain
    # Whichever way it becomes a row.
    for table in (
        trajectory_table([run()]).data.table,
        pa.Table.from_batches([trajectory_batch([run(), plain], trajectory_features().arrow_schema)]).slice(0, 1),
    ):
        assert Trajectory.from_dict(table.to_pylist()[0]) == run()
        assert not found_in(str(table.to_pylist()).encode())


def found_in(data: bytes) -> set[str]:
    return {words for words in SECRET if words.encode() in data}


def contents(path: Path) -> bytes:
    """What is in a file, and in the table that is compressed or encoded in it."""
    data = path.read_bytes()
    # Other tests have left files that only begin like tables, and values that Python has no type for.
    with suppress(pa.ArrowException, OSError):
        if data.startswith(b"PAR1"):
            data += uncompressed(parquet.read_table(path))
        elif path.suffix == ".arrow":
            data += uncompressed(pa.ipc.open_stream(data).read_all())
    return data


def uncompressed(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_whatever_other_tests_left_is_looked_through(tmp_path):
    for name, column in {
        "far": pa.array([2**62, 0], pa.timestamp("us")),
        "words": pa.array([f"a {SECRET[0]}"] * 2).dictionary_encode(),
        "nested": pa.array([[{"text": f"a {SECRET[0]}"}], None]),
        "bytes": pa.array([b"\xff" + SECRET[0].encode()] * 2, pa.binary()).view(pa.string()),
    }.items():
        table, expected = pa.table({"column": column}), set() if name == "far" else {SECRET[0]}
        parquet.write_table(table, tmp_path / f"{name}.parquet", compression="zstd")
        assert found_in(contents(tmp_path / f"{name}.parquet")) == expected, name
        with (
            pa.OSFile(str(tmp_path / f"{name}.arrow"), "wb") as sink,
            pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer,
        ):
            writer.write_table(table)
        assert found_in(contents(tmp_path / f"{name}.arrow")) == expected, name
    for name in ("cut.parquet", "cut.arrow"):
        whole = (tmp_path / f"words{Path(name).suffix}").read_bytes()
        (tmp_path / name).write_bytes(whole[:60])
        assert contents(tmp_path / name) == whole[:60]


def plain_places(*folders: Path) -> set[str]:
    """Files, and objects of git, in which the words of a question or of an answer are plain."""
    places = set()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and found_in(contents(path)):
                places.add(str(path.relative_to(folder)))
        for repository in sorted(folder.rglob("*.git")):
            command = ["git", "-C", str(repository), "cat-file", "--batch-all-objects", "--batch"]
            if found_in(subprocess.run(command, capture_output=True, check=True).stdout):
                places.add(str(repository.relative_to(folder)))
    return places


@pytest.fixture(scope="module")
def source(hub, tmp_path_factory):
    """Questions as BrowseComp-Plus publishes them, and documents."""
    folder = tmp_path_factory.mktemp("bcp")
    asked = [f"Which quokka librarian catalogued {thing}?" for thing in ("lanterns", "comets", "to raise errors")]
    table = {
        "query_id": ["1", "2", "3"],
        "query": [published.obfuscate(text, CANARY) for text in asked],
        "answer": [published.obfuscate("Zanzibar Quillfeather", CANARY)] * 3,
        "canary": [CANARY] * 3,
    }
    parquet.write_table(pa.table(table), folder / "questions.parquet")
    rows = [{"docid": f"d{n}", "title": f"Title {n}", "text": f"A text about lanterns {n}."} for n in range(4)]
    (folder / "documents.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "qrels.txt").write_text("1 0 d1 1\n2 0 d2 1\n3 0 d3 1\n")
    return folder


def build(source, to, *words):
    given = {"documents": "documents.jsonl", "queries": "questions.parquet", "qrels": "qrels.txt"}
    files = [word for option, name in given.items() for word in (f"--{option}", str(source / name))]
    return cli.run(["corpus", *files, "--to", to, *words])


@pytest.fixture(scope="module")
def collection(source):
    return build(source, "lrat/obfuscated")


def test_questions_stay_obfuscated_and_are_read_in_plain(collection):
    rows = load_split(HubRef.parse(f"{collection}#queries")).to_list()
    assert {row["canary"] for row in rows} == {CANARY}
    assert not found_in(str(rows).encode())
    assert load_queries(f"{collection}#queries")["1"] == "Which quokka librarian catalogued lanterns?"


def test_a_file_of_questions_says_as_a_repository_does_which_are_obfuscated(collection, source):
    from_file = load_question_rows(source / "questions.parquet")
    assert from_file == load_question_rows(f"{collection}#queries")
    assert from_file[0]["query"] == "Which quokka librarian catalogued lanterns?"
    assert {row["canary"] for row in from_file} == {CANARY}


def test_slices_of_obfuscated_questions_stay_obfuscated(collection):
    asked = f"{collection}#queries"
    drawn = cli.run(["questions", "--queries", asked, "--count", "2", "--to", "lrat/obfuscated-slice"])
    rows = load_split(HubRef.parse(f"{drawn}#queries")).to_list()
    assert {row["canary"] for row in rows} == {CANARY}
    assert not found_in(str(rows).encode())
    assert load_queries(drawn).items() < load_queries(asked).items()


@pytest.fixture
def agent(tmp_path, tmp_path_factory, monkeypatch):
    """An agent that quotes its question wherever it can; scratch files are in a folder of the test's own."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "quoting_agent.py").write_text(AGENT)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return "quoting_agent:Agent"


def judge_words(server):
    model = {"": "llm", "_model": "m", "_url": server.url}
    return [word for name, value in model.items() for word in (f"--answer_judge{name}", value)]


def verdict(request):
    asked = request["messages"][-1]["content"]
    assert "quokka librarian" in asked or "yes or no" in asked
    return f"{asked}\nAs the quokka librarian is Zanzibar Quillfeather:\nVerdict: incorrect"


@pytest.mark.slow
def test_nothing_on_a_disk_or_on_the_hub_has_a_question_in_plain(hub, collection, source, agent, tmp_path, capfd):
    everywhere = (Path(os.environ["HF_HOME"]), hub.root, tmp_path)
    with ChatServer(verdict) as server:
        words = ["--corpus", str(collection), "--agent", agent, "--max_turns", "5"]
        runs = cli.run(["rollout", *words, "--queries", str(collection), "--to", "lrat/obfuscated-runs",
                        *judge_words(server)])  # fmt: skip
        asked = len(server.requests)
        assert asked >= 2
        benchmark = ["--queries", f"{collection}#queries", "--qrels", f"{collection}#qrels_evidence"]
        made = ["--corpus", str(collection), "--agents", agent, "--retrievers", "bm25"]
        cli.run(["eval", "agents", *benchmark, *made, "--to", "lrat/obfuscated-made", *judge_words(server)])
        cli.run(["eval", "agents", *benchmark, "--trajectories", str(runs), "--to", "lrat/obfuscated-read",
                 *judge_words(server)])  # fmt: skip
        # The judge's replies are in the cache, where the question can't be read.
        assert len(server.requests) == asked
    assert plain_places(*everywhere) == set()
    # And yet everything is there.
    back = {run.query_id: run for run in load_trajectories(runs)}
    assert back["1"].question == "Which quokka librarian catalogued lanterns?"
    assert back["1"].final_answer == "It may be Zanzibar Quillfeather, or not"
    assert (back["1"].steps[0].queries, back["1"].correct) == ((back["1"].question,), False)
    assert "can't do Which quokka" in json.loads(back["3"].metadata)["error"]
    shown = capfd.readouterr()
    assert not found_in((shown.out + shown.err).encode())

    # The plain text is made only by a wish of its own, for a private repository: and then it is found.
    with pytest.raises(LratError, match="--private"):
        build(source, "lrat/plain", "--deobfuscate", "true")
    build(source, "lrat/plain", "--deobfuscate", "true", "--private", "true")
    assert plain_places(*everywhere)


@pytest.mark.slow
def test_what_would_make_them_plain_is_refused(collection, source, agent, tmp_path):
    runs = cli.run(["rollout", "--corpus", str(collection), "--queries", str(collection), "--agent", agent,
                    "--to", "lrat/obfuscated-refused"])  # fmt: skip
    with pytest.raises(LratError, match="that nobody trains on them"):
        cli.run(["mine", "--trajectories", str(runs), "--corpus", str(collection), "--to", "lrat/obfuscated-pairs"])
    words = ["--queries", f"{collection}#queries", "--trajectories", str(runs), "--to", "lrat/obfuscated-eval"]
    with pytest.raises(LratError, match="these questions are published obfuscated"):
        cli.run(["eval", "agents", *words, "--browsecomp"])
    (tmp_path / "log.jsonl").write_text(json.dumps({"query_id": "1", "messages": []}))
    for queries in (f"{collection}#queries", str(source / "questions.parquet")):
        with pytest.raises(LratError, match="--queries has questions that are published obfuscated"):
            cli.run(["import", str(tmp_path / "log.jsonl"), "--queries", queries, "--to", "lrat/obf-log"])
