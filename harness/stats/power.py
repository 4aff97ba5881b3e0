"""Which difference a planned study can decide."""

from __future__ import annotations

import math

from harness.stats.distributions import ALPHA, MIN_SEEDS, detectable

NOISE_SD = 0.33
"""Points: sd of top-1 between independent trainings of one recipe, published for ResNet-50 on Something-Something."""

NOISE_CLIPS = 11_522
"""Validation clips of Something-Something v1, on which that was found."""

RETRAINED, OTHER_OPERATOR = 20.0, 30.0
"""Assumed: per cent of the clips that two trainings of one recipe, and of two operators, disagree on."""


def detection(seeds: int, rows: int, hypotheses: int, clips: int = 0, clusters: int = 0) -> str:
    """What difference a planned study can decide for new trainings and new clips, in one line.

    Args:
        rows: of the table, without the baseline. hypotheses: how many the study states.
        clips: of the validation set, 0 where it is not here. clusters: of clips that belong together; 0 where every
            clip is alone.
    """
    tested = f"{clips:,} validation clips" if clips else f"{NOISE_CLIPS:,} validation clips (assumed)"
    clips = clips or NOISE_CLIPS
    # Clips that flip between trainings move top-1 by themselves, the more the fewer there are; the rest is the whole
    # network's luck. The clips' own part is what two operators disagree on beyond that.
    whole = max(0.0, NOISE_SD**2 - _flips(RETRAINED, NOISE_CLIPS) / 2)
    sd = math.sqrt(2 * whole + _flips(RETRAINED, clips))  # of the difference of two trainings
    clip_error = math.sqrt(_flips(OTHER_OPERATOR - RETRAINED, clusters or clips))
    as_row = detectable(seeds, sd, alpha=ALPHA / max(1, rows), clip_error=clip_error)
    if as_row is None:
        return f"no difference: {seeds} of the {MIN_SEEDS} seeds that an interval needs"
    parts = [f"{as_row:.1f} points as one of {rows} row{'s' * (rows != 1)}"]
    if hypotheses:
        stated = detectable(seeds, sd, alpha=ALPHA / hypotheses, clip_error=clip_error, one_sided=True)
        parts.append(f"{stated:.1f} as one of {hypotheses} hypothes{'es' if hypotheses > 1 else 'is'}")
    return (
        f"{', '.join(parts)}, with {seeds} seeds and {tested} at 80 % power; assumed: on "
        f"{NOISE_CLIPS:,} clips top-1 has an sd of {NOISE_SD:g} points between trainings, as published on "
        f"Something-Something v1; two trainings disagree on {RETRAINED:g} % of the clips, two operators on "
        f"{OTHER_OPERATOR:g} %"
    )


def _flips(percent: float, clips: int) -> float:
    """Variance of a difference in top-1, in points squared, of networks that disagree on so many of the clips."""
    return 100 * percent / clips
