"""The cheapest variant that is good enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.stats.differences import holm
from harness.stats.distributions import ALPHA
from harness.stats.estimates import Quartiles
from harness.stats.scores import Scores


@dataclass(frozen=True, kw_only=True)
class Cheapest:
    """The cheapest variants shown to be at most `margin` points below every other one, the best among them.

    by: "MACs" or "latency". variants: several where their cost is the same, or none is measured to cost less;
        empty where that is shown of none. cost, highest: the lowest and highest of theirs, MACs or a median in ms.
    p_holm: the largest of theirs, corrected over all variants. cheaper: how many variants cost less.
    unknown: those whose cost is not known. close_unknown: which of these are shown to be good enough all the same.
    tested: whether there were enough seeds to show it of any. priced: whether the cost of any is known.
    """

    by: str
    variants: tuple[str, ...]
    cost: float | None
    highest: float | None
    margin: float
    p_holm: float | None
    cheaper: int
    unknown: tuple[str, ...]
    close_unknown: tuple[str, ...] = ()
    tested: bool = True
    priced: bool = True


def close_enough(scores: Scores) -> dict[str, float]:
    """Of each variant, the corrected p value that it is more than the margin below some other; none of one with too
    few seeds, nor of any beside such a one.

    To be close enough to the best, whichever that is, a variant has to be close enough to each of the others:
    so no best is picked by looking (an intersection-union test), and Holm's correction over the variants pays
    for asking it of all of them.
    """
    worst: dict[str, float | None] = {}  # of each variant, the largest p value against any other
    for (variant, other), gap in scores.every_pair.items():
        for one, lead in ((variant, gap.mean), (other, -gap.mean)):
            p = gap.error.p_above(lead + scores.margin) if gap.error else None
            before = worst.get(one, 0.0)
            worst[one] = None if p is None or before is None else max(p, before)
    p_values = {variant: p for variant, p in worst.items() if p is not None}
    return dict(zip(p_values, holm(list(p_values.values())), strict=True))


def cheapest(
    scores: Scores,
    costs: Mapping[str, float | Quartiles],
    by: str,
    corrected: Mapping[str, float] | None = None,
) -> Cheapest:
    """The cheapest variants shown to be at most the margin below every other variant.

    Args:
        costs: MACs, or the quartiles of what was measured in ms, of the variants where it is known. What is measured
            differs from one run to the next, so variants whose quartiles overlap share the place.
        by: "MACs" or "latency".
        corrected: what `close_enough` says, where it is known already.
    """
    corrected = close_enough(scores) if corrected is None else corrected
    spread = {v: c if isinstance(c, Quartiles) else _exactly(c) for v, c in costs.items()}
    shown = [v for v, p in corrected.items() if p < ALPHA and v in spread]
    surely = min((spread[v].q3 for v in shown), default=0.0)
    chosen = tuple(v for v in shown if spread[v].q1 <= surely)
    medians = [spread[v].median for v in chosen]
    cost = min(medians, default=None)
    return Cheapest(
        by=by,
        variants=chosen,
        cost=cost,
        highest=max(medians, default=None),
        margin=scores.margin,
        p_holm=max((corrected[v] for v in chosen), default=None),
        cheaper=sum(cost is not None and v in spread and spread[v].median < cost for v in scores.accuracy),
        unknown=tuple(v for v in scores.accuracy if v not in costs),
        close_unknown=tuple(v for v, p in corrected.items() if p < ALPHA and v not in costs),
        tested=bool(corrected),
        priced=bool(costs),
    )


def _exactly(count: float) -> Quartiles:
    """A count is the same every time."""
    return Quartiles(q1=count, median=count, q3=count, n=1)
