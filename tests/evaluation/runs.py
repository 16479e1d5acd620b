"""Runs made for tests: what an agent listed and opened, and what came of it."""

from lrat_hub.schema import Candidate, Step, Trajectory


def listed(*docids, query_index=0):
    return tuple(Candidate(query_index, rank, docid) for rank, docid in enumerate(docids, start=1))


def run(query_id, *actions, number=0, answer="an answer", **columns):
    """A run whose actions are tuples of docids for a search and a docid for a browse; None for one that is invalid."""
    steps = []
    for turn, action in enumerate(actions):
        if action is None:
            steps.append(Step(turn, "", "invalid", error="unreadable"))
        elif isinstance(action, str):
            steps.append(Step(turn, "So I read.", "browse", docid=action, observation=f"Text of {action}"))
        else:
            steps.append(Step(turn, "I look.", "search", ("a query",), listed(*action), observation="A list"))
    if answer is not None:
        steps.append(Step(len(actions), "I know.", "answer"))
    return Trajectory(
        f"{query_id}-{number}", query_id, f"question {query_id}?", tuple(steps), final_answer=answer,
        **{"agent": "agent", "retriever": "retriever", **columns},
    )  # fmt: skip
