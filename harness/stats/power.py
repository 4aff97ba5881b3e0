"""Which difference a planned study can decide."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.stats.distributions import ALPHA, MIN_SEEDS, POWER, power

NOISE_SD = 0.33
"""Points: sd of top-1 between independent trainings of one recipe, published for ResNet-50 on Something-Something."""

NOISE_CLIPS = 11_522
"""Validation clips of Something-Something v1, on which that was found."""

RETRAINED, OTHER_OPERATOR = 20.0, 30.0
"""Assumed: per cent of the clips that two trainings of one recipe, and of two operators, disagree on."""


@dataclass(frozen=True, kw_only=True)
class Detection:
    """The smallest true differences, in points, that a planned study decides at 80 % power.

    as_row: of the table; None below three seeds. as_hypothesis: None without one too.
    clips: the validation clips that this was computed for.
    """

    as_row: float | None
    as_hypothesis: float | None
    clips: int


def detection(seeds: int, rows: int, hypotheses: int, clips: int = 0, clusters: int = 0) -> Detection:
    """What a planned study can decide for new trainings and new clips.

    Args:
        rows: of the table, without the baseline. hypotheses: how many the study states.
        clips: of the validation set, 0 where it is not here: `NOISE_CLIPS` then. clusters: of clips that belong
            together; 0 where every clip is alone.
    """
    clips = clips or NOISE_CLIPS
    # Clips that flip between trainings move top-1 by themselves, the more the fewer there are; the rest is the whole
    # network's luck. The clips' own part is what two operators disagree on beyond that.
    whole = max(0.0, NOISE_SD**2 - _flips(RETRAINED, NOISE_CLIPS) / 2)
    sd = math.sqrt(2 * whole + _flips(RETRAINED, clips))  # of the difference of two trainings
    clip_error = math.sqrt(_flips(OTHER_OPERATOR - RETRAINED, clusters or clips))
    as_row = detectable(seeds, sd, alpha=ALPHA / max(1, rows), clip_error=clip_error)
    as_hypothesis = None
    if hypotheses:
        as_hypothesis = detectable(seeds, sd, alpha=ALPHA / hypotheses, clip_error=clip_error, one_sided=True)
    return Detection(as_row=as_row, as_hypothesis=as_hypothesis, clips=clips)


def detectable(
    seeds: int, sd: float, *, alpha: float = ALPHA, clip_error: float = 0.0, one_sided: bool = False
) -> float | None:
    """The smallest true difference, in points, that so many seeds decide at 80 % power; None below 3 seeds.

    Args:
        sd: of the paired differences between seeds, in points.
        clip_error: what new clips add to the standard error, in points.
    """
    if seeds < MIN_SEEDS:
        return None

    def decides(gap: float) -> bool:
        return power(gap, seeds, sd, alpha=alpha, clip_error=clip_error, one_sided=one_sided) >= POWER

    low, high = 0.0, sd
    while not decides(high):
        high *= 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high


def _flips(percent: float, clips: int) -> float:
    """Variance of a difference in top-1, in points squared, of networks that disagree on so many of the clips."""
    return 100 * percent / clips
