"""Retrievers compared: what they are asked, how they are scored, and what of it people see.

`lrat eval retrieval` goes through these modules from `benchmark` (queries with judgements) by `exam` (all that is
asked) and `comparison` (what the answers are worth, and which differences can be told from chance) to `results`.
Scores of agents are in `lrat_hub.agent_evaluation`.
"""
