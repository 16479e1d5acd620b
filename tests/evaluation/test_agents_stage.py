"""`lrat eval agents` and `lrat eval report`: runs that exist, runs made now, and reports out of what was published."""

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from lrat_hub import cli
from lrat_hub.errors import LratError
from lrat_hub.evaluation.published import Evaluations
from lrat_hub.evaluation.report import report_page
from lrat_hub.hub.inputs import load_split
from lrat_hub.hub.lineage import Lineage, read_lineage
from lrat_hub.hub.publish import publish_dataset, publish_folder
from lrat_hub.hub.refs import HubRef
from lrat_hub.storage import trajectory_table
from tests.chat_server import ChatServer, Script
from tests.evaluation.runs import run

TOPICS = ["granite", "harbour", "violin", "comet", "vineyard", "glacier", "printing", "lighthouse"]


def publish(name, tables):
    from datasets import Dataset

    ready = {
        config: {"test": rows if isinstance(rows, Dataset) else Dataset.from_list(rows)}
        for config, rows in tables.items()
    }
    return publish_dataset(
        HubRef.parse(f"datasets/lrat/{name}"), ready, card="# Made by a test\n", lineage=Lineage("test", {}, {})
    )


@pytest.fixture(scope="module")
def benchmark():
    """A corpus whose passages name their topics, questions about two of them each, and their evidence."""
    corpus = [
        {"docid": f"{topic}-{part}", "title": f"{topic.title()} {part}", "text": f"The {topic} of part {part} is old."}
        for topic in TOPICS
        for part in range(3)
    ]
    queries = [
        {"query_id": str(number), "query": f"Which is older, {topic.title()} 0 or {other.title()} 1?", "answer": topic}
        for number, (topic, other) in enumerate(zip(TOPICS, TOPICS[1:] + TOPICS[:1], strict=True))
    ]
    qrels = [
        {"query_id": row["query_id"], "docid": docid, "relevance": 1}
        for row, topic, other in zip(queries, TOPICS, TOPICS[1:] + TOPICS[:1], strict=True)
        for docid in (f"{topic}-0", f"{other}-1")
    ]
    return publish("agents-benchmark", {"corpus": corpus, "queries": queries, "qrels_evidence": qrels})


@pytest.fixture(scope="module")
def trajectories(benchmark):
    """Runs of two retrievers: one finds half of the evidence, the other all of it, with fewer steps; one crashed."""
    half = [
        run(
            str(n),
            (f"{topic}-0",),
            (f"{topic}-2",),
            f"{topic}-0",
            answer=f"It is {topic}",
            retriever="half",
            correct=n < 2,
        )
        for n, topic in enumerate(TOPICS)
    ]
    full = [
        run(str(n), (f"{topic}-0", f"{other}-1"), answer=topic, retriever="full", correct=True)
        for n, (topic, other) in enumerate(pairwise(TOPICS))
    ]
    full.append(run("7", (), answer=None, status="failed", retriever="full"))
    return publish("agents-runs", {"half": trajectory_table(half), "full": trajectory_table([*full, full[0]])})


def evaluate(benchmark, to, *words):
    given = ["--queries", f"{benchmark}#queries", "--qrels", f"{benchmark}#qrels_evidence", "--to", f"lrat/{to}"]
    return cli.run(["eval", "agents", *given, *map(str, words)])[0]


@pytest.fixture(scope="module")
def evaluated(benchmark, trajectories):
    return evaluate(
        benchmark, "agents-evaluated", "--trajectories", f"{trajectories}#half", f"{trajectories}#full",
        "--second_judge", "match", "--browsecomp", "--benchmark", "bench",
    )  # fmt: skip


def rows(pin, config):
    return list(load_split(HubRef.parse(f"{pin}#{config}")))


def card(pin):
    from huggingface_hub import hf_hub_download

    path = hf_hub_download(pin.repo_id, "README.md", repo_type="dataset", revision=pin.revision)
    return Path(path).read_text()


def test_existing_runs_are_evaluated_without_running_anything(evaluated):
    half, full = rows(evaluated, "summary")
    assert (half["success"], half["evidence_any"], half["evidence_share"], half["steps"]) == (2 / 8, 1.0, 0.5, 3.0)
    assert (full["success"], full["evidence_share"], full["failed"], full["duplicates"]) == (7 / 8, 7 / 8, 1, 1)
    compared = {row["metric"]: row for row in rows(evaluated, "comparisons")}
    assert compared["success"]["gain"] == pytest.approx((7 / 8 - 2 / 8) / (2 / 8))
    assert set(read_lineage(evaluated).inputs) == {"queries", "qrels", "trajectories_1", "trajectories_2"}


