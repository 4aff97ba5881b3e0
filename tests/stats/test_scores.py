"""The differences of a table: corrected together, each with its verdict."""

from __future__ import annotations

from fractions import Fraction

import pytest
from builders.scores import FOUR, against

from harness.stats.differences import Difference, Verdict
from harness.stats.scores import Scores


def compare(accuracy: dict[str, dict[int, float]], baseline: str) -> dict[str, Difference]:
    return against(Scores(accuracy=accuracy), baseline)


def seeds(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


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


def test_a_baseline_without_results_leaves_every_row_undecided() -> None:
    rows = compare({"up": seeds(1.0, 2.0, 3.0)}, "base")
    assert rows["up"].n == 0
    assert rows["up"].verdict == Verdict.TOO_FEW


def test_verdicts_of_a_table_with_a_margin() -> None:
    found = against(FOUR, "high")
    assert found["alike"].verdict == Verdict.EQUIVALENT
    assert found["alike"].words == "no difference larger than 1 point"
    assert against(FOUR, "low")["mid"].verdict == Verdict.BETTER
    assert against(Scores(accuracy=FOUR.accuracy), "high")["alike"].verdict == Verdict.TOO_FEW


def test_the_same_question_twice_gives_the_same_answer() -> None:
    assert against(FOUR, "low") == against(FOUR, "low")


def test_seeds_needed_are_those_that_the_power_asks_for() -> None:
    """Differences of mean 1 and sd 1: 10 seeds at 80 % power and 5 % (printed tables of the paired t test)."""
    values = [0.0, 1.0, 2.0]
    results = Scores(accuracy={"a": dict(enumerate(values)), "b": dict.fromkeys(range(3), 0.0)})
    (row,) = results.table([("a", "b")])
    assert row.seeds_needed == 10
    assert row.effect == pytest.approx(
        0.5642, abs=1e-4
    )  # Hedges' correction for 2 degrees of freedom: 1/sqrt(pi)
