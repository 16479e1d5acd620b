"""An analysis as a Markdown report with its pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lrat_hub.analysis import figures
from lrat_hub.analysis.actions import Row
from lrat_hub.analysis.browses import AS_SHOWN, BY_SCORE, distance_to
from lrat_hub.analysis.tables import Tables, rows_of_agent
from lrat_hub.hub.cards import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEASURES = ("searches", "browses", "B/S", "steps", "completed")

INTRODUCTION = """\
Figures of section 4 and Figure 6 of [LRAT](https://huggingface.co/papers/2604.04949), and some more. Brackets are
95 % intervals. Their units are questions, because runs of one question, and steps of one run, are alike: Wilson's
interval with the design effect for rates, Student's t on the logarithm for means, Woodruff's for medians. They
cover the choice of questions, not that of the agent's samples."""


@dataclass
class Report:
    """Markdown, and the pictures it names by their paths beside it."""

    text: str
    pictures: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """What the tables don't say themselves.

    Args:
        unit: What reasonings are measured in, such as "words".
        human: How the curve of people's clicks was made.
        shuffled: Agent to whether its lists were shown shuffled; None where no scores tell.
    """

    unit: str
    human: str
    shuffled: Mapping[str, bool | None]


def write_report(tables: Tables, facts: Facts) -> Report:
    """A section an agent, then all of them compared."""
    agents = list(dict.fromkeys(row["agent"] for row in tables["agents"]))
    report = Report(INTRODUCTION)
    for agent in agents:
        folder = "figures" if len(agents) == 1 else f"figures/{_slug(agent, agents)}"
        report.text += f"\n\n## {agent}"
        _describe(report, rows_of_agent(tables, agent), facts, facts.shuffled.get(agent), folder)
    report.text += "\n\n## " + ("Agents compared" if len(agents) > 1 else "In short") + "\n\n"
    report.text += markdown_table(_side_by_side(tables["agents"], agents))
    if len(agents) > 1:
        report.pictures["figures/agents.png"] = figures.png(figures.draw_agents(tables["agents"]))
        report.text += "\n\n![Agents compared in every measure](figures/agents.png)"
    if tables["comparisons"]:
        report.text += f"\n\n{_about_differences(tables['comparisons'])}"
    report.text += "\n"
    return report


def _describe(report: Report, tables: Tables, facts: Facts, shuffled: bool | None, folder: str) -> None:
    def say(title: str, text: str, picture: tuple[str, Figure, str] | None = None) -> None:
        report.text += f"\n\n### {title}\n\n{text}"
        if picture is not None:
            name, figure, caption = picture
            report.pictures[f"{folder}/{name}.png"] = figures.png(figure)
            report.text += f"\n\n![{caption}]({folder}/{name}.png)"

    say(
        "Searches, browses and steps (Table 1)",
        f"{markdown_table(_outcome_table(tables['outcomes']))}\n\nB/S is all browses over all searches. In the paper "
        "it is .31 where the answer is right and .20 where it is wrong (Tongyi-DeepResearch-30B, four retrievers).",
    )
    if tables["transitions"]:
        say(
            "What follows a search and a browse (Figure 4a)",
            "The next search or browse, or none (end); other calls are skipped over.",
            ("transitions", figures.draw_transitions(tables["transitions"]), "Transition probabilities"),
        )
    if tables["accuracy"]:
        say(
            "Right answers by evidence opened (Figure 4b)",
            "Different evidence documents that a run opened, and the share of such runs with the right answer. "
            "Questions differ in how much evidence they have, and not in that alone.",
            ("accuracy", figures.draw_accuracy(tables["accuracy"]), "Accuracy by evidence opened"),
        )
    else:
        say(
            "Right answers by evidence opened (Figure 4b)",
            "Not shown: it needs judged answers (`correct`) and judgements of evidence (qrels) for the same "
            "questions.",
        )
    if tables["positions"]:
        say(
            "Which positions are opened (Figure 4c)",
            _about_positions(tables["positions"], facts.human, shuffled),
            ("positions", figures.draw_positions(tables["positions"]), "Shares of browses by position"),
        )
    else:
        say(
            "Which positions are opened (Figure 4c)",
            "Not shown: no browse opened a document that a search had listed.",
        )
    if tables["lengths"]:
        say(
            "Length of the reasoning right after a browse (Figure 4d)",
            _about_lengths(tables["lengths"], facts.unit),
            ("lengths", figures.draw_lengths(tables["lengths"], facts.unit), "Reasoning lengths"),
        )
        say(
            "Half-life (Figure 6)",
            f"Half-lives in {facts.unit}. The median is β of Eq. 3; the decay is fitted beyond the mode, and "
            "`distance` (Kolmogorov-Smirnov) says how far lengths are from an exponential: 0 fits.\n\n"
            + markdown_table(
                [
                    {
                        "estimate": row["estimate"],
                        "from": f"{row['start']:.0f}",
                        "half-life": _figure(row, ".1f"),
                        "distance": row["distance"],
                        "n": row["n"],
                    }
                    for row in tables["half_lives"]
                ]
            ),
            (
                "half_life",
                figures.draw_half_life(tables["histogram"], tables["half_lives"], facts.unit),
                "Distribution of reasoning lengths with the fitted decay",
            ),
        )
    if tables["steps"]:
        say(
            "Step by step",
            "New results are documents that no earlier search of the run listed. Steps that few runs reach are put "
            "together; those that reach them are the harder ones.",
            ("steps", figures.draw_steps(tables["steps"]), "New results, repeats and query distance by step"),
        )
    if tables["distances"]:
        say(
            "How queries are reformulated",
            "Jaccard distance between the words of a query and those of the one before it.",
            ("distances", figures.draw_distances(tables["distances"]), "Distances between consecutive queries"),
        )


def _outcome_table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Table 1: a row an outcome."""
    table = []
    for outcome in dict.fromkeys(row["outcome"] for row in rows):
        of = {row["measure"]: row for row in rows if row["outcome"] == outcome}
        table.append(
            {
                "outcome": outcome,
                "N": of["steps"]["n"],
                **{name: _figure(of[name], ".2f") if name in of else "" for name in MEASURES},
            }
        )
    return table


def _side_by_side(rows: Sequence[Row], agents: Sequence[str]) -> list[dict[str, Any]]:
    by_key = {(row["measure"], row["agent"]): row for row in rows}
    return [
        {
            "measure": measure,
            **{agent: _figure(by_key[measure, agent]) if (measure, agent) in by_key else "" for agent in agents},
        }
        for measure in dict.fromkeys(row["measure"] for row in rows)
    ]


def _about_differences(rows: Sequence[Row]) -> str:
    table = [
        {
            "agent": row["agent"],
            "measure": row["measure"],
            "difference": _figure(row, "+.3f"),
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


def _about_positions(rows: Sequence[Row], human: str, shuffled: bool | None) -> str:
    shown = [row for row in rows if row["order"] == AS_SHOWN]
    lines = [
        "The position in the list of the nearest search before the browse that listed the document; first opens only. "
        f"{human}",
        f"Distance of the shares (total variation, 0 to 1) to people's clicks {distance_to(shown, 'human'):.2f}, to "
        f"all positions alike {distance_to(shown, 'uniform'):.2f}.",
    ]
    if shuffled:
        of = [row for row in rows if row["order"] == BY_SCORE]
        lines.append(
            "Lists were shuffled before they were shown, so positions as shown say nothing about the documents, and "
            "what is left is position bias. By the retriever's score the distance to all alike is "
            f"{distance_to(of, 'uniform'):.2f}: that is how far agents follow the content."
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
                f"median, {unit}": _figure(_renamed(row, "median"), ".0f"),
                f"mean, {unit}": _figure(_renamed(row, "mean"), ".1f"),
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


def _renamed(row: Row, name: str) -> Row:
    return {"value": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"]}


def _figure(row: Row, spec: str = ".3f") -> str:
    if row["low"] is None:
        return f"{row['value']:{spec}}"
    return f"{row['value']:{spec}} [{row['low']:{spec}}, {row['high']:{spec}}]"


def _slug(agent: str, agents: Sequence[str]) -> str:
    """A folder's name. The place keeps names apart that differ only in what can't stand there."""
    return f"{agents.index(agent) + 1}-" + re.sub(r"[^\w.-]+", "-", agent, flags=re.ASCII).strip("-.")[:60]
