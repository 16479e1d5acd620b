"""A flywheel in small: made-up things, an agent without a language model, and a transformer that knows their words."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from lrat_hub.agents import Answer, Browse, Search

COLOURS = ("red", "green", "blue", "white", "black", "grey")
THINGS = ("lamp", "boat", "bridge", "clock", "garden", "tower")
KEEPERS = {f"{colour} {thing}": f"keeper{place * 6 + other}" for place, colour in enumerate(COLOURS)
           for other, thing in enumerate(THINGS)}  # fmt: skip
WORDS = ("the", "is", "kept", "by", "who", "keeps", "?", *COLOURS, *THINGS, *KEEPERS.values())
HELD_OUT = 12


class Opener:
    """Searches with the question, and opens what is listed until a text says who keeps the thing."""

    name = "opener"

    def start(self, question: str) -> Opening:
        return Opening(question)


class Opening:
    def __init__(self, question: str) -> None:
        self.question, self.left = question, []
        self.thing = question.removeprefix("who keeps the ").removesuffix(" ?")

    async def act(self, observation):
        if observation is None:
            return Search(f"I look for the keeper of the {self.thing}.", (self.question,))
        if observation.document is None:
            self.left = [hit.docid for hit in observation.results]
            reasoning = "The first one may say it."
        elif self.thing in observation.document.text:
            keeper = observation.document.text.rpartition(" ")[2]
            return Answer(f"It supports the search: the {self.thing} is kept by {keeper}.", keeper)
        else:
            reasoning = "It does not help: it is about another thing."
        if observation.is_last or not self.left:
            return Answer(reasoning, "nobody")
        return Browse(reasoning, self.left.pop(0))


class Judge:
    """A judge of answers that gives no verdict on some of them, as one whose server is away."""

    name = "keepers-judge"
    away: frozenset[str] = frozenset()

    def judge(self, cases):
        return ["unjudged" if gold in self.away else "correct" if gold == answer else "incorrect"
                for _, gold, answer in cases]  # fmt: skip


def publish_world(folder: Path, name: str) -> dict[str, str]:
    """Publishes documents, questions and a model, and gives the recipe of a flywheel over them."""
    from lrat_hub import cli
    from lrat_hub.hub.lineage import Lineage
    from lrat_hub.hub.publish import publish_folder
    from lrat_hub.hub.refs import HubRef
    from tests.fitting.small import tiny_bert

    documents = [
        {"docid": f"d{place}", "title": "", "text": f"the {thing} is kept by {keeper}"}
        for place, (thing, keeper) in enumerate(KEEPERS.items())
    ]
    (folder / "documents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents))
    # Every third thing is held out.
    asked = {"train": [place for place in range(36) if place % 3], "test": list(range(0, 36, 3))}
    things = list(KEEPERS.items())
    for split, places in asked.items():
        rows = [f"q{place}\twho keeps the {things[place][0]} ?\t{things[place][1]}\n" for place in places]
        (folder / f"{split}.tsv").write_text("".join(rows))
    (folder / "qrels.txt").write_text("".join(f"q{place} Q0 d{place} 1\n" for place in range(36)))
    files = [f"--documents={folder / 'documents.jsonl'}", f"--qrels={folder / 'qrels.txt'}"]
    corpus = cli.run(["corpus", *files, f"--queries={folder / 'train.tsv'}", f"--to=lrat/{name}-things"])
    held_out = cli.run(["corpus", *files, f"--queries={folder / 'test.tsv'}", f"--to=lrat/{name}-held-out"])
    model = tiny_bert(folder, words=WORDS)
    (model / "README.md").write_text("---\nlibrary_name: sentence-transformers\n---\nA tiny one.\n")
    base = publish_folder(HubRef.parse(f"lrat/{name}-base"), model, Lineage("adopt", {}, {}))
    return {"corpus": str(corpus), "questions": str(corpus), "held_out": str(held_out), "qrels": str(held_out),
            "model": str(base)}  # fmt: skip


def write_recipe(folder: Path, world: dict[str, str], **changed) -> Path:
    """The recipe of a flywheel of two rounds that takes a few seconds."""
    recipe = {
        **world,
        "rounds": 2,
        "questions_per_round": 10,
        "primary": "recall@10",
        "limits": {"steps": 0.5},
        "level": 0.45,
        "rollout": {"agent": "tests.flywheel.small:Opener", "k": 8},
        "mine": {"judge": "rule"},
        "train": {"max_steps": 6, "batch_size": 8, "num_negatives": 2, "learning_rate": 0.01, "check_passages": 0,
                  "temperature": 0.1},
        "eval_retrieval": {"check_passages": 0},
        **changed,
    }  # fmt: skip
    path = folder / "flywheel.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def repositories(flywheel: str) -> list[str]:
    """The repositories of a flywheel."""
    from huggingface_hub import HfApi

    api = HfApi()
    names = [f"datasets/{one.id}" for one in api.list_datasets(author="lrat")]
    names += [str(one.id) for one in api.list_models(author="lrat")]
    own = [name for name in names if name.removeprefix("datasets/").startswith(flywheel)]
    return sorted(name for name in own if name.removeprefix("datasets/")[len(flywheel) :][:1] in ("", "-"))


def commit_counts(flywheel: str) -> dict[str, int]:
    """The number of commits on the main branch of each of them."""
    from huggingface_hub import HfApi

    counts = {}
    for name in repositories(flywheel):
        kind = "dataset" if name.startswith("datasets/") else "model"
        commits = HfApi().list_repo_commits(name.removeprefix("datasets/"), repo_type=kind)
        counts[name.replace(flywheel, "", 1)] = len(commits)
    return counts
