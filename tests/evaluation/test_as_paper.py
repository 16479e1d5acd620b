"""Figures and tables of the paper out of evaluations: its definitions beside ours, its numbers as marks."""

import re
from itertools import pairwise

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from lrat_hub.errors import LratError
from lrat_hub.evaluation.agents import evaluate_agents
from lrat_hub.evaluation.as_paper import AGENTS, FIGURES, paper_agent, paper_figures, variant_of
from lrat_hub.evaluation.paper_figures import draw, section
from lrat_hub.evaluation.published import Evaluations
from lrat_hub.evaluation.report import report_page
from lrat_hub.evaluation.systems import AgentSystem
from lrat_hub.paper import paper_values
from tests.evaluation.runs import run

GLM = "zai-org/GLM-4.7@1234567"


def cell(retriever, *, agent=GLM, k: int | None = 10, benchmark="BrowseComp-Plus", correct: int | None = 6):
    """Ten questions: one without a run, one whose right answer a limit forced, and `correct` right ones in all."""
    runs = [
        run(str(number), (f"e{number}",) if number < 7 else ("x",), "x", agent=agent, retriever=retriever,
            correct=None if correct is None else number < correct, status="completed" if number else "limited")
        for number in range(9)
    ]  # fmt: skip
    qrels = {str(number): {f"e{number}": 1, f"f{number}": 1} for number in range(10)}
    return AgentSystem(benchmark, agent, retriever, k, evaluate_agents(runs, map(str, range(10)), qrels))


def values(drawn, **wanted):
    return {
        row["reading"]: round(row["value"], 4)
        for row in drawn.rows
        if all(row[name] == value for name, value in wanted.items())
    }


def test_each_reading_counts_what_its_code_counts():
    (drawn,) = paper_figures(["table2"], [cell("Qwen3-Emb")])
    assert values(drawn, metric="success") == {
        "the release's": round(6 / 9, 4), "the benchmark's": round(5 / 9, 4), "ours": 0.6
    }  # fmt: skip
    assert values(drawn, metric="evidence_share") == {"the release's": round(3.5 / 9, 4), "ours": 0.35}
    assert values(drawn, metric="evidence_any") == {"the paper's words": round(7 / 9, 4), "ours": 0.7}
    assert values(drawn, metric="steps") == {"the release's": 2.0}
    for row in drawn.rows:
        assert row["low"] <= row["value"] <= row["high"]
        assert row["questions"] == (10 if row["reading"] == "ours" else 9)


def test_the_papers_numbers_stand_beside_the_cells_they_are_of():
    cells = [cell("Base"), cell("lrat/naive@abc", correct=7), cell("+Filter"), cell("reweight", agent="my-own")]
    (drawn,) = paper_figures(["7"], cells)
    assert {(row["agent"], row["variant"]): (row["paper"], row["paper_read"]) for row in drawn.rows} == {
        (GLM, "Base"): (0.439, "printed"),
        (GLM, "+Naive"): (0.532, "printed"),
        (GLM, "+Filter"): (0.553, "printed"),
        ("my-own", "+Reweight"): (None, None),
    }
    (elsewhere,) = paper_figures(["7"], [cell("Base", benchmark="twowiki")])
    assert {row["paper"] for row in elsewhere.rows} == {None}


def test_sizes_and_results_go_by_their_axis():
    sizes = [cell("base"), cell("30k"), cell("10,000 trajectories"), cell("me/of-20k@1234567"), cell("other"),
             cell("10k, seed 1")]  # fmt: skip
    (drawn,) = paper_figures(["8a"], sizes)
    ours = [(row["variant"], row["paper"]) for row in drawn.rows if row["reading"] == "ours"]
    assert ours == [("Baseline", 0.439), ("10k", 0.526), ("20k", 0.545), ("30k", 0.534)]
    # The paper has one training of each: others would stand in the same place.
    assert drawn.left_out == ["other", "10k, seed 1"]
    (drawn,) = paper_figures(["8b"], [cell(name, k=k) for k in (5, 1) for name in ("base", "+ LRAT")])
    ours = [(row["k"], row["variant"], row["paper"]) for row in drawn.rows if row["reading"] == "ours"]
    assert ours == [(1, "Base", 0.111), (1, "Ours", 0.298), (5, "Base", 0.232), (5, "Ours", 0.389)]


