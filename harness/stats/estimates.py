"""Means with their intervals, and quartiles.

Two-sided at 95 % throughout; fewer than three seeds give no interval over trainings. What each number means stands in
docs/statistics.md.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

from harness.stats.distributions import ALPHA, MIN_SEEDS, half_width, p_value

CONFIDENCE = 0.95

SAME = 1e-9
"""Percentages closer than this are the same number: 70.1 - 60.1 is not exactly 10."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over seeds. `low` and `high` are None where n or the spread gives no interval; neither lies beyond what
    the quantity can be."""

    mean: float
    n: int
    low: float | None = None
    high: float | None = None

    @property
    def half_width(self) -> float | None:
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def lopsided(self) -> bool:
        """Whether its interval is not the same on both sides of the mean: it was cut at what can be."""
        half = self.half_width
        return half is not None and self.low is not None and abs(self.mean - self.low - half) > SAME

    def holds(self, value: float) -> bool:
        """Whether the interval holds a value; False without an interval."""
        return self.low is not None and self.high is not None and self.low <= value <= self.high


@dataclass(frozen=True, kw_only=True)
class StandardError:
    """How far a mean difference may be off, in points, and by which tests that is judged.

    Attributes:
        n: seeds.
        seeds: from training again on other seeds: sd of the paired differences / sqrt(n); where they are all the
            same, what the clips let it be at least. 0: they are all the same and no clips were kept, so that their
            spread is unknown, not zero.
        clips: from drawing other clips, beyond what `seeds` holds; 0 where it is unknown or none.
        clusters: of clips, behind `clips`.
    """

    n: int
    seeds: float
    clips: float = 0.0
    clusters: int = 0

    def half_width(self, alpha: float = ALPHA) -> float | None:
        """Of the interval with coverage 1 - alpha; None where the spread of the seeds is unknown."""
        if self.seeds <= SAME:
            return None
        return float(half_width(self.seeds, self.clips, self.n - 1, self.clusters - 1, alpha))

    def p(self, gap: float) -> float:
        """Two-sided: that the true difference is `gap` away from the one found."""
        if self.seeds <= SAME:  # the sign test
            return 1.0 if abs(gap) <= SAME else 2.0 ** (1 - self.n)
        return float(p_value(gap, self.seeds, self.clips, self.n - 1, self.clusters - 1))

    def p_above(self, gap: float) -> float:
        """One-sided: that the true difference is not above a bound that the one found is `gap` above."""
        two_sided = self.p(gap)
        if self.seeds <= SAME:
            return two_sided / 2 if gap > SAME else 1.0
        return two_sided / 2 if gap > 0 else 1 - two_sided / 2


@dataclass(frozen=True, kw_only=True)
class Quartiles:
    """Median and quartiles of repeated measurements."""

    q1: float
    median: float
    q3: float
    n: int


def finite(value: float | None) -> TypeGuard[float]:
    """A number that can be averaged. A metric read back from JSON is None where it was NaN."""
    return value is not None and math.isfinite(value)


PER_CENT, POINTS = (0.0, 100.0), (-100.0, 100.0)
"""What an accuracy can be, and a difference of two: an interval is cut there."""


def mean_interval(values: Sequence[float], bounds: tuple[float, float] | None = None) -> Estimate:
    """Mean of one variant's values, one a seed. NaN mean without values.

    Values that are all the same give no interval: their spread is unknown, not zero.

    Args:
        bounds: what the quantity can be.
    """
    n = len(values)
    if n == 0:
        return Estimate(mean=math.nan, n=0)
    mean = statistics.fmean(values)
    error = standard_error(values)
    half = error.half_width() if error else None
    if half is None:
        return Estimate(mean=mean, n=n)
    low, high = cut(mean - half, mean + half, bounds)
    return Estimate(mean=mean, n=n, low=low, high=high)


def cut(low: float, high: float, bounds: tuple[float, float] | None) -> tuple[float, float]:
    """An interval without what cannot be."""
    return (low, high) if bounds is None else (max(low, bounds[0]), min(high, bounds[1]))


def quartiles(samples: Sequence[float]) -> Quartiles | None:
    """Median and quartiles by linear interpolation between order statistics. None without samples."""
    if not samples:
        return None
    ordered = sorted(samples)
    q1, median, q3 = (_quantile(ordered, part) for part in (0.25, 0.5, 0.75))
    return Quartiles(q1=q1, median=median, q3=q3, n=len(ordered))


def percentile(samples: Sequence[float], part: float) -> float:
    """The value that `part` (0 to 1) of the samples lie below, by linear interpolation between order statistics."""
    return _quantile(sorted(samples), part)


def _quantile(ordered: Sequence[float], part: float) -> float:
    position = part * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def standard_error(values: Sequence[float]) -> StandardError | None:
    """Of a mean over seeds, one value a seed; None with fewer than three."""
    if len(values) < MIN_SEEDS:
        return None
    n, same = len(values), max(values) - min(values) <= SAME
    return StandardError(n=n, seeds=0.0 if same else statistics.stdev(values) / math.sqrt(n))
