"""Variants compared clip by clip: against hand arithmetic, counting, and plain second implementations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from harness.stats.clips import PairedClips, hits, pair_clips
from harness.stats.differences import NEW_TRAININGS, NEW_TRAININGS_AND_CLIPS, paired_difference


def kept(right: str, ids: list[str] | None = None, clusters: list[str] | None = None) -> dict[str, list[Any]]:
    """Predictions of which the i-th is right where right[i] is "1"."""
    ids = ids or [f"clip{i}" for i in range(len(right))]
    return {
        "clip": ids,
        "cluster": clusters or ids,
        "label": [1] * len(right),
        "predicted": [int(one) for one in right],
    }


def clips(net: list[list[float]], sizes: list[float] | None = None) -> PairedClips:
    array = np.array(net, dtype=float)
    return PairedClips(
        seeds=tuple(range(len(net))), net=array, sizes=np.array(sizes or [1.0] * array.shape[1])
    )


def test_clips_are_paired_by_name_and_not_by_order() -> None:
    one = hits({0: kept("110", ["a", "b", "c"])})
    other = hits({0: kept("011", ["c", "a", "d"])})
    found = pair_clips(one, other)  # a: 1 - 1, c: 0 - 0
    assert found is not None
    assert found.net.tolist() == [[0.0, 0.0]]
    assert found.difference().clips == 2


def test_only_seeds_that_both_have_are_compared_clip_by_clip() -> None:
    found = pair_clips(hits({0: kept("11"), 2: kept("10")}), hits({2: kept("01"), 3: kept("11")}))
    assert found is not None
    assert found.seeds == (2,)
    assert found.net.tolist() == [[1.0, -1.0]]


def test_a_trial_that_does_not_say_which_clips_belong_together_gives_no_statistics_over_clips() -> None:
    old = kept("11")
    del old["cluster"]
    assert hits({0: old}) is None
    assert hits({}) is None
    assert pair_clips(None, hits({0: kept("11")})) is None


def test_trials_with_clips_left_out_are_compared_on_those_that_all_have() -> None:
    found = hits({0: kept("110", ["a", "b", "c"]), 1: kept("01", ["c", "a"])})
    assert found is not None
    assert found.ids == ("a", "c")
    assert found.by_seed[0].tolist() == [True, False]
    assert found.by_seed[1].tolist() == [True, False]


def test_clips_of_one_level_are_paired_alone() -> None:
    levels = [1, 2, 1, 2]
    one = hits({seed: kept("1101", clusters=["x", "y", "x", "y"]) | {"level": levels} for seed in (0, 1)})
    other = hits({seed: kept("1000", clusters=["x", "y", "x", "y"]) | {"level": levels} for seed in (0, 1)})
    assert one is not None
    assert other is not None
    found = pair_clips(one.at(2), other.at(2))
    assert found is not None
    assert (found.sizes.tolist(), found.net.tolist()) == ([2.0], [[2.0], [2.0]])
    assert one.at(3) is None
    without = hits({0: kept("11")})
    assert without is not None
    assert without.at(1) is None


def test_one_seed_gives_an_interval_for_these_networks_by_hand() -> None:
    """4 clips, net 1, 1, 0, 1: mean 75 points, sd 50, standard error 25; t with 3 degrees of freedom 3.1824."""
    found = clips([[1, 1, 0, 1]]).difference()
    assert found.mean == 75.0
    assert found.low == pytest.approx(75 - 3.1824 * 25, abs=2e-3)
    assert found.high == 100.0  # and not 154.6, which no difference can be
    assert (found.by_seed[0].gained, found.by_seed[0].lost) == (3, 0)
    assert found.by_seed[0].p == 0.25  # 2 of 8


def test_twins_count_once() -> None:
    """A clip and its reverse, one gained and one lost, are no difference in that cluster."""
    one = hits({0: kept("1010", clusters=["x", "x", "y", "z"])})
    other = hits({0: kept("0100", clusters=["x", "x", "y", "z"])})
    found = pair_clips(one, other)
    assert found is not None
    assert found.sizes.tolist() == [2.0, 1.0, 1.0]
    assert found.net.tolist() == [[0.0, 1.0, 0.0]]
    assert found.difference().by_seed[0].gained == 1
    assert (found.difference().n, found.difference().clips) == (3, 4)


def test_clips_that_are_all_doubled_say_no_more_than_clips_alone() -> None:
    """The oracle of clustering: every clip twice in one cluster leaves the standard error as it was."""
    net = np.random.default_rng(0).integers(-1, 2, size=(4, 60)).astype(float)
    alone = clips(net.tolist())
    doubled = PairedClips(seeds=alone.seeds, net=2 * net, sizes=np.full(60, 2.0))
    assert doubled.variances() == pytest.approx(alone.variances())
    assert doubled.difference().low == pytest.approx(alone.difference().low)


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
    one = PairedClips(seeds=(0, 1, 2), net=net, sizes=sizes)
    other = PairedClips(seeds=(0, 1, 2), net=net[::-1][:, places], sizes=sizes[places])
    assert other.variances() == pytest.approx(one.variances())
    assert other.difference().mean == pytest.approx(one.difference().mean)


def test_networks_that_agree_on_every_clip_give_no_interval() -> None:
    found = clips([[0, 0, 0]]).difference()
    assert (found.mean, found.low, found.p) == (0.0, None, 1.0)


def test_networks_that_differ_on_every_clip_are_told_apart_by_the_sign_test() -> None:
    """Three seeds, each right wherever the other is wrong: no spread, and 2 of the 16 ways that four signs can fall."""
    found = clips([[1.0] * 4] * 3).difference()
    assert (found.mean, found.low, found.p) == (100.0, None, 1 / 8)
    thirds = clips([[1.0] * 7, [0.0] * 7, [0.0] * 7])  # a mean that is no round number
    assert thirds.variances()[0] == pytest.approx(0.0, abs=1e-9)
    assert thirds.difference().p == 2 / 2**7


def test_the_bootstrap_gives_the_same_answer_twice_and_is_close_to_the_known_error() -> None:
    """With many seeds whose luck is all in the clips, the bootstrap's error is that of the clips."""
    net = np.tile(np.random.default_rng(3).integers(-1, 2, size=400).astype(float), (6, 1))
    one = clips(net.tolist())
    first = one.bootstrap(np.random.default_rng(7))
    assert first == one.bootstrap(np.random.default_rng(7))
    assert first != one.bootstrap(np.random.default_rng(8))
    assert first.half_width == pytest.approx(1.96 * math.sqrt(one.variances()[0]), rel=0.1)


def test_quoted_interval_is_for_new_clips_where_predictions_were_kept() -> None:
    generator = np.random.default_rng(4)
    easy = generator.random(300)
    right = {  # two operators that are right about other clips
        name: [
            "".join("1" if e + 0.1 * g > cut else "0" for e, g in zip(ease, generator.standard_normal(300)))  # noqa: B905
            for _ in range(3)
        ]
        for name, ease, cut in (("a", easy, 0.4), ("b", 1 - easy, 0.5))
    }
    sides = [hits({seed: kept(row) for seed, row in enumerate(right[name])}) for name in "ab"]
    accuracy = [{seed: 100 * row.count("1") / 300 for seed, row in enumerate(right[name])} for name in "ab"]
    alone = paired_difference(*accuracy)
    both = paired_difference(*accuracy, pair_clips(*sides))
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
    sides = [hits({0: kept(right)}) for right in ("111101", "100001")]
    found = paired_difference({0: 83.3}, {0: 33.3}, pair_clips(*sides))
    assert found.low is None
    assert found.p is None
    assert found.clips is not None
    assert found.clips.low is not None
    assert found.clips.mean == pytest.approx(50.0)
