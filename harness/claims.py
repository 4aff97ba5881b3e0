"""What a study may claim: its table, chosen pairs, hypotheses stated beforehand, and the cheapest that will do."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from harness.clips import Right, pair
from harness.distributions import ALPHA, MIN_SEEDS, detectable
from harness.seeds import seed_for
from harness.stats import (
    NOT_SUPPORTED,
    SUPPORTED,
    TOO_FEW,
    Cheapest,
    Difference,
    Tested,
    correct,
    holm,
    paired_difference,
)

NOISE_SD = 0.33
"""Points: sd of top-1 between independent trainings of one recipe, published for ResNet-50 on Something-Something."""
NOISE_CLIPS = 11_522
"""Validation clips of Something-Something v1, on which that was found."""
RETRAINED, OTHER_OPERATOR = 20.0, 30.0
"""Assumed: per cent of the clips that two trainings of one recipe, and of two operators, disagree on."""


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """`left > right` (higher top-1), `left < right`, or `left ~ right` (no further apart than `within` points)."""

    text: str
    left: str
    relation: str
    right: str
    within: float = 0.0


def parse_hypothesis(text: str, margin: float = 0.0) -> Hypothesis:
    """`a > b`, `a < b`, `a ~ b within 0.5`; without `within`, the study's margin.

    Raises:
        ValueError: it is none of these.
    """
    found = re.fullmatch(r"\s*(\S+)\s+([<>~])\s+(\S+)(?:\s+within\s+(\S+))?\s*", text)
    if not found:
        raise ValueError(f"{text!r} is no hypothesis; write a > b, a < b or a ~ b within 0.5")
    left, relation, right, words = found.groups()
    if left == right:
        raise ValueError(f"{text!r} compares {left} with itself")
    if relation != "~":
        if words is not None:
            raise ValueError(f"{text!r}: only ~ has a `within`; write {left} ~ {right} within {words}")
        return Hypothesis(text=_tidy(text), left=left, relation=relation, right=right)
    within = margin
    if words is not None:
        try:
            within = float(words)
        except ValueError:
            raise ValueError(f"{text!r}: {words!r} is not a number of points") from None
    if not (math.isfinite(within) and within > 0):
        raise ValueError(f"{text!r} needs points above 0; write {left} ~ {right} within 0.5, or set margin")
    return Hypothesis(text=_tidy(text), left=left, relation=relation, right=right, within=within)


def parse_pair(text: str) -> tuple[str, str]:
    """`a vs b`: the difference a - b.

    Raises:
        ValueError: it is not of that form.
    """
    found = re.fullmatch(r"\s*(\S+)\s+vs\s+(\S+)\s*", text)
    if not found:
        raise ValueError(f"{text!r} is no pair; write a vs b")
    left, right = found.groups()
    if left == right:
        raise ValueError(f"{text!r} compares {left} with itself")
    return left, right


def _tidy(text: str) -> str:
    return " ".join(text.split())


@dataclass(frozen=True, kw_only=True)
class Results:
    """What the finished trials of a study scored.

    accuracy: top-1 by seed, by variant. right: the same clip by clip, where it was kept.
    margin: points that do not matter; 0 where the study names none.
    """

    accuracy: Mapping[str, Mapping[int, float]]
    right: Mapping[str, Right | None] = field(default_factory=dict)
    margin: float = 0.0

    def difference(self, variant: str, other: str, margin: float | None = None) -> Difference:
        """variant - other, on its own: no correction, no verdict."""
        return paired_difference(
            self.accuracy.get(variant, {}),
            self.accuracy.get(other, {}),
            pair(self.right.get(variant), self.right.get(other)),
            self.margin if margin is None else margin,
            names=(variant, other),
        )

    def table(self, pairs: Iterable[tuple[str, str]]) -> list[Difference]:
        """The differences of one table, corrected together, each with its bootstrap beside it."""
        return [self._with_bootstrap(row) for row in correct([self.difference(*names) for names in pairs])]

    def against(self, baseline: str) -> dict[str, Difference]:
        """Every variant but the baseline against it."""
        others = [variant for variant in self.accuracy if variant != baseline]
        return dict(zip(others, self.table((variant, baseline) for variant in others), strict=True))

    def _with_bootstrap(self, row: Difference) -> Difference:
        clips = pair(self.right.get(row.variant), self.right.get(row.other))
        if row.error is None or clips is None:
            return row
        generator = np.random.default_rng(seed_for("bootstrap", row.variant, row.other))
        return replace(row, bootstrap=clips.bootstrap(generator))


def decide(results: Results, hypotheses: Sequence[Hypothesis]) -> list[Tested]:
    """Each as it is stated, one-sided or within its margin, and all corrected together by Holm's method."""
    tested = []
    for one in hypotheses:
        difference = replace(results.difference(one.left, one.right, one.within), exploratory=False)
        p = difference.p_margin
        if one.relation != "~":
            sign = 1 if one.relation == ">" else -1
            p = difference.error.p_above(sign * difference.mean) if difference.error else None
        tested.append(Tested(text=one.text, difference=difference, p=p))
    corrected = iter(holm([one.p for one in tested if one.p is not None]))
    return [_decided(one, None if one.p is None else next(corrected)) for one in tested]


