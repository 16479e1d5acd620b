"""Collecting: calls as records of a journal, and these as runs."""

import asyncio
import json
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from lrat_hub import mine_pairs
from lrat_hub.cli import serve, serve_options
from lrat_hub.errors import LratError
from lrat_hub.importers import Accounts, Redactor, load_trajectories, read_trajectories, recognise_format
from lrat_hub.importers.served import IDLE, NO_REASONING, NO_SESSION, SHADOWS
from lrat_hub.mining import Weighting
from lrat_hub.retrieval import Hit
from lrat_hub.serving.application import create_app
from lrat_hub.serving.collecting import NOT_ATTRIBUTED, Collector, is_sampled
from lrat_hub.serving.journal import Journal, files_of
from lrat_hub.serving.service import Caller, SearchService, ServedAnswer, ServedFeedback, ServedFetch, ServedSearch


def search(name, *docids, role="champion", revision="a" * 40):
    hits = tuple(Hit(docid, 1.0 / rank, rank) for rank, docid in enumerate(docids, start=1))
    return ServedSearch(name, (f"query {name}",), (hits,), 5, "bm25", revision, role)


def collect(folder, *calls, share=1.0, max_bytes=600):
    async def go():
        with Journal(folder, max_bytes=max_bytes) as journal:
            collector = Collector(journal, share=share)
            for caller, call in calls:
                write = {ServedSearch: collector.searched, ServedFetch: collector.fetched,
                         ServedFeedback: collector.feedback, ServedAnswer: collector.answered}[type(call)]  # fmt: skip
                await write(caller, call)
            return collector.counts

    return asyncio.run(go())


def of(session, reasoning=None, by="argument", subject=None):
    return Caller(session, by, subject, reasoning)


def test_a_session_over_several_files_is_one_run_with_its_calls_in_their_order(tmp_path):
    collect(
        tmp_path,
        (of("a", "I look for it."), search("1", "d1", "d2")),
        (of("b"), search("2", "d1")),
        (of("a", "d2 looks right."), ServedFetch(("d2",), (True,), "1")),
        (of("b"), ServedFetch(("d1", "d9"), (True, False))),
        (of("a", "It says so."), ServedFeedback("1", "d2", True, "cited")),
        (of("b"), ServedFeedback("1", "d1", False)),
    )
    assert len(files_of(tmp_path)) > 2
    assert str(recognise_format(tmp_path)).startswith("served: ")
    accounts = Accounts()
    a, b = read_trajectories(tmp_path, accounts)
    assert [(step.action, step.reasoning, step.docid) for step in a.steps] == [
        ("search", "I look for it.", None), ("browse", "d2 looks right.", "d2"), ("invalid", "It says so.", None),
    ]  # fmt: skip
    assert [(hit.docid, hit.rank, hit.score) for hit in a.steps[0].results] == [("d1", 1, 1.0), ("d2", 2, 0.5)]
    assert (a.query_id, a.retriever, a.retriever_revision, a.status) == ("a", "bm25", "a" * 40, "completed")
    assert json.loads(a.metadata)["feedback"] == [{"search_id": "1", "docid": "d2", "used": True, "comment": "cited"}]
    assert [(step.action, step.docid, step.error) for step in b.steps[1:]] == [
        ("browse", "d1", None), ("browse", "d9", "no such document in the corpus"),
    ]  # fmt: skip
    assert accounts.browses.notes["fetches attributed to a search of their session"] == 2
    assert accounts.parts.notes["feedback on a search that its session lacks"] == 1
    assert accounts.records.notes[NO_REASONING] == 1
    assert (accounts.num_lost, accounts.parts.kept) == (0, 6)
    # What the agent thought after the last document came with its feedback.
    assert [pair.reasoning for pair in mine_pairs([a]).pairs] == ["It says so."]


def test_a_session_that_tells_its_answer_is_a_whole_run(tmp_path):
    collect(
        tmp_path,
        (of("q1", "I look for it."), search("1", "d1", "d2")),
        (of("q1", "d2 looks right."), ServedFetch(("d2",), (True,), "1")),
        (of("q1", "It says Oslo."), ServedAnswer("Bergen", "Where is it?")),
        (of("q1", "No, I misread it."), ServedAnswer("Oslo")),
    )
    accounts = Accounts()
    (run,) = read_trajectories(tmp_path, accounts)
    assert [(step.action, step.reasoning) for step in run.steps[2:]] == [
        ("answer", "It says Oslo."), ("answer", "No, I misread it."),
    ]  # fmt: skip
    assert (run.query_id, run.question, run.final_answer) == ("q1", "Where is it?", "Oslo")
    assert (accounts.num_lost, accounts.parts.kept) == (0, 4)
    assert [pair.reasoning for pair in mine_pairs([run]).pairs] == ["It says Oslo."]


