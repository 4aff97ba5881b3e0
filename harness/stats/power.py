"""Which difference a planned study can decide."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.stats.distributions import ALPHA, MIN_SEEDS, POWER, power


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How far apart trainings of one recipe come out.

    sd: of top-1 between them, in points. clips: of the validation set on which that was found.
    trainings: how many told it; 0 of what is published.
    """

    sd: float
    clips: int
    trainings: int = 0


PUBLISHED = Noise(sd=0.33, clips=11_522)
"""Of ResNet-50 on Something-Something v1."""

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


ENOUGH = 4
"""Degrees of freedom from which on earlier trainings tell how far apart others will be, to a third or so."""


def noise_of(alike: Iterable[Sequence[float]], clips: int) -> Noise | None:
    """What earlier trainings tell.

    Args:
        alike: top-1 of trainings that differ in nothing but their seed, a list for each recipe.
        clips: of their validation set.

    Returns:
        None where they are too few: `PUBLISHED` is to be assumed.
    """
    several = [one for one in alike if len(one) > 1]
    freedom = sum(len(one) - 1 for one in several)
    if freedom < ENOUGH or not clips:
        return None
    squares = sum((value - sum(one) / len(one)) ** 2 for one in several for value in one)
    return Noise(sd=math.sqrt(squares / freedom), clips=clips, trainings=sum(map(len, several)))


def detection(
    seeds: int, rows: int, hypotheses: int, clips: int = 0, clusters: int = 0, noise: Noise = PUBLISHED
) -> Detection:
    """What a planned study can decide for new trainings and new clips.

    Args:
        rows: of the table, without the baseline. hypotheses: how many the study states.
        clips: of the validation set, 0 where it is not here: those of the noise then. clusters: of clips that belong
            together; 0 where every clip is alone.
        noise: that is assumed.
    """
    clips = clips or noise.clips
    # Clips that flip between trainings move top-1 by themselves, the more the fewer there are; the rest is the whole
    # network's luck. The clips' own part is what two operators disagree on beyond that.
    flipped = min(noise.sd**2, _flips(RETRAINED, noise.clips) / 2)
    whole = noise.sd**2 - flipped
    sd = math.sqrt(2 * (whole + flipped * noise.clips / clips))  # of the difference of two trainings
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

    low, high = 0.0, sd or clip_error
    while not decides(high):
        high *= 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high


def _flips(percent: float, clips: int) -> float:
    """Variance of a difference in top-1, in points squared, of networks that disagree on so many of the clips."""
    return 100 * percent / clips
