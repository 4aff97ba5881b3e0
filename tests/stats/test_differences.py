"""Statistics against tables, hand arithmetic and second implementations."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import random
import statistics
from fractions import Fraction

import numpy as np
import pytest

from harness.stats.clips import Clips
from harness.stats.differences import Difference, Verdict, holm, paired_difference
from harness.stats.estimates import mean_interval, quartiles
from harness.stats.scores import Scores

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


def compare(accuracy: dict[str, dict[int, float]], baseline: str) -> dict[str, Difference]:
    return Scores(accuracy=accuracy).against(baseline)


def seeds(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


def test_a_verdict_is_its_words_wherever_it_is_written() -> None:
    for verdict in Verdict:
        words = io.StringIO()
        csv.writer(words, lineterminator="").writerow([verdict])
        assert (
            f"{verdict}"
            == str(verdict)
            == words.getvalue()
            == json.loads(json.dumps(verdict))
            == verdict.value
        )
        assert {verdict.value: 1}[verdict] == 1  # found by either


def test_a_difference_is_better_or_worse_or_has_too_few_seeds() -> None:
    rows = compare(
        {
            "base": seeds(50.0, 51.0, 52.0),
            "up": seeds(60.0, 61.1, 61.9),
            "down": seeds(40.0, 41.1, 41.9),
            "near": seeds(50.2, 50.9, 52.1),
            "young": {0: 90.0, 1: 91.0},
            "none": {},
        },
        "base",
    )
    few = "too few seeds to tell"
    words = {variant: str(row.verdict) for variant, row in rows.items()}
    assert words == {"up": "better", "down": "worse", "near": few, "young": few, "none": few}
    assert rows["young"].p_holm is None


def test_verdict_uses_the_corrected_p_and_the_interval_does_not() -> None:
    """Differences 1, 2, 3, 4 have p = 0.030: enough alone, not among three."""
    base, up = seeds(0.0, 0.0, 0.0, 0.0), seeds(1.0, 2.0, 3.0, 4.0)
    flat = seeds(1.0, -1.0, 1.5, -1.2)
    alone = compare({"base": base, "up": up}, "base")["up"]
    among = compare({"base": base, "up": up, "x": flat, "y": flat}, "base")["up"]
    assert (alone.verdict, among.verdict) == (Verdict.BETTER, Verdict.TOO_FEW)
    assert among.low == alone.low
    assert among.low is not None
    assert among.low > 0
    assert among.p_holm == pytest.approx(3 * (among.p or 0))


def test_rows_without_enough_seeds_do_not_tighten_the_others() -> None:
    base, up = seeds(0.0, 0.0, 0.0, 0.0), seeds(1.0, 2.0, 3.0, 4.0)
    rows = compare({"base": base, "up": up, "x": {0: 1.0}, "y": {}}, "base")
    assert rows["up"].p_holm == rows["up"].p


def test_identical_accuracies_are_no_difference() -> None:
    row = compare({"base": seeds(50.0, 51.0, 52.0), "same": seeds(50.0, 51.0, 52.0)}, "base")["same"]
    assert (row.mean, row.p, row.verdict) == (0.0, 1.0, Verdict.TOO_FEW)


def test_the_same_difference_three_times_is_too_few_seeds() -> None:
    """70.1 - 60.1 and the like differ by rounding errors only; a t test would call that certain."""
    row = compare({"base": seeds(60.1, 61.3, 59.7), "up": seeds(70.1, 71.3, 69.7)}, "base")["up"]
    assert row.mean == pytest.approx(10.0)
    assert row.low is None
    assert row.p == Fraction(1, 4)  # sign test: 2 of the 8 ways that three signs can fall
    assert row.verdict == Verdict.TOO_FEW


def test_the_same_difference_six_times_is_shown_by_the_sign_test() -> None:
    row = compare({"base": seeds(*[50.0] * 6), "up": seeds(*[60.0] * 6)}, "base")["up"]
    assert row.p == 1 / 32
    assert row.verdict == Verdict.BETTER


def test_the_same_difference_six_times_decides_nothing_that_clips_leave_open() -> None:
    """One clip of 100 gained in every training: the sign test would call 1 point better; another clip set need not."""
    net = np.zeros((6, 100))
    net[:, 0] = 1.0
    clips = Clips(seeds=tuple(range(6)), net=net, sizes=np.ones(100))
    row = paired_difference(seeds(*[51.0] * 6), seeds(*[50.0] * 6), clips)
    assert row.low is None
    assert row.p == pytest.approx(0.3197, abs=1e-4)  # t = 1 with 99 degrees of freedom
    many = np.zeros((6, 100))
    many[:, :30] = 1.0
    sure = Clips(seeds=clips.seeds, net=many, sizes=clips.sizes)
    assert paired_difference(seeds(*[80.0] * 6), seeds(*[50.0] * 6), sure).p == 1 / 32


def test_a_baseline_without_results_leaves_every_row_undecided() -> None:
    rows = compare({"up": seeds(1.0, 2.0, 3.0)}, "base")
    assert rows["up"].n == 0
    assert rows["up"].verdict == Verdict.TOO_FEW


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
