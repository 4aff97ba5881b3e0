"""What a study states beforehand, and whether its results support it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.stats.differences import Difference, Verdict, holm
from harness.stats.distributions import ALPHA
from harness.stats.scores import Scores


@dataclass(frozen=True, kw_only=True)
class Tested:
    """A hypothesis of the study, tested as it was stated and corrected with the study's others.

    text: "ks1357 > ks7" or "dilated ~ ks357 within 0.5".
    difference: left minus right; its own p is two-sided, `p` here is of the hypothesis: one-sided, or of the
        two one-sided tests against the margin.
    verdict: `SUPPORTED`, `NOT_SUPPORTED` or `TOO_FEW`.
    """

    text: str
    difference: Difference
    p: float | None = None
    p_holm: float | None = None
    verdict: Verdict = Verdict.TOO_FEW


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


def decide(scores: Scores, hypotheses: Sequence[Hypothesis]) -> list[Tested]:
    """Each as it is stated, one-sided or within its margin, and all corrected together by Holm's method."""
    tested = []
    for one in hypotheses:
        difference = replace(scores.difference(one.left, one.right, one.within), exploratory=False)
        p = difference.p_margin
        if one.relation != "~":
            sign = 1 if one.relation == ">" else -1
            p = difference.error.p_above(sign * difference.mean) if difference.error else None
        tested.append(Tested(text=one.text, difference=difference, p=p))
    corrected = iter(holm([one.p for one in tested if one.p is not None]))
    return [_decided(one, None if one.p is None else next(corrected)) for one in tested]


def _decided(tested: Tested, p_holm: float | None) -> Tested:
    if p_holm is None:
        return replace(tested, verdict=Verdict.TOO_FEW)
    verdict = Verdict.SUPPORTED if p_holm < ALPHA else Verdict.NOT_SUPPORTED
    return replace(tested, p_holm=p_holm, verdict=verdict)
