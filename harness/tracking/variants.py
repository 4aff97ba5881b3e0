"""What MLflow's own table shows of a study: a run for each variant with its mean over seeds, interval and verdict.

These runs hold no result: they are written anew from the trials' whenever those changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9",
    "#332288", "#999933", "#882255", "#44AA99", "#666666", "#B8860B",
)  # fmt: skip
"""Of the runs on MLflow's charts: its own are drawn from the run's id, and two are often alike. After Okabe and Ito,
and Tol."""


@dataclass(frozen=True, kw_only=True)
class VariantRun:
    """One variant.

    words: what is read, by column: top-1 with its interval, the difference, the verdict. metrics: what is drawn.
    """

    variant: str
    words: Mapping[str, str]
    metrics: Mapping[str, float]


def colour(place: int) -> str:
    """Of the variant at this place of the study."""
    return COLOURS[place % len(COLOURS)]
