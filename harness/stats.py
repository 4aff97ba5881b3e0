"""Intervals, tests and verdicts on differences of accuracy, and how many seeds they need.

    python -m harness.stats --calibrate      # are they calibrated? simulated studies say (harness/calibration.py)

What each number means stands in docs/statistics.md. Two-sided at 95 % throughout; fewer than three seeds give no
interval over trainings.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.distributions import ALPHA, MIN_SEEDS, POWER, half_width, p_value, power

if TYPE_CHECKING:
    from harness.clips import Clips

CONFIDENCE = 0.95
MAX_SEEDS = 1000
"""Nobody trains more often: a difference that needs more seeds is called undecidable by seeds."""
SAME = 1e-9
"""Percentages closer than this are the same number: 70.1 - 60.1 is not exactly 10."""

BETTER = "better"
WORSE = "worse"
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

    def holds(self, value: float) -> bool:
        """Whether the interval holds a value; False without an interval."""
        return self.low is not None and self.high is not None and self.low <= value <= self.high


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
class StandardError:
    """How far a mean difference may be off, in points, and by which tests that is judged.

    Attributes:
        n: seeds.
        seeds: from training again on other seeds: sd of the paired differences / sqrt(n). 0: they are all the
            same, so that their spread is unknown, not zero.
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
        if (
            self.seeds <= SAME
        ):  # the sign test; it knows nothing of new clips, so it decides nothing that they do not
            over_seeds = 1.0 if abs(gap) <= SAME else 2.0 ** (1 - self.n)
            if self.clips <= 0 or self.clusters < 2:
                return over_seeds
            return max(over_seeds, float(p_value(gap, self.clips, 0.0, self.clusters - 1, 0)))
        return float(p_value(gap, self.seeds, self.clips, self.n - 1, self.clusters - 1))

    def p_above(self, gap: float) -> float:
        """One-sided: that the true difference is not above a bound that the one found is `gap` above."""
        two_sided = self.p(gap)
        if self.seeds <= SAME:
            return two_sided / 2 if gap > SAME else 1.0
        return two_sided / 2 if gap > 0 else 1 - two_sided / 2


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
        error: what the interval and the p values are made of; None with fewer than three seeds.
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
    error: StandardError | None = None
    exploratory: bool = True

    @property
    def words(self) -> str:
        """The verdict as a reader sees it: `EQUIVALENT` names its margin."""
        plural = "" if self.margin == 1 else "s"
        return (
            f"{EQUIVALENT} than {self.margin:g} point{plural}" if self.verdict == EQUIVALENT else self.verdict
        )


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
    error = _standard_error(values)
    half = error.half_width() if error else None
    if half is None:
        return Estimate(mean=mean, n=n)
    return Estimate(mean=mean, n=n, low=mean - half, high=mean + half)


def paired_difference(
    variant: Mapping[int, float],
    baseline: Mapping[int, float],
    clips: Clips | None = None,
    margin: float = 0.0,
    *,
    names: tuple[str, str] = ("", ""),
) -> Difference:
    """`variant` minus `baseline` over the seeds that both have. Arguments: accuracy by seed.

    Differences that are all the same and not zero leave a t test undefined; they get the sign test's p value,
    2 ** (1 - n), or the one over clips where that is larger, and no interval.

    Args:
        clips: the same trained networks clip by clip (harness/clips.py); without it the interval is for these
            very clips.
        margin: points that do not matter.
        names: of the two.
    """
    seeds = tuple(sorted(variant.keys() & baseline.keys()))
    differences = [variant[seed] - baseline[seed] for seed in seeds]
    trainings = mean_interval(differences)
    base = Difference(
        mean=trainings.mean, n=trainings.n, seeds=seeds, variant=names[0], other=names[1], margin=margin,
        clips=clips.paired() if clips else None,
    )  # fmt: skip
    error = _standard_error(differences)
    if error is None:
        return base
    covers = NEW_TRAININGS
    if clips is not None and clips.seeds == seeds and clips.clusters > 1:
        error = replace(error, clips=clips.clip_error(), clusters=clips.clusters)
        covers = NEW_TRAININGS_AND_CLIPS
    half, mean = error.half_width(), base.mean
    return replace(
        base,
        low=None if half is None else mean - half,
        high=None if half is None else mean + half,
        covers=covers,
        trainings=trainings if half is not None else None,
        error=error,
        p=error.p(mean),
        p_margin=max(error.p_above(margin + mean), error.p_above(margin - mean)) if margin else None,
        effect=_effect(differences),
    )