@pytest.mark.slow
def test_answers_are_judged_again_and_the_judges_compared(evaluated, benchmark, trajectories):
    # The runs of `half` say the answer in a sentence, which matches by containment only.
    agreement = {row["retriever"]: row for row in rows(evaluated, "agreement")}
    assert (agreement["half"]["judged by both"], agreement["half"]["agreement"]) == (8, 6 / 8)
    assert agreement["full"]["agreement"] == 1.0
    verdicts = rows(evaluated, "verdicts")
    assert {row["judge"] for row in verdicts} == {"recorded", "match"}
    again = evaluate(benchmark, "agents-again", "--trajectories", f"{trajectories}#half", "--answer_judge", "match")
    assert rows(again, "summary")[0]["success"] == 0.0
    contained = evaluate(
        benchmark, "agents-again", "--trajectories", f"{trajectories}#half", "--answer_judge", "containment"
    )
    assert rows(contained, "summary")[0]["success"] == 1.0


def test_official_verdicts_take_the_place_of_the_judge(benchmark, trajectories, tmp_path):
    for number in range(4):
        row = {"query_id": number, "judge_result": {"correct": number % 2 == 0, "parse_error": False}}
        (tmp_path / f"run_{number}_eval.json").write_text(json.dumps(row))
    pin = evaluate(
        benchmark, "agents-official", "--trajectories", f"{trajectories}#half", "--verdicts", f"half={tmp_path}"
    )
    (summary,) = rows(pin, "summary")
    assert (summary["success"], summary["unjudged"]) == (2 / 8, 4)


def test_runs_and_the_leaderboards_summary_are_written_for_browsecomp_plus(evaluated):
    from huggingface_hub import HfApi, hf_hub_download

    files = HfApi().list_repo_files(evaluated.repo_id, repo_type="dataset", revision=evaluated.revision)
    assert sum(name.startswith("runs/agent_full/run_") for name in files) == 8
    path = hf_hub_download(
        evaluated.repo_id, "runs/agent_full/evaluation_summary.json", repo_type="dataset", revision=evaluated.revision
    )
    summary = json.loads(Path(path).read_text())
    assert "runs/agent_full/citations.json" in files
    assert (summary["Accuracy (%)"], summary["Recall (%)"], summary["Retriever"]) == (87.5, 87.5, "full")


@pytest.fixture(scope="module")
def swept(benchmark):
    return evaluate(
        benchmark, "agents-swept", "--corpus", benchmark, "--agents", "reader", "--retrievers", "bm25",
        "--k", 1, 10, "--benchmark", "bench",
    )  # fmt: skip


@pytest.mark.slow
def test_cells_without_runs_are_run_over_several_k(swept):
    few, many = rows(swept, "summary")
    assert (few["agent"], few["k"], many["k"]) == ("reader", 1, 10)
    assert few["evidence_share"] < many["evidence_share"] == 1.0
    runs = rows(swept, "runs_reader_bm25_k10")
    assert len(runs) == 8
    assert all(step["results"] for row in runs for step in row["steps"] if step["action"] == "search")
    assert {row["judge"] for row in rows(swept, "verdicts")} == {"match"}


