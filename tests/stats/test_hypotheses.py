"""What a study states: read strictly, tested as stated."""

from __future__ import annotations

import pytest
from builders.scores import FOUR, jitter

from harness.stats.differences import Verdict, holm
from harness.stats.hypotheses import decide, parse_hypothesis, parse_pair
from harness.stats.scores import Scores


def around(mean: float, spread: float = 0.1, n: int = 5) -> dict[int, float]:
    """Seeds evenly spread about a mean."""
    return {seed: mean + spread * (seed - (n - 1) / 2) for seed in range(n)}


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
    found = decide(FOUR, [parse_hypothesis(text) for text in texts])
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
    found = decide(FOUR, [parse_hypothesis(f"mid ~ high within {points}") for points in (4, 6)])
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
