"""Accuracy against level: which levels each variant solves, and whether those are the ones that its reach predicts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from harness.records import StudyRecord
from harness.seeds import seed_for
from harness.stats.clips import Hits, resampled_levels
from harness.stats.differences import Difference, holm
from harness.stats.distributions import ALPHA, MIN_SEEDS
from harness.stats.estimates import PER_CENT, Estimate, mean_interval
from harness.stats.scores import Scores


@dataclass(frozen=True, kw_only=True)
class Horizon:
    """The largest lag at which a variant relates two frames.

    predicted: by `Network.horizon`, in frames; None where an operator does not state its reach.
    expected: the largest level of the study that is no larger, 0 where there is none; None as above.
    measured: the largest level that the variant solves, 0 where it solves none.
    low, high: 95 % of the resamples of seeds and clips lie between; None with fewer than three seeds, or without clips.
    """

    predicted: int | None
    expected: float | None
    measured: float
    low: float | None = None
    high: float | None = None

    @property
    def agrees(self) -> bool | None:
        """Whether the measured horizon is the predicted one; None without a prediction."""
        return None if self.expected is None else self.measured == self.expected

    @property
    def open(self) -> bool:
        """Whether resamples reach the predicted horizon, and others too: luck may have decided which was measured."""
        if self.expected is None or self.low is None or self.high is None:
            return False
        return self.low < self.high and self.low <= self.expected <= self.high


@dataclass(frozen=True, kw_only=True)
class LevelCurve:
    """One variant's top-1 at every level of the study.

    accuracy: over seeds, at each level. by_seed: the same of each seed, NaN where it has none.
    solved: the levels at which the mean is above half-way from chance to 100 %, and shown to be above chance.
    horizon: None where levels are no distances in frames.
    """

    variant: str
    accuracy: list[Estimate]
    by_seed: dict[int, list[float]]
    solved: list[float]
    horizon: Horizon | None


@dataclass(frozen=True, kw_only=True)
class Solvers:
    """The variants that solve a level, compared with each other.

    widest: of all their differences the one that is hardest to hold within the margin; None where there is but one
        variant, or no margin.
    p_holm: that some two of them are further apart than the margin, corrected over the levels.
    alike: that none are is shown.
    """

    level: float
    variants: list[str]
    widest: Difference | None = None
    p_holm: float | None = None
    alike: bool = False


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """Everything that a report shows about levels.

    halfway: from chance to 100 %; None where chance is not known, and then nothing is called solved.
    curves: of the variants with an accuracy at some level, in the study's order.
    solvers: of every level that two or more variants solve.
    """

    level_name: str
    levels: list[float]
    chance: float | None
    halfway: float | None
    curves: list[LevelCurve]
    solvers: list[Solvers] = field(default_factory=list)

    @property
    def mismatches(self) -> list[LevelCurve]:
        """Whose measured horizon is not the predicted one."""
        return [curve for curve in self.curves if curve.horizon and curve.horizon.agrees is False]


def levels_of(record: StudyRecord) -> list[float]:
    """The levels at which some trial was tested, from small to large; empty where clips have none."""
    if not record.level_name:
        return []
    names = {
        name for trial in record.trials for name in trial.last if name.startswith(f"{record.level_name}/")
    }
    return sorted(float(name.partition("/")[2]) for name in names)


def climb(record: StudyRecord, scores: Scores) -> Ladder | None:
    """None where clips have no levels, or no trial has an accuracy at one."""
    levels = list(scores.at_level)
    if not levels:
        return None
    halfway = None if record.chance is None else (record.chance + 100) / 2
    curves = [_curve(record, scores, variant, levels, halfway) for variant in record.variants]
    curves = [curve for curve in curves if any(accuracy.n for accuracy in curve.accuracy)]
    return Ladder(
        level_name=record.level_name,
        levels=levels,
        chance=record.chance,
        halfway=halfway,
        curves=curves,
        solvers=[] if record.sweep else _compare_solvers(scores, levels, curves),
    )


def _curve(
    record: StudyRecord, scores: Scores, variant: str, levels: list[float], halfway: float | None
) -> LevelCurve:
    found = [scores.at_level[level].get(variant, {}) for level in levels]
    seeds = sorted({seed for one in found for seed in one})
    accuracy = [mean_interval(list(one.values()), PER_CENT) for one in found]
    resamples = _resamples(scores.hits.get(variant), levels)
    solved = []
    if halfway is not None and record.chance is not None:
        above = np.full(len(levels), True)
        if resamples is not None:
            above = np.quantile(resamples, ALPHA / 2, axis=0) > record.chance
        solved = [
            level
            for level, one, shown in zip(levels, accuracy, above, strict=True)
            if one.n and one.mean > halfway and shown
        ]
    curve = LevelCurve(
        variant=variant,
        accuracy=accuracy,
        by_seed={seed: [one.get(seed, math.nan) for one in found] for seed in seeds},
        solved=solved,
        horizon=None,
    )
    if (
        halfway is None or record.sweep or variant not in record.horizons
    ):  # a sweep's rows may fail for another cause
        return curve
    return replace(curve, horizon=_horizon(record.horizons[variant], levels, solved, resamples, halfway))


def _resamples(hits: Hits | None, levels: Sequence[float]) -> np.ndarray | None:
    """(resamples, levels) accuracies; the same draws for all variants that have the same seeds and clips."""
    if hits is None or hits.level is None or len(hits.by_seed) < MIN_SEEDS:
        return None
    return resampled_levels(hits, levels, np.random.default_rng(seed_for("levels")))


def _horizon(
    predicted: int | None,
    levels: list[float],
    solved: list[float],
    resamples: np.ndarray | None,
    halfway: float,
) -> Horizon:
    low = high = None
    if resamples is not None:
        reached = np.where(resamples > halfway, np.array(levels), 0.0).max(axis=1)
        low, high = (
            float(np.quantile(reached, part, method="inverted_cdf")) for part in (ALPHA / 2, 1 - ALPHA / 2)
        )
    within = None if predicted is None else [level for level in levels if level <= predicted]
    return Horizon(
        predicted=predicted,
        expected=None if within is None else max(within, default=0.0),
        measured=max(solved, default=0.0),
        low=low,
        high=high,
    )


def _compare_solvers(scores: Scores, levels: list[float], curves: list[LevelCurve]) -> list[Solvers]:
    """That no two of a level's solvers are further apart than the margin is claimed where each pair shows it (an
    intersection-union test), and Holm's correction over the levels pays for asking it at each."""
    found = []
    for level in levels:
        variants = [curve.variant for curve in curves if level in curve.solved]
        if len(variants) < 2:
            continue
        at_level = scores.at(level)
        gaps = [at_level.difference(*pair) for pair in itertools.combinations(variants, 2)]
        widest = None
        if scores.margin and all(gap.p_margin is not None for gap in gaps):
            widest = max(gaps, key=lambda gap: gap.p_margin or 0.0)
        found.append(Solvers(level=level, variants=variants, widest=widest))
    tested = [one.widest.p_margin for one in found if one.widest and one.widest.p_margin is not None]
    corrected = iter(holm(tested))
    return [_judged(one, next(corrected)) if one.widest else one for one in found]


def _judged(solvers: Solvers, p_holm: float) -> Solvers:
    return replace(solvers, p_holm=p_holm, alike=p_holm < ALPHA)
