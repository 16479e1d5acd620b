"""Wraps a bare checkpoint into a complete SentenceTransformer repository, by the family of its model.

The checkpoints released with the LRAT paper lack pooling, normalisation and prompts. sentence-transformers loads them
without an error and computes wrong vectors. The published repository loads correctly with `SentenceTransformer(...)`.

The checkpoint is checked first: its model type and the last token of its tokenizer must be the family's, its pooling
must not contradict its own repository, a text must have the same vector alone and in a batch, and a question must find
its known answer.
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass

from lrat_hub import cli
from lrat_hub.cli.stage import ModelArguments, Stage, parse, say
from lrat_hub.encoders import FAMILIES, Pooling, find_family
from lrat_hub.errors import LratError
from lrat_hub.hub.refs import HubRef
from lrat_hub.option import option


@dataclass(kw_only=True)
class Arguments(ModelArguments):
    model: str = option(help="Checkpoint to adopt: a model repository, or a folder.", group="inputs")
    family: str = option(help=f"Family that the checkpoint was trained as: {', '.join(FAMILIES)}.", group="essentials")
    pooling: Pooling | None = option(None, "Pooling, in place of the family's.")
    query_prompt: str | None = option(None, "Text put before every query, in place of the family's prompt.")
    document_prompt: str | None = option(None, "Text put before every document, in place of the family's prompt.")
    max_length: int | None = option(None, "Maximum number of tokens of a text, in place of the family's.")
    allow_failed_checks: bool = option(
        False, "Publish a checkpoint that fails a check; its card says which.", recipe=False
    )


OPTIONS = (Arguments,)


def main(argv: list[str] | None = None) -> HubRef:
    (args,) = parse(argv, "adopt", __doc__, *OPTIONS)
    overrides = ("pooling", "query_prompt", "document_prompt", "max_length")
    given = {name: getattr(args, name) for name in overrides if getattr(args, name) is not None}
    family = dataclasses.replace(find_family(args.family), **given)

    from lrat_hub.encoders import RETRIEVER, encoding_of, load_encoder, model_kind, wrap_checkpoint
    from lrat_hub.encoders.checks import check_checkpoint, checks_record, require_checks
    from lrat_hub.encoders.loading import require_code_pin
    from lrat_hub.hub.cards import render_card
    from lrat_hub.hub.inputs import LocalSource, fetch_folder

    stage = Stage("adopt", args, publishes="model")
    source = stage.input("model", args.model, repo_type="model")
    if (kind := model_kind(source)) not in (None, RETRIEVER):
        raise LratError(
            f"{source}: expected the checkpoint of an encoder, found a {kind}, which needs no family. lrat train "
            "takes it as it is."
        )
    if args.trust_remote_code:
        require_code_pin(source, args.trust_remote_code)
        if getattr(source, "revision", None) != args.trust_remote_code:
            raise LratError(
                f"`trust_remote_code`: expected the commit of the checkpoint, whose folder has the code, found "
                f"{args.trust_remote_code}. Name the checkpoint at that commit, or give {source}'s."
            )
    checkpoint = fetch_folder(source)
    model = wrap_checkpoint(checkpoint, family, own_code=bool(args.trust_remote_code))
    with stage.output() as folder:
        model.save_pretrained(str(folder), create_model_card=False)
        # What is published has to encode as what was wrapped, in a process that knows nothing of families.
        again = model if args.trust_remote_code else load_encoder(LocalSource(folder, ""))
        checks = check_checkpoint(checkpoint, family, model, again)
        for check in checks:
            say(f"  {check}")
        require_checks(checks, f"lrat adopt: {source}", allowed=args.allow_failed_checks)
        encoding = encoding_of(again)
        lineage = stage.lineage({"checks": checks_record(checks), "encoding": dataclasses.asdict(encoding)})
        prompts = f"`query` {family.query_prompt!r}, `document` {family.document_prompt!r}"
        failed = [str(check) for check in checks if check.passed is False]
        card = render_card(
            "base_model",
            lineage,
            repo_id=stage.target.repo_id,
            description=f"{source} with what its family `{args.family}` needs to encode: pooling {encoding.pooling}, "
            f"{'normalised vectors' if family.normalize else 'vectors as they are'}, at most {family.max_length} "
            f"tokens, prompts {prompts}; weights in {encoding.dtype}, padded on the {encoding.padding_side} with "
            f"`{encoding.pad_token}`."
            + (f"\n\n**It failed checks, and was published all the same.** {'; '.join(failed)}." if failed else ""),
        )
        return stage.publish_model(folder, card=card, lineage=lineage)


if __name__ == "__main__":
    sys.exit(cli.main(["adopt", *sys.argv[1:]]))
