"""Agents that search: what they act in, the loop that runs and records them, and one that needs no model."""

from lrat_hub.agents.environment import Observation, SearchEnvironment
from lrat_hub.agents.reader import ClueReader
from lrat_hub.agents.runner import (
    Agent,
    Answer,
    Browse,
    Call,
    Episode,
    Invalid,
    Question,
    Search,
    run_agents,
    run_agents_async,
)

__all__ = [
    "Agent",
    "Answer",
    "Browse",
    "Call",
    "ClueReader",
    "Episode",
    "Invalid",
    "Observation",
    "Question",
    "Search",
    "SearchEnvironment",
    "run_agents",
    "run_agents_async",
]
