"""Hypotheses, pairs and the cheapest variant that will do."""

from __future__ import annotations

import numpy as np
import pytest

from harness.stats.cheapest import cheapest
from harness.stats.differences import Verdict, holm
from harness.stats.hypotheses import decide, parse_hypothesis, parse_pair
from harness.stats.power import detection
from harness.stats.scores import Scores


def around(mean: float, spread: float = 0.1, n: int = 5) -> dict[int, float]:
    """Seeds evenly spread about a mean."""
    return {seed: mean + spread * (seed - (n - 1) / 2) for seed in range(n)}


def jitter(mean: float, seed: int, n: int = 5) -> dict[int, float]:
    draw = np.random.default_rng(seed)
    return {i: mean + 0.1 * float(v) for i, v in enumerate(draw.standard_normal(n))}


RESULTS = Scores(
    accuracy={"low": jitter(50, 0), "mid": jitter(55, 1), "high": jitter(60, 2), "alike": jitter(60, 3)},
    margin=1.0,
)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a beats b", "is no hypothesis; write a > b, a < b or a ~ b within 0.5"),
        ("a > a", "compares a with itself"),
        ("a > b within 1", "only ~ has a `within`"),
        ("a ~ b", "needs points above 0"),
        ("a ~ b within -1", "needs points above 0"),
        ("a ~ b within nan", "needs points above 0"),
        ("a ~ b within some", "'some' is not a number of points"),
    ],
)
def test_what_is_no_hypothesis_is_named_with_its_rule(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=r"^'") as caught:
        parse_hypothesis(text)
    assert rule in str(caught.value)


def test_equivalence_without_points_takes_the_studys_margin() -> None:
    assert parse_hypothesis("a ~ b", margin=0.7).within == 0.7
    assert parse_hypothesis("a ~ b within 0.5", margin=0.7).within == 0.5


def test_a_pair_is_two_names() -> None:
    assert parse_pair("ks7 vs ks5") == ("ks7", "ks5")
    with pytest.raises(ValueError, match="is no pair; write a vs b"):
        parse_pair("ks7 > ks5")


def test_hypotheses_are_tested_one_sided_and_corrected_together() -> None:
    texts = ["high > low", "low > high", "mid < high", "high ~ alike within 1"]
    found = decide(RESULTS, [parse_hypothesis(text) for text in texts])
    words = [str(one.verdict) for one in found]
    assert words == ["supported", "not supported", "supported", "supported"]
    two_sided = found[0].difference.p
    assert two_sided is not None
    assert found[0].p == pytest.approx(two_sided / 2)
    assert found[1].p == pytest.approx(1 - two_sided / 2)
    assert [one.p_holm for one in found] == pytest.approx(holm([one.p or 0 for one in found]))
    assert not any(one.difference.exploratory for one in found)


def test_equivalence_needs_both_sides() -> None:
    """mid and high are 5 apart: within 6, not within 4."""
    found = decide(RESULTS, [parse_hypothesis(f"mid ~ high within {points}") for points in (4, 6)])
    assert [one.verdict for one in found] == [Verdict.NOT_SUPPORTED, Verdict.SUPPORTED]


def test_two_one_sided_tests_agree_with_the_90_per_cent_interval() -> None:
    """A second view of equivalence: its p is below 5 % where the interval at 90 % lies within the margin."""
    for seed in range(40):
        results = Scores(accuracy={"a": jitter(50.1, seed, 3), "b": jitter(50, seed + 100, 3)}, margin=0.3)
        found = results.difference("a", "b")
        assert found.error is not None
        assert found.p_margin is not None
        half = found.error.half_width(0.10)
        assert half is not None
        inside = found.mean - half > -0.3 and found.mean + half < 0.3
        assert inside == (found.p_margin < 0.05)


def test_too_few_seeds_decide_no_hypothesis_and_tighten_no_other() -> None:
    results = Scores(accuracy={"a": jitter(60, 0), "b": jitter(50, 1), "young": {0: 90.0, 1: 91.0}})
    found = decide(results, [parse_hypothesis("a > b"), parse_hypothesis("young > b")])
    assert [one.verdict for one in found] == [Verdict.SUPPORTED, Verdict.TOO_FEW]
    assert found[0].p_holm == found[0].p


def test_verdicts_of_a_table_with_a_margin() -> None:
    found = RESULTS.against("high")
    assert found["alike"].verdict == Verdict.EQUIVALENT
    assert found["alike"].words == "no difference larger than 1 point"
    assert RESULTS.against("low")["mid"].verdict == Verdict.BETTER
    assert Scores(accuracy=RESULTS.accuracy).against("high")["alike"].verdict == Verdict.TOO_FEW


def test_the_same_question_twice_gives_the_same_answer() -> None:
    assert RESULTS.against("low") == RESULTS.against("low")


def test_the_cheapest_that_is_not_worse_than_any_by_more_than_the_margin() -> None:
    costs = {"low": 1e9, "mid": 2e9, "high": 4e9, "alike": 3e9}
    found = cheapest(RESULTS, costs, "MACs")
    assert found.variants == ("alike",)
    assert found.cost == 3e9
    assert "`alike` (3.00 G MACs)" in found.words
    assert "of the 2 cheaper it is not" in found.words
    assert cheapest(RESULTS, costs | {"high": 3e9}, "MACs").variants == ("high", "alike")