@pytest.mark.parametrize("name", FIGURES)
def test_a_picture_has_a_hollow_mark_for_each_of_the_papers_numbers_and_a_panel_a_reading(name, monkeypatch):
    from lrat_hub.evaluation import paper_figures as module

    drawn_by = {}
    monkeypatch.setattr(module, "as_png", lambda figure: drawn_by.setdefault("figure", figure) and b"")
    figure = FIGURES[name]
    names = ["Base", "10k"] if figure.form == "sizes" else list(figure.variants)
    (drawn,) = paper_figures([name], [cell(one, k=k) for one in names for k in (1, 10)])
    draw(drawn)
    titles = [" ".join((axes.get_title() + axes.get_ylabel()).split()) for axes in drawn_by["figure"].axes]
    panels = sum(len(drawn.readings(metric)) for metric in figure.metrics)
    assert len(titles) == panels
    assert {True} == {any(reading in title for title in titles) for reading in ("release's", "benchmark's", "ours")}
    marks = [line for axes in drawn_by["figure"].axes for line in axes.get_lines()
             if line.get_markerfacecolor() == "none"]  # fmt: skip
    shown = [row["paper"] for row in drawn.rows if row["paper"] is not None]
    assert sum(len(mark.get_xdata()) for mark in marks) == len(shown) > 0
    text = section(drawn, "figures/x.png")
    assert all(f"{100 * row['paper']:.1f} ({row['paper_read']})" in text for row in drawn.rows
               if row["metric"] == "success")  # fmt: skip


def test_readings_that_agree_are_one_panel():
    runs = [run(str(number), (), correct=True, agent=GLM, retriever="Base") for number in range(3)]
    (drawn,) = paper_figures(["7"], [AgentSystem("B", GLM, "Base", 10, evaluate_agents(runs, "012"))])
    assert list(drawn.readings("success")) == ["the release's and the benchmark's and ours"]


def test_readings_of_other_numbers_of_questions_are_two_panels():
    """Where all fail, values agree and intervals do not."""
    (drawn,) = paper_figures(["7"], [cell("Base", correct=0)])
    assert list(drawn.readings("success")) == ["the release's and the benchmark's", "ours"]


def test_sizes_are_read_and_written_whole():
    named = [
        "2.5k",
        "1,500 trajectories",
        "500 trajectories",
        "12,345 trajectories",
        "20k",
        "20k_seed_2",
        "20k seed-3",
    ]
    (drawn,) = paper_figures(["8a"], [cell(name) for name in named])
    shown = [row["variant"] for row in drawn.rows if row["reading"] == "ours"]
    assert shown == ["500", "1,500", "2,500", "12,345", "20k"]
    assert drawn.left_out == ["20k_seed_2", "20k seed-3"]


def test_cells_of_other_numbers_of_results_are_named_and_unknown_ones_stand_behind():
    cells = [cell("Base", k=None, correct=1), cell("Base"), cell("naive", k=3), cell("filter", k=None)]
    (drawn,) = paper_figures(["7"], cells)
    assert [(row["variant"], row["value"]) for row in drawn.rows if row["reading"] == "ours"] == [
        ("Base", 0.6), ("+Filter", 0.6)
    ]  # fmt: skip
    assert "With 10 results of a search; cells with 3 are not shown." in section(drawn, "x.png")


def test_a_single_question_has_no_interval_and_says_so():
    runs = [run("0", ("e0",), correct=True, agent=GLM, retriever="Base")]
    one = AgentSystem("B", GLM, "Base", 10, evaluate_agents(runs, "0", {"0": {"e0": 1, "f0": 1}}))
    text = report_page(Evaluations(cells=[one]), as_paper=paper_figures(["table2"], [one])).text
    assert "50.0 (no interval)" in text
    assert "inf" not in text