def _decided(tested: Tested, p_holm: float | None) -> Tested:
    if p_holm is None:
        return replace(tested, verdict=TOO_FEW)
    return replace(tested, p_holm=p_holm, verdict=SUPPORTED if p_holm < ALPHA else NOT_SUPPORTED)


def detection(seeds: int, rows: int, hypotheses: int, clips: int = 0, clusters: int = 0) -> str:
    """What difference a planned study can decide for new trainings and new clips, in one line.

    Args:
        rows: of the table, without the baseline. hypotheses: how many the study states.
        clips: of the validation set, 0 where it is not here. clusters: of clips that belong together; 0 where every
            clip is alone.
    """
    tested = f"{clips:,} validation clips" if clips else f"{NOISE_CLIPS:,} validation clips (assumed)"
    clips = clips or NOISE_CLIPS
    # Clips that flip between trainings move top-1 by themselves, the more the fewer there are; the rest is the whole
    # network's luck. The clips' own part is what two operators disagree on beyond that.
    whole = max(0.0, NOISE_SD**2 - _flips(RETRAINED, NOISE_CLIPS) / 2)
    sd = math.sqrt(2 * whole + _flips(RETRAINED, clips))  # of the difference of two trainings
    clip_error = math.sqrt(_flips(OTHER_OPERATOR - RETRAINED, clusters or clips))
    as_row = detectable(seeds, sd, alpha=ALPHA / max(1, rows), clip_error=clip_error)
    if as_row is None:
        return f"no difference: {seeds} of the {MIN_SEEDS} seeds that an interval needs"
    parts = [f"{as_row:.1f} points as one of {rows} row{'s' * (rows != 1)}"]
    if hypotheses:
        stated = detectable(seeds, sd, alpha=ALPHA / hypotheses, clip_error=clip_error, one_sided=True)
        parts.append(f"{stated:.1f} as one of {hypotheses} hypothes{'es' if hypotheses > 1 else 'is'}")
    return (
        f"{', '.join(parts)}, with {seeds} seeds and {tested} at 80 % power; assumed: on "
        f"{NOISE_CLIPS:,} clips top-1 has an sd of {NOISE_SD:g} points between trainings, as published on "
        f"Something-Something v1; two trainings disagree on {RETRAINED:g} % of the clips, two operators on "
        f"{OTHER_OPERATOR:g} %"
    )


def _flips(percent: float, clips: int) -> float:
    """Variance of a difference in top-1, in points squared, of networks that disagree on so many of the clips."""
    return 100 * percent / clips


def close_enough(results: Results) -> dict[str, float]:
    """Of each variant, the corrected p value that it is more than the margin below some other; none of one with too
    few seeds, nor of any beside such a one.

    To be close enough to the best, whichever that is, a variant has to be close enough to each of the others:
    so no best is picked by looking (an intersection-union test), and Holm's correction over the variants pays
    for asking it of all of them.
    """
    worst: dict[str, float | None] = {}  # of each variant, the largest p value against any other
    for variant, other in itertools.combinations(results.accuracy, 2):
        gap = results.difference(variant, other, 0.0)
        for one, lead in ((variant, gap.mean), (other, -gap.mean)):
            p = gap.error.p_above(lead + results.margin) if gap.error else None
            before = worst.get(one, 0.0)
            worst[one] = None if p is None or before is None else max(p, before)
    p_values = {variant: p for variant, p in worst.items() if p is not None}
    return dict(zip(p_values, holm(list(p_values.values())), strict=True))


def cheapest(
    results: Results, costs: Mapping[str, float], by: str, corrected: Mapping[str, float] | None = None
) -> Cheapest:
    """The cheapest variants shown to be at most the margin below every other variant.

    Args:
        costs: MACs or ms, of the variants where it is known.
        by: "MACs" or "latency".
        corrected: what `close_enough` says, where it is known already.
    """
    corrected = close_enough(results) if corrected is None else corrected
    shown = [v for v, p in corrected.items() if p < ALPHA and v in costs]
    within = f"at most {results.margin:g} point{'s' * (results.margin != 1)} below every other variant"
    if not shown:
        words = f"By {by}: of no variant with a known cost is it shown that it is {within}."
        return Cheapest(by=by, variants=(), cost=None, margin=results.margin, p_holm=None, words=words)
    cost = min(costs[v] for v in shown)
    chosen = tuple(v for v in shown if costs[v] == cost)
    names = " and ".join(f"`{v}`" for v in chosen)
    amount = f"{cost / 1e9:.2f} G MACs" if by == "MACs" else f"median {cost:.1f} ms"
    cheaper = [v for v in results.accuracy if v in costs and costs[v] < cost]
    rest = f"; of the {len(cheaper)} cheaper it is not" if cheaper else ""
    unknown = [f"`{v}`" for v in results.accuracy if v not in costs]
    but = f"; {by} not known: {', '.join(unknown)}" if unknown else ""
    verb = "is" if len(chosen) == 1 else "are"
    words = f"By {by}: {names} ({amount}) {verb} the cheapest that is shown to be {within}{rest}{but}."
    p_holm = max(corrected[v] for v in chosen)
    return Cheapest(by=by, variants=chosen, cost=cost, margin=results.margin, p_holm=p_holm, words=words)
