"""Tables of reports, in Markdown: like Tables 1 and 2 of the paper, and with what those leave out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lrat_hub.evaluation.agents import OUTCOMES
from lrat_hub.evaluation.published import RetrievalResults
from lrat_hub.evaluation.systems import AgentSystem, RetrieverComparison, clear_winners, in_table_order
from lrat_hub.hub.inputs import Source
from lrat_hub.hub.refs import HubRef
from lrat_hub.significance import Interval, clear_winner, ends
from lrat_hub.significance.comparison import ALPHA

AGENT_COLUMNS = {
    "success": "success",
    "evidence_any": "any evidence",
    "evidence_share": "evidence share",
    "steps": "steps",
}
"""The columns of Table 2, evidence recall in both readings."""

MORE_COLUMNS = {
    "opened_share": "evidence opened",
    "searches": "searches",
    "browses": "browses",
    "invalid": "invalid calls",
    "tokens": "tokens",
    "seconds": "seconds",
}

PERCENT = frozenset({"success", "evidence_any", "evidence_share", "opened_share"})

Rows = list[dict[str, Any]]


def agent_rows(cells: Sequence[AgentSystem], comparisons: Sequence[RetrieverComparison]) -> Rows:
    """A row for each agent with each retriever: Table 2 of the paper.

    Rates are in percent. In brackets stands the gain over the retriever's baseline, as a share of that. Bold is what
    is better than every other retriever in the same agent, by paired tests that Holm has corrected over the table.
    """
    gains = {(one.benchmark, one.agent, one.k, one.retriever, one.metric): one.gain for one in comparisons}
    bold = {metric: set(map(id, clear_winners(cells, metric))) for metric in AGENT_COLUMNS}
    benchmarks = list(dict.fromkeys(cell.benchmark for cell in cells))
    several_k = len({cell.k for cell in cells}) > 1
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    shown = [(benchmark, metric) for benchmark in benchmarks for metric in _measured(cells, benchmark, AGENT_COLUMNS)]
    for cell in in_table_order(cells):
        row = rows.setdefault(
            (cell.agent, cell.k, cell.retriever),
            {
                "agent": cell.agent,
                **({"k": cell.k} if several_k else {}),
                "retriever": cell.retriever,
                **{_column(*column, benchmarks): "" for column in shown},
            },
        )
        for benchmark, metric in shown:
            mean = cell.scores.mean(metric)
            if benchmark == cell.benchmark and mean is not None:
                text = _number(metric, mean)
                text = f"**{text}**" if id(cell) in bold[metric] else text
                gain = gains.get((*cell.group, cell.retriever, metric))
                row[_column(benchmark, metric, benchmarks)] = text + ("" if gain is None else f" ({gain:+.1%})")
    return list(rows.values())


def interval_rows(cells: Sequence[AgentSystem]) -> Rows:
    """Every metric of every cell with its 95 % interval, and the calibration error where it is known."""
    titles = {**AGENT_COLUMNS, **MORE_COLUMNS}
    measured = [name for name in titles if any(cell.scores.values(name) for cell in cells)]
    # A column of nothing but zeros, such as invalid calls that never happened, tells nothing.
    names = [name for name in measured if name in AGENT_COLUMNS or any(cell.scores.mean(name) for cell in cells)]
    calibrated = any(cell.scores.calibration_error is not None for cell in cells)
    rows = []
    for cell in cells:
        row: dict[str, Any] = dict(cell.names)
        for metric in names:
            interval = cell.intervals.get(metric)
            row[titles[metric]] = "" if interval is None else _interval(metric, interval)
        if calibrated:
            error = cell.scores.calibration_error
            row["calibration error"] = "" if error is None else f"{100 * error:.1f}"
        rows.append(row)
    return _without_constant(rows, ("benchmark", "k"))


def outcome_rows(cells: Sequence[AgentSystem]) -> Rows:
    """What became of the questions of each cell; columns of what never happened are left out."""
    other = "runs of other questions"
    rows = [
        {**cell.names, **{other if name == "strangers" else name: count for name, count in cell.scores.counts.items()}}
        for cell in cells
    ]
    rare = [*OUTCOMES[1:], "unjudged", "duplicates", other]
    never = {name for name in rare if not any(row[name] for row in rows)}
    rows = [{name: value for name, value in row.items() if name not in never} for row in rows]
    return _without_constant(rows, ("benchmark", "k"))


def difference_rows(comparisons: Sequence[RetrieverComparison]) -> Rows:
    """Comparisons with their intervals and tests, and the difference that they could have shown."""
    rows = []
    for one in comparisons:
        rows.append(
            {
                "benchmark": one.benchmark,
                "agent": one.agent,
                "k": one.k,
                "metric": AGENT_COLUMNS[one.metric],
                "retriever": one.retriever,
                "against": one.baseline,
                "difference": _interval(one.metric, one.difference, sign="+"),
                "p (Holm)": _p_value(one.corrected),
                "detectable": "" if one.detectable is None else _number(one.metric, one.detectable),
                "questions": one.difference.clusters,
            }
        )
    return _without_constant(rows, ("benchmark", "agent", "k"))


def retrieval_rows(evaluation: RetrievalResults) -> Rows:
    """Retrievers alone, with 95 % intervals; bold is what beats every other one significantly."""
    best = {
        metric: clear_winner({name: scores[metric] for name, scores in evaluation.scores.items()}, evaluation.clusters)
        for metric in evaluation.shown
    }
    rows = []
    for system, intervals in evaluation.intervals.items():
        row: dict[str, Any] = {"retriever": system}
        for metric, interval in intervals.items():
            mean = f"**{interval.mean:.3f}**" if best[metric] == system else f"{interval.mean:.3f}"
            row[metric] = f"{mean} {ends(interval.low, interval.high, '.3f')}"
        rows.append(row)
    return rows


def retrieval_difference_rows(evaluation: RetrievalResults) -> Rows:
    """Every system against the baseline; Holm's correction goes over the systems, metric by metric."""
    return [
        {
            "metric": metric,
            "retriever": system,
            "against": evaluation.baseline,
            "difference": f"{one.difference:+.3f}",
            "p (Holm)": _p_value(one.corrected),
            "detectable": one.detectable,
            "questions": one.difference.clusters,
        }
        for metric, compared in evaluation.comparisons.items()
        for system, one in compared.items()
    ]


