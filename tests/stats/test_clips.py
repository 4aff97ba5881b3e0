"""Variants compared clip by clip: against hand arithmetic, counting, and plain second implementations."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from harness.records import TrialRecord
from harness.stats.clips import Clips, pair, right
from harness.stats.differences import NEW_TRAININGS, NEW_TRAININGS_AND_CLIPS, paired_difference
from harness.stats.distributions import detectable, half_width, p_value, power, sign_test


def trial(
    seed: int, hits: str, ids: list[str] | None = None, clusters: list[str] | None = None
) -> TrialRecord:
    """A trial whose i-th clip is right where hits[i] is "1"."""
    ids = ids or [f"clip{i}" for i in range(len(hits))]
    predictions: dict[str, list[Any]] = {
        "clip": ids,
        "cluster": clusters or ids,
        "label": [1] * len(hits),
        "predicted": [int(hit) for hit in hits],
    }
    return TrialRecord(trial_id="", variant="v", seed=seed, status="done", predictions=predictions)


def clips(net: list[list[float]], sizes: list[float] | None = None) -> Clips:
    array = np.array(net, dtype=float)
    return Clips(seeds=tuple(range(len(net))), net=array, sizes=np.array(sizes or [1.0] * array.shape[1]))


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (5, 1), (3, 3), (2, 9)])
def test_mcnemar_equals_counting_all_ways_that_signs_can_fall(gained: int, lost: int) -> None:
    n = gained + lost
    extreme = sum(
        abs(sum(signs) - n / 2) >= abs(gained - n / 2) - 1e-9 for signs in itertools.product((0, 1), repeat=n)
    )
    assert sign_test(gained, lost) == pytest.approx(extreme / 2**n)


def test_clips_are_paired_by_name_and_not_by_order() -> None:
    one = right([trial(0, "110", ["a", "b", "c"])])
    other = right([trial(0, "011", ["c", "a", "d"])])
    found = pair(one, other)  # a: 1 - 1, c: 0 - 0
    assert found is not None
    assert found.net.tolist() == [[0.0, 0.0]]
    assert found.paired().clips == 2


def test_only_seeds_that_both_have_are_compared_clip_by_clip() -> None:
    found = pair(right([trial(0, "11"), trial(2, "10")]), right([trial(2, "01"), trial(3, "11")]))
    assert found is not None
    assert found.seeds == (2,)
    assert found.net.tolist() == [[1.0, -1.0]]


def test_a_trial_that_does_not_say_which_clips_belong_together_gives_no_statistics_over_clips() -> None:
    old = trial(0, "11")
    del old.predictions["cluster"]
    assert right([old]) is None
    assert right([]) is None
    assert pair(None, right([trial(0, "11")])) is None


def test_trials_with_clips_left_out_are_compared_on_those_that_all_have() -> None:
    found = right([trial(0, "110", ["a", "b", "c"]), trial(1, "01", ["c", "a"])])
    assert found is not None
    assert found.ids == ("a", "c")
    assert found.by_seed[0].tolist() == [True, False]
    assert found.by_seed[1].tolist() == [True, False]


def test_one_seed_gives_an_interval_for_these_networks_by_hand() -> None:
    """4 clips, net 1, 1, 0, 1: mean 75 points, sd 50, standard error 25; t with 3 degrees of freedom 3.1824."""
    found = clips([[1, 1, 0, 1]]).paired()
    assert found.mean == 75.0
    assert found.half_width == pytest.approx(3.1824 * 25, rel=1e-4)
    assert (found.by_seed[0].gained, found.by_seed[0].lost) == (3, 0)
    assert found.by_seed[0].p == 0.25  # 2 of 8


def test_twins_count_once() -> None:
    """A clip and its reverse, one gained and one lost, are no difference in that cluster."""
    one = right([trial(0, "1010", clusters=["x", "x", "y", "z"])])
    other = right([trial(0, "0100", clusters=["x", "x", "y", "z"])])
    found = pair(one, other)
    assert found is not None
    assert found.sizes.tolist() == [2.0, 1.0, 1.0]
    assert found.net.tolist() == [[0.0, 1.0, 0.0]]
    assert found.paired().by_seed[0].gained == 1
    assert (found.paired().n, found.paired().clips) == (3, 4)


def test_clips_that_are_all_doubled_say_no_more_than_clips_alone() -> None:
    """The oracle of clustering: every clip twice in one cluster leaves the standard error as it was."""
    net = np.random.default_rng(0).integers(-1, 2, size=(4, 60)).astype(float)
    alone = clips(net.tolist())
    doubled = Clips(seeds=alone.seeds, net=2 * net, sizes=np.full(60, 2.0))
    assert doubled.variances() == pytest.approx(alone.variances())
    assert doubled.paired().low == pytest.approx(alone.paired().low)


def test_variances_equal_a_plain_analysis_of_variance() -> None:
    """Second implementation: mean squares of a two-way table without replication, clips x seeds."""
    rng = np.random.default_rng(1)
    seeds, k = 4, 50
    net = rng.integers(-1, 2, size=k) * rng.integers(0, 2, size=(seeds, k)).astype(float)
    grand = net.mean()
    between = seeds * ((net.mean(axis=0) - grand) ** 2).sum() / (k - 1)
    rest = net - net.mean(axis=0) - net.mean(axis=1, keepdims=True) + grand
    error = (rest**2).sum() / ((k - 1) * (seeds - 1))
    total, clip_part = clips(net.tolist()).variances()
    assert total == pytest.approx(1e4 * between / (seeds * k))
    assert clip_part == pytest.approx(1e4 * (between - error) / (seeds * k))


def test_order_of_clips_and_of_seeds_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    net, sizes = rng.integers(-2, 3, size=(3, 40)).astype(float), rng.integers(1, 4, size=40).astype(float)
    places = rng.permutation(40)
    one = Clips(seeds=(0, 1, 2), net=net, sizes=sizes)
    other = Clips(seeds=(0, 1, 2), net=net[::-1][:, places], sizes=sizes[places])
    assert other.variances() == pytest.approx(one.variances())
    assert other.paired().mean == pytest.approx(one.paired().mean)


def test_networks_that_agree_on_every_clip_give_no_interval() -> None:
    found = clips([[0, 0, 0]]).paired()
    assert (found.mean, found.low, found.p) == (0.0, None, 1.0)


def test_networks_that_differ_on_every_clip_are_told_apart_by_the_sign_test() -> None:
    """Three seeds, each right wherever the other is wrong: no spread, and 2 of the 16 ways that four signs can fall."""
    found = clips([[1.0] * 4] * 3).paired()
    assert (found.mean, found.low, found.p) == (100.0, None, 1 / 8)
    thirds = clips([[1.0] * 7, [0.0] * 7, [0.0] * 7])  # a mean that is no round number
    assert thirds.variances()[0] == pytest.approx(0.0, abs=1e-9)
    assert thirds.paired().p == 2 / 2**7


def test_the_bootstrap_gives_the_same_answer_twice_and_is_close_to_the_known_error() -> None:
    """With many seeds whose luck is all in the clips, the bootstrap's error is that of the clips."""
    net = np.tile(np.random.default_rng(3).integers(-1, 2, size=400).astype(float), (6, 1))
    one = clips(net.tolist())
    first = one.bootstrap(np.random.default_rng(7))
    assert first == one.bootstrap(np.random.default_rng(7))
    assert first != one.bootstrap(np.random.default_rng(8))
    assert first.half_width == pytest.approx(1.96 * math.sqrt(one.variances()[0]), rel=0.1)


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


