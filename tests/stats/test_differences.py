"""Differences paired by seed against tables, hand arithmetic and second implementations."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import random
import statistics

import numpy as np
import pytest

from harness.stats.clips import PairedClips
from harness.stats.differences import Verdict, correct, holm, paired_difference


def seeds(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


def test_difference_is_paired_by_seed_and_not_by_order() -> None:
    """The seeds move both by 10, which the paired differences 1, 2, 3 do not see."""
    difference = paired_difference({2: 63.0, 0: 41.0, 1: 52.0}, {0: 40.0, 1: 50.0, 2: 60.0})
    assert difference.mean == pytest.approx(2.0)
    assert difference.half_width == pytest.approx(2.4842, abs=1e-4)
    assert difference.seeds == (0, 1, 2)


def test_only_seeds_that_both_have_are_compared() -> None:
    difference = paired_difference({0: 41.0, 1: 52.0, 7: 99.0}, {0: 40.0, 1: 50.0, 2: 60.0})
    assert difference.seeds == (0, 1)
    assert difference.mean == pytest.approx(1.5)
    assert difference.p is None
    assert difference.low is None


def test_p_value_by_hand() -> None:
    """Differences 1, 2, 3: t = 2 / (1 / sqrt 3) = 2 sqrt 3. With 2 degrees of freedom the integral is known:
    p = 1 - t / sqrt(2 + t * t) = 1 - sqrt(12 / 14)."""
    difference = paired_difference({0: 1.0, 1: 2.0, 2: 3.0}, {0: 0.0, 1: 0.0, 2: 0.0})
    assert difference.p == pytest.approx(1 - math.sqrt(12 / 14))


def test_p_value_equals_numerical_integration_of_the_density() -> None:
    """A second implementation: Simpson's rule over the t density with 4 degrees of freedom."""
    values = [0.3, -0.1, 0.9, 0.5, 0.2]
    t = statistics.fmean(values) / (statistics.stdev(values) / math.sqrt(5))
    constant = math.gamma(2.5) / (math.sqrt(4 * math.pi) * math.gamma(2))
    steps = 2000
    heights = [constant * (1 + (t * i / steps) ** 2 / 4) ** -2.5 for i in range(steps + 1)]
    weights = [1, *[4 if i % 2 else 2 for i in range(1, steps)], 1]
    inside = t / steps / 3 * sum(w * h for w, h in zip(weights, heights, strict=True))
    difference = paired_difference(dict(enumerate(values)), dict.fromkeys(range(5), 0.0))
    assert difference.p == pytest.approx(1 - 2 * inside, abs=1e-9)


def test_interval_excludes_zero_exactly_when_p_is_below_five_per_cent() -> None:
    draw = random.Random(0)
    seen = set()
    for _ in range(200):
        values = {seed: draw.gauss(0.6, 0.5) for seed in range(5)}
        difference = paired_difference(values, dict.fromkeys(range(5), 0.0))
        assert difference.p is not None
        assert difference.low is not None
        assert difference.high is not None
        seen.add(difference.p < 0.05)
        assert (difference.p < 0.05) == (difference.low > 0 or difference.high < 0)
    assert seen == {True, False}


