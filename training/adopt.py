"""Wraps a bare checkpoint into a complete SentenceTransformer repository, by the family of its model.

The checkpoints released with the LRAT paper lack pooling, normalisation and prompts; sentence-transformers loads them
all the same, and encodes wrongly. What is published here loads right with `SentenceTransformer(...)` alone.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from lrat_hub import cli
from lrat_hub.cli.stage import Stage, StageArguments, parse, say
from lrat_hub.encoders import FAMILIES, Pooling, find_family
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef

QUESTION = "what is the capital of Australia?"
ANSWER = "Canberra\nCanberra is the capital city of Australia, founded as a compromise between Sydney and Melbourne."
OTHER = "Sourdough\nSourdough is bread made by the fermentation of dough with wild yeast and lactic acid bacteria."


@dataclass(kw_only=True)
class Arguments(StageArguments):
    model: str = field(metadata={"group": "inputs", "help": "Checkpoint to adopt: a model repository, or a folder."})
    family: str = field(
        metadata={"group": "essentials", "help": f"Family that the checkpoint was trained as: {', '.join(FAMILIES)}."}
    )
    pooling: Pooling | None = field(default=None, metadata={"help": "Pooling, in place of the family's."})
    query_prompt: str | None = field(
        default=None, metadata={"help": "Text put before every query, in place of the family's prompt."}
    )
    document_prompt: str | None = field(
        default=None, metadata={"help": "Text put before every document, in place of the family's prompt."}
    )
    max_length: int | None = field(
        default=None, metadata={"help": "Maximum number of tokens of a text, in place of the family's."}
    )


def main(argv: list[str] | None = None) -> HubRef:
    (args,) = parse(argv, "adopt", __doc__, Arguments)
    overrides = ("pooling", "query_prompt", "document_prompt", "max_length")
    given = {name: getattr(args, name) for name in overrides if getattr(args, name) is not None}
    family = dataclasses.replace(find_family(args.family), **given)

    import numpy as np

    from lrat_hub.encoders import wrap_checkpoint
    from lrat_hub.hub.cards import render_card
    from lrat_hub.hub.inputs import LocalSource, fetch_folder, load_model

    stage = Stage("adopt", args, publishes="model")
    source = stage.input("model", args.model, repo_type="model")
    model = wrap_checkpoint(fetch_folder(source), family)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model.save_pretrained(str(folder), create_model_card=False)
        # What is published has to encode as what was wrapped, in a process that knows nothing of families.
        again = load_model(LocalSource(folder, ""))
        vectors = [encoder.encode_document([ANSWER, OTHER]) for encoder in (model, again)]
        query = again.encode_query(QUESTION)
        if not np.isfinite(vectors).all() or not np.allclose(*vectors, atol=1e-5):
            raise LratError(f"lrat adopt: {source}: expected the same finite vectors after saving, found others.")
        right, wrong = again.similarity(query, vectors[1])[0].tolist()
        say(f"  known pair: similarity {right:.3f} with the passage that answers, {wrong:.3f} with another")
        if right <= wrong:
            say("  warning: the passage that answers is no nearer than another. Is this the right family?")
        checks = {"known_pair": {"answer": round(right, 4), "other": round(wrong, 4)}}
        lineage = stage.lineage(checks)
        prompts = f"`query` {family.query_prompt!r}, `document` {family.document_prompt!r}"
        card = render_card(
            "base_model",
            lineage,
            repo_id=stage.target.repo_id,
            description=f"{source} with what its family `{args.family}` needs to encode: pooling {family.pooling}, "
            f"{'normalised vectors' if family.normalize else 'vectors as they are'}, at most {family.max_length} "
            f"tokens, prompts {prompts}.",
        )
        return stage.publish_model(folder, card=card, lineage=lineage)


if __name__ == "__main__":
    sys.exit(cli.main(["adopt", *sys.argv[1:]]))
