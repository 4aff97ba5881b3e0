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
        ("a beats b", "is no hypothesis; write a > b, a < b, a ~ b within 0.5 or a >= b within 0.5, each"),
        ("a > b at 5", "is no hypothesis"),
        ("a > b within 1 at lag 5", "is no hypothesis"),
        ("a > b at lag five", "'five' is not a level"),
        ("a > a", "compares a with itself"),
        ("a > b within 1", "only ~ and >= have a `within`"),
        ("a >= b", "needs points above 0; write a >= b within 0.5, or set margin"),
        ("a ~ b", "needs points above 0"),
        ("a ~ b within -1", "needs points above 0"),
        ("a ~ b within nan", "'nan' is not a number of points"),
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


def test_a_hypothesis_may_name_a_level() -> None:
    one = parse_hypothesis("ks7  > ks3 at lag 5")
    assert (one.text, one.left, one.relation, one.right) == ("ks7 > ks3 at lag 5", "ks7", ">", "ks3")
    assert (one.level_name, one.level, one.within) == ("lag", 5.0, 0.0)
    both = parse_hypothesis("ks1357 ~ ks7 at contrast 0.5 within 2", margin=1.0)
    assert (both.level_name, both.level, both.within) == ("contrast", 0.5, 2.0)
    assert parse_hypothesis("a >= b", margin=1.5).within == 1.5


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


def test_not_worse_is_one_sided_against_the_margin() -> None:
    """mid is 5 below high and 5 above low: at most 6 below, not at most 4; nor is 5 above anywhere near too much."""
    texts = ["mid >= high within 6", "mid >= high within 4", "mid >= low within 1"]
    found = decide(FOUR, [parse_hypothesis(text) for text in texts])
    assert [str(one.verdict) for one in found] == ["supported", "not supported", "supported"]
    first = found[0]
    assert first.difference.error is not None
    assert first.p == pytest.approx(first.difference.error.p(first.difference.mean + 6) / 2)


def test_what_holds_by_its_stated_side_alone_is_marked() -> None:
    """Three seeds about 2 points apart, s = 1.1: t = 2 / (1.1 / sqrt 3) = 3.15, between 2.92 and 4.30 at 2 degrees."""
    gaps = {0: 0.9, 1: 2.0, 2: 3.1}
    scores = Scores(
        accuracy={"a": dict.fromkeys(gaps, 50.0), "b": {s: 50.0 + gap for s, gap in gaps.items()}}
    )
    for text in ("b > a", "a < b"):
        (one,) = decide(scores, [parse_hypothesis(text)])
        assert (one.verdict, one.by_one_side) == (Verdict.SUPPORTED, True)
    (sure,) = decide(
        Scores(accuracy={"a": around(50), "b": around(52, spread=0.2)}), [parse_hypothesis("b > a")]
    )
    assert (sure.verdict, sure.by_one_side) == (Verdict.SUPPORTED, False)
    (wrong,) = decide(scores, [parse_hypothesis("b < a")])
    assert (wrong.verdict, wrong.by_one_side) == (Verdict.NOT_SUPPORTED, False)


def test_a_hypothesis_about_a_level_is_tested_on_its_clips() -> None:
    """Over all clips a and b are alike; at lag 5 a is 40 points above."""
    at_five = {"a": around(70), "b": around(30, 0.12)}
    results = Scores(
        accuracy={"a": around(50), "b": around(50, 0.12)},
        at_level={5.0: at_five},
    )
    found = decide(results, [parse_hypothesis(f"a > b{where}") for where in ("", " at lag 5", " at lag 6")])
    few, no = Verdict.TOO_FEW, Verdict.NOT_SUPPORTED
    assert [one.verdict for one in found] == [no, Verdict.SUPPORTED, few]
    assert found[1].difference.mean == pytest.approx(40.0)
    assert found[2].p_holm is None


def test_too_few_seeds_decide_no_hypothesis_and_tighten_no_other() -> None:
    results = Scores(accuracy={"a": jitter(60, 0), "b": jitter(50, 1), "young": {0: 90.0, 1: 91.0}})
    found = decide(results, [parse_hypothesis("a > b"), parse_hypothesis("young > b")])
    assert [one.verdict for one in found] == [Verdict.SUPPORTED, Verdict.TOO_FEW]
    assert found[0].p_holm == found[0].p
