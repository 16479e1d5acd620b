"""The passes of mining: naive pairs from trajectories, verdicts and weights over all, negatives for each."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar, NoReturn

import numpy as np

from lrat_hub.errors import LratError
from lrat_hub.judges import Judge, LLMJudge
from lrat_hub.ledger import Ledger
from lrat_hub.mining.negatives import KindByDocid, Positives, allowed_negatives, resolve_negatives
from lrat_hub.mining.profiles import NaivePair, naive_pairs
from lrat_hub.mining.released import UNLISTED, released_pairs
from lrat_hub.mining.settings import ResolvedSettings
from lrat_hub.mining.tables import Splits, question_key
from lrat_hub.mining.weights import GUARDS, LengthMeasure, WeightFit, Weighting, capped, fit_weights
from lrat_hub.schema import VERDICTS, Pair, Trajectory, Verdict
from lrat_hub.text import stable_hash
from lrat_hub.walk.opens import Opens

Batches = Iterable[Sequence[NaivePair]]
"""Naive pairs in their order, in batches that never cut a trajectory in two. It can be gone through several times."""


_STEP_NOTES = {"search": "searches", "browse": "browses", "answer": "answers", "invalid": "invalid actions"}

OPENED = "searches of whose lists a document was opened"
SILENT = "trained pairs of runs without any reasoning, weighted 1"
WEIGHTLESS = "trained pairs without reasoning after the browse, weighted 0"


def new_ledgers() -> dict[str, Ledger]:
    """Empty accounts of mining."""
    return {name: Ledger(name) for name in ("trajectories", "steps", "browses", "pairs")}


def opens_of(ledger: Mapping[str, Ledger]) -> Opens:
    """How often the runs that were mined opened what they listed, from the accounts of mining."""
    notes = ledger["steps"].notes
    return Opens(ledger["trajectories"].kept, notes["searches"], notes[OPENED], ledger["browses"].kept)


def refuse_obfuscated() -> NoReturn:
    """Raises LratError about runs on questions that their authors keep out of training data."""
    raise LratError(
        "Mining: expected runs on questions that may be trained on, found some whose questions are published "
        "obfuscated, as those of BrowseComp-Plus are, so that nobody trains on them. To measure a judge on such runs, "
        "publish the questions in plain text to a private repository (`deobfuscate` of lrat corpus) and run the agent "
        "on those."
    )


def mine_naive_pairs(
    trajectories: Iterable[Trajectory],
    settings: ResolvedSettings,
    measure: LengthMeasure,
    ledger: Mapping[str, Ledger],
    listed_held_out: set[str],
) -> list[NaivePair]:
    """The first pass, over some of the trajectories: their naive pairs, with the reasonings measured.

    Args:
        ledger: From `new_ledgers`; its accounts of trajectories, steps and browses are filled.
        listed_held_out: Gets the held-out documents that any search listed.
    """
    naive: list[NaivePair] = []
    for trajectory in trajectories:
        if trajectory.canary is not None:
            refuse_obfuscated()
        outcome = trajectory.outcome
        reason = (
            f"outcome {outcome}" if outcome not in settings.outcomes
            else f"status {trajectory.status}" if trajectory.status not in settings.statuses
            else None
        )  # fmt: skip
        if reason:
            ledger["trajectories"].drop(reason)
            ledger["steps"].drop(f"of trajectories with {reason}", len(trajectory.steps))
            continue
        ledger["trajectories"].keep()
        ledger["steps"].keep(len(trajectory.steps))
        for action, count in Counter(step.action for step in trajectory.steps).items():
            ledger["steps"].note(_STEP_NOTES[action], count)
        if settings.held_out:
            listed = {hit.docid for step in trajectory.steps for hit in step.results}
            listed_held_out |= listed & settings.held_out
        pairs_of = released_pairs if settings.profile == "released" else naive_pairs
        silent = not any(step.reasoning for step in trajectory.steps)
        found = pairs_of(trajectory, settings, ledger["browses"])
        ledger["steps"].note(OPENED, len({each.pair.search_turn for each in found}))
        naive += (each._replace(silent=silent) for each in found)
    lengths = measure([each.pair.reasoning for each in naive])
    return [
        each._replace(pair=dataclasses.replace(each.pair, reasoning_length=length))
        for each, length in zip(naive, lengths, strict=True)
    ]


def note_held_out(ledger: Mapping[str, Ledger], settings: ResolvedSettings, listed: set[str]) -> None:
    """Says how many held-out documents were listed; also when none was: then the list is of another corpus."""
    if settings.held_out:
        ledger["browses"].notes[f"held-out documents listed, of {len(settings.held_out)}"] = len(listed)


@dataclass(frozen=True)
class JudgedPairs:
    """What has to be known of all pairs before any is finished: less than 100 bytes a pair.

    Args:
        verdicts: Index of each verdict in VERDICTS, shape (pairs,), int8.
        weights: Shape (pairs,), nan where the pair is not trained on.
        fits: By group; only pairs of the split "train" have a part in them.
    """

    verdicts: np.ndarray
    weights: np.ndarray
    positives: Positives
    fits: dict[str, WeightFit]


@dataclass(frozen=True)
class PairFacts:
    """What weights and protected negatives need to know of the pairs of one batch.

    Args:
        rows: A row of `ROW` for each pair.
        groups: Names of the groups that `group` numbers.
        account: The pairs that are trained on, and why others are not.
    """

    rows: np.ndarray
    groups: Sequence[str]
    account: Ledger

    ROW: ClassVar = np.dtype(
        [
            ("id", np.uint64), ("positive", np.uint64), ("length", np.int64), ("group", np.int32),
            ("verdict", np.int8), ("trained", bool), ("fitted", bool), ("guarded", bool), ("silent", bool),
        ]
    )  # fmt: skip


def judge_and_weigh(
    batches: Batches, judge: Judge | None, settings: ResolvedSettings, splits: Splits, ledger: Mapping[str, Ledger]
) -> JudgedPairs:
    """The second pass: asks the judge, fits the weights and collects the positives.

    Args:
        ledger: Its "pairs" gets the pairs that are trained on, and why others are not.

    Raises:
        LratError: Two pairs have the same id, or the weights of some pairs can't be fitted.
    """
    fetch_replies(judge, batches)
    return weigh((judged_facts(batch, judge, settings, splits) for batch in batches), settings, ledger)


def fetch_replies(judge: Judge | None, batches: Batches) -> None:
    """Has a judge whose model is asked in bulk ask about all pairs."""
    if isinstance(judge, LLMJudge):
        judge.fetch(lambda: (each.pair for batch in batches for each in batch))


def judged_facts(
    batch: Sequence[NaivePair], judge: Judge | None, settings: ResolvedSettings, splits: Splits
) -> PairFacts:
    """Asks the judge about a batch, and gives what `weigh` needs to know of its pairs."""
    pairs = [each.pair for each in batch]
    given: list[Verdict] = list(judge.judge(pairs)) if judge else ["unjudged"] * len(pairs)
    resolved = _resolved(batch, given, settings, judged=judge is not None)
    account, groups = Ledger("pairs"), dict[str, int]()
    rows = np.zeros(len(pairs), dtype=PairFacts.ROW)
    for row, each, verdict, (pair, negatives) in zip(rows, batch, given, resolved, strict=True):
        trained = negatives is not None and verdict in settings.train_on
        guarded_by = [name for name in settings.guards if trained and GUARDS[name](pair)]
        for name in guarded_by:
            account.note(_bite(name))
        if trained:
            account.keep()
        else:
            account.drop(UNLISTED if negatives is None else f"verdict {verdict}")
        row["id"] = stable_hash(pair.pair_id)
        row["positive"] = Positives.hash(question_key(pair), pair.positive_id)
        row["length"], row["verdict"] = pair.reasoning_length, VERDICTS.index(verdict)
        row["group"] = groups.setdefault(_group(pair, settings), len(groups))
        row["trained"], row["fitted"] = trained, trained and splits.of(pair) == "train"
        row["guarded"], row["silent"] = bool(guarded_by), each.silent
    return PairFacts(rows, list(groups), account)


def weigh(facts: Iterable[PairFacts], settings: ResolvedSettings, ledger: Mapping[str, Ledger]) -> JudgedPairs:
    """Fits the weights of all pairs and collects the positives; raises as `judge_and_weigh`."""
    account, names, parts = ledger["pairs"], dict[str, int](), [np.zeros(0, dtype=PairFacts.ROW)]
    for part in facts:
        account.add(part.account)
        numbers = np.array([names.setdefault(name, len(names)) for name in part.groups], dtype=np.int32)
        rows = part.rows.copy()
        rows["group"] = numbers[rows["group"]] if len(rows) else 0
        parts.append(rows)
    rows = np.concatenate(parts)
    if repeated := len(rows) - len(np.unique(rows["id"])):
        raise LratError(
            f"Mining: expected every trajectory once, found {repeated} pairs with the id of another. "
            "The same runs are in the input twice, or different runs share an id."
        )
    for name in settings.guards:
        # Also when it is 0, so that nobody has to wonder whether the guard was on.
        account.notes[_bite(name)] += 0
    weights, fits = np.full(len(rows), np.nan), {}
    # Where nobody reasoned, lengths of 0 say nothing of documents: these pairs weigh what pairs weigh on average.
    unweighable = rows["trained"] & rows["silent"]
    weights[unweighable] = 1.0
    account.note(SILENT, int(unweighable.sum()))
    for name, number in sorted(names.items()):
        members = np.flatnonzero(rows["trained"] & ~unweighable & (rows["group"] == number))
        if len(members):
            weights[members], fits[name] = _weigh(
                name,
                rows["length"][members].astype(np.float64),
                rows["guarded"][members],
                rows["fitted"][members],
                settings.weighting,
            )
    account.note(WEIGHTLESS, int((weights[rows["trained"]] == 0).sum()))
    return JudgedPairs(rows["verdict"].copy(), weights, Positives(rows["positive"][rows["trained"]]), fits)


def _bite(guard: str) -> str:
    return f"trained pairs, guard {guard} bit"


def _group(pair: Pair, settings: ResolvedSettings) -> str:
    """The name of what the pair shares the constants of its weight with."""
    by = settings.weighting.by
    return "all" if by == "global" else (pair.agent if by == "agent" else pair.retriever) or "unknown"


def _weigh(
    name: str, lengths: np.ndarray, guarded: np.ndarray, fitted: np.ndarray, weighting: Weighting
) -> tuple[np.ndarray, WeightFit]:
    """The weights of the trained pairs of one group, by the constants of those that are in the split `train`."""
    # A group that is only in the other splits has nothing but itself to be weighed by.
    fitted = fitted if fitted.any() else np.ones_like(fitted)
    try:
        fit = fit_weights(lengths[fitted], weighting, guarded=guarded[fitted])
    except LratError as error:
        raise LratError(f"{error} (Pairs of: {name}.)") from error
    assert abs(fit.weights.mean() - 1) < 1e-9, f"The weights of {name} have mean {fit.weights.mean()}, not 1."
    return fit.weigh(capped(lengths, guarded, fit.half_life)), fit


def complete_pairs(
    batches: Batches,
    judged_pairs: JudgedPairs,
    judge: Judge | None,
    settings: ResolvedSettings,
    ledger: Mapping[str, Ledger],
) -> Iterator[list[Pair]]:
    """The third pass: gives every pair its negatives, verdict and weight, batch by batch."""
    start, stamp = 0, stamp_of(judge)
    for batch in batches:
        here = slice(start, start := start + len(batch))
        part = dataclasses.replace(
            judged_pairs, verdicts=judged_pairs.verdicts[here], weights=judged_pairs.weights[here]
        )
        yield completed(batch, part, stamp, settings, ledger["pairs"])


def stamp_of(judge: Judge | None) -> dict[str, str]:
    """What pairs say of their judge."""
    return {"judge": judge.name, "judge_prompt": judge.prompt} if judge else {}


def completed(
    batch: Sequence[NaivePair],
    judged_pairs: JudgedPairs,
    stamp: Mapping[str, str],
    settings: ResolvedSettings,
    account: Ledger,
) -> list[Pair]:
    """The pairs of a batch with negatives, verdict and weight.

    Args:
        judged_pairs: Verdicts and weights of these pairs alone.
        stamp: From `stamp_of`.
        account: Gets notes on the negatives.
    """
    done: list[Pair] = []
    verdicts = [VERDICTS[code] for code in judged_pairs.verdicts]
    resolved = _resolved(batch, verdicts, settings, judged=bool(stamp))
    for (pair, negatives), verdict, weight in zip(resolved, verdicts, judged_pairs.weights, strict=True):
        if negatives is None:
            continue
        allowed = allowed_negatives(pair, negatives, judged_pairs.positives, settings, account)
        trained = not np.isnan(weight)
        if trained and not allowed:
            account.note("trained pairs without a negative")
        done.append(
            dataclasses.replace(
                pair,
                negative_ids=tuple(allowed),
                negative_kinds=tuple(allowed.values()),
                verdict=verdict,
                weight=float(weight) if trained else None,
                **stamp,
            )
        )
    return done


def _resolved(
    batch: Sequence[NaivePair], verdicts: Sequence[Verdict], settings: ResolvedSettings, *, judged: bool
) -> Iterator[tuple[Pair, KindByDocid | None]]:
    """Each pair of a batch with its negatives, as `resolve_negatives` gives them for each trajectory."""
    both = zip(batch, verdicts, strict=True)
    for _, members in groupby(both, key=lambda member: member[0].pair.trajectory_id):
        naive, of_naive = zip(*members, strict=True)
        pairs = (each.pair for each in naive)
        yield from zip(pairs, resolve_negatives(naive, of_naive, settings, judged=judged), strict=True)
