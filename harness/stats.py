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
EQUIVALENT = "no difference larger"
"""Followed by the study's margin, see `Difference.words`."""

SUPPORTED = "supported"
NOT_SUPPORTED = "not supported"

NEW_TRAININGS = "new trainings"
NEW_TRAININGS_AND_CLIPS = "new trainings and new clips"
"""What an interval is for."""


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
class McNemar:
    """Two trained networks of one seed on the same clips: exact, two-sided.

    gained, lost: clusters of clips of which the variant gets more, or fewer, right than the other.
    """

    seed: int
    gained: int
    lost: int
    p: float


@dataclass(frozen=True, kw_only=True)
class ClipPaired(Estimate):
    """A difference between these trained networks, paired by clip; says nothing about training them again.

    mean, low, high: in percentage points, over all their seeds; the interval is for new clips. n: clusters of
        clips; clips of one cluster are not independent.
    """

    clips: int
    p: float
    by_seed: tuple[McNemar, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Difference(Estimate):
    """A variant minus another, in percentage points, paired by seed.

    low, high: the interval that is quoted, over what `covers` says; of this comparison alone.
    p is of this comparison alone too; p_holm is corrected for its table, and decides the verdict.

    Attributes:
        variant, other: of which the difference is variant - other.
        covers: `NEW_TRAININGS` on these very clips, or `NEW_TRAININGS_AND_CLIPS`.
        trainings: the t interval over seeds alone, for these very clips; None without enough seeds.
        clips: the same networks compared clip by clip; None where predictions were not kept.
        bootstrap: percentile interval of seeds and clips resampled together; shown beside, never quoted: with
            few seeds it is too short (docs/statistics.md).
        margin: points that do not matter; 0 where the study names none.
        p_margin, p_margin_holm: of the test that the difference is outside the margin (two one-sided tests).
        effect: mean over standard deviation of the paired differences, with Hedges' correction.
        seeds_needed: seeds in all that would decide a difference as large as this one, in this table, at 80 %
            power; None where no number would, or nothing can be said.
        exploratory: the study did not state it beforehand.
    """

    seeds: tuple[int, ...]
    p: float | None = None
    p_holm: float | None = None
    verdict: str = TOO_FEW
    variant: str = ""
    other: str = ""
    covers: str = NEW_TRAININGS
    trainings: Estimate | None = None
    clips: ClipPaired | None = None
    bootstrap: Estimate | None = None
    margin: float = 0.0
    p_margin: float | None = None
    p_margin_holm: float | None = None
    effect: float | None = None
    seeds_needed: int | None = None
    exploratory: bool = True

    @property
    def words(self) -> str:
        """The verdict as a reader sees it: `EQUIVALENT` names its margin."""
        return f"{EQUIVALENT} than {self.margin:g} points" if self.verdict == EQUIVALENT else self.verdict


@dataclass(frozen=True, kw_only=True)
class Tested:
    """A hypothesis of the study, tested as it was stated and corrected with the study's others.

    text: "ks1357 > ks7" or "dilated ~ ks357 within 0.5".
    difference: left minus right; its own p is two-sided, `p` here is of the hypothesis: one-sided, or of the
        two one-sided tests against the margin.
    verdict: `SUPPORTED`, `NOT_SUPPORTED` (which does not say that the opposite holds) or `TOO_FEW`.
    """

    text: str
    difference: Difference
    p: float | None = None
    p_holm: float | None = None
    verdict: str = TOO_FEW


@dataclass(frozen=True, kw_only=True)
class Cheapest:
    """The cheapest variants shown to be at most `margin` points below every other one, the best among them.

    by: "MACs" or "latency". cost: in MACs, or the median in ms. variants: several where their cost is the same;
        empty where that is shown of none. p_holm: the largest of theirs, corrected over all variants.
    words: the answer in one sentence.
    """

    by: str
    variants: tuple[str, ...]
    cost: float | None
    margin: float
    p_holm: float | None
    words: str


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


def percentile(samples: Sequence[float], part: float) -> float:
    """The value that `part` (0 to 1) of the samples lie below, by linear interpolation between order statistics."""
    return _quantile(sorted(samples), part)


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
