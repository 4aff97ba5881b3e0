"""Differences of accuracy between variants, paired by seed: intervals, tests and verdicts.

What each number means stands in docs/statistics.md.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from harness.stats.clips import ClipDifference, PairedClips
from harness.stats.distributions import ALPHA, MIN_SEEDS, POWER, power
from harness.stats.estimates import POINTS, SAME, Estimate, StandardError, cut, mean_interval, standard_error

MAX_SEEDS = 1000
"""Nobody trains more often: a difference that needs more seeds is called undecidable by seeds."""


class Verdict(str, Enum):
    """What a test allows to be said, in the words that reports, JSON and CSV print.

    Of a difference: better, worse, equivalent or too few. Of a hypothesis: supported, not supported or too few.
    """

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "no difference larger"  # than the study's margin, which `Difference.words` adds
    TOO_FEW = "too few seeds to tell"
    SUPPORTED = "supported"
    NOT_SUPPORTED = "not supported"  # which does not say that the opposite holds

    __str__ = str.__str__  # f-strings print the words on every Python, not the member's name


NEW_TRAININGS = "new trainings"

NEW_TRAININGS_AND_CLIPS = "new trainings and new clips"
"""What an interval is for."""


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
        by_seed: the paired differences, in the order of `seeds`.
        error: what the interval and the p values are made of; None with fewer than three seeds.
        exploratory: the study did not state it beforehand.
    """

    seeds: tuple[int, ...]
    by_seed: tuple[float, ...] = ()
    p: float | None = None
    p_holm: float | None = None
    verdict: Verdict = Verdict.TOO_FEW
    variant: str = ""
    other: str = ""
    covers: str = NEW_TRAININGS
    trainings: Estimate | None = None
    clips: ClipDifference | None = None
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
        """The verdict as a reader sees it: `Verdict.EQUIVALENT` names its margin."""
        return no_larger(self.margin) if self.verdict is Verdict.EQUIVALENT else str(self.verdict)


def no_larger(margin: float) -> str:
    """`no difference larger than 2 points`."""
    return f"{Verdict.EQUIVALENT} than {margin:g} point{'s' * (margin != 1)}"


def paired_difference(
    variant: Mapping[int, float],
    baseline: Mapping[int, float],
    clips: PairedClips | None = None,
    margin: float = 0.0,
    *,
    names: tuple[str, str] = ("", ""),
    bounds: tuple[float, float] | None = POINTS,
) -> Difference:
    """`variant` minus `baseline` over the seeds that both have. Arguments: accuracy by seed.

    Differences that are all the same leave a t test undefined. Their standard error is then what the clips let it be
    at least (`agreeing_errors`); without clips they get the sign test's p value, 2 ** (1 - n), and no interval.

    Args:
        clips: the same trained networks clip by clip; without it the interval is for these very clips.
        margin: points that do not matter.
        names: of the two.
        bounds: what a difference can be: an interval is cut there, a p value is not.
    """
    seeds = tuple(sorted(variant.keys() & baseline.keys()))
    differences = [variant[seed] - baseline[seed] for seed in seeds]
    trainings = mean_interval(differences, bounds)
    base = Difference(
        mean=trainings.mean,
        n=trainings.n,
        seeds=seeds,
        by_seed=tuple(differences),
        variant=names[0],
        other=names[1],
        margin=margin,
        clips=clips.difference() if clips else None,
    )
    error = standard_error(differences)
    if error is None:
        return base
    covers = NEW_TRAININGS
    if clips is not None and clips.seeds == seeds and clips.clusters > 1:
        over_seeds, over_clips = error.seeds, clips.clip_error()
        if over_seeds <= SAME:
            over_seeds, over_clips = clips.agreeing_errors()
        error = replace(error, seeds=over_seeds, clips=over_clips, clusters=clips.clusters)
        covers = NEW_TRAININGS_AND_CLIPS
    half, mean = error.half_width(), base.mean
    low, high = (None, None) if half is None else cut(mean - half, mean + half, bounds)
    return replace(
        base,
        low=low,
        high=high,
        covers=covers,
        trainings=trainings if trainings.low is not None else None,
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
        verdict = Verdict.BETTER if difference.mean > 0 else Verdict.WORSE
    elif p_margin_holm is not None and p_margin_holm < ALPHA:
        verdict = Verdict.EQUIVALENT
    else:
        verdict = Verdict.TOO_FEW
    return replace(difference, p_holm=p_holm, p_margin_holm=p_margin_holm, verdict=verdict)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p values that keep the chance of any false claim at the level used."""
    corrected = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = running
    return corrected


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


def _effect(differences: Sequence[float]) -> float | None:
    """Mean over sd, times Hedges' exact correction for the few seeds behind the sd."""
    sd, df = statistics.stdev(differences), len(differences) - 1
    if sd <= SAME:
        return None
    correction = math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)
    return correction * statistics.fmean(differences) / sd