def correct(table: Sequence[Difference]) -> list[Difference]:
    """The differences of one table with p values corrected for it, the verdicts that these allow, and the seeds
    that would decide each. Differences and equivalence are corrected each for themselves."""
    tested = [row.p for row in table if row.p is not None]
    p_holm = iter(holm(tested))
    p_margin = iter(holm([row.p_margin for row in table if row.p_margin is not None]))
    return [
        judge(
            replace(row, seeds_needed=seeds_needed(row, ALPHA / len(tested)) if row.error else None),
            None if row.p is None else next(p_holm),
            None if row.p_margin is None else next(p_margin),
        )
        for row in table
    ]


def judge(difference: Difference, p_holm: float | None, p_margin_holm: float | None = None) -> Difference:
    """The difference with its corrected p values and the word that they allow."""
    if p_holm is not None and p_holm < ALPHA:
        verdict = BETTER if difference.mean > 0 else WORSE
    elif p_margin_holm is not None and p_margin_holm < ALPHA:
        verdict = EQUIVALENT
    else:
        verdict = TOO_FEW
    return replace(difference, p_holm=p_holm, p_margin_holm=p_margin_holm, verdict=verdict)


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


def seeds_needed(difference: Difference, alpha: float) -> int | None:
    """Seeds in all that decide a true difference as large as the one found, at 80 % power; None where more than
    `MAX_SEEDS` would be needed, or the spread is unknown. Spread and difference are taken to be those found, which
    three seeds know badly."""
    error = difference.error
    if error is None or error.seeds <= SAME or abs(difference.mean) <= SAME:
        return None
    sd = error.seeds * math.sqrt(error.n)

    def enough(seeds: int) -> bool:
        clips, df = error.clips, error.clusters - 1
        return power(difference.mean, seeds, sd, alpha=alpha, clip_error=clips, clip_df=df) >= POWER

    if not enough(MAX_SEEDS):
        return None
    few, many = MIN_SEEDS - 1, MAX_SEEDS
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if enough(middle) else (middle, many)
    return many


def _quantile(ordered: Sequence[float], part: float) -> float:
    position = part * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def _standard_error(values: Sequence[float]) -> StandardError | None:
    if len(values) < MIN_SEEDS:
        return None
    same = max(values) - min(values) <= SAME
    return StandardError(
        n=len(values), seeds=0.0 if same else statistics.stdev(values) / math.sqrt(len(values))
    )


def _effect(differences: Sequence[float]) -> float | None:
    """Mean over sd, times Hedges' exact correction for the few seeds behind the sd."""
    sd, df = statistics.stdev(differences), len(differences) - 1
    if sd <= SAME:
        return None
    correction = math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)
    return correction * statistics.fmean(differences) / sd


def main(argv: Sequence[str] | None = None) -> int:
    """Print the calibration table. Exit code 0, or 2 for a request that cannot be carried out."""
    from harness.calibration import calibrate

    parser = argparse.ArgumentParser(prog="python -m harness.stats", description="Check the statistics.")
    parser.add_argument("--calibrate", action="store_true", required=True, help="simulate studies")
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="with few clips; only tests the code")
    args = parser.parse_args(argv)
    if args.studies < 1:
        parser.error(f"--studies {args.studies} is below 1")
    print(calibrate(args.studies, quick=args.quick))
    return 0


if __name__ == "__main__":
    sys.exit(main())