def score_table(scores: Sequence[Mapping[str, Any]], task: str) -> Rows:
    """A task's scores for people: a row a system, its means; in bold where it beats every other one significantly."""
    rows: dict[str, dict[str, Any]] = {}
    for score in scores:
        if score["task"] == task:
            text = f"{score['mean']:.3f}"
            rows.setdefault(score["system"], {"system": score["system"]})[score["metric"]] = (
                f"**{text}**" if score["best"] else text
            )
    return list(rows.values())


def interval_table(scores: Sequence[Mapping[str, Any]], task: str, metrics: Sequence[str]) -> Rows:
    """A few metrics of a task for people: a row each and system, with its interval and difference from the first."""
    chosen = [row for row in scores if row["task"] == task and row["metric"] in metrics]
    baseline = next((row["baseline"] for row in chosen if row["baseline"] is not None), None)
    rows = []
    for row in chosen:
        cells = {
            "metric": row["metric"],
            "system": row["system"],
            "mean": f"{row['mean']:.3f} {ends(row['low'], row['high'], '.3f')}",
        }
        if baseline is not None:
            is_first = row["baseline"] is None
            difference = "" if is_first else ends(row["difference_low"], row["difference_high"], "+.3f")
            cells |= {
                f"difference from {baseline}": "" if is_first else f"{row['difference']:+.3f} {difference}",
                "p, corrected": "" if is_first else f"{row['corrected']:.4f}",
                "detectable": "" if row["detectable"] is None else f"{row['detectable']:.3f}",
            }
        rows.append(cells)
    return rows


FEW_QUESTIONS = 50
"""With fewer questions a comparison gets a warning. Test collections of TREC usually have 50 topics (Buckley and
Voorhees, "Evaluating evaluation measure stability", SIGIR 2000)."""


