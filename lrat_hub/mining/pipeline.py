"""The passes of mining: naive pairs from trajectories, verdicts and weights over all, negatives for each."""

from __future__ import annotations

import dataclasses
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from lrat_hub.errors import LratError
from lrat_hub.judges import Judge
from lrat_hub.ledger import Ledger
from lrat_hub.mining.negatives import KindByDocid, Positives, allowed_negatives, resolve_negatives
from lrat_hub.mining.profiles import NaivePair, naive_pairs
from lrat_hub.mining.released import UNLISTED, released_pairs
from lrat_hub.mining.settings import ResolvedSettings
from lrat_hub.mining.tables import Splits, question_key
from lrat_hub.mining.weights import GUARDS, LengthMeasure, WeightFit, Weighting, capped, fit_weights
from lrat_hub.schema import VERDICTS, Pair, Trajectory, Verdict

Batches = Iterable[Sequence[NaivePair]]
"""Naive pairs in their order, in batches that never cut a trajectory in two. It can be gone through several times."""


_STEP_NOTES = {"search": "searches", "browse": "browses", "answer": "answers", "invalid": "invalid actions"}


def new_ledgers() -> dict[str, Ledger]:
    """Empty accounts of mining."""
    return {name: Ledger(name) for name in ("trajectories", "steps", "browses", "pairs")}


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
        naive += pairs_of(trajectory, settings, ledger["browses"])
    lengths = measure([pair.reasoning for pair, _ in naive])
    return [
        NaivePair(dataclasses.replace(pair, reasoning_length=length), run)
        for (pair, run), length in zip(naive, lengths, strict=True)
    ]


def note_held_out(ledger: Mapping[str, Ledger], settings: ResolvedSettings, listed: set[str]) -> None:
    """Says how many held-out documents were listed; also when none was: then the list is of another corpus."""
    if settings.held_out:
        ledger["browses"].notes[f"held-out documents listed, of {len(settings.held_out)}"] = len(listed)


@dataclass(frozen=True)
class JudgedPairs:
    """What has to be known of all pairs before any is finished: less than 100 bytes a pair.

    Args:
        verdicts: Index of each verdict in VERDICTS, shape (pairs,).
        weights: Shape (pairs,), nan where the pair is not trained on.
        fits: By group; only pairs of the split "train" have a part in them.
    """

    verdicts: np.ndarray
    weights: np.ndarray
    positives: Positives
    fits: dict[str, WeightFit]


def judge_and_weigh(
    batches: Batches, judge: Judge | None, settings: ResolvedSettings, splits: Splits, ledger: Mapping[str, Ledger]
) -> JudgedPairs:
    """The second pass: asks the judge, fits the weights and collects the positives.

    Args:
        ledger: Its "pairs" gets the pairs that are trained on, and why others are not.

    Raises:
        LratError: Two pairs have the same id, or the weights of some pairs can't be fitted.
    """
    verdicts, lengths, groups, ids, positives = array("b"), array("l"), array("i"), array("q"), array("q")
    fitted, guarded = array("b"), array("b")
    names: dict[str, int] = {}
    account, bites = ledger["pairs"], Counter[str]()
    for batch in batches:
        pairs = [pair for pair, _ in batch]
        unjudged: list[Verdict] = ["unjudged"] * len(pairs)
        given = list(judge.judge(pairs)) if judge else unjudged
        resolved = _resolved(batch, given, settings, judged=judge is not None)
        for pair, verdict, (_, negatives) in zip(pairs, given, resolved, strict=True):
            trained = negatives is not None and verdict in settings.train_on
            guarded_by = [name for name in settings.guards if trained and GUARDS[name](pair)]
            bites.update(guarded_by)
            if trained:
                account.keep()
                positives.append(Positives.hash(question_key(pair), pair.positive_id))
            else:
                account.drop(UNLISTED if negatives is None else f"verdict {verdict}")
            ids.append(hash(pair.pair_id))
            verdicts.append(VERDICTS.index(verdict))
            lengths.append(pair.reasoning_length)
            groups.append(names.setdefault(_group(pair, settings), len(names)))
            fitted.append(trained and splits.of(pair) == "train")
            guarded.append(bool(guarded_by))
    if repeated := len(ids) - len(np.unique(np.array(ids, dtype=np.int64))):
        raise LratError(
            f"Mining: expected every trajectory once, found {repeated} pairs with the id of another. "
            "The same runs are in the input twice, or different runs share an id."
        )
    for name in settings.guards:
        # Also when it is 0, so that nobody has to wonder whether the guard was on.
        account.notes[f"trained pairs, guard {name} bit"] = bites[name]
    codes = np.array(verdicts, dtype=np.int8)
    trained_on = np.isin(codes, [VERDICTS.index(verdict) for verdict in settings.train_on])
    weights, fits = np.full(len(codes), np.nan), {}
    for name, number in sorted(names.items()):
        members = np.flatnonzero(trained_on & (np.array(groups) == number))
        if len(members):
            weights[members], fits[name] = _weigh(
                name,
                np.array(lengths, dtype=np.float64)[members],
                np.array(guarded, dtype=bool)[members],
                np.array(fitted, dtype=bool)[members],
                settings.weighting,
            )
    return JudgedPairs(codes, weights, Positives(np.array(positives, dtype=np.int64)), fits)


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
    start, pairs_ledger = 0, ledger["pairs"]
    stamp = {"judge": judge.name, "judge_prompt": judge.prompt} if judge else {}
    for batch in batches:
        done: list[Pair] = []
        here = slice(start, start := start + len(batch))
        verdicts = [VERDICTS[code] for code in judged_pairs.verdicts[here]]
        resolved = _resolved(batch, verdicts, settings, judged=judge is not None)
        for (pair, negatives), verdict, weight in zip(resolved, verdicts, judged_pairs.weights[here], strict=True):
            if negatives is None:
                continue
            allowed = allowed_negatives(pair, negatives, judged_pairs.positives, settings, pairs_ledger)
            trained = not np.isnan(weight)
            if trained and not allowed:
                pairs_ledger.note("trained pairs without a negative")
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
        yield done


def _resolved(
    batch: Sequence[NaivePair], verdicts: Sequence[Verdict], settings: ResolvedSettings, *, judged: bool
) -> Iterator[tuple[Pair, KindByDocid | None]]:
    """Each pair of a batch with its negatives, as `resolve_negatives` gives them for each trajectory."""
    both = zip(batch, verdicts, strict=True)
    for _, members in groupby(both, key=lambda member: member[0].pair.trajectory_id):
        naive, of_naive = zip(*members, strict=True)
        pairs = (each.pair for each in naive)
        yield from zip(pairs, resolve_negatives(naive, of_naive, settings, judged=judged), strict=True)
