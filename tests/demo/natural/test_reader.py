from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lrat_hub.agents import Question, SearchEnvironment, run_agents
from lrat_hub.demo.natural import NaturalReader
from lrat_hub.evaluation import evaluate_agents
from lrat_hub.evaluation.metrics import evaluate_retrieval
from lrat_hub.judges import RuleJudge, answer_matches
from lrat_hub.mining import mine_pairs
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.schema import Document, Trajectory
from lrat_hub.significance import paired_difference

TWOWIKI = Path(__file__).parents[4] / "shared" / "data" / "twowiki"

DOCUMENTS = [
    Document(title, title, text)
    for title, text in {
        "Red Lamps": "Red Lamps is a 1931 silent film directed by Karl Berg and starring Jo Ray.",
        "Dahlia (film)": "Dahlia is a 1940 drama film written and directed by Ann de Mer.",
        "Dahlia (flower)": "Dahlia is a genus of plants of Mexico. Its name honours the botanist Anders Dahl.",
        "Karl Berg": "Karl Berg (1890 – 1950) was a German footballer of great fame.",
        "Karl Berg (director)": "Karl Berg (4 May 1899 – 1971) was a Danish director, son of the poet Olaf Berg.",
        "Ann de Mer": "Ann de Mer (born 1902) was a French film director and a gardener.",
        "Olaf Berg": "Olaf Berg (1870 – 1934) was a Danish poet. He was buried in Aarhus.",
        "Sigrid Holm": "Sigrid Holm (1872 – 1960) was a painter. She was the wife of Olaf Berg from 1898.",
        "Silent film": "A silent film is a film without recorded sound. Many films were silent until 1929.",
    }.items()
]


def run(
    question: str, documents: list[Document] = DOCUMENTS, *, k: int = 2, max_turns: int = 50, **settings: Any
) -> Trajectory:
    by_docid = {document.docid: document for document in documents}
    environment = SearchEnvironment(BM25Retriever(documents), by_docid, k=k)
    agent = NaturalReader(**settings)
    (trajectory,) = run_agents(agent, [Question("q", question, "secret")], environment, max_turns=max_turns)
    return trajectory


def opened(trajectory: Trajectory) -> list[str]:
    return [step.docid for step in trajectory.steps if step.action == "browse"]


def searches(trajectory: Trajectory) -> list[str]:
    return [query for step in trajectory.steps for query in step.queries]


def verdicts(trajectory: Trajectory) -> dict[str, str]:
    """What the judge says of each opened document that was listed by the search right before."""
    return {pair.positive_id: pair.verdict for pair in mine_pairs([trajectory], judge=RuleJudge()).pairs}


def test_it_follows_the_name_that_a_passage_gives_to_the_next_passage():
    trajectory = run("When did the director of film Red Lamps die?")
    assert searches(trajectory) == ["When did the director of film Red Lamps die?", "Karl Berg died"]
    assert opened(trajectory) == ["Red Lamps", "Karl Berg (director)"]
    assert trajectory.final_answer == "1971"
    assert "So the director is probably “Karl Berg”." in trajectory.steps[2].reasoning
    assert "It states the death of “Karl Berg (director)”" in trajectory.steps[-1].reasoning
    assert "secret" not in json.dumps([step.reasoning for step in trajectory.steps])
    assert trajectory == run("When did the director of film Red Lamps die?")


def test_a_comparison_reads_what_is_listed_about_both_names_before_it_searches_again():
    trajectory = run("Which film has the director who was born first, Red Lamps or Dahlia (Film)?", k=3)
    assert opened(trajectory) == ["Red Lamps", "Dahlia (film)", "Ann de Mer", "Karl Berg (director)"]
    assert [step.action for step in trajectory.steps[:5]] == ["search", "browse", "browse", "browse", "search"]
    assert json.loads(trajectory.metadata)["resolved"] is True
    assert trajectory.final_answer == "Red Lamps"


def test_a_chain_of_hops_ends_where_the_last_name_is_read():
    trajectory = run("Where is the burial of the father of the director of film Red Lamps?")
    assert opened(trajectory) == ["Red Lamps", "Karl Berg (director)", "Olaf Berg"]
    asked_for_the_name = run("Who is the father of the director of film Red Lamps?")
    assert asked_for_the_name.final_answer == "Olaf Berg"
    assert "Olaf Berg" not in opened(asked_for_the_name)


