"""The table of outcomes on the cards of trajectories."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lrat_hub.schema import OUTCOMES, Trajectory


def outcome_table(trajectories: Iterable[Trajectory]) -> list[dict[str, Any]]:
    """Number of trajectories and their mean searches, browses and steps, by outcome: the columns of Table 1.

    A row for each of outcome that occurs, and one for "all".
    """
    groups: dict[str, list[Trajectory]] = {name: [] for name in (*OUTCOMES, "all")}
    for trajectory in trajectories:
        groups[trajectory.outcome].append(trajectory)
        groups["all"].append(trajectory)
    rows = []
    for outcome, group in groups.items():
        if not group:
            continue
        searches = sum(trajectory.count("search") for trajectory in group)
        browses = sum(trajectory.count("browse") for trajectory in group)
        rows.append(
            {
                "outcome": outcome,
                "N": len(group),
                "searches": searches / len(group),
                "browses": browses / len(group),
                "B/S": browses / searches if searches else None,
                "steps": (searches + browses) / len(group),
            }
        )
    return rows