def test_a_variant_that_may_be_much_worse_is_not_called_cheap_enough() -> None:
    """Three seeds with a spread of 2 points cannot tell a margin of 1."""
    results = Scores(
        accuracy={"a": {0: 58.0, 1: 60.0, 2: 62.0}, "b": {0: 61.0, 1: 58.5, 2: 60.0}}, margin=1.0
    )
    found = cheapest(results, {"a": 5.0, "b": 6.0}, "latency")
    assert found.variants == ()
    assert found.words.startswith("By latency: of no variant")


def test_a_cheapest_names_the_variants_whose_cost_is_not_known() -> None:
    assert cheapest(RESULTS, {"high": 4.0}, "latency").words == (
        "By latency: `high` (median 4.0 ms) is the cheapest that is shown to be at most 1 point below every other "
        "variant; latency not known: `low`, `mid`, `alike`."
    )


def test_a_variant_with_too_few_seeds_keeps_every_other_from_being_cheap_enough() -> None:
    """Nobody knows that it is not better than all by far."""
    results = Scores(accuracy={**RESULTS.accuracy, "young": {0: 99.0}}, margin=1.0)
    assert cheapest(results, {"low": 1.0, "alike": 2.0}, "latency").variants == ()


def test_seeds_needed_are_those_that_the_power_asks_for() -> None:
    """Differences of mean 1 and sd 1: 10 seeds at 80 % power and 5 % (printed tables of the paired t test)."""
    values = [0.0, 1.0, 2.0]
    results = Scores(accuracy={"a": dict(enumerate(values)), "b": dict.fromkeys(range(3), 0.0)})
    (row,) = results.table([("a", "b")])
    assert row.seeds_needed == 10
    assert row.effect == pytest.approx(
        0.5642, abs=1e-4
    )  # Hedges' correction for 2 degrees of freedom: 1/sqrt(pi)


def test_a_plan_says_what_it_can_detect() -> None:
    """By hand, 19 seeds: variance 2 x 0.33^2 / 19 = 0.0115 from trainings and 10 % / 11,522 clips = 0.0868 points^2
    from clips, error 0.314; critical (2.10 x 0.0115 + 1.96 x 0.0868) / 0.314 = 0.62, and 0.84 x 0.314 for the power."""
    assert detection(19, 1, 0).startswith(
        "0.9 points as one of 1 row, with 19 seeds and 11,522 validation clips (assumed) at 80 % power; assumed: "
    )
    assert ", with 5 seeds and 480 validation clips at" in detection(5, 3, 0, 480, 240)
    with_hypotheses = detection(3, 9, 4)
    assert "as one of 9 rows" in with_hypotheses
    assert "as one of 4 hypotheses" in with_hypotheses
    assert detection(2, 9, 0) == "no difference: 2 of the 3 seeds that an interval needs"


def test_few_clips_detect_less_and_clips_in_pairs_less_still() -> None:
    found = [float(detection(5, 3, 0, *clips).split()[0]) for clips in ((), (480, 480), (480, 240))]
    assert found == sorted(found)
    # 240 pairs, by hand: error^2 (0.0442 + 4.1667) / 5 + 4.1667 = 5.01; t at 0.05 / 3 is 3.96 and 2.39: 5.95 + 1.88
    assert found[2] == pytest.approx(7.8, abs=0.3)


def test_a_summary_tests_what_the_study_stated_and_calls_the_rest_exploratory() -> None:
    from harness.analysis.summary import summarize
    from harness.records import CostRecord, StudyRecord, TrialRecord

    trials = [
        TrialRecord(trial_id="", variant=variant, seed=seed, status="done", last={"top1": top1})
        for variant, by_seed in RESULTS.accuracy.items()
        for seed, top1 in by_seed.items()
    ]
    costs = {
        variant: CostRecord(geometry={}, params_total=1, params_added=0, macs_total=macs, macs_added=0)
        for variant, macs in (("low", 1), ("mid", 2), ("high", 4), ("alike", 3))
    }
    found = summarize(
        StudyRecord(
            name="s", question="?", source="", reference="", baseline="low", variants=list(RESULTS.accuracy),
            seeds=list(range(5)), settings={}, differs={}, protocol={}, classes=[], groups=[], trials=trials,
            costs=costs, margin=1.0, hypotheses=["mid > low"], pairs=["high vs alike"],
        )
    )  # fmt: skip
    assert [one.verdict for one in found.hypotheses] == [Verdict.SUPPORTED]
    rows = {row.variant: row.difference for row in found.rows if row.difference}
    assert {variant: row.exploratory for variant, row in rows.items()} == {
        "mid": False, "high": True, "alike": True,
    }  # fmt: skip
    (pair,) = found.pairs
    assert (pair.variant, pair.other, pair.verdict) == ("high", "alike", Verdict.EQUIVALENT)
    assert [(one.by, one.variants) for one in found.cheapest] == [("MACs", ("alike",))]
