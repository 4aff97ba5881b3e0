"""Means, intervals and quartiles against tables, hand arithmetic and the standard library."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from harness.stats.estimates import mean_interval, quartiles

T_975 = {2: 4.3027, 3: 3.1824, 4: 2.7764, 9: 2.2622}  # printed tables of the t distribution


@pytest.mark.parametrize("df", sorted(T_975))
def test_half_width_is_the_tables_t_times_the_standard_error(df: int) -> None:
    values = [10.0 + i**1.5 for i in range(df + 1)]
    expected = T_975[df] * statistics.stdev(values) / math.sqrt(df + 1)
    assert mean_interval(values).half_width == pytest.approx(expected, rel=2e-5)


def test_interval_of_three_seeds_by_hand() -> None:
    """40, 41, 42: mean 41, sd 1, 4.3027 / sqrt 3 = 2.4842."""
    estimate = mean_interval([40.0, 41.0, 42.0])
    assert (estimate.mean, estimate.n) == (41.0, 3)
    assert estimate.low == pytest.approx(38.5158, abs=1e-4)
    assert estimate.high == pytest.approx(43.4842, abs=1e-4)


@pytest.mark.parametrize("values", [[40.0], [40.0, 45.0]])
def test_fewer_than_three_seeds_give_a_mean_but_no_interval(values: list[float]) -> None:
    estimate = mean_interval(values)
    assert estimate.mean == sum(values) / len(values)
    assert estimate.low is None
    assert estimate.half_width is None


def test_no_values_give_no_mean() -> None:
    estimate = mean_interval([])
    assert estimate.n == 0
    assert math.isnan(estimate.mean)


def test_equal_values_give_no_interval_as_their_spread_is_unknown() -> None:
    assert mean_interval([100.0, 100.0, 100.0]).low is None


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([5.0], (5, 5, 5)),
        ([3.0, 1.0], (1.5, 2, 2.5)),
        ([4.0, 1.0, 3.0, 2.0, 5.0], (2, 3, 4)),
        ([1.0, 2.0, 3.0, 10.0], (1.75, 2.5, 4.75)),
    ],
)
def test_quartiles_by_hand(samples: list[float], expected: tuple[float, float, float]) -> None:
    found = quartiles(samples)
    assert found is not None
    assert (found.q1, found.median, found.q3, found.n) == (*expected, len(samples))


def test_quartiles_equal_the_standard_library() -> None:
    draw = random.Random(2)
    samples = [draw.expovariate(1) for _ in range(37)]
    found = quartiles(samples)
    assert found is not None
    assert [found.q1, found.median, found.q3] == pytest.approx(
        statistics.quantiles(samples, method="inclusive")
    )


def test_no_samples_have_no_quartiles() -> None:
    assert quartiles([]) is None
