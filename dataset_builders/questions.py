"""Draws a slice of questions by a random seed, disjoint from the other slices and from held-out questions.

A question is held out if its id or its text, whatever its case and blanks, is that of a question of --held_out.
Questions that are published obfuscated stay obfuscated.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from lrat_hub import cli
from lrat_hub.cli.stage import Stage, StageArguments, parse, say
from lrat_hub.hub.refs import HubRef
from lrat_hub.option import option


@dataclass(kw_only=True)
class Arguments(StageArguments):
    queries: str = option(help="Questions to draw from, as ref#config:split.", group="inputs")
    held_out: list[str] = option(
        help="Sets of questions that must not be drawn, such as those of an evaluation.",
        factory=list,
        group="inputs",
        recipe=False,
    )
    count: int = option(100, "Number of questions of each slice.", group="essentials")
    slice: int = option(1, "Number of the slice, from 1.", group="essentials")
    seed: int = option(0, "Random seed of the order that slices are cut from.")


OPTIONS = (Arguments,)


def main(argv: list[str] | None = None) -> HubRef:
    (args,) = parse(argv, "questions", __doc__, *OPTIONS)

    from datasets import Dataset

    from lrat_hub.corpora.loading import load_question_rows, load_questions
    from lrat_hub.flywheel.slices import draw_slice
    from lrat_hub.obfuscation import stored_question
    from lrat_hub.schema import query_features

    stage = Stage("questions", args, configs=("queries",))
    given = {row["query_id"]: row for row in load_question_rows(stage.input("queries", args.queries))}
    questions = {query_id: (row["query"], row["answer"]) for query_id, row in given.items()}
    held_out = [
        load_questions(stage.input("held_out" if len(args.held_out) == 1 else f"held_out_{number}", text))
        for number, text in enumerate(args.held_out, start=1)
    ]
    rows, ledger = draw_slice(questions, held_out, number=args.slice, count=args.count, seed=args.seed)
    say(str(ledger))
    if is_obfuscated := any(row["canary"] for row in given.values()):
        rows = [stored_question(row | {"canary": given[row["query_id"]]["canary"]}) for row in rows]
    return stage.publish_dataset(
        {"queries": {"train": Dataset.from_list(rows, features=query_features(canary=is_obfuscated))}},
        template="questions",
        counts={"questions": ledger.to_dict()},
        args=args,
    )


if __name__ == "__main__":
    sys.exit(cli.main(["questions", *sys.argv[1:]]))