@pytest.mark.slow
def test_results_go_into_the_card_of_the_model_beside_those_of_other_stages(benchmark, trajectories, tmp_path):
    from huggingface_hub import EvalResult, ModelCard, ModelCardData, hf_hub_download

    other = EvalResult(
        "information-retrieval", "d", "D", "ndcg@10", 0.5, source_name="lrat eval retrieval", source_url="http://x"
    )
    metadata = ModelCardData(model_name="m", eval_results=[other]).to_yaml()
    (tmp_path / "README.md").write_text(f"---\n{metadata}\n---\n<!-- agents:start -->\n<!-- agents:end -->\n")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    model = publish_folder(HubRef("lrat/agents-model"), tmp_path, Lineage("test", {}, {}))
    used = {"retriever": model.repo_id, "retriever_revision": model.revision}
    made = [run(str(n), (f"{topic}-0",), answer=topic, correct=n < 6, **used) for n, topic in enumerate(TOPICS)]
    runs = publish("agents-runs-of-a-model", {"runs": trajectory_table(made)})
    words = ["--trajectories", f"{trajectories}#half", f"{runs}#runs", "--results_into", "lrat/agents-model"]
    # Twice: results replace those of the same stage.
    evaluate(benchmark, "agents-into-card", *words)
    evaluate(benchmark, "agents-into-card", *words)
    card = ModelCard.load(hf_hub_download("lrat/agents-model", "README.md"))
    found = {result.metric_type: result for result in card.data.eval_results}
    assert len(card.data.eval_results) == 5
    assert found["ndcg@10"].metric_value == 0.5
    assert (found["agent_success"].metric_value, found["agent_steps"].metric_value) == (0.75, 1.0)
    assert found["agent_success"].dataset_revision == benchmark.revision
    assert "| agent | lrat/agents-model@" in card.text
    with pytest.raises(LratError, match="`results_into` lrat/other"):
        evaluate(benchmark, "agents-into-card", *words[:-1], "lrat/other")


@pytest.mark.slow
def test_what_was_run_once_is_not_run_again(benchmark, tmp_path):
    def lines():
        return sorted(line for file in tmp_path.rglob("*.jsonl") for line in file.read_text().splitlines())

    words = ["--corpus", benchmark, "--agents", "reader", "--retrievers", "bm25", "--journal", tmp_path]
    first = evaluate(benchmark, "agents-journal", *words)
    assert len(before := lines()) == 8
    # A run is lost, as when the process was killed; only that one is made again.
    (file,) = tmp_path.rglob("*.jsonl")
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    assert evaluate(benchmark, "agents-journal", *words) == first
    assert lines() == before
    # Other settings have a journal of their own.
    evaluate(benchmark, "agents-journal-k", *words, "--k", 2)
    assert len(lines()) == 16


@pytest.mark.slow
def test_agents_are_run_by_their_recipes_of_rollouts(benchmark, tmp_path):
    recipe = tmp_path / "small_reader.yaml"
    recipe.write_text("agent: reader\nmax_turns: 4\n")
    words = ["--corpus", benchmark, "--rollouts", recipe, "--retrievers", "bm25", "--names", "BM25", "--k", 3]
    pin = evaluate(benchmark, "agents-recipes", *words)
    (summary,) = rows(pin, "summary")
    assert (summary["agent"], summary["retriever"], summary["k"]) == ("reader", "BM25", 3)
    assert summary["limited"] + summary["unanswered"] > 0
    made = read_lineage(pin).inputs["trajectories_1"]
    assert made.startswith("datasets/lrat/agents-recipes-small-reader-bm25-k3@")
    assert read_lineage(HubRef.parse(made)).recipe["max_turns"] == 4


@pytest.mark.slow
def test_a_model_that_judges_is_asked_once(benchmark, swept):
    with ChatServer(Script(protocol="json")) as server:
        words = [
            "--trajectories",
            f"{swept}#runs_reader_bm25_k10",
            "--answer_judge",
            "llm",
            "--answer_judge_model",
            "scripted",
        ]
        words += ["--answer_judge_url", server.base_url]
        pin = evaluate(benchmark, "agents-judged", *words)
        asked = len(server.requests)
        (summary,) = rows(pin, "summary")
        # The scripted model gives no verdict: nobody is called wrong for it, and the judge is asked twice at most.
        assert summary["unjudged"] == len({str(body["messages"][:2]) for body in server.requests}) > 0
        again = evaluate(benchmark, "agents-judged", *words, "--second_judge", "match")
        assert len(server.requests) == asked
    assert {row["judge"] for row in rows(again, "verdicts")} == {"scripted", "match"}
    assert read_lineage(pin).inputs["judge"] == "scripted (served, unpinned)"