def test_quoted_interval_is_for_new_clips_where_predictions_were_kept() -> None:
    generator = np.random.default_rng(4)
    easy = generator.random(300)
    hits = {  # two operators that are right about other clips
        name: [
            "".join("1" if e + 0.1 * g > cut else "0" for e, g in zip(ease, generator.standard_normal(300)))  # noqa: B905
            for _ in range(3)
        ]
        for name, ease, cut in (("a", easy, 0.4), ("b", 1 - easy, 0.5))
    }
    sides = [right([trial(seed, row) for seed, row in enumerate(hits[name])]) for name in "ab"]
    accuracy = [{seed: 100 * row.count("1") / 300 for seed, row in enumerate(hits[name])} for name in "ab"]
    alone = paired_difference(*accuracy)
    both = paired_difference(*accuracy, pair(*sides))
    assert (alone.covers, both.covers) == (NEW_TRAININGS, NEW_TRAININGS_AND_CLIPS)
    assert both.mean == pytest.approx(alone.mean)
    assert both.clips is not None
    assert both.clips.mean == pytest.approx(both.mean)
    assert both.half_width is not None
    assert alone.half_width is not None
    assert both.half_width > alone.half_width
    assert both.trainings is not None
    assert both.trainings.low == alone.low


def test_one_seed_has_statistics_over_clips_and_no_verdict() -> None:
    sides = [right([trial(0, hits)]) for hits in ("111101", "100001")]
    found = paired_difference({0: 83.3}, {0: 33.3}, pair(*sides))
    assert found.low is None
    assert found.p is None
    assert found.clips is not None
    assert found.clips.low is not None
    assert found.clips.mean == pytest.approx(50.0)


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


def test_the_detectable_difference_is_detected_at_80_per_cent() -> None:
    for seeds in (3, 5, 10):
        gap = detectable(seeds, 0.467)
        assert gap is not None
        assert power(gap, seeds, 0.467) == pytest.approx(0.8, abs=1e-6)
    assert detectable(2, 0.467) is None


def test_power_is_a_number_everywhere_and_grows_with_the_difference() -> None:
    """The noncentral t of scipy is nan here and there."""
    for seeds in (3, 5, 10, 73, 361, 1000):
        for alpha in (0.05, 0.05 / 9):
            found = [power(gap, seeds, 1.0, alpha=alpha) for gap in (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0)]
            assert all(0 <= one <= 1 for one in found)
            assert found == sorted(found)
