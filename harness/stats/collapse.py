"""Trainings that fell far below the others of their row: what a mean and its interval cannot show.

A t interval knows what was drawn. Where one training in ten collapses, most small sets of seeds hold none, and look as
if the rest were all there is; one that holds a collapse has a spread that says little about the others.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import NamedTuple

from harness.stats.distributions import MIN_SEEDS

FAR = 5.0
"""Robust standard deviations below its row's median from which on a training has collapsed."""

LEAST = 3.0
"""Points below it, at least: where trainings hardly differ, less is no collapse."""

NORMAL = 1.4826
"""Standard deviations of a normal distribution in its median absolute deviation."""


class Collapse(NamedTuple):
    """A row with trainings that fell.

    Attributes:
        seeds: whose trainings did, in order.
        below: points that the deepest of them lies below the row's median.
        plain: the standard deviation over the row's seeds, in points.
        robust: that of all rows' trainings around their medians, as a collapse does not change it.
    """

    variant: str
    seeds: tuple[int, ...]
    below: float
    plain: float
    robust: float


def collapses(accuracy: Mapping[str, Mapping[int, float]]) -> list[Collapse]:
    """Rows of which fewer than half of the trainings fell far below the row's median.

    The robust spread is the median absolute deviation from the rows' own medians, of all rows together: three seeds of
    one row would tell nothing. Each row's median itself is left out.

    Args:
        accuracy: in per cent, by variant and seed. Rows with fewer than three seeds are not looked at.
    """
    rows = {name: seeds for name, seeds in accuracy.items() if len(seeds) >= MIN_SEEDS}
    medians = {name: statistics.median(seeds.values()) for name, seeds in rows.items()}
    away = sorted(
        deviation
        for name, seeds in rows.items()
        for deviation in sorted(abs(value - medians[name]) for value in seeds.values())[len(seeds) % 2 :]
    )
    if not away:
        return []
    robust = NORMAL * statistics.median(away)
    limit = max(FAR * robust, LEAST)
    found = []
    for name, seeds in rows.items():
        fell = tuple(sorted(seed for seed, value in seeds.items() if medians[name] - value > limit))
        if fell:
            below = medians[name] - min(seeds.values())
            found.append(Collapse(name, fell, below, statistics.stdev(seeds.values()), robust))
    return found
