"""Levels, horizons and the variants that solve a level, from records whose answers are known."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from builders.ladders import ladder

from harness.analysis.ladder import Ladder
from harness.analysis.summary import summarize
from harness.records import StudyRecord
from harness.stats.clips import Hits, resampled_levels

LAGS = (1, 2, 3)
FLAT = [[0, 0, 0]] * 3
STAIRS = {"tsn": FLAT, "ks3": [[20, 20, 0]] * 3, "ks5": [[20, 20, 20], [20, 20, 20], [20, 20, 19]]}


def climbed(record: StudyRecord) -> Ladder:
    found = summarize(record).ladder
    assert found is not None
    return found


def test_a_curve_is_the_mean_at_each_level_with_its_interval() -> None:
    """17, 18 and 19 of 20 pairs: 92.5, 95, 97.5 %; sd 2.5, 4.3027 x 2.5 / sqrt 3 = 6.21."""
    found = climbed(ladder({"tsn": FLAT, "ks3": [[20, 17, 0], [20, 18, 0], [20, 19, 0]]}, LAGS))
    assert (found.level_name, found.levels, found.chance, found.halfway) == ("lag", [1, 2, 3], 50.0, 75.0)
    tsn, ks3 = found.curves
    assert [one.mean for one in tsn.accuracy] == [50.0, 50.0, 50.0]
    assert [one.mean for one in ks3.accuracy] == [100.0, 95.0, 50.0]
    assert ks3.accuracy[1].low == pytest.approx(95 - 6.21, abs=0.005)
    assert ks3.accuracy[1].high == 100.0  # and not 101.2
    assert ks3.by_seed[2] == [100.0, 97.5, 50.0]


def test_the_measured_horizon_is_the_largest_level_that_is_solved() -> None:
    """Solved is above 75 %, half-way from 50: 11 of 20 pairs are 77.5 %, 10 are 75."""
    curves = {"tsn": FLAT, "just": [[20, 20, 11]] * 3, "not": [[20, 20, 10]] * 3}
    horizons = {"tsn": 0, "just": 4, "not": 2}
    found = climbed(ladder(curves, LAGS, horizons=horizons))
    assert {one.variant: one.solved for one in found.curves} == {"tsn": [], "just": [1, 2, 3], "not": [1, 2]}
    measured = {one.variant: one.horizon and one.horizon.measured for one in found.curves}
    assert measured == {"tsn": 0, "just": 3, "not": 2}


def test_a_horizon_is_held_against_the_largest_level_within_the_predicted_one() -> None:
    """4 and 7 frames are more than the study asks: all its lags are expected, and nothing can show more."""
    found = climbed(ladder(STAIRS, LAGS, horizons={"tsn": 0, "ks3": 2, "ks5": 4}))
    assert [(one.horizon and one.horizon.expected) for one in found.curves] == [0, 2, 3]
    assert found.mismatches == []
    wrong = climbed(ladder(STAIRS, LAGS, horizons={"tsn": 2, "ks3": 1, "ks5": 7}))
    assert [one.variant for one in wrong.mismatches] == ["tsn", "ks3"]


def test_an_operator_that_does_not_state_its_reach_has_no_prediction_to_miss() -> None:
    found = climbed(ladder(STAIRS, LAGS, horizons={"tsn": 0, "ks3": None, "ks5": 4}))
    horizon = found.curves[1].horizon
    assert horizon is not None
    assert (horizon.predicted, horizon.expected, horizon.measured, horizon.agrees) == (None, None, 2, None)


def test_levels_that_are_no_distances_have_no_horizon() -> None:
    record = ladder(STAIRS, LAGS)  # nothing predicted
    assert all(one.horizon is None for one in climbed(record).curves)
    assert climbed(record).curves[1].solved == [1, 2]


def test_without_a_known_chance_nothing_is_called_solved() -> None:
    found = climbed(ladder(STAIRS, LAGS, chance=None, horizons={"ks3": 2}))
    assert found.halfway is None
    assert all(one.solved == [] and one.horizon is None for one in found.curves)


def test_a_certain_horizon_has_an_interval_of_one_level_and_a_doubtful_one_of_more() -> None:
    """Lag 3 solved by 12 of 20 pairs: of 20 pairs drawn again fewer than 11 are right often."""
    curves = {"sure": [[20, 20, 0]] * 3, "doubtful": [[20, 20, 12]] * 3}
    found = climbed(ladder(curves, LAGS, baseline="sure", horizons={"sure": 2, "doubtful": 3}))
    sure, doubtful = (one.horizon for one in found.curves)
    assert sure is not None
    assert doubtful is not None
    assert (sure.low, sure.high) == (2, 2)
    assert (doubtful.low, doubtful.measured, doubtful.high) == (2, 3, 3)


def test_two_seeds_give_a_horizon_and_no_interval() -> None:
    found = climbed(ladder({"tsn": FLAT[:2], "ks3": [[20, 20, 0]] * 2}, LAGS, horizons={"tsn": 0, "ks3": 2}))
    horizon = found.curves[1].horizon
    assert horizon is not None
    assert (horizon.measured, horizon.low, horizon.high) == (2, None, None)


def test_trials_that_kept_no_predictions_have_curves_and_a_horizon_without_interval() -> None:
    record = ladder(STAIRS, LAGS, horizons={"tsn": 0, "ks3": 2, "ks5": 4})
    bare = [dataclasses.replace(one, predictions={}) for one in record.trials]
    found = climbed(dataclasses.replace(record, trials=bare))
    horizon = found.curves[1].horizon
    assert horizon is not None
    assert (horizon.measured, horizon.low) == (2, None)


def test_a_seed_without_a_level_leaves_a_gap() -> None:
    record = ladder(STAIRS, LAGS)
    first = record.trials[3]  # seed 0 of ks3
    last = {name: value for name, value in first.last.items() if name != "lag/2"}
    trials = [dataclasses.replace(first, last=last) if one is first else one for one in record.trials]
    curve = climbed(dataclasses.replace(record, trials=trials)).curves[1]
    assert math.isnan(curve.by_seed[0][1])
    assert [one.n for one in curve.accuracy] == [3, 2, 3]


def test_a_study_without_levels_has_no_ladder() -> None:
    assert summarize(ladder(STAIRS, LAGS, level_name="")).ladder is None


def test_those_that_solve_a_level_are_alike_where_every_pair_is_within_the_margin() -> None:
    """At lags 1 and 2 both are always right. By hand, 20 clusters and 3 seeds: V = p (1 - p) / 20 for p = 0.5 / 21, so
    11.62 points^2, 3.87 over seeds and 7.75 over clips. At 4.56 % t with 2 degrees of freedom is 4.52, with 19 2.14:
    (4.52 x 3.87 + 2.14 x 7.75) / 3.409 = 10. One-sided that is 2.28 %, times 2 levels."""
    found = climbed(ladder(STAIRS, LAGS, margin=10.0))
    assert [(one.level, one.variants) for one in found.solvers] == [(1, ["ks3", "ks5"]), (2, ["ks3", "ks5"])]
    assert [one.p_holm for one in found.solvers] == pytest.approx([0.0456] * 2, abs=1e-4)
    assert [one.alike for one in found.solvers] == [True, True]


def test_one_solver_that_lags_behind_keeps_all_from_being_alike() -> None:
    curves = {"ks3": [[20]] * 3, "ks5": [[20]] * 3, "ks7": [[13], [14], [15]]}
    (found,) = climbed(ladder(curves, [1], baseline="ks3", margin=10.0)).solvers
    assert found.widest is not None
    assert "ks7" in (found.widest.variant, found.widest.other)
    assert abs(found.widest.mean) == pytest.approx(15.0)
    assert not found.alike


def test_without_a_margin_solvers_are_named_and_not_called_alike() -> None:
    found = climbed(ladder(STAIRS, LAGS)).solvers
    assert [(one.widest, one.p_holm, one.alike) for one in found] == [(None, None, False)] * 2


def test_the_same_record_has_the_same_ladder() -> None:
    record = ladder(STAIRS, LAGS, horizons={"tsn": 0, "ks3": 2, "ks5": 4}, margin=5.0)
    assert climbed(record) == climbed(record)


def test_resampled_accuracies_are_those_of_a_plain_loop() -> None:
    """A second implementation of one draw: seeds and clusters with replacement, clip by clip."""
    rng = np.random.default_rng(0)
    cluster, level = np.repeat(np.arange(30), 2), np.repeat(np.arange(30) % 3, 2).astype(float)
    hits = Hits(
        ids=tuple(map(str, range(60))),
        cluster=cluster,
        by_seed={seed: rng.random(60) < 0.7 for seed in range(4)},
        level=level,
    )
    found = resampled_levels(hits, [0, 1, 2], np.random.default_rng(5), resamples=200)
    again = np.random.default_rng(5)
    seeds, clusters = again.integers(4, size=(200, 4)), again.integers(30, size=(200, 30))
    for draw in (0, 77, 199):
        for place in range(3):
            drawn = [
                hits.by_seed[seed][clip]
                for seed in seeds[draw]
                for one in clusters[draw]
                for clip in np.flatnonzero((cluster == one) & (level == place))
            ]
            assert found[draw, place] == pytest.approx(100 * np.mean(drawn))


def test_every_row_at_98_per_cent_on_every_level_is_at_the_ceiling() -> None:
    assert summarize(ladder({"a": [[20, 20]] * 3, "b": [[20, 20]] * 3}, [1, 2], baseline="a")).ceiling == [
        "a",
        "b",
    ]
    found = summarize(ladder({"a": [[20, 20]] * 3, "b": [[20, 19]] * 3}, [1, 2], baseline="a"))
    assert found.ceiling == ["a"]  # b has 97.5 % at lag 2, and more than 98 over both
