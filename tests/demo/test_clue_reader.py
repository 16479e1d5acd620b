from __future__ import annotations

import json

import pytest

from lrat_hub.agents import Question, SearchEnvironment, run_agents
from lrat_hub.demo.clue_reader import ClueReader
from lrat_hub.demo.clues import BLANK, Thesaurus, write_question
from lrat_hub.retrieval.bm25 import BM25Retriever
from lrat_hub.schema import Document, Trajectory

DOCUMENTS = [
    Document("1-0", "Bear", "Winter. The bear sleeps in a deep cave until the snow melts in spring."),
    Document("1-1", "Bear", "In 1821 the zoologist Anna B. Ivanova described the brown coat of the animal in London."),
    Document("2-0", "Bee", "A bee sleeps in its hive. The queen never leaves the warm place before the month of May."),
    Document("3-0", "Fox", "Foxes dig holes in loose ground. Their young play outside when the rain stops in summer."),
]
THESAURUS = Thesaurus({"cave": ["grotto"], "deep": ["abyssal"], "melts": ["thaw"], "described": ["depict"]})
QUESTION = write_question("abyssal grotto until snow thaw", f"zoologist {BLANK} depict brown coat")


def run(documents: list[Document] = DOCUMENTS, question: str = QUESTION, max_turns: int = 50) -> Trajectory:
    environment = SearchEnvironment(BM25Retriever(documents), {document.docid: document for document in documents})
    agent = ClueReader(documents, THESAURUS)
    (trajectory,) = run_agents(agent, [Question("q", question, "secret")], environment, max_turns=max_turns)
    return trajectory


def test_the_reader_solves_a_small_corpus_from_the_question_alone():
    trajectory = run()
    assert (trajectory.agent, trajectory.status) == ("clue-reader", "completed")
    assert trajectory.final_answer == "Anna B. Ivanova"
    assert [step.docid for step in trajectory.steps if step.action == "browse"] == ["1-0", "1-1"]
    assert "secret" not in json.dumps([step.reasoning for step in trajectory.steps])
    assert trajectory == run()


def test_the_title_it_found_goes_into_the_search_for_the_second_passage():
    first, second = (step.queries[0] for step in run().steps if step.action == "search")
    assert first == "abyssal grotto until snow thaw"
    assert second == "Bear zoologist depict brown coat"


def test_it_argues_word_by_word_for_a_passage_that_supports_the_clue():
    steps = run().steps
    reasoning = steps[2].reasoning
    assert "It supports passage 1" in reasoning
    assert "Where the clue has 'grotto', this sentence has 'cave'" in reasoning
    assert "The clue's word 'snow' stands in this sentence just as it is." in reasoning


def test_it_says_what_a_passage_that_does_not_help_lacks_and_rewords_its_search():
    near_miss = Document("1-0", "Ice", "A thaw came late to the town this year. All its streets were grey.")
    trajectory = run([near_miss, *DOCUMENTS[1:]])
    browse = next(step.turn for step in trajectory.steps if step.action == "browse")
    assert "It does not help with passage 1" in trajectory.steps[browse + 1].reasoning
    searches = [step.queries[0] for step in trajectory.steps if step.action == "search"]
    assert "deep cave until snow melts" in searches
    assert len(searches) == len(set(searches)) > 2


@pytest.mark.parametrize("max_turns", [1, 2, 3, 4])
def test_it_answers_when_it_is_told_to(max_turns):
    trajectory = run(max_turns=max_turns)
    assert trajectory.status == "limited"
    assert trajectory.steps[-1].action == "answer"
    assert trajectory.final_answer == ("Anna B. Ivanova" if max_turns == 4 else "unknown")


def test_a_question_of_another_kind_fails_with_the_reason():
    trajectory = run(question="Who was it?")
    assert trajectory.status == "failed"
    assert "Reading a clue question failed" in json.loads(trajectory.metadata)["error"]
