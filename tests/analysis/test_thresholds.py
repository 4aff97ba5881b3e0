"""Thresholds of a swept setting and their ratios, by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest
from builders.ladders import swept

from harness.analysis.summary import summarize
from harness.analysis.sweep import Beyond, Sweep, baselines, thresholds
from harness.records import StudyRecord

CLIPS = (200, 400, 800)


def of(record: StudyRecord) -> Sweep:
    found = summarize(record).sweep
    assert found is not None
    return found


def where(values: list[float], top1: list[float], *, rising: bool = True) -> float | Beyond | None:
    (found,) = thresholds({0: top1}, values, 75.0, rising=rising)
    return found.beyond if found.value is None else found.value


def test_a_threshold_is_found_on_a_line_over_the_logarithm() -> None:
    """From 50 % at 200 to 100 % at 800, half-way is half of the way from log 200 to log 800: 400."""
    assert where([200, 800], [50, 100]) == pytest.approx(400)
    # 60 at 400, 90 at 800: half of the way in accuracy, so sqrt 2 times 400
    assert where([200, 400, 800], [50, 60, 90]) == pytest.approx(400 * math.sqrt(2))


def test_where_a_value_is_0_the_line_is_over_the_setting_itself() -> None:
    assert where([0, 40], [100, 50], rising=False) == pytest.approx(20)


def test_what_gets_harder_with_the_setting_has_its_threshold_from_the_other_end() -> None:
    assert where([10, 20, 40], [100, 100, 50], rising=False) == pytest.approx(math.sqrt(20 * 40))


def test_a_curve_that_crosses_twice_counts_from_its_easy_end() -> None:
    """A lucky training with 200 clips: 400 are still too few, 800 enough."""
    assert where([200, 400, 800], [80, 70, 80]) == pytest.approx(math.sqrt(400 * 800))
    assert where([200, 400, 800], [70, 80, 70]) == Beyond.LARGEST  # not even the most clips are sure to do


def test_a_threshold_beyond_what_was_tried_says_on_which_side() -> None:
    assert where([200, 400], [50, 70]) == Beyond.LARGEST
    assert where([200, 400], [80, 90]) == Beyond.SMALLEST
    assert where([10, 20], [80, 90], rising=False) == Beyond.LARGEST
    assert where([10, 20], [60, 50], rising=False) == Beyond.SMALLEST


def test_exactly_half_way_is_not_above_it() -> None:
    assert where([200, 400], [75, 90]) == pytest.approx(200)
    assert where([200, 400], [50, 75]) == Beyond.LARGEST


def test_a_seed_that_lacks_a_value_has_no_threshold() -> None:
    assert thresholds({0: [50, math.nan, 100]}, CLIPS, 75.0, rising=True) == []


# Half-way of every curve: at 200 x 2^(1/2), 400 x 2^(1/2) and so on, by the doubling in which it rises.
EARLY, MIDDLE = [50.0, 100.0, 100.0], [50.0, 50.0, 100.0]


def test_ratios_are_paired_by_seed_on_the_logarithm() -> None:
    """Thresholds of a 282.8 in every seed; of b 282.8, 565.7, 565.7: ratios 1, 2, 2. By hand, log2 0, 1, 1:
    mean 2/3, sd 0.57735, so 2/3 ± 4.3027 / 3 = [-0.7676, 2.1009]; 2^0.6667 = 1.587, 2^-0.7676 = 0.587, 4.29."""
    found = of(swept({"a": [EARLY] * 3, "b": [EARLY, MIDDLE, MIDDLE]}, CLIPS))
    a, b = found.rows
    assert [one.value for one in a.thresholds] == pytest.approx([200 * math.sqrt(2)] * 3)
    assert [one.value for one in b.thresholds] == pytest.approx(
        [200 * math.sqrt(2), *[400 * math.sqrt(2)] * 2]
    )
    assert a.ratio is None
    ratio = b.ratio
    assert ratio is not None
    assert (ratio.other, ratio.n, ratio.words) == ("a", 3, "too few seeds to tell")
    assert (ratio.mean, ratio.low, ratio.high) == pytest.approx((1.587, 0.587, 4.290), abs=0.002)


def test_a_ratio_that_is_clear_is_called_higher_or_lower() -> None:
    """Log2 ratios 1, 1.1 and 1.05 or so: far from 0 for their spread."""
    a = [[50.0, 100.0, 100.0]] * 3
    b = [[50.0, 50.0, 100.0], [50.0, 50.0, 95.0], [50.0, 50.0, 97.0]]
    for curves, words, mean in (({"a": a, "b": b}, "higher", 2.05), ({"b": b, "a": a}, "lower", 1 / 2.05)):
        ratio = of(swept(curves, CLIPS)).rows[1].ratio
        assert ratio is not None
        assert (ratio.words, ratio.mean) == (words, pytest.approx(mean, rel=0.05))


def test_no_ratio_where_a_seed_lies_beyond_what_was_tried() -> None:
    found = of(swept({"a": [EARLY] * 3, "b": [EARLY, EARLY, [50.0, 50.0, 60.0]]}, CLIPS))
    assert [one.beyond for one in found.rows[1].thresholds] == [None, None, Beyond.LARGEST]
    assert found.rows[1].ratio is None


def test_two_seeds_give_a_ratio_and_no_interval() -> None:
    ratio = of(swept({"a": [EARLY] * 2, "b": [MIDDLE] * 2}, CLIPS)).rows[1].ratio
    assert ratio is not None
    assert (ratio.mean, ratio.low, ratio.p_holm) == (pytest.approx(2.0), None, None)


def test_rows_are_compared_with_the_baseline_at_the_same_value() -> None:
    record = swept({"a": [EARLY] * 3, "b": [MIDDLE] * 3}, CLIPS)
    pairs = {"b@200": "a@200", "b@400": "a@400", "b@800": "a@800"}
    assert baselines(record) == pairs
    assert baselines(dataclasses.replace(record, baseline="a")) == pairs  # the row's own name
    gaps = {row.variant: row.difference for row in summarize(record).rows}
    assert gaps["a@400"] is None
    assert gaps["b@400"] is not None
    assert (gaps["b@400"].other, gaps["b@400"].mean) == ("a@400", -50.0)


def test_without_a_sweep_all_are_compared_with_the_one_baseline() -> None:
    record = dataclasses.replace(swept({"a": [EARLY], "b": [MIDDLE]}, (200, 400, 800)), sweep={})
    assert set(baselines(record).values()) == {"a@200"}


def test_a_sweep_leaves_no_best_and_no_cheapest() -> None:
    """Its rows differ in how much they were given, not only in what is compared."""
    found = summarize(swept({"a": [EARLY] * 3, "b": [MIDDLE] * 3}, CLIPS, margin=1.0))
    assert (found.lead, found.clear_best, found.cheapest) == (None, False, [])


def test_without_a_known_chance_there_are_curves_and_no_thresholds() -> None:
    found = of(swept({"a": [EARLY] * 3, "b": [MIDDLE] * 3}, CLIPS, chance=None))
    assert (found.halfway, [one.thresholds for one in found.rows]) == (None, [[], []])
    assert [one.mean for one in found.rows[0].accuracy] == EARLY
