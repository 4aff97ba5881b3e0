"""Which variants are ahead: of all, of each other, and of those that will do the cheapest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.records import TrialRecord
from harness.stats.cheapest import Cheapest, cheapest, close_enough
from harness.stats.differences import Verdict, correct
from harness.stats.estimates import PER_CENT, Estimate, Quartiles, mean_interval
from harness.stats.scores import Scores


def _common_seeds(top1: Mapping[str, Mapping[int, float]], trials: Sequence[TrialRecord]) -> set[int]:
    """Seeds that every variant has an accuracy for: means over other seeds would be of other luck.

    A variant that lacks a seed because that trial failed keeps two or more others from nothing, and has no place among
    them: see `Summary.unranked`.
    """
    failed = {trial.variant for trial in trials if trial.status == "failed"}
    known = {variant: set(one) for variant, one in top1.items() if one}
    whole = [seeds for variant, seeds in known.items() if variant not in failed]
    return set.intersection(*(whole if len(whole) > 1 else known.values())) if known else set()


def ranked_by(
    top1: Mapping[str, Mapping[int, float]], trials: Sequence[TrialRecord], baseline: str
) -> dict[str, Estimate]:
    """Of equals the baseline first."""
    common = _common_seeds(top1, trials)
    found = {
        variant: mean_interval([one[seed] for seed in sorted(common)], PER_CENT)
        for variant, one in top1.items()
        if common and common <= one.keys()
    }
    order = sorted(found, key=lambda variant: (-round(found[variant].mean, 9), variant != baseline))
    return {variant: found[variant] for variant in order}


def is_clear(scores: Scores, best: str) -> bool:
    """Whether it is better than each of the others, corrected for all of them."""
    others = [variant for variant, one in scores.accuracy.items() if one and variant != best]
    gaps = correct([scores.difference(best, other, 0.0) for other in others])
    return bool(gaps) and all(gap.verdict == Verdict.BETTER for gap in gaps)


def ahead_of(scores: Scores) -> dict[str, list[str]]:
    """Of each variant, those that it is shown to be better than: by the interval of the two alone, uncorrected."""
    found: dict[str, list[str]] = {variant: [] for variant in scores.accuracy}
    for (one, other), gap in scores.every_pair.items():
        if gap.low is not None and gap.low > 0:
            found[one].append(other)
        if gap.high is not None and gap.high < 0:
            found[other].append(one)
    return found


def cheapest_of(
    scores: Scores, macs: Mapping[str, float], latency: Mapping[str, Quartiles], doubtful: Sequence[str]
) -> list[Cheapest]:
    """By MACs, and by latency where one was measured; nothing without a margin.

    doubtful: the variants whose latency says nothing.
    """
    if not scores.margin:
        return []
    corrected = close_enough(scores)
    found = [cheapest(scores, macs, "MACs", corrected)] if macs else []
    sure = {variant: measured for variant, measured in latency.items() if variant not in doubtful}
    return [*found, cheapest(scores, sure, "latency", corrected)] if latency else found
