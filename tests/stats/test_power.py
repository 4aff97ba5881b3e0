"""What a planned study can decide, by hand arithmetic."""

from __future__ import annotations

import math

import pytest

from harness.stats.distributions import power
from harness.stats.power import Noise, detectable, detection, noise_of


def test_the_detectable_difference_is_detected_at_80_per_cent() -> None:
    for seeds in (3, 5, 10):
        gap = detectable(seeds, 0.467)
        assert gap is not None
        assert power(gap, seeds, 0.467) == pytest.approx(0.8, abs=1e-6)
    assert detectable(2, 0.467) is None


def test_what_nineteen_seeds_decide_by_hand() -> None:
    """By hand, 19 seeds: variance 2 x 0.33^2 / 19 = 0.0115 from trainings and 10 % / 11,522 clips = 0.0868 points^2
    from clips, error 0.314; critical (2.10 x 0.0115 + 1.96 x 0.0868) / 0.314 = 0.62, and 0.84 x 0.314 for the power."""
    found = detection(19, 1, 0)
    assert found.as_row == pytest.approx(0.62 + 0.84 * 0.314, abs=0.02)
    assert (found.as_hypothesis, found.clips) == (None, 11_522)


def test_one_stated_hypothesis_needs_a_smaller_difference_than_one_of_nine_rows() -> None:
    found = detection(3, 9, 4)
    assert found.as_row is not None
    assert found.as_hypothesis is not None
    assert found.as_hypothesis < found.as_row


def test_two_seeds_decide_nothing() -> None:
    found = detection(2, 9, 4)
    assert (found.as_row, found.as_hypothesis) == (None, None)


def test_few_clips_detect_less_and_clips_in_pairs_less_still() -> None:
    found = [detection(5, 3, 0, *clips).as_row or 0.0 for clips in ((), (480, 480), (480, 240))]
    assert found == sorted(found)
    # 240 pairs, by hand: error^2 (0.0442 + 4.1667) / 5 + 4.1667 = 5.01; t at 0.05 / 3 is 3.96 and 2.39: 5.95 + 1.88
    assert found[2] == pytest.approx(7.8, abs=0.3)


def test_the_noise_of_earlier_trainings_by_hand() -> None:
    """Around 51, 11 and 7: squares 2, 6 and 0 over 1 + 2 + 1 degrees of freedom: variance 2."""
    alike = [[50.0, 52.0], [10.0, 10.0, 13.0], [7.0, 7.0], [99.0]]
    assert noise_of(alike, 320) == Noise(sd=math.sqrt(2), clips=320, trainings=7)
    assert noise_of(alike[:2], 320) is None  # three degrees of freedom
    assert noise_of([], 320) is noise_of(alike, 0) is None


def test_measured_noise_is_taken_as_it_is_on_its_own_clips_and_falls_with_more_of_them() -> None:
    """On 320 clips two operators disagree on 10 % more than two trainings: a variance of 1,000 / 320. Of a variance
    of 4, clips that flip are 2,000 / 320 / 2 = 3.125, a quarter of that on four times the clips."""
    noise = Noise(sd=2.0, clips=320, trainings=9)
    for clips, variance in ((320, 4.0), (1280, 0.875 + 3.125 / 4)):
        by_hand = detectable(5, math.sqrt(2 * variance), alpha=0.05 / 3, clip_error=math.sqrt(1000 / clips))
        assert detection(5, 3, 0, clips, noise=noise).as_row == pytest.approx(by_hand)
    steady = detection(5, 3, 0, 320, noise=Noise(sd=0.0, clips=320, trainings=9)).as_row
    assert steady is not None
    assert 0 < steady < detection(5, 3, 0, 320, noise=noise).as_row
