"""What a dry run says of a plan before anything is trained."""

from __future__ import annotations

from harness.run.dry import detects


def test_a_plan_says_what_it_can_detect_and_what_it_assumes() -> None:
    assert detects(19, 1, 0).startswith(
        "0.9 points as one of 1 row, with 19 seeds and 11,522 validation clips (assumed) at 80 % power; assumed: on "
        "11,522 clips top-1 has an sd of 0.33 points between trainings, as published on Something-Something v1; two "
    )
    assert ", with 5 seeds and 480 validation clips at" in detects(5, 3, 0, 480, 240)
    with_hypotheses = detects(3, 9, 4)
    assert " points as one of 9 rows, " in with_hypotheses
    assert " as one of 4 hypotheses, with 3 seeds and " in with_hypotheses


def test_too_few_seeds_to_decide_anything_are_said() -> None:
    assert detects(2, 9, 0) == "no difference: 2 of the 3 seeds that an interval needs"
