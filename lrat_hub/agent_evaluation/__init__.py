"""Evaluation of agents: what became of every question (`metrics`), verdicts on answers (`verdicts`), agents with
retrievers as cells of a table and their comparisons (`cells`), and the files of BrowseComp-Plus (`browsecomp`)."""

from lrat_hub.agent_evaluation.metrics import AgentScores, QuestionScores, evaluate_agents

__all__ = ["AgentScores", "QuestionScores", "evaluate_agents"]
