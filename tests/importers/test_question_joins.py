"""`--queries` and `--answer_judge`: runs meet their questions by id or by text, and every join says n of m."""

import json

import pytest

from lrat_hub import cli
from lrat_hub.importers import Accounts, load_trajectories, read_trajectories
from lrat_hub.importers.bulk import RecordImport
from lrat_hub.importers.look import look_at
from lrat_hub.importers.questions import AMBIGUOUS, JOINED, JOINED_BY_OWN, JOINED_BY_TEXT, NOT_JOINED, OTHER_TEXT
from tests.importers.fixtures import OPENAI

ASKED = ["Who wrote it?", "Where was the author born?", "When did the house burn?", "Which river is near?"]


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """Pages in lines that are not broken, whatever the terminal."""
    monkeypatch.setenv("COLUMNS", "400")


@pytest.fixture
def runs(tmp_path):
    """Four runs that name questions of their own and ids that no table has."""
    path = tmp_path / "runs.jsonl"
    records = [{**OPENAI, "query_id": f"log-{n}", "question": question} for n, question in enumerate(ASKED)]
    path.write_text("\n".join(json.dumps({k: v for k, v in r.items() if k != "gold_answer"}) for r in records))
    return path


def joined(path, questions):
    accounts = Accounts()
    return list(read_trajectories(path, accounts, questions=questions)), accounts.records


def test_gold_answers_come_by_the_text_of_the_question_where_ids_differ(runs):
    table = {"t1": ("who wrote IT", "Ada"), "t2": ("Where was the author born?!", "Rome"), "t3": ("Else?", "no")}
    found, records = joined(runs, table)
    assert [run.gold_answer for run in found] == ["Ada", "Rome", None, None]
    assert [run.question for run in found] == ASKED, "a run keeps its own words"
    assert (records.notes[JOINED], records.notes[JOINED_BY_TEXT], records.notes[NOT_JOINED]) == (0, 2, 2)


def test_a_question_with_several_answers_is_counted_and_not_joined(runs):
    table = {"1": (ASKED[0], "Ada"), "2": (ASKED[0], "Bob"), "3": (ASKED[1], "Rome"), "4": (ASKED[1], "Rome")}
    found, records = joined(runs, table)
    assert [run.gold_answer for run in found[:2]] == [None, "Rome"]
    assert records.notes[AMBIGUOUS] == 1
    assert records.examples[AMBIGUOUS] == ASKED[0]
    everything = {f"{n}{answer}": (question, answer) for n, question in enumerate(ASKED) for answer in "xy"}
    look = look_at(runs, RecordImport(questions=everything))
    assert "0 of 4 runs were joined: the questions of all of them are there with different answers" in look.concerns[0]


def test_an_id_that_numbers_something_else_does_not_bring_the_answer_of_another_question(runs):
    table = {"log-0": ("Nobody asked this", "x"), "log-1": (ASKED[2], "answer 2"), "log-2": (ASKED[1], "answer 1")}
    found, records = joined(runs, table)
    assert [run.gold_answer for run in found] == ["x", "answer 1", "answer 2", None]
    assert (records.notes[JOINED_BY_TEXT], records.notes[OTHER_TEXT]) == (2, 1)


def test_a_look_says_n_of_m_for_questions_answers_and_verdicts(runs, tmp_path, capsys):
    table = tmp_path / "train.tsv"
    table.write_text("".join(f"t{n}\t{question}\tAda\n" for n, question in enumerate(ASKED[:3])))
    words = ["import", str(runs), "--look", "--answer_judge", "match", "--queries"]
    cli.run([*words, str(table)])
    page = " ".join(capsys.readouterr().out.split())
    assert "queries: 3 of 4 runs joined, 0 by their query id and 3 by their question's text" in page
    assert "queries: 0 of 0 runs without a question got one" in page
    assert "queries: 3 of 4 runs without a gold answer got one" in page
    assert "answer judge: 3 of 4 runs without a verdict have a gold answer and were judged by it" in page
    assert "--queries: 0 of" not in page
    table.write_text("t0\tSomething else?\tAda\n")
    cli.run([*words, str(table)])
    page = " ".join(capsys.readouterr().out.split())
    assert "--queries: 0 of 4 runs were joined, neither by their query id nor by their question's text" in page
    assert "0 of 4 runs without a verdict have a gold answer, so --answer_judge judged none" in page


def test_ids_of_other_data_are_a_warning(runs, tmp_path, capsys):
    table = tmp_path / "other.tsv"
    table.write_text("".join(f"log-{n}\tWhat is number {n}?\t{n}\n" for n in range(4)))
    cli.run(["import", str(runs), "--look", "--queries", str(table)])
    page = " ".join(capsys.readouterr().out.split())
    assert "4 of 4 runs that were joined by their query id ask another question than --queries have under it" in page