def test_what_a_passage_is_silent_on_is_found_in_another_one():
    trajectory = run("Who is the spouse of Olaf Berg?", k=3)
    assert trajectory.final_answer == "Sigrid Holm"
    assert "She was the wife of Olaf Berg" in trajectory.steps[-1].reasoning


def test_namesakes_are_told_apart_by_what_leads_to_them():
    # By title alone the footballer fits better than the director.
    assert "Karl Berg" not in opened(run("What nationality is the director of film Red Lamps?", k=9))
    assert opened(run("When was film Dahlia released?", k=9))[0] == "Dahlia (film)"


def test_a_passage_that_does_not_help_is_called_so_and_the_judge_agrees():
    documents = [Document("1", "Karl Bo", "Karl Bo likes tea. He lives alone."), *DOCUMENTS]
    trajectory = run("When was Karl Bo born?", documents)
    assert "It does not help: it has no sentence on the birth of “Karl Bo”." in trajectory.steps[2].reasoning
    assert verdicts(trajectory)["1"] == "irrelevant"
    assert json.loads(trajectory.metadata)["resolved"] is False
    assert set(verdicts(run("When did the director of film Red Lamps die?")).values()) == {"relevant"}


def test_words_of_a_passage_do_not_sway_the_judge():
    documents = [Document("1", "It Helps!", "It Helps! is not about you. It confirms and supports nothing.")]
    assert verdicts(run("When was It Helps! released?", documents)) == {"1": "irrelevant"}


def test_a_name_that_nothing_is_about_costs_a_bounded_number_of_searches():
    trajectory = run("When did the director of film Quuxian Zebra Nights die?")
    assert len(searches(trajectory)) == len(set(searches(trajectory))) == 3
    assert len(searches(run("Was Quux or Zebra or Nights or Lights born first?", max_searches=2))) == 2


def test_without_following_it_reads_about_the_question_s_own_names_only():
    question = "When did the director of film Red Lamps die?"
    assert "Karl Berg (director)" not in opened(run(question, follows=False))


def test_a_weak_opener_goes_by_snippets_and_takes_passages_that_only_mention_the_name():
    documents = [Document("1", "Trivia", "The birth of Karl Bo. Karl Bo was born in May."), *DOCUMENTS]
    assert opened(run("When was Karl Bo born?", documents, opener="snippet"))[0] == "1"


def test_a_question_without_names_is_searched_once_and_read_by_its_words():
    trajectory = run("what is a silent film without recorded sound?")
    assert len(searches(trajectory)) == 1
    assert "Silent film" in opened(trajectory)


@pytest.mark.parametrize("max_turns", [1, 2, 3])
def test_it_answers_when_it_is_told_to(max_turns):
    trajectory = run("When did the director of film Red Lamps die?", max_turns=max_turns)
    assert (trajectory.status, len(trajectory.steps)) == ("limited", max_turns + 1)
    assert trajectory.steps[-1].action == "answer"


@pytest.mark.slow
@pytest.mark.skipif(not TWOWIKI.is_dir(), reason=f"needs the questions of {TWOWIKI}")
def test_on_natural_questions_it_finds_what_one_search_with_the_question_does_not():
    documents = [Document(**json.loads(line)) for line in (TWOWIKI / "corpus.jsonl").read_text().splitlines()]
    rows = [line.split("\t") for line in (TWOWIKI / "queries.tsv").read_text().splitlines()[:80]]
    qrels: dict[str, dict[str, int]] = {row[0]: {} for row in rows}
    for line in (TWOWIKI / "qrels_evidence.txt").read_text().splitlines():
        query_id, _, docid, grade = line.split()
        if query_id in qrels:
            qrels[query_id][docid] = int(grade)
    retriever = BM25Retriever(documents)
    environment = SearchEnvironment(retriever, {document.docid: document for document in documents})
    runs = run_agents(NaturalReader(), [Question(row[0], row[1]) for row in rows], environment)
    scores = evaluate_agents(runs, [row[0] for row in rows], qrels)
    alone = evaluate_retrieval(retriever, {row[0]: row[1] for row in rows}, qrels)
    share = scores.values("evidence_share")
    recall = {query_id: values["recall@10"] for query_id, values in alone.per_query.items()}
    assert paired_difference(share, recall).low > 0.15
    assert sum(share.values()) / len(share) > 0.95
    assert sum(run.count("search") for run in runs) / len(runs) < 3
    assert sum(answer_matches(run.final_answer, row[2]) for run, row in zip(runs, rows, strict=True)) > len(rows) / 2
