"""Scores of made-up variants whose order is known."""

from __future__ import annotations

import numpy as np

from harness.stats.differences import Difference
from harness.stats.scores import Scores


def jitter(mean: float, seed: int, n: int = 5) -> dict[int, float]:
    """Top-1 of `n` seeds about a mean, 0.1 apart or so; the same for the same seed."""
    draw = np.random.default_rng(seed)
    return {i: mean + 0.1 * float(v) for i, v in enumerate(draw.standard_normal(n))}


def against(scores: Scores, baseline: str) -> dict[str, Difference]:
    """Every variant but the baseline against it, as one table."""
    others = [variant for variant in scores.accuracy if variant != baseline]
    return dict(zip(others, scores.table((variant, baseline) for variant in others), strict=True))


FOUR = Scores(
    accuracy={"low": jitter(50, 0), "mid": jitter(55, 1), "high": jitter(60, 2), "alike": jitter(60, 3)},
    margin=1.0,
)
"""Two of four variants are as good as each other; the others lie 5 and 10 points below."""
