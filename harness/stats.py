"""Means, paired differences and verdicts: the only door to scipy.

Every interval here is a two-sided 95 % t interval over seeds. Fewer than three seeds give no interval.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

CONFIDENCE = 0.95
ALPHA = 0.05
MIN_SEEDS = 3
SAME = 1e-9
"""Percentages closer than this are the same number: 70.1 - 60.1 is not exactly 10."""

BETTER = "better"
WORSE = "worse"
NOT_SHOWN = "no difference shown"
TOO_FEW = "too few seeds to tell"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over seeds. `low` and `high` are None where n or the spread gives no interval."""

    mean: float
    n: int
    low: float | None = None
    high: float | None = None

    @property
    def half_width(self) -> float | None:
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True, kw_only=True)
class Difference(Estimate):
    """A variant minus the baseline, in percentage points, paired by seed.

    p is of this row alone; p_holm is corrected for the rows of the table, and decides the verdict.
    """

    seeds: tuple[int, ...]
    p: float | None = None
    p_holm: float | None = None
    verdict: str = TOO_FEW


@dataclass(frozen=True, kw_only=True)
class Quartiles:
    """Median and quartiles of repeated measurements."""

    q1: float
    median: float
    q3: float
    n: int


def mean_interval(values: Sequence[float]) -> Estimate:
    """Mean of one variant's accuracies, one value a seed. NaN mean without values.

    Values that are all the same give no interval: their spread is unknown, not zero.
    """
    n = len(values)
    if n == 0:
        return Estimate(mean=math.nan, n=0)
    mean = statistics.fmean(values)
    half = _half_width(values)
    if half is None:
        return Estimate(mean=mean, n=n)
    return Estimate(mean=mean, n=n, low=mean - half, high=mean + half)


def paired_difference(variant: Mapping[int, float], baseline: Mapping[int, float]) -> Difference:
    """`variant` minus `baseline` over the seeds that both have. Arguments: accuracy by seed.

    The p value is the paired t test's. Differences that are all the same and not zero leave it undefined;
    they get the sign test's, 2 ** (1 - n), and no interval.
    """
    seeds = tuple(sorted(variant.keys() & baseline.keys()))
    differences = [variant[seed] - baseline[seed] for seed in seeds]
    estimate = mean_interval(differences)
    p: float | None = None
    if len(seeds) >= MIN_SEEDS:
        p = _p_value(differences)
    return Difference(
        mean=estimate.mean, n=estimate.n, low=estimate.low, high=estimate.high, seeds=seeds, p=p
    )


def compare(accuracy: Mapping[str, Mapping[int, float]], baseline: str) -> dict[str, Difference]:
    """Every variant but the baseline against it, with verdicts corrected together by Holm's method.

    Args:
        accuracy: accuracy by seed, for every variant of the table.
    """
    rows = {
        variant: paired_difference(by_seed, accuracy.get(baseline, {}))
        for variant, by_seed in accuracy.items()
        if variant != baseline
    }
    tested = {variant: row.p for variant, row in rows.items() if row.p is not None}
    corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {variant: judge(row, corrected.get(variant)) for variant, row in rows.items()}


def judge(difference: Difference, p_corrected: float | None) -> Difference:
    """The difference with its corrected p value and the word that it allows."""
    if p_corrected is None:
        verdict = TOO_FEW
    elif p_corrected < ALPHA:
        verdict = BETTER if difference.mean > 0 else WORSE
    elif difference.low is None and abs(difference.mean) > SAME:
        verdict = TOO_FEW  # the same difference for every seed: its spread is unknown
    else:
        verdict = NOT_SHOWN
    return replace(difference, p_holm=p_corrected, verdict=verdict)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p values that keep the chance of any false claim at the level used."""
    corrected = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = running
    return corrected


def quartiles(samples: Sequence[float]) -> Quartiles | None:
    """Quartiles by linear interpolation between order statistics. None without samples."""
    if not samples:
        return None
    ordered = sorted(samples)
    q1, median, q3 = (_quantile(ordered, part) for part in (0.25, 0.5, 0.75))
    return Quartiles(q1=q1, median=median, q3=q3, n=len(ordered))


def _quantile(ordered: Sequence[float], part: float) -> float:
    position = part * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def _half_width(values: Sequence[float]) -> float | None:
    if len(values) < MIN_SEEDS or _all_same(values):
        return None
    from scipy.stats import t

    critical = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    return critical * statistics.stdev(values) / math.sqrt(len(values))


def _p_value(differences: Sequence[float]) -> float:
    n = len(differences)
    mean = statistics.fmean(differences)
    if _all_same(differences):
        return 1.0 if abs(mean) <= SAME else 2.0 ** (1 - n)
    from scipy.stats import t

    return float(2 * t.sf(abs(mean) / (statistics.stdev(differences) / math.sqrt(n)), n - 1))


def _all_same(values: Sequence[float]) -> bool:
    return max(values) - min(values) <= SAME