def test_holm_by_hand() -> None:
    """Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1 = 0.02, 0.03, 0.06, 0.04, and never falling: 0.06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_never_exceeds_one_and_takes_nothing() -> None:
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_equals_the_closed_test_over_all_subsets() -> None:
    """A second implementation: p of a row is the largest Bonferroni p of any set of rows that contains it."""
    draw = random.Random(1)
    for _ in range(20):
        p = [draw.random() ** 3 for _ in range(5)]
        subsets = [s for size in range(1, 6) for s in itertools.combinations(range(5), size)]
        closed = [max(min(1.0, len(s) * min(p[j] for j in s)) for s in subsets if i in s) for i in range(5)]
        assert holm(p) == pytest.approx(closed)


def test_a_verdict_is_its_words_wherever_it_is_written() -> None:
    for verdict in Verdict:
        words = io.StringIO()
        csv.writer(words, lineterminator="").writerow([verdict])
        written = {f"{verdict}", str(verdict), words.getvalue(), json.loads(json.dumps(verdict))}
        assert written == {verdict.value}
        assert {verdict.value: 1}[verdict] == 1  # found by either


def test_the_same_difference_six_times_decides_nothing_that_clips_leave_open() -> None:
    """One clip of 100 gained in every training: the sign test would call 1 point better; another clip set need not."""
    net = np.zeros((6, 100))
    net[:, 0] = 1.0
    clips = PairedClips(seeds=tuple(range(6)), net=net, sizes=np.ones(100))
    row = paired_difference(seeds(*[51.0] * 6), seeds(*[50.0] * 6), clips)
    over_clips = clips.difference().p
    assert over_clips == pytest.approx(0.3197, abs=1e-4)  # t = 1 with 99 degrees of freedom
    assert row.p is not None
    assert row.p > over_clips
    many = np.zeros((6, 100))
    many[:, :30] = 1.0
    sure = PairedClips(seeds=clips.seeds, net=many, sizes=clips.sizes)
    assert (paired_difference(seeds(*[80.0] * 6), seeds(*[50.0] * 6), sure).p or 1) < 0.001


def clips_of(net: list[list[float]]) -> PairedClips:
    array = np.array(net)
    return PairedClips(seeds=tuple(range(len(net))), net=array, sizes=np.ones(array.shape[1]))


def test_operators_that_are_always_right_are_within_one_cluster_more_or_less() -> None:
    """By hand, 160 clusters and 3 seeds: p = 0.5 / 161, so p (1 - p) / 160 = 0.19350 points^2, of which a third
    over seeds (t = 4.3027, 2 degrees of freedom) and the rest over clips (t = 1.9750, 159):
    (4.3027 x 0.06450 + 1.9750 x 0.12900) / 0.43988 = 1.2101."""
    always = clips_of([[0.0] * 160] * 3)
    row = paired_difference(seeds(100.0, 100.0, 100.0), seeds(100.0, 100.0, 100.0), always, margin=2.0)
    assert (row.mean, row.p) == (0.0, 1.0)
    assert (row.low, row.high) == pytest.approx((-1.2101, 1.2101), abs=1e-4)
    assert row.p_margin is not None
    # 2 points are 7.875 of the standard errors over seeds; t with 2 degrees of freedom: (1 - t / sqrt(2 + t^2)) / 2
    assert row.p_margin == pytest.approx((1 - 7.875 / math.sqrt(2 + 7.875**2)) / 2, rel=1e-3)
    assert (row.trainings, row.effect, row.seeds_needed) == (None, None, None)


def test_many_seeds_that_agree_say_no_more_than_their_clips_allow() -> None:
    """A hundred trainings that are all right on 160 clusters saw 160 clusters: 1.9750 x 0.43988 = 0.869 and more."""
    row = paired_difference(seeds(*[100.0] * 100), seeds(*[100.0] * 100), clips_of([[0.0] * 160] * 100))
    assert row.half_width == pytest.approx(0.869, abs=0.001)
    assert row.half_width > 1.9750 * 0.43988


def test_seeds_whose_sums_agree_differ_as_much_as_their_clips_do() -> None:
    """Each of 3 seeds gains one clip of 100 and loses another, never the same: residuals 2/3 at its own two and 1/3
    at the others' four, so 4 in all, with 99 x 2 degrees of freedom."""
    net = np.zeros((3, 100))
    for seed in range(3):
        net[seed, 2 * seed : 2 * seed + 2] = 1.0, -1.0
    row = paired_difference(seeds(50.0, 51.0, 52.0), seeds(50.0, 51.0, 52.0), clips_of(net.tolist()))
    assert row.error is not None
    assert row.error.seeds**2 == pytest.approx(1e4 * 4 / (99 * 2) / (3 * 100))
    assert row.low is not None


def test_agreeing_seeds_decide_at_the_power_that_is_said() -> None:
    """All right against a quarter right, on the same clips in every seed: no spread, and no doubt."""
    net = [[1.0] * 120 + [0.0] * 40] * 3
    found = correct([paired_difference(seeds(*[100.0] * 3), seeds(*[25.0] * 3), clips_of(net))])
    assert [(row.verdict, row.seeds_needed) for row in found] == [(Verdict.BETTER, 3)]
