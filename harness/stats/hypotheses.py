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

    text: "ks1357 > ks7", "dilated ~ ks357 within 0.5" or "ks1357 >= ks7 at lag 6 within 2".
    difference: left minus right; its own p is two-sided, `p` here is of the hypothesis: one-sided, or of the
        two one-sided tests against the margin.
    verdict: `SUPPORTED`, `NOT_SUPPORTED` or `TOO_FEW`.
    """

    text: str
    difference: Difference
    p: float | None = None
    p_holm: float | None = None
    verdict: Verdict = Verdict.TOO_FEW

    @property
    def by_one_side(self) -> bool:
        """Supported, and still the difference's interval, which is two-sided, reaches beyond what is claimed."""
        return self.verdict is Verdict.SUPPORTED and self._within_claim() is False

    @property
    def by_correction(self) -> bool:
        """Not supported, and still the difference's interval, which is uncorrected, lies within what is claimed."""
        return self.verdict is Verdict.NOT_SUPPORTED and self._within_claim() is True

    def _within_claim(self) -> bool | None:
        """Of the difference's interval; None where there is none."""
        gap = self.difference
        if gap.low is None or gap.high is None:
            return None
        relation = parse_hypothesis(self.text, gap.margin).relation
        above, below = gap.low > -gap.margin, gap.high < gap.margin
        return {">": above, ">=": above, "<": below, "~": above and below}[relation]


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """What a study states about the top-1 of two variants, of all clips or of those at one level.

    relation: `left > right` (higher), `left < right`, `left >= right` (not more than `within` points lower), or
        `left ~ right` (no further apart than `within` points).
    within: 0 where the relation needs no points.
    level_name, level: as in `at lag 5`; "" and None without one.
    """

    text: str
    left: str
    relation: str
    right: str
    within: float = 0.0
    level_name: str = ""
    level: float | None = None


_FORMS = (
    "write a > b, a < b, a ~ b within 0.5 or a >= b within 0.5, each also for one level, as in a > b at lag 5"
)


def parse_hypothesis(text: str, margin: float = 0.0) -> Hypothesis:
    """`a > b`, `a < b`, `a ~ b within 0.5` or `a >= b within 0.5`, all also with `at lag 5` before `within`.

    Args:
        margin: the study's, taken where `~` and `>=` come without `within`.

    Raises:
        ValueError: it is none of these.
    """
    found = re.fullmatch(
        r"\s*(\S+)\s+(>=|[<>~])\s+(\S+)(?:\s+at\s+(\S+)\s+(\S+))?(?:\s+within\s+(\S+))?\s*", text
    )
    if not found:
        raise ValueError(f"{text!r} is no hypothesis; {_FORMS}")
    left, relation, right, level_name, level, words = found.groups()
    if left == right:
        raise ValueError(f"{text!r} compares {left} with itself")
    if relation in "<>" and words is not None:
        raise ValueError(f"{text!r}: only ~ and >= have a `within`; write {left} ~ {right} within {words}")
    return Hypothesis(
        text=" ".join(text.split()),
        left=left,
        relation=relation,
        right=right,
        within=0.0 if relation in "<>" else _points(text, f"{left} {relation} {right}", words, margin),
        level_name=level_name or "",
        level=None if level is None else _number(text, level, "level"),
    )


def _points(text: str, claim: str, words: str | None, margin: float) -> float:
    within = margin if words is None else _number(text, words, "number of points")
    if not within > 0:
        raise ValueError(f"{text!r} needs points above 0; write {claim} within 0.5, or set margin")
    return within


def _number(text: str, words: str, what: str) -> float:
    try:
        number = float(words)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{text!r}: {words!r} is not a {what}")
    return number


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


def decide(scores: Scores, hypotheses: Sequence[Hypothesis]) -> list[Tested]:
    """Each as it is stated, one-sided or within its margin, and all corrected together by Holm's method."""
    tested = []
    for one in hypotheses:
        of_level = scores if one.level is None else scores.at(one.level)
        difference = replace(of_level.difference(one.left, one.right, one.within), exploratory=False)
        tested.append(Tested(text=one.text, difference=difference, p=_p_value(one, difference)))
    corrected = iter(holm([one.p for one in tested if one.p is not None]))
    return [_decided(one, None if one.p is None else next(corrected)) for one in tested]


def _p_value(one: Hypothesis, difference: Difference) -> float | None:
    """That it is not so; None with too few seeds."""
    if difference.error is None:
        return None
    if one.relation == "~":
        return difference.p_margin
    lead = -difference.mean if one.relation == "<" else difference.mean
    return difference.error.p_above(lead + one.within)


def _decided(tested: Tested, p_holm: float | None) -> Tested:
    if p_holm is None:
        return replace(tested, verdict=Verdict.TOO_FEW)
    verdict = Verdict.SUPPORTED if p_holm < ALPHA else Verdict.NOT_SUPPORTED
    return replace(tested, p_holm=p_holm, verdict=verdict)
