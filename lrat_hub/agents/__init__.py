"""Agents that search: what they act in, the loop that runs and records them, and language models as agents."""

from lrat_hub.agents.calls import Answer, Browse, Call, Invalid, Search
from lrat_hub.agents.environment import Observation, SearchEnvironment
from lrat_hub.agents.language import LanguageAgent
from lrat_hub.agents.runner import (
    Agent,
    Episode,
    Question,
    run_agents,
    run_agents_async,
    run_each,
)

__all__ = [
    "Agent",
    "Answer",
    "Browse",
    "Call",
    "Episode",
    "Invalid",
    "LanguageAgent",
    "Observation",
    "Question",
    "Search",
    "SearchEnvironment",
    "run_agents",
    "run_agents_async",
    "run_each",
]