def test_a_look_says_that_runs_which_no_question_is_found_for_would_be_refused(runs, tmp_path, capsys):
    messages = [message for message in OPENAI["messages"] if message["role"] != "user"]
    runs.write_text(json.dumps({"query_id": "7", "messages": messages}))
    table = tmp_path / "other.tsv"
    table.write_text("q-7\tWho?\tAda\n")
    cli.run(["import", str(runs), "--look", "--queries", str(table)])
    page = " ".join(capsys.readouterr().out.split())
    assert page.count("0 of 1 runs were joined, neither by") == 1
    assert "the import would be refused: --queries: 0 of 1 runs were joined" in page
    assert "'7' in a run and 'q-7' in the queries. 1 of them would match but for a prefix" in page


def responses(question, first):
    """Three responses of a run without its question, as the Responses API stores them: each names the one before."""

    def response(number, *output):
        previous = f"resp_{first + number - 1:03d}" if number else None
        head = {"id": f"resp_{first + number:03d}", "object": "response", "status": "completed", "model": "gpt-5"}
        return {**head, "previous_response_id": previous, "input": [], "output": list(output)}

    def call(number, name, **arguments):
        named = {"id": f"fc{first + number}", "call_id": f"c{first + number}", "name": name, "status": "completed"}
        return {"type": "function_call", **named, "arguments": json.dumps(arguments)}

    shown = json.dumps([{"docid": f"{question}-1", "title": "One"}, {"docid": f"{question}-2", "title": "Two"}])
    second = response(1, call(1, "open", docid=f"{question}-2"))
    second["input"] = [{"type": "function_call_output", "call_id": f"c{first}", "output": shown}]
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Ada"}]}
    return [response(0, call(0, "search", query=f"thing {question}")), second, response(2, said)]


@pytest.fixture
def chains(tmp_path):
    """Three chains of responses, one response a line."""
    path = tmp_path / "responses.jsonl"
    lines = [json.dumps(one) for n in range(3) for one in responses(n, 10 * n)]
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_chain_of_responses_is_joined_by_the_id_of_any_of_them(chains, number):
    table = {f"resp_{10 * n + number:03d}": (f"Who made thing {n}?", "Ada") for n in (0, 2)}
    found, records = joined(chains, table)
    assert [run.question for run in found] == ["Who made thing 0?", "", "Who made thing 2?"]
    assert [run.query_id for run in found] == [f"resp_00{number}", "responses/4", f"resp_02{number}"]
    assert (records.notes[JOINED], records.notes[JOINED_BY_OWN], records.notes[NOT_JOINED]) == (0, 2, 1)


def test_a_run_without_a_query_id_gets_that_of_the_question_that_it_asks(tmp_path):
    path = tmp_path / "runs.jsonl"
    unnamed = {key: value for key, value in OPENAI.items() if key not in ("query_id", "gold_answer")}
    path.write_text("\n".join(json.dumps({**unnamed, "question": question}) for question in ASKED[:3]))
    table = {"q1": (ASKED[0], "Ada"), "q2": (ASKED[1], "Rome"), "q2-again": (ASKED[1], "Rome")}
    found, _ = joined(path, table)
    assert [run.query_id for run in found] == ["q1", "runs/2", "runs/3"], "which of two is not known"
    assert [run.gold_answer for run in found] == ["Ada", "Rome", None]


def test_the_id_of_a_session_brings_no_question_but_the_one_that_was_asked(tmp_path):
    path = tmp_path / "runs.jsonl"
    unnamed = {key: value for key, value in OPENAI.items() if key not in ("query_id", "gold_answer")}
    path.write_text(
        "\n".join(json.dumps({**unnamed, "session_id": "s1", "question": question}) for question in ASKED[:2])
    )
    found, records = joined(path, {"s1": (ASKED[1], "Rome"), "t": ("Else?", "no")})
    assert [run.gold_answer for run in found] == [None, "Rome"]
    assert records.notes[NOT_JOINED] == 1


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            "resp-{:03d}",
            "no query id in the log, which calls a run 'resp_000', and 'resp-000' in the queries. 1 of them",
        ),
        ("other{}x", "which calls a run 'resp_000', and 'other0x' in the queries. Are they of other data?"),
    ],
)
def test_logs_that_name_no_query_are_refused_with_the_ids_that_they_have(chains, tmp_path, capsys, key, message):
    table = tmp_path / "queries.tsv"
    table.write_text("".join(f"{key.format(n)}\tWho made thing {n}?\tAda\n" for n in range(3)))
    cli.run(["import", str(chains), "--look", "--queries", str(table)])
    page = " ".join(capsys.readouterr().out.split())
    assert message in page
    assert "'responses/1'" not in page


@pytest.mark.slow
def test_what_is_published_has_the_gold_answers_and_the_verdicts(hub, runs, tmp_path, capsys):
    table = tmp_path / "train.tsv"
    table.write_text("".join(f"t{n}\t{question}\tAda\n" for n, question in enumerate(ASKED)))
    pin = cli.run(
        ["import", str(runs), "--queries", str(table), "--answer_judge", "match", "--to", "lrat/joined-by-text"]
    )
    assert "queries: 4 of 4 runs joined, 0 by their query id and 4 by" in capsys.readouterr().out
    assert [(run.gold_answer, run.correct) for run in load_trajectories(pin)] == [("Ada", True)] * 4
