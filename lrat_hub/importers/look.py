"""What a source would be imported as, before anything is published: its first runs, counted, mined and shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrat_hub.errors import LratError
from lrat_hub.importers.accounts import Accounts
from lrat_hub.importers.bulk import RecordImport, cleaned
from lrat_hub.importers.concerns import concerns
from lrat_hub.importers.mapped_records import unused_keys
from lrat_hub.importers.questions import join_concerns, join_lines, join_refusal
from lrat_hub.importers.reading import check_import, records_of
from lrat_hub.importers.recognition import recognise_format
from lrat_hub.importers.summary import Summary
from lrat_hub.schema import Trajectory

if TYPE_CHECKING:
    from lrat_hub.mining import MiningResult

RUNS_LOOKED_AT = 200


@dataclass(frozen=True)
class Look:
    """The first runs of a source as they would be imported.

    Args:
        format: The format, and why it is the one.
        runs: They are redacted, as they would be published.
        is_whole: Whether these are all runs of the source, so that the counts are those of the import.
        accounts: Examples in them are redacted, too.
        joins: How many runs were joined with questions and judged, a line each.
        concerns: What should make its owner look, a line each.
        shown: The run to show, counted from 1; None where the source has none of that number.
        mined: What mining makes of the runs with its defaults and without a judge; None where it refuses.
        refusal: Why an import would end with an error; "" where it would not.
        mining_refusal: Why mining would.
    """

    format: str
    runs: list[Trajectory]
    is_whole: bool
    accounts: Accounts
    summary: Summary
    joins: list[str]
    concerns: list[str]
    shown: int | None
    mined: MiningResult | None
    refusal: str
    mining_refusal: str


def look_at(
    path: Path, settings: RecordImport, *, shown: int = 1, limit: int = RUNS_LOOKED_AT, strict: bool = False
) -> Look:
    """Reads the first runs of a source, as `import_records` would with the same settings.

    Args:
        shown: The run to show, counted from 1.
        limit: How many runs are read; more when `shown` is beyond them.
        strict: Whether the import would be strict.

    Raises:
        LratError: The path does not exist, its format is unknown, or the redactor's hook fails.
    """
    why = (
        "read by a function of your own" if settings.reader is not None
        else f"{settings.format}, as it was named" if settings.format is not None
        else "messages, where the mapping or the grouping of records says"
    )  # fmt: skip
    if not settings.names_format:
        recognised = recognise_format(path)
        why = str(recognised) if recognised else "unknown: no record can be read"
        settings = replace(settings, format=recognised.format if recognised else "lrat")
    known, accounts, summary = settings.format_of(path), Accounts(), Summary()
    runs: list[Trajectory] = []
    seen: list[Any] = []
    is_whole = True
    for record in records_of(path, accounts, known):
        if len(runs) >= max(limit, shown):
            is_whole = False
            break
        seen.append(record.value)
        runs += settings.trajectories([record], known, accounts)
    for run in runs:
        summary.count(run)
    refusal = ""
    try:
        check_import(path, accounts, strict=strict)
    except LratError as error:
        refusal = str(error)
    mined, mining_refusal = _mined(runs)
    accounts = cleaned(accounts, settings)
    joins = (accounts, settings.questions, settings.judge)
    return Look(
        format=why,
        runs=runs,
        is_whole=is_whole,
        accounts=accounts,
        summary=summary,
        joins=list(join_lines(*joins)),
        concerns=[
            *join_concerns(*joins),
            *_without_use(settings, seen),
            *concerns(summary, accounts),
            *_none_left(mined, summary),
        ],
        shown=shown if 1 <= shown <= len(runs) else None,
        mined=mined,
        refusal=settings.clean(refusal or join_refusal(accounts, settings.questions)),
        mining_refusal=settings.clean(mining_refusal),
    )


def _without_use(settings: RecordImport, records: Sequence[Any]) -> Iterator[str]:
    """That a mapping file names what no record has; what a reader makes of records is not looked at."""
    if settings.mapping is None or settings.reader is not None:
        return
    if unused := list(unused_keys(settings.mapping, records)):
        yield (
            f"none of the {len(records)} records that were read has what the mapping names with {'; '.join(unused)}: "
            "the log calls it otherwise, or has none"
        )


def _none_left(mined: MiningResult | None, summary: Summary) -> Iterator[str]:
    """That documents were opened, and mining leaves all of them out."""
    if mined is not None and not mined.pairs and summary.opens.pairs:
        reasons = ", ".join(
            f"{count} {ledger.item} left out, {reason}"
            for ledger in (mined.ledger["trajectories"], mined.ledger["browses"])
            for reason, count in sorted(ledger.dropped.items())
        )
        yield f"mining keeps none of {summary.opens.pairs} pairs with its defaults: {reasons}"


def _mined(runs: list[Trajectory]) -> tuple[MiningResult | None, str]:
    """What mining makes of the runs with its defaults, and why it would refuse them, if it would."""
    from lrat_hub.mining import Weighting, mine_pairs

    try:
        return mine_pairs(runs), ""
    except LratError as error:
        refusal = str(error)
    try:
        # Weights that can't be fitted are no reason not to count.
        return mine_pairs(runs, weighting=Weighting("uniform")), refusal
    except LratError:
        return None, refusal
