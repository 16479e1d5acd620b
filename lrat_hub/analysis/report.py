"""An analysis as a Markdown report with its pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lrat_hub.analysis import figures
from lrat_hub.analysis.actions import Row
from lrat_hub.analysis.browses import AS_SHOWN, BY_SCORE, distance_to
from lrat_hub.analysis.paper_figures import draw_as_paper
from lrat_hub.analysis.tables import Tables, rows_of_agent
from lrat_hub.hub.cards import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEASURES = ("searches", "browses", "B/S", "steps", "completed")
"""The measures of Table 1, in the order of its columns."""

LEAST_SHOWN = 0.01
"""Bins of Figure 6 with a smaller share are left out of the table."""

INTRODUCTION = """\
Figures of section 4 and Figure 6 of [LRAT](https://huggingface.co/papers/2604.04949), and some more. Brackets are
95 % intervals. Their units are questions, because runs of one question, and steps of one run, are alike: Wilson's
interval with the design effect for rates, Student's t on the logarithm for means, Woodruff's for medians. They
cover the choice of questions, not that of the agent's samples."""


@dataclass
class Report:
    """A report in Markdown, and its pictures as PNG by the paths that the text names."""

    text: str
    pictures: dict[str, bytes] = field(default_factory=dict)

    def add_section(self, title: str, text: str) -> None:
        self.text += f"\n\n### {title}\n\n{text}"

    def add_picture(self, path: str, figure: Figure, caption: str) -> None:
        self.pictures[path] = figures.png(figure)
        self.text += f"\n\n![{caption}]({path})"


@dataclass(frozen=True)
class ReportContext:
    """What a report says beside the tables.

    Args:
        unit: The unit of the lengths of reasonings, such as "words".
        human: A sentence that says where the curve of people's clicks is from.
        shuffled: Agent to whether its lists were shown shuffled; None where no scores tell.
    """

    unit: str
    human: str
    shuffled: Mapping[str, bool | None]


def write_report(tables: Tables, context: ReportContext) -> Report:
    """A section for each agent, then all of them compared.

    Args:
        tables: From `lrat_hub.analysis.analyze_runs`.
    """
    agents = list(dict.fromkeys(row["agent"] for row in tables["agents"]))
    report = Report(INTRODUCTION)
    for agent in agents:
        folder = "figures" if len(agents) == 1 else f"figures/{_slug(agent, agents)}"
        report.text += f"\n\n## {agent}"
        _describe(report, rows_of_agent(tables, agent), context, context.shuffled.get(agent), folder)
    report.text += "\n\n## " + ("Agents compared" if len(agents) > 1 else "In short") + "\n\n"
    report.text += markdown_table(_side_by_side(tables["agents"], agents))
    if len(agents) > 1:
        report.add_picture(
            "figures/agents.png", figures.draw_agents(tables["agents"]), "Agents compared in every measure"
        )
    if tables["comparisons"]:
        report.text += f"\n\n{_about_differences(tables['comparisons'])}"
    report.text += "\n"
    return report


def _describe(report: Report, tables: Tables, context: ReportContext, shuffled: bool | None, folder: str) -> None:
    """Adds the sections of one agent, whose pictures are in a folder of their own."""
    report.add_section(
        "Searches, browses and steps (Table 1)",
        f"{markdown_table(_outcome_table(tables['outcomes']))}\n\nB/S is all browses over all searches. In the paper "
        "it is .31 where the answer is right and .20 where it is wrong (Tongyi-DeepResearch-30B, four retrievers).",
    )
    if rows := tables["transitions"]:
        report.add_section(
            "What follows a search and a browse (Figure 4a)",
            "The next search or browse, or none (end); other calls are skipped over.",
        )
        report.add_picture(f"{folder}/transitions.png", figures.draw_transitions(rows), "Transition probabilities")
    rows = tables["accuracy"]
    report.add_section(
        "Right answers by evidence opened (Figure 4b)",
        "Different evidence documents that a run opened, and the share of such runs with the right answer. "
        "Questions differ in how much evidence they have, and not in that alone."
        if rows
        else "Not shown: it needs judged answers (`correct`) and judgements of evidence (qrels) for the same "
        "questions.",
    )
    if rows:
        report.add_picture(f"{folder}/accuracy.png", figures.draw_accuracy(rows), "Accuracy by evidence opened")
    rows = tables["positions"]
    report.add_section(
        "Which positions are opened (Figure 4c)",
        _about_positions(rows, context.human, shuffled)
        if rows
        else "Not shown: no browse opened a document that a search had listed.",
    )
    if rows:
        report.add_picture(f"{folder}/positions.png", figures.draw_positions(rows), "Shares of browses by position")
    if rows := tables["lengths"]:
        report.add_section(
            "Length of the reasoning right after a browse (Figure 4d)", _about_lengths(rows, context.unit)
        )
        report.add_picture(f"{folder}/lengths.png", figures.draw_lengths(rows, context.unit), "Reasoning lengths")
        report.add_section("Half-life (Figure 6)", _about_half_lives(tables["half_lives"], context.unit))
        report.add_picture(
            f"{folder}/half_life.png",
            figures.draw_half_life(tables["histogram"], tables["half_lives"], context.unit),
            "Distribution of reasoning lengths with the fitted decay",
        )
    if rows := tables["as_paper"]:
        report.add_section(
            "Figures 4 and 6 as the paper counts them",
            "Transitions without the end of a run, evidence in bins of two, four bars of lengths, positions beside "
            "the curve of people's clicks that the figure shows, and lengths in the bins of its drawing. The column "
            "of the paper, and hollow diamonds, are its own numbers (Tongyi-DeepResearch-30B with "
            "Qwen3-Embedding-0.6B on BrowseComp-Plus), as it prints them or as its drawings show them. "
            f"Its lengths are tokens; here they are {context.unit}.\n\n{markdown_table(_as_paper_table(rows))}",
        )
        report.add_picture(
            f"{folder}/as_paper.png", draw_as_paper(rows, context.unit), "Figures 4 and 6 as the paper counts them"
        )
    if rows := tables["steps"]:
        report.add_section(
            "Step by step",
            "New results are documents that no earlier search of the run listed. Steps that few runs reach are put "
            "together; those that reach them are the harder ones.",
        )
        report.add_picture(
            f"{folder}/steps.png", figures.draw_steps(rows), "New results, repeats and query distance by step"
        )
    if rows := tables["distances"]:
        report.add_section(
            "How queries are reformulated",
            "Jaccard distance between the words of a query and those of the one before it.",
        )
        report.add_picture(
            f"{folder}/distances.png", figures.draw_distances(rows), "Distances between consecutive queries"
        )


def _outcome_table(rows: Sequence[Row]) -> list[Row]:
    """Table 1, one row for each outcome."""
    table = []
    for outcome in dict.fromkeys(row["outcome"] for row in rows):
        by_measure = {row["measure"]: row for row in rows if row["outcome"] == outcome}
        table.append(
            {
                "outcome": outcome,
                "N": by_measure["steps"]["n"],
                **{name: _value(by_measure[name], ".2f") if name in by_measure else "" for name in MEASURES},
            }
        )
    return table


def _side_by_side(rows: Sequence[Row], agents: Sequence[str]) -> list[Row]:
    """One row for each measure, one column for each agent."""
    by_key = {(row["measure"], row["agent"]): row for row in rows}
    return [
        {
            "measure": measure,
            **{agent: _value(by_key[measure, agent]) if (measure, agent) in by_key else "" for agent in agents},
        }
        for measure in dict.fromkeys(row["measure"] for row in rows)
    ]


def _about_differences(rows: Sequence[Row]) -> str:
    table = [
        {
            "agent": row["agent"],
            "measure": row["measure"],
            "difference": _value(row, "+.3f"),
            "p": row["p_value"],
            "p, Holm": row["p_corrected"],
            "questions": row["questions"],
        }
        for row in rows
    ]
    return (
        f"Differences from {rows[0]['baseline']} on the questions that both were asked: paired bootstrap intervals, "
        f"randomisation tests, and Holm's correction for all of them.\n\n{markdown_table(table)}"
    )


def _as_paper_table(rows: Sequence[Row]) -> list[Row]:
    return [
        {
            "figure": row["figure"],
            "of": row["group"],
            "what": row["measure"],
            "value": _value(row, spec := ".1f" if row["figure"] == "4 (d)" else ".3f"),
            "the paper": "" if row["paper"] is None else f"{row['paper']:{spec}} ({row['read']})",
            "people": "" if row["reference"] is None else f"{row['reference']:.3f}",
        }
        for row in rows
        # Most of the forty bins have next to nothing; all of them are in the config and in the picture.
        if row["figure"] != "6" or row["value"] > LEAST_SHOWN or (row["paper"] or 0) > LEAST_SHOWN
    ]


def _about_positions(rows: Sequence[Row], human: str, shuffled: bool | None) -> str:
    shown = [row for row in rows if row["order"] == AS_SHOWN]
    lines = [
        "The position in the list of the nearest search before the browse that listed the document; first opens only. "
        f"{human}",
        f"Distance of the shares (total variation, 0 to 1) to people's clicks {distance_to(shown, 'human'):.2f}, to "
        f"all positions alike {distance_to(shown, 'uniform'):.2f}.",
    ]
    if shuffled:
        by_score = [row for row in rows if row["order"] == BY_SCORE]
        lines.append(
            "Lists were shuffled before they were shown, so positions as shown say nothing about the documents, and "
            "what is left is position bias. By the retriever's score the distance to all alike is "
            f"{distance_to(by_score, 'uniform'):.2f}: that is how far agents follow the content."
        )
    else:
        lines.append(
            "Lists were shown in the retriever's order, so good documents stand at the top, and these shares mix "
            "position bias with relevance. Only lists that are shuffled tell them apart, as in the paper."
            if shuffled is False
            else "The results have no scores that would tell whether lists were shown shuffled, as in the paper. If "
            "they were not, these shares mix position bias with relevance."
        )
    return "\n\n".join(lines)


def _about_lengths(rows: Sequence[Row], unit: str) -> str:
    text = markdown_table(
        [
            {
                "answer": row["outcome"],
                "document": row["document"],
                "n": row["n"],
                f"median, {unit}": _value(_estimate(row, "median"), ".0f"),
                f"mean, {unit}": _value(_estimate(row, "mean"), ".1f"),
            }
            for row in rows
        ]
    )
    missing = []
    if all(row["document"] == "unknown" for row in rows):
        missing.append("evidence is not told apart, because there are no judgements of evidence (qrels)")
    if all(row["outcome"] == "unjudged" for row in rows):
        missing.append("right and wrong answers are not told apart, because no answer was judged (`correct`)")
    return text + (f"\n\nHere {', and '.join(missing)}." if missing else "")


def _about_half_lives(rows: Sequence[Row], unit: str) -> str:
    table = [
        {
            "estimate": row["estimate"],
            "from": f"{row['start']:.0f}",
            "half-life": _value(row, ".1f"),
            "distance": row["distance"],
            "n": row["n"],
        }
        for row in rows
    ]
    return (
        f"Half-lives in {unit}. The median is β of Eq. 3; the decay is fitted beyond the mode, and `distance` "
        "(Kolmogorov-Smirnov) says how far lengths are from an exponential: 0 fits.\n\n" + markdown_table(table)
    )


def _estimate(row: Row, name: str) -> Row:
    """The columns of one of several estimates of a row, named as where there is only one."""
    return {"value": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"]}


def _value(row: Row, spec: str = ".3f") -> str:
    """The value of a row, with its interval where it has one."""
    return f"{row['value']:{spec}} {figures.interval_text(row, spec)}".rstrip()


def _slug(agent: str, agents: Sequence[str]) -> str:
    """A folder's name. The number keeps agents apart whose names differ only in characters that are left out."""
    return f"{agents.index(agent) + 1}-" + re.sub(r"[^\w.-]+", "-", agent, flags=re.ASCII).strip("-.")[:60]
