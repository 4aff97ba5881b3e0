"""The t, binomial and noncentral t distributions as this project needs them: the only door to scipy.

scipy is imported where it is called: it takes half a second.
"""

from __future__ import annotations

import math

import numpy as np

ALPHA = 0.05

POWER = 0.8

MIN_SEEDS = 3
"""Fewer give no interval over trainings, and no verdict."""

MANY = 10**7
"""Degrees of freedom of what is known."""


def half_width(
    seed_error: np.ndarray | float,
    clip_error: np.ndarray | float,
    seed_df: int,
    clip_df: int,
    alpha: np.ndarray | float = ALPHA,
) -> np.ndarray:
    """Of the interval over trainings and clips together; arrays broadcast.

    The variance is the sum of two parts, of which the one over seeds is known badly (seed_df is 2 for three
    seeds) and the one over clips well. The critical value is the mean of both t quantiles, weighted by the
    parts (Cochran and Cox, Experimental Designs, 1950), and the interval never shorter than the one over seeds
    alone. Its coverage is exact where one part is alone and never below nominal between; Welch and
    Satterthwaite's degrees of freedom fall below, above all in the tails where Holm's correction looks.
    """
    seeds, clips = np.square(seed_error), np.square(clip_error)
    over_seeds = _t_quantile(seed_df, alpha)
    if clip_df <= 0:
        return np.asarray(over_seeds * seed_error)
    both = (over_seeds * seeds + _t_quantile(clip_df, alpha) * clips) / np.sqrt(seeds + clips)
    return np.maximum(both, over_seeds * seed_error)


def p_value(
    gap: np.ndarray | float,
    seed_error: np.ndarray | float,
    clip_error: np.ndarray | float,
    seed_df: int,
    clip_df: int,
) -> np.ndarray:
    """Two-sided: the alpha at which `half_width` equals |gap|, at least 1e-30. Arrays broadcast."""
    from scipy.special import stdtr

    size = np.abs(gap)
    if clip_df <= 0 or not np.any(np.asarray(clip_error) > 0):
        return np.asarray(2 * stdtr(seed_df, -size / np.asarray(seed_error)))
    low = np.zeros(np.broadcast(size, seed_error, clip_error).shape)  # -log10 alpha, by bisection
    high = np.full_like(low, 30.0)
    for _ in range(50):
        middle = (low + high) / 2
        outside = half_width(seed_error, clip_error, seed_df, clip_df, 10.0**-middle) <= size
        low, high = np.where(outside, middle, low), np.where(outside, high, middle)
    return np.asarray(10.0**-low)


def sign_test(gained: int, lost: int) -> float:
    """Exact, two-sided: the p value of McNemar's test, that `gained` and `lost` are equally likely."""
    from scipy.stats import binom

    return min(1.0, 2 * float(binom.cdf(min(gained, lost), gained + lost, 0.5)))


def power(
    gap: float,
    seeds: int,
    sd: float,
    *,
    alpha: float = ALPHA,
    clip_error: float = 0.0,
    clip_df: int = MANY,
    one_sided: bool = False,
) -> float:
    """The chance that a true difference of `gap` points is decided, by the test that `half_width` makes.

    Exact for the paired t test. With a clip error, which is taken as known, it is averaged over what so many seeds
    may find for their spread: three seeds find a large one often, and the critical value follows it.

    Args:
        seeds: how many.
        sd: of the paired differences between seeds, in points.
        clip_error: what new clips add to the standard error, in points. clip_df: clusters - 1.
    """
    from scipy.special import gammaincinv, ndtr
    from scipy.stats import nct, t

    df, size, seed_error = seeds - 1, abs(gap), sd / math.sqrt(seeds)
    if clip_error > 0:
        parts = (np.arange(1000) + 0.5) / 1000
        spread = 2 * gammaincinv(df / 2, parts) / df  # quantiles of chi-squared, over its degrees of freedom
        found = seed_error * np.sqrt(spread)
        needed = half_width(found, clip_error, df, clip_df, 2 * alpha if one_sided else alpha)
        error = math.hypot(seed_error, clip_error)
        below = 0.0 if one_sided else ndtr((-size - needed) / error)
        return float(np.mean(ndtr((size - needed) / error) + below))
    critical = float(t.isf(alpha if one_sided else alpha / 2, df))
    shift = size / seed_error
    if shift - critical > 40:  # beyond what the noncentral t can be computed for
        return 1.0
    # Deciding for the wrong side; scipy gives nan where that is all but impossible.
    wrong_side = 0.0 if one_sided or shift > 3 else float(nct.cdf(-critical, df, shift))
    return float(nct.sf(critical, df, shift)) + wrong_side


def _t_quantile(df: int, alpha: np.ndarray | float) -> np.ndarray:
    from scipy.special import stdtrit

    return np.asarray(-stdtrit(df, np.asarray(alpha) / 2))