@pytest.mark.slow
def test_tables_are_made_again_from_the_published_evaluation_alone(evaluated, swept, tmp_path):
    words = ["--evaluations", str(evaluated), str(swept), "--names", "Half=half", "--folder", str(tmp_path)]
    report = cli.run(["eval", "report", *words, "--to", "lrat/agents-report"])
    written = (tmp_path / "report.md").read_text()
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", written):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    assert "figures/top_k_1.png" in written
    assert "| Half | 25.0 | 100.0 | 50.0 | 3.00 |" in re.sub(r"\| agent \| \s*\|", "|", written)
    # From the report's own dataset, and from the page in its card.
    evaluations = Evaluations()
    evaluations.add(report)
    page = report_page(evaluations)
    assert f"# Evaluation of retrievers and agents\n\n{page.text}" == written
    assert page.text in card(report)
    assert {name: (tmp_path / name).read_bytes() for name in page.figures} == page.figures
    # The evaluation's card holds the same tables as one made of its rows.
    evaluations = Evaluations()
    evaluations.add(evaluated)
    table = next(line for line in card(evaluated).splitlines() if line.startswith("| agent | full"))
    assert table in report_page(evaluations).text


@pytest.mark.slow
def test_a_report_makes_figures_of_the_paper_from_what_was_published(swept, tmp_path):
    words = ["--evaluations", str(swept), "--names", "Base=bm25", "--figures", "8b", "--folder", str(tmp_path)]
    report = cli.run(["eval", "report", *words, "--to", "lrat/agents-figures"])
    drawn = rows(report, "as_paper")
    assert {(row["figure"], row["k"], row["variant"]) for row in drawn} == {
        ("Figure 8 (b)", 1, "Base"), ("Figure 8 (b)", 10, "Base")
    }  # fmt: skip
    assert (tmp_path / "figures/paper_1_figure_8_b.png").read_bytes().startswith(b"\x89PNG")
    assert "figures/paper_1_figure_8_b.png" in card(report)
    # A report of the report has them again.
    again = cli.run(
        ["eval", "report", "--evaluations", str(report), "--figures", "8b", "--to", "lrat/agents-figures-2"]
    )
    assert rows(again, "as_paper") == drawn


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected `trajectories`"),
        (["--trajectories", "{runs}#half", "--agents", "writer"], "found 'writer'"),
        (["--trajectories", "{runs}#half", "{runs}#half"], "twice"),
        (["--trajectories", "{runs}#half", "--names", "a", "b"], "`names`: expected one for each of 1 trajectories"),
        (["--trajectories", "{runs}#half", "--verdicts", "half"], "--verdicts: expected NAME=VALUE"),
        (["--trajectories", "{runs}#half", "--verdicts", "other=/tmp"], "`verdicts` other"),
        (["--trajectories", "{bench}#queries"], "expected a trajectories dataset"),
    ],
)
def test_what_can_be_mended_is_said_in_a_line(benchmark, trajectories, words, message):
    words = [word.format(runs=trajectories, bench=benchmark) for word in words]
    with pytest.raises(LratError, match=re.escape(message)):
        evaluate(benchmark, "agents-refused", *words)


def test_a_dataset_of_another_kind_is_no_evaluation(benchmark):
    with pytest.raises(LratError, match="expected an evaluation that lrat eval has published"):
        cli.run(["eval", "report", "--evaluations", str(benchmark), "--to", "lrat/agents-refused"])


def test_runs_of_other_questions_are_an_error_before_any_judge(benchmark, trajectories, tmp_path):
    other = publish("agents-other", {"runs": trajectory_table([run("x-1", ("granite-0",)), run("x-2", ("comet-0",))])})
    message = r"`trajectories` .*agents-other.*0 of 8 questions of the benchmark .*'0', '1', '2'.*'x-1', 'x-2'"
    with pytest.raises(LratError, match=message):
        evaluate(benchmark, "agents-none", "--trajectories", other, "--judge", "match")
    prefixed = publish("agents-prefixed", {"runs": trajectory_table([run(f"Q{n}", ("granite-0",)) for n in range(8)])})
    with pytest.raises(LratError, match="8 of them would match but for a prefix"):
        evaluate(benchmark, "agents-none", "--trajectories", prefixed)
    chunks = publish("agents-chunks", {"runs": trajectory_table(
        [run(str(n), (f"{topic}-0".upper(), f"{topic}-1".upper())) for n, topic in enumerate(TOPICS)])})  # fmt: skip
    with pytest.raises(LratError, match=r"documents of the evidence .*upper and lower case"):
        evaluate(benchmark, "agents-none", "--trajectories", chunks)