def test_secrets_are_taken_out_when_a_journal_is_imported(tmp_path):
    secret = "sk-proj-" + "Ab3dE6gH9jKlMn0pQrSt" * 3
    asked = replace(search("1", "d1", "d2"), queries=(f"my key is {secret}",))
    collect(
        tmp_path / "calls",
        (of("a", f"I use {secret}."), asked),
        (of("a", f"See {secret}."), ServedFeedback("1", "d1", True, f"or {secret}")),
    )
    accounts = Accounts()
    (run,) = read_trajectories(tmp_path / "calls", accounts)
    assert secret in str(run)
    assert secret not in str(Redactor().redact(run, accounts.texts))
    assert accounts.texts.notes["redacted, OpenAI key"] == 4


def test_calls_that_nobody_attributed_are_counted_and_make_no_run(tmp_path):
    counts = collect(
        tmp_path,
        (Caller(), search("1", "d1")), (Caller(), ServedFetch(("d1",), (True,), "1")), (of("a"), search("2", "d1")),
    )  # fmt: skip
    assert counts == {NOT_ATTRIBUTED: 2, "argument": 1}
    accounts = Accounts()
    assert [run.query_id for run in read_trajectories(tmp_path, accounts)] == ["a"]
    assert accounts.records.dropped == {NO_SESSION: 2}


def test_nothing_but_calls_without_a_session_is_refused_with_that_reason(tmp_path):
    collect(tmp_path, (Caller(), search("1", "d1")))
    with pytest.raises(LratError, match=f"1 {NO_SESSION}"):
        list(load_trajectories(tmp_path))


def test_two_callers_that_name_their_sessions_alike_share_none(tmp_path):
    collect(tmp_path, (of("1", subject="ann"), search("1", "d1")), (of("1", subject="bob"), search("2", "d2")))
    runs = list(load_trajectories(tmp_path))
    assert [run.steps[0].queries for run in runs] == [("query 1",), ("query 2",)]
    assert len({run.trajectory_id for run in runs}) == 2


def test_a_token_tells_a_session_until_it_rests_and_its_subject_is_not_exported(tmp_path):
    who = of("ann@example.org", by="token", subject="ann@example.org")
    collect(tmp_path, (who, search("1", "d1")), (who, search("2", "d1")), (who, search("3", "d1")))
    for path in files_of(tmp_path):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if line["search_id"] == "3":
                line["at"] = "2099-01-01T00:00:00+00:00"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert IDLE.total_seconds() > 60
    runs = list(load_trajectories(tmp_path))
    assert [len(run.steps) for run in runs] == [2, 1]
    assert len({run.trajectory_id for run in runs}) == 2
    assert "ann" not in str(runs)


def test_a_search_after_an_answer_begins_another_session_where_only_a_token_tells_them(tmp_path):
    calls = [
        search("1", "d1"),
        ServedFetch(("d1",), (True,), "1"),
        ServedAnswer("one", "first?"),
        ServedFeedback("1", "d1", True),
        # A shadow may be late.
        search("1", "d3", role="shadow"),
        search("2", "d2"),
        ServedAnswer("two", "second?"),
        ServedAnswer("two, rather", None),
    ]
    for by, told in (
        ("token", [("first?", "one"), ("second?", "two, rather")]),
        ("argument", [("second?", "two, rather")]),
    ):
        collect(tmp_path / by, *((of("t", by=by, subject="t"), call) for call in calls))
        runs = list(load_trajectories(tmp_path / by))
        assert [(run.question, run.final_answer) for run in runs] == told
        assert len({run.trajectory_id for run in runs}) == len(runs)


def test_what_a_shadow_found_is_no_step(tmp_path):
    collect(tmp_path, (of("a"), search("1", "d1")), (of("a"), search("1", "d7", role="shadow")))
    accounts = Accounts()
    (run,) = read_trajectories(tmp_path, accounts)
    assert [hit.docid for step in run.steps for hit in step.results] == ["d1"]
    assert accounts.parts.notes[SHADOWS] == 1


def test_a_fetch_is_mined_for_the_search_that_it_names(tmp_path):
    collect(
        tmp_path,
        (of("a"), search("1", "d1")),
        (of("a"), search("2", "d2", "d1")),
        (of("a"), ServedFetch(("d1",), (True,), "1")),
        (of("a", "It says so."), ServedFetch(("d1",), (True,))),
        (of("a"), ServedFetch(("d2",), (True,), "1")),
        (of("a"), ServedFetch(("d8",), (True,), "none")),
    )
    accounts = Accounts()
    (run,) = read_trajectories(tmp_path, accounts)
    assert [step.search_turn for step in run.steps] == [None, None, 0, None, 0, None]
    mined = mine_pairs([run], weighting=Weighting(scheme="uniform"))
    assert [(pair.query, pair.search_turn, pair.positive_id) for pair in mined.pairs] == [
        ("query 1", 0, "d1"), ("query 2", 1, "d1"), ("query 2", 1, "d2"),
    ]  # fmt: skip
    assert dict(accounts.browses.notes) == {
        "fetches attributed to a search of their session": 3,
        "fetches of documents that no search of their session listed": 1,
        "fetches that name a search which their session lacks": 1,
        "fetches that name a search which did not list their document": 1,
    }


@pytest.mark.parametrize("said", [{"queries": "one"}, {"lists": [[], []]}, {"queries": [], "lists": []},
                                  {"kind": "fetch"}, {"kind": "feedback", "used": "yes"},
                                  {"kind": "answer", "answer": 5}])  # fmt: skip