def difference_table(scores: Sequence[Mapping[str, Any]], rows: Mapping[str, tuple[str, str]]) -> Rows:
    """How every system differs from the first, for people: a row for each of a few metrics, with 95 % intervals.

    A difference is bold where it is more than chance at the 5 % level after Holm's correction.

    Args:
        scores: Rows of `TaskComparison.scores`.
        rows: What a row is called, to its task and metric; those that were not measured, or are compared with another
            system than the first of them, are left out.
    """
    table: Rows = []
    first = None
    for name, (task, metric) in rows.items():
        compared = _compared(scores, task, metric)
        first = first or next((row["baseline"] for row in compared), None)
        if compared and compared[0]["baseline"] == first:
            cells = {row["system"]: _with_ends(row) for row in compared}
            cells |= {row["system"]: f"**{cells[row['system']]}**" for row in compared if row["corrected"] < ALPHA}
            table.append({f"difference from {first}": name, **cells})
    systems = dict.fromkeys(key for row in table for key in row)
    return [{key: row.get(key, "") for key in systems} for row in table]


def too_few_questions(scores: Sequence[Mapping[str, Any]], task: str, metric: str) -> str:
    """What so few questions can show; "" where there are `FEW_QUESTIONS` or more, or nothing is compared."""
    rows = _compared(scores, task, metric)
    if not rows or (questions := rows[0]["questions"]) >= FEW_QUESTIONS:
        return ""
    # The smallest p-value of a randomisation test over n questions is 2 / 2^n, and Holm multiplies the smallest by the
    # number of tests.
    if len(rows) * 2.0 ** (1 - questions) >= ALPHA:
        return f"{questions} questions can't show any difference, as no test of so few gets below 5 %; give more"
    known = [row["detectable"] for row in rows if row["detectable"] is not None]
    if not known:
        return f"{questions} questions are few, and the systems don't differ in {metric} on any of them"
    return (
        f"{questions} questions are few: a true difference below {min(known):.3f} in {metric} would be missed in more "
        "than 20 of 100 such evaluations"
    )


def _compared(scores: Sequence[Mapping[str, Any]], task: str, metric: str) -> list[Mapping[str, Any]]:
    """The rows of a metric that are about a difference."""
    return [row for row in scores if (row["task"], row["metric"]) == (task, metric) and row["baseline"] is not None]


def _with_ends(row: Mapping[str, Any]) -> str:
    return f"{row['difference']:+.3f} {ends(row['difference_low'], row['difference_high'], '+.3f')}"


def system_name(source: Source) -> str:
    """A model's name in tables: its repository or folder, with the first digits of its sha or digest."""
    name, version = (
        (source.repo_id, source.revision) if isinstance(source, HubRef) else (source.path.name, source.digest)
    )
    return f"{name}@{version[:7]}"


def agreement_rows(agreements: Sequence[Mapping[str, Any]]) -> Rows:
    """Two judges of the same answers."""
    return _without_constant([dict(row) for row in agreements], ("benchmark", "k"))


def _measured(cells: Sequence[AgentSystem], benchmark: str, metrics: Mapping[str, str]) -> list[str]:
    chosen = [cell for cell in cells if cell.benchmark == benchmark]
    return [metric for metric in metrics if any(cell.scores.values(metric) for cell in chosen)]


def _column(benchmark: str, metric: str, benchmarks: Sequence[str]) -> str:
    return AGENT_COLUMNS[metric] if len(benchmarks) == 1 else f"{benchmark}: {AGENT_COLUMNS[metric]}"


def _interval(metric: str, interval: Interval, *, sign: str = "") -> str:
    mean, low, high = (_number(metric, value, sign=sign) for value in (interval.mean, interval.low, interval.high))
    return f"{mean} [{low}, {high}]" if math.isfinite(interval.high) else f"{mean} {ends(-math.inf, math.inf, '')}"


def _number(metric: str, value: float, *, sign: str = "") -> str:
    """Rates in percent; counts with as many digits as say something."""
    if metric in PERCENT:
        return f"{100 * value:{sign}.1f}"
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 2
    return f"{value:{sign},.{digits}f}"


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _without_constant(rows: Rows, names: Sequence[str]) -> Rows:
    """The rows without those of the named columns that have one value in all of them."""
    constant = {name for name in names if len({row[name] for row in rows}) == 1}
    return [{name: value for name, value in row.items() if name not in constant} for row in rows]