def test_runs_of_some_questions_say_so_in_output_lineage_and_card(benchmark, trajectories, capsys):
    rows = [run(str(n), (f"{topic}-0",), correct=True) for n, topic in enumerate(TOPICS[:3])] + [run("99", ("x",))]
    some = publish("agents-some", {"runs": trajectory_table(rows)})
    pin = evaluate(benchmark, "agents-partly", "--trajectories", some)
    told = "matched 3 of 8 questions of the benchmark with questions of the runs"
    assert told in capsys.readouterr().out
    assert told in card(pin)
    joins = read_lineage(pin).counts["joins"]
    assert [(join["matched"], join["of"]) for join in joins] == [(3, 8), (8, 8), (3, 16)]
    assert joins[0]["given_strays"] == ["99"]


def test_questions_that_come_twice_and_verdicts_of_other_runs_are_refused(benchmark, trajectories, tmp_path):
    twice = publish("agents-twice", {"queries": [
        {"query_id": query_id, "query": "Which?", "answer": "this"} for query_id in ("1", "2", "1")
    ]})  # fmt: skip
    with pytest.raises(LratError, match="expected every query id once, found 1 repeated: '1'"):
        evaluate_only(twice, trajectories)
    fractions = publish("agents-fractions", {"queries": [
        {"query_id": query_id, "query": "Which?", "answer": "this"} for query_id in ("1", "2", "1.0")
    ]})  # fmt: skip
    with pytest.raises(LratError, match="expected every query id once, found 1 repeated: '1'"):
        evaluate_only(fractions, trajectories)
    (tmp_path / "run_1_eval.json").write_text(json.dumps({"query_id": "q-900", "judge_result": {"correct": True}}))
    with pytest.raises(LratError, match=r"`verdicts` half: .*0 of 8 questions of the runs"):
        evaluate(benchmark, "agents-none", "--trajectories", f"{trajectories}#half", "--verdicts", f"half={tmp_path}")


def evaluate_only(queries, trajectories):
    words = ["--queries", f"{queries}#queries", "--trajectories", f"{trajectories}#half", "--to", "lrat/agents-none"]
    return cli.run(["eval", "agents", *words])[0]


def test_questions_that_a_retrieval_model_was_mined_from_are_told_and_left_out(benchmark, tmp_path, capsys):
    from lrat_hub.mining.tables import pair_table
    from lrat_hub.schema import Pair

    questions = [row["query"] for row in load_split(HubRef.parse(f"{benchmark}#queries"))]
    pairs = [
        Pair(f"p{n}", f"t{n}", f"train-{n}", 0, 1, questions[n], "a search", "granite-0", (), (), "", 0, weight=1.0)
        for n in (0, 1)
    ]
    mined = publish("agents-pairs", {"pairs": pair_table(pairs)})
    (tmp_path / "README.md").write_text("---\ntags: [test]\n---\n# A model\n")
    model = publish_folder(HubRef("lrat/agents-model"), tmp_path, Lineage("train", {"pairs": f"{mined}#pairs"}, {}))
    runs = [
        run(str(n), (f"{topic}-0",), retriever=model.repo_id, retriever_revision=model.revision, correct=n < 2)
        for n, topic in enumerate(TOPICS)
    ]
    given = publish("agents-model-runs", {"runs": trajectory_table(runs)})
    told = f"lrat/agents-model@{model.revision[:7]}: 2 of 8 queries were mined from"
    pin = evaluate(benchmark, "agents-seen", "--trajectories", given)
    assert told in capsys.readouterr().out
    assert told in card(pin)
    assert rows(pin, "summary")[0]["success"] == 2 / 8
    held_out = evaluate(benchmark, "agents-held-out", "--trajectories", given, "--held_out_only")
    assert "2 questions are left out for all systems, 6 are held out" in capsys.readouterr().out
    (summary,) = rows(held_out, "summary")
    assert (summary["success"], summary["questions"], summary["strangers"]) == (0, 6, 0)
    # So are those of a reranker, as runs record it.
    ranked = [
        replace(one, retriever=f"bm25>5:{model.repo_id}", retriever_revision=f"{'a' * 40}>{model.revision}")
        for one in runs
    ]
    given = publish("agents-reranked-runs", {"runs": trajectory_table(ranked)})
    pin = evaluate(benchmark, "agents-reranked-seen", "--trajectories", given)
    assert told in capsys.readouterr().out
    assert rows(pin, "summary")[0]["retriever"] == f"bm25>5:{model.repo_id}@{model.revision[:7]}"