@pytest.mark.parametrize("name", ["7", "8a", "8b"])
def test_any_names_and_any_number_of_agents_are_drawn_and_none_outside_the_picture(name, monkeypatch):
    """Dollar signs begin no formula; two agents of one model have names of their own; titles are not cut off."""
    from lrat_hub.evaluation import paper_figures as module

    drawn_by, as_png = {}, module.as_png
    monkeypatch.setattr(module, "as_png", lambda figure: as_png(drawn_by.setdefault("figure", figure)))
    few = [GLM, "zai-org/GLM-4.7-FP8"]
    for agents in ([GLM], few, [*few, "$x_{$", *(f"an-agent-with-a-long-name-{number}" for number in range(12))]):
        drawn_by.clear()
        cells = [cell(one, agent=agent, k=k) for agent in agents for one in ("Base", "10k", "Ours") for k in (1, 10)]
        (drawn,) = paper_figures([name], cells)
        assert draw(drawn).startswith(b"\x89PNG")
        figure = drawn_by["figure"]
        FigureCanvasAgg(figure).draw()
        shown = " ".join(text.get_text() for text in figure.findobj(Text))
        plain = re.sub(r"\s", "", shown)
        assert all(agent in plain for agent in agents) or len(agents) == 1
        edges = figure.bbox
        for axes in figure.axes:
            assert axes.containers or axes.lines
        for text in (*figure.texts, *figure.legends[0].get_texts(), *(axes.title for axes in figure.axes)):
            box = text.get_window_extent()
            assert edges.x0 <= box.x0 <= box.x1 <= edges.x1, text.get_text()
        for axes in figure.axes:
            labels = [one.get_window_extent() for one in axes.get_xticklabels()]
            assert name == "8a" or all(a.x1 <= b.x0 for a, b in pairwise(labels)), agents


def test_gains_are_those_that_the_paper_prints():
    """Table 3 prints gains, +18.9 % and +31.1 % of GPT-OSS: they come out of its values and ours in one way."""
    cells = [cell(name, agent="openai/gpt-oss-120b", correct=right)
             for name, right in (("Base", 4), ("Incorrect", 5), ("Correct", 6))]  # fmt: skip
    (drawn,) = paper_figures(["table3"], cells)
    text = section(drawn, "x.png")
    assert "| 10.7 (printed) | +18.9% | +25.0% |" in text
    assert "| 11.8 (printed) | +31.1% | +50.0% |" in text


@pytest.mark.parametrize(
    ("name", "cells", "message"),
    [
        ("9", [cell("Base")], "expected 1, 7, 8a, 8b, table2, table3, found '9'"),
        ("7", [cell("half")], "Figure 7: expected retrievers named Base, +Naive, +Filter, +Reweight"),
        ("8a", [cell("half")], "Figure 8 (a): expected retrievers named by the trajectories"),
        ("8b", [cell("Base")], "Figure 8 (b): expected cells with several numbers of results"),
        (
            "7",
            [cell("naive"), cell("me/naive@abc1234")],
            "expected one retriever of zai-org/GLM-4.7@1234567 as +Naive",
        ),
        ("1", [cell("Base"), cell("Qwen3-Emb")], "found 'Base' and 'Qwen3-Emb'. Give all but one another name"),
        ("8a", [cell("10k"), cell("10,000 trajectories")], "found '10k' and '10,000 trajectories'"),
        ("7", [cell("Base", correct=None)], "Nobody has judged the answers of zai-org/GLM-4.7@1234567 with Base."),
    ],
)
def test_what_is_missing_for_a_figure_is_said(name, cells, message):
    with pytest.raises(LratError, match=re.escape(message)):
        paper_figures([name], cells)


def test_agents_are_known_by_the_names_of_their_models():
    models = ["openbmb/AgentCPM-Explore", "hkust-nlp/WebExplorer-8B", "Alibaba-NLP/Tongyi-DeepResearch-30B-A3B",
              "openai/gpt-oss-120b", "MiniMaxAI/MiniMax-M2.1", "zai-org/GLM-4.7"]  # fmt: skip
    assert list(map(paper_agent, models)) == list(AGENTS)
    assert {value.row for value in paper_values("Table 2")} == set(AGENTS)
    assert [paper_agent(name) for name in ("openai/gpt-oss-20b", "zai-org/GLM-4.7-Flash", "reader")] == [None] * 3


def test_every_retriever_of_the_papers_numbers_is_a_variant_of_its_figure():
    for figure in FIGURES.values():
        for value in figure.values:
            assert variant_of(figure, value.column) == value.column or value.metric == "pairs"
