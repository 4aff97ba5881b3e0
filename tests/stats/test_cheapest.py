"""The cheapest variant that will do."""

from __future__ import annotations

from builders.scores import FOUR

from harness.stats.cheapest import cheapest
from harness.stats.estimates import Quartiles
from harness.stats.scores import Scores


def test_the_cheapest_that_is_not_worse_than_any_by_more_than_the_margin() -> None:
    costs = {"low": 1e9, "mid": 2e9, "high": 4e9, "alike": 3e9}
    found = cheapest(FOUR, costs, "MACs")
    assert found.variants == ("alike",)
    assert found.cost == 3e9
    assert found.cheaper == 2  # low and mid
    assert cheapest(FOUR, costs | {"high": 3e9}, "MACs").variants == ("high", "alike")


def test_a_variant_that_may_be_much_worse_is_not_called_cheap_enough() -> None:
    """Three seeds with a spread of 2 points cannot tell a margin of 1."""
    results = Scores(
        accuracy={"a": {0: 58.0, 1: 60.0, 2: 62.0}, "b": {0: 61.0, 1: 58.5, 2: 60.0}}, margin=1.0
    )
    found = cheapest(results, {"a": 5.0, "b": 6.0}, "latency")
    assert (found.variants, found.cost, found.p_holm, found.cheaper) == ((), None, None, 0)


def test_latencies_whose_quartiles_overlap_share_the_place_whichever_median_is_lower() -> None:
    """Two runs of one machine: the medians change places, and what is named stays the same."""
    for high, alike in ((420.0, 411.0), (445.0, 463.0)):
        costs = {
            "high": Quartiles(q1=high - 5, median=high, q3=high + 20, n=5),
            "alike": Quartiles(q1=alike - 2, median=alike, q3=alike + 9, n=5),
        }
        found = cheapest(FOUR, costs, "latency")
        assert found.variants == ("high", "alike")
        assert (found.cost, found.highest) == (min(high, alike), max(high, alike))


def test_a_latency_that_is_surely_higher_does_not_share_the_place() -> None:
    costs = {
        "high": Quartiles(q1=440.0, median=445.0, q3=450.0, n=5),
        "alike": Quartiles(q1=410.0, median=411.0, q3=439.0, n=5),
    }
    found = cheapest(FOUR, costs, "latency")
    assert (found.variants, found.cost, found.highest) == (("alike",), 411.0, 411.0)


def test_a_cheapest_names_the_variants_whose_cost_is_not_known() -> None:
    assert cheapest(FOUR, {"high": 4.0}, "latency").unknown == ("low", "mid", "alike")


def test_a_variant_with_too_few_seeds_keeps_every_other_from_being_cheap_enough() -> None:
    """Nobody knows that it is not better than all by far."""
    results = Scores(accuracy={**FOUR.accuracy, "young": {0: 99.0}}, margin=1.0)
    assert cheapest(results, {"low": 1.0, "alike": 2.0}, "latency").variants == ()