def test_a_record_that_can_not_be_read_costs_itself_and_keeps_its_turn(tmp_path, said):
    collect(tmp_path, (of("a"), search("1", "d1")), (of("a"), search("2", "d2")))
    path = files_of(tmp_path)[0]
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(first) | said), *rest]) + "\n")
    accounts = Accounts()
    (run,) = read_trajectories(tmp_path, accounts)
    assert [step.action for step in run.steps] == ["invalid", "search"]
    assert accounts.parts.num_dropped == 1


@pytest.mark.parametrize(
    "said", [{"at": "2026-11-28T10:00:00"}, {"at": 5}, {"revision": ["a"]}, {"search_id": {"a": 1}}]
)
def test_values_that_no_server_writes_stop_no_import(tmp_path, said):
    who = of("t", by="token", subject="t")
    collect(tmp_path, (who, search("1", "d1")), (who, search("2", "d1")), (who, ServedFeedback("1", "d1", True)))
    lines = [json.loads(line) for path in files_of(tmp_path) for line in path.read_text().splitlines()]
    for number in (0, -1):
        lines[number] |= said
    for path in files_of(tmp_path):
        path.unlink()
    (tmp_path / "2026-11-28-0001.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert sum(len(run.steps) for run in load_trajectories(tmp_path)) == 2


def test_sampling_keeps_whole_sessions_in_about_its_share(tmp_path):
    calls = [(of(f"s{number % 200}"), search(str(number), "d1")) for number in range(600)]
    collect(tmp_path, *calls, share=0.25, max_bytes=1 << 20)
    runs = list(load_trajectories(tmp_path))
    assert {len(run.steps) for run in runs} == {3}
    assert 25 < len(runs) < 75
    assert {run.query_id for run in runs} == {f"s{n}" for n in range(200) if is_sampled(f"s{n}", 0.25)}
    with pytest.raises(LratError, match="share above 0"):
        collect(tmp_path, share=0.0)


def test_a_call_whose_record_can_not_be_written_fails_and_may_be_made_again(tmp_path, backend):
    journal = Journal(tmp_path)
    service = SearchService(backend, observers=[Collector(journal)])
    question = {"queries": ["kabe"], "k": 2, "session_id": "a"}
    with TestClient(create_app(service)) as client:
        (tmp_path / ".commit.lock").mkdir()
        refused = client.post("/search", json=question)
        (tmp_path / ".commit.lock").rmdir()
        answered = client.post("/search", json=question)
    journal.close()
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert "expected to write 1 records" in refused.json()["error"]
    assert answered.status_code == 200
    assert [len(run.steps) for run in load_trajectories(tmp_path)] == [1]


def test_a_session_is_forgotten_by_a_command(tmp_path, capsys):
    collect(tmp_path, (of("a"), search("1", "d1")), (of("b"), search("about a1", "d1")), (of("a1"), search("2", "d1")))
    with pytest.raises(LratError, match="found it in 1 other records"):
        serve.main(["forget", "a1", "--collect", str(tmp_path)])
    assert "a1: 1 records deleted, 1 files written again" in capsys.readouterr().out
    assert serve.main(["forget", "a", "--collect", str(tmp_path)]) == 0


def test_a_service_that_collects_answers_after_the_record_is_on_the_disk(tmp_path, backend):
    async def go():
        with Journal(tmp_path) as journal:
            service = SearchService(backend, observers=[Collector(journal)])
            found = await service.search(["kabe"], 3, of("a"))
            assert found.search_id.encode() in files_of(tmp_path)[0].read_bytes()
            await service.documents([found.lists[0][1].docid], of("a"), search_id=found.search_id)
            service.close()
            return found

    found = asyncio.run(go())
    (run,) = load_trajectories(tmp_path)
    assert [hit.docid for hit in run.steps[0].results] == [hit.docid for hit in found.lists[0]]
    assert run.steps[1].docid == found.lists[0][1].docid


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--collect-share", "0.5"], "expected --collect for --collect-share"),
        (["--collect-share", "1"], "expected --collect for --collect-share"),
        *(
            (
                ["--mcp", "stdio", f"--{name}={serve._parser().get_default(name.replace('-', '_'))}"],
                f"expected no --{name} for --mcp stdio",
            )
            for name in serve_options.OF_HTTP
            if name != "open"
        ),
        (["--mcp", "stdio", "--open"], "expected no --open for --mcp stdio"),
        (["--open", "--tokens", "tokens.txt"], "expected --tokens or --open, found both"),
        (["--mcp", "none", "--document-url", "https://example.org/{docid}"], "expected MCP for --document-url"),
        (["--document-url", "https://example.org/d"], "expected {docid} in --document-url"),
    ],
)
def test_options_that_would_do_nothing_are_refused(words, message):
    if "--document-url" in words and "none" not in words:
        pytest.importorskip("mcp")
    with pytest.raises(LratError, match=message):
        serve.main(["--index", "me/nowhere", "--corpus", "me/nowhere", *words])
