"""The calibration: its simulated studies are what they say, and it judges as reports do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from builders.scores import against

from harness.stats.__main__ import main
from harness.stats.calibration import DIFFERENCES, LESS, ROWS, Simulator, Truth, simulate
from harness.stats.clips import Hits
from harness.stats.scores import Scores


def test_a_simulated_truth_has_the_noise_that_it_states() -> None:
    truth = Truth(name="test", clips=4000, other_operator=30.0, seed_sd=1.0)
    right = Simulator(truth).study(np.random.default_rng(0), 40)
    top1 = 100 * right.mean(axis=2)
    assert top1.mean() == pytest.approx(46.7, abs=1.0)
    assert top1.std(axis=1, ddof=1).mean() == pytest.approx(1.0, rel=0.1)
    disagree = 100 * (right[:, :-1] != right[:, 1:]).mean()
    assert disagree == pytest.approx(20.0, abs=1.0)
    assert 100 * (right[1:] != right[:1]).mean() == pytest.approx(30.0, abs=1.5)


def test_a_known_difference_is_there() -> None:
    truth = Truth(name="test", clips=2000, differences=DIFFERENCES)
    right = Simulator(truth).study(np.random.default_rng(1), 200)
    gaps = 100 * (right[1:].mean(axis=(1, 2)) - right[0].mean())
    assert gaps == pytest.approx(truth.gaps, abs=0.25)


def test_clips_that_belong_together_are_alike() -> None:
    truth = Truth(name="test", clips=2000, pair=2)
    right = Simulator(truth).study(np.random.default_rng(2), 2)[0, 0].reshape(-1, 2)
    assert (right[:, 0] == right[:, 1]).mean() > 0.7


def test_one_training_in_ten_of_a_row_falls_and_the_true_means_stay_equal() -> None:
    truth = Truth(name="test", clips=2000, collapsing=10.0, fall=10.0)
    top1 = 100 * Simulator(truth).study(np.random.default_rng(3), 400).mean(axis=2)  # (variants, seeds)
    gaps = top1[1:] - top1[0].mean()  # all have the same clips
    assert gaps.mean(axis=1) == pytest.approx([0.0] * ROWS, abs=0.6)
    fallen = gaps < -4  # between the fallen at -9 and the others at 1
    assert 100 * fallen.mean() == pytest.approx(10.0, abs=2.0)
    assert gaps[fallen].mean() == pytest.approx(-9.0, abs=0.3)
    assert np.ptp(top1[0]) < 5  # none of the baseline's falls


@pytest.mark.parametrize(
    "truth",
    [
        Truth(name="test", clips=300, pair=2, seed_sd=2.0, other_operator=30.0),
        Truth(name="at the ceiling", clips=300, pair=2, top1=99.7, differences=LESS),  # many seeds agree
    ],
    ids=lambda truth: truth.name,
)
def test_it_judges_as_a_report_does(truth: Truth) -> None:
    """The vectorised path of the calibration against the one that reports take, on the same study."""
    from harness.seeds import seed_for

    generator = np.random.default_rng(seed_for("calibration", truth.name, 0))
    right = Simulator(truth).study(generator, 10)[:, :3]
    results = Scores(
        accuracy={
            str(v): {s: 100 * float(row.mean()) for s, row in enumerate(rows)} for v, rows in enumerate(right)
        },
        hits={
            str(v): Hits(
                ids=tuple(map(str, range(300))), cluster=np.arange(300) // 2, by_seed=dict(enumerate(rows))
            )
            for v, rows in enumerate(right)
        },
    )
    rows = list(against(results, "0").values())
    assert len(rows) == ROWS
    (outcome, *_) = simulate(truth, 1, bootstraps=0)
    covered = [row.holds(gap) for row, gap in zip(rows, truth.gaps, strict=True)]
    assert outcome.coverage == pytest.approx(100 * np.mean(covered))
    equal = [row for row, gap in zip(rows, truth.gaps, strict=True) if gap == 0]
    assert outcome.single == pytest.approx(
        100 * np.mean([row.p is not None and row.p < 0.05 for row in equal])
    )


def test_a_small_calibration_keeps_its_promise() -> None:
    """Within 4 standard errors of what is promised; the full one stands in docs/statistics.md."""
    studies = 150
    for truth in (
        Truth(name="A against A", clips=600, seed_sd=1.5),
        Truth(name="other clips", clips=600, seed_sd=1.5, other_operator=35.0),
    ):
        for one in simulate(truth, studies, bootstraps=0):
            assert one.family <= 5 + 4 * 100 * math.sqrt(0.05 * 0.95 / studies)
            assert 95 - 4 * 100 * math.sqrt(0.05 * 0.95 / studies) <= one.coverage <= 99


def test_the_naive_interval_over_seeds_misses_new_clips() -> None:
    """Why clips are counted at all: the same intervals, for new clips, without them."""
    truth = Truth(name="other clips", clips=600, seed_sd=1.5, other_operator=35.0)
    assert simulate(truth, 60, bootstraps=0)[-1].trainings < 85


def test_the_command_prints_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--calibrate", "--studies", "2", "--quick"]) == 0
    printed = capsys.readouterr().out
    assert "2 simulated studies a row" in printed
    assert printed.count("| A against A |") == 3


def test_no_studies_are_refused() -> None:
    with pytest.raises(SystemExit):
        main(["--calibrate", "--studies", "0"])
