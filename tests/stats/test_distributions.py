"""Tests, intervals and power against tables, hand arithmetic and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from harness.stats.distributions import half_width, p_value, power, sign_test


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (5, 1), (3, 3), (2, 9)])
def test_mcnemar_equals_counting_all_ways_that_signs_can_fall(gained: int, lost: int) -> None:
    n = gained + lost
    extreme = sum(
        abs(sum(signs) - n / 2) >= abs(gained - n / 2) - 1e-9 for signs in itertools.product((0, 1), repeat=n)
    )
    assert sign_test(gained, lost) == pytest.approx(extreme / 2**n)


def test_interval_over_seeds_and_clips_by_hand() -> None:
    """Errors 0.3 and 0.4, three seeds (t = 4.3027), many clips (1.9600): (4.3027 * 0.09 + 1.96 * 0.16) / 0.5."""
    assert float(half_width(0.3, 0.4, 2, 10**7)) == pytest.approx(1.40169, abs=1e-4)


def test_interval_is_never_shorter_than_the_one_over_seeds() -> None:
    """Out in the tails the weighted mean would be: (63.66 * 1 + 2.8) / sqrt 2 < 63.66."""
    assert float(half_width(1.0, 1.0, 1, 10**7, 0.01)) == pytest.approx(63.657, abs=1e-3)


@pytest.mark.parametrize("gap", [0.1, 0.9, 3.0, 40.0])
def test_p_value_is_where_the_interval_ends(gap: float) -> None:
    p = float(p_value(gap, 0.3, 0.4, 2, 500))
    assert float(half_width(0.3, 0.4, 2, 500, p)) == pytest.approx(gap, rel=1e-6)


def test_p_value_without_clips_is_the_t_test() -> None:
    """t = 2 sqrt 3 with 2 degrees of freedom: 1 - sqrt(12 / 14)."""
    assert float(p_value(2.0, 1 / math.sqrt(3), 0.0, 2, 100)) == pytest.approx(1 - math.sqrt(12 / 14))


def test_power_of_the_printed_example() -> None:
    """With sd 0.33 in each arm, differences of 0.3, 0.5 and 0.8 points need 19, 7 and 3 seeds by the normal
    distribution; the t test at those numbers has somewhat less than 80 % power, and with a few more it has it."""
    sd = 0.33 * math.sqrt(2)
    for gap, seeds in ((0.3, 19), (0.5, 7)):
        assert 0.6 < power(gap, seeds, sd) < 0.8
        assert power(gap, seeds + 3, sd) > 0.8


def test_power_without_a_difference_is_the_level() -> None:
    assert power(0.0, 5, 1.0) == pytest.approx(0.05)
    assert power(0.0, 5, 1.0, alpha=0.01, one_sided=True) == pytest.approx(0.01)


def test_power_equals_simulation() -> None:
    rng = np.random.default_rng(5)
    draws = rng.normal(1.0, 0.8, size=(40_000, 4))
    t = draws.mean(axis=1) / (draws.std(axis=1, ddof=1) / 2)
    assert power(1.0, 4, 0.8) == pytest.approx(float((np.abs(t) > 3.1824).mean()), abs=0.01)


def test_power_with_clips_equals_simulation_of_the_very_test() -> None:
    """Five seeds at the level of nine rows, where Satterthwaite's degrees of freedom would promise far more."""
    rng = np.random.default_rng(6)
    sd, clip_error, gap, alpha = 0.8, 0.4, 2.0, 0.05 / 9
    for seeds in (3, 5):
        draws = rng.normal(0.0, sd, size=(40_000, seeds))
        found = gap + draws.mean(axis=1) + rng.normal(0.0, clip_error, size=40_000)
        needed = half_width(draws.std(axis=1, ddof=1) / math.sqrt(seeds), clip_error, seeds - 1, 480, alpha)
        decided = float((np.abs(found) > needed).mean())
        expected = power(gap, seeds, sd, alpha=alpha, clip_error=clip_error, clip_df=480)
        assert expected == pytest.approx(decided, abs=0.01)
        needed = half_width(
            draws.std(axis=1, ddof=1) / math.sqrt(seeds), clip_error, seeds - 1, 480, 2 * alpha
        )
        decided = float((found > needed).mean())
        stated = power(gap, seeds, sd, alpha=alpha, clip_error=clip_error, clip_df=480, one_sided=True)
        assert stated == pytest.approx(decided, abs=0.01)


def test_power_is_a_number_everywhere_and_grows_with_the_difference() -> None:
    """The noncentral t of scipy is nan here and there."""
    for seeds in (3, 5, 10, 73, 361, 1000):
        for alpha in (0.05, 0.05 / 9):
            found = [power(gap, seeds, 1.0, alpha=alpha) for gap in (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0)]
            assert all(0 <= one <= 1 for one in found)
            assert found == sorted(found)
