"""Trainings that fell far below the others of their row are named, and others are not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.stats.collapse import Collapse, collapses


def rows(*values: list[float]) -> dict[str, dict[int, float]]:
    return {f"v{number}": dict(enumerate(row)) for number, row in enumerate(values)}


def test_a_training_that_fell_is_named_with_both_spreads() -> None:
    """By hand: around the medians 70, 72 and 60.2 lie 0.2 0.4, 0.1 0.3, 0.2 10.2; the median of them is 0.25."""
    found = collapses(rows([69.8, 70.0, 70.4], [72.0, 72.1, 71.7], [60.2, 60.4, 50.0]))
    (fell,) = found
    assert (fell.variant, fell.seeds) == ("v2", (2,))
    assert fell.below == pytest.approx(10.2)
    assert fell.robust == pytest.approx(1.4826 * 0.25)
    mean = (60.2 + 60.4 + 50.0) / 3
    assert fell.plain == pytest.approx(math.sqrt(sum((x - mean) ** 2 for x in (60.2, 60.4, 50.0)) / 2))
    assert isinstance(fell, Collapse)


@pytest.mark.parametrize(
    "values",
    [
        ([69.8, 70.0, 70.4], [72.0, 72.1, 69.2]),  # less than 3 points
        ([60.0, 70.0, 80.0], [66.0, 72.0, 61.0]),  # where all trainings differ so
        ([70.0, 50.0],),  # two seeds tell nothing
        ([70.0, 70.0, 90.0],),  # one that rose
        ([70.0, 70.0, 70.0],),
        (),
    ],
)
def test_what_is_no_collapse_is_not_named(values: tuple[list[float], ...]) -> None:
    assert collapses(rows(*values)) == []


def test_luck_alone_is_hardly_ever_named_and_a_drawn_collapse_nearly_always() -> None:
    """Ten rows of five seeds, an sd of 0.33 points, as published; in nine rows one training in ten loses 10."""
    rng = np.random.default_rng(0)
    alarms = named = drawn = 0
    for _ in range(100):
        luck = rng.normal(50, 3, (10, 1)) + rng.normal(0, 0.33, (10, 5))
        fell = rng.random((10, 5)) < 0.1
        fell[0] = False
        alarms += bool(collapses(rows(*luck.tolist())))
        drawn += bool(fell.any())
        named += bool(collapses(rows(*(luck - 10 * fell).tolist())))
    assert alarms <= 2
    assert named >= drawn - 3
