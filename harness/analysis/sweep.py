"""One setting swept over a study's rows: at which value each row gets half-way from chance to 100 %."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from harness.records import StudyRecord
from harness.stats.differences import Difference, Verdict, correct, paired_difference
from harness.stats.estimates import PER_CENT, Estimate, mean_interval


class Beyond(str, Enum):
    """On which side of all values that were tried a threshold lies."""

    SMALLEST = "below the smallest value"
    LARGEST = "above the largest value"

    __str__ = str.__str__


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """The value of the swept setting at which one seed's top-1 is half-way from chance to 100 %.

    value: None where no two values that were tried lie around it; beyond: then on which side of them it is.
    """

    seed: int
    value: float | None
    beyond: Beyond | None = None


@dataclass(frozen=True, kw_only=True)
class Ratio(Estimate):
    """A row's threshold over another's, paired by seed: the geometric mean, and a t interval on the log scale.

    other: of which row the other threshold is. p_holm: that the two are the same, corrected for the table's rows.
    words: what that allows to be said: "higher", "lower" or `Verdict.TOO_FEW`.
    """

    other: str
    p_holm: float | None
    words: str


@dataclass(frozen=True, kw_only=True)
class SweepRow:
    """One row at every value of the swept setting.

    variants: of the study, at each value. accuracy: their top-1. by_seed: the same of each seed, NaN where it has none.
    thresholds: of the seeds with a top-1 at every value. threshold: their geometric mean; None where one lies beyond
        the values that were tried.
    ratio: to the baseline's; None for the baseline itself, and where some seed of the two has its threshold beyond the
        values that were tried: to leave it out would tilt the rest.
    """

    row: str
    variants: list[str]
    accuracy: list[Estimate]
    by_seed: dict[int, list[float]]
    thresholds: list[Threshold]
    threshold: float | None = None
    ratio: Ratio | None = None


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Everything that a report shows about a swept setting.

    key: the setting. halfway: from chance to 100 %; None where chance is not known, and then there are no thresholds.
    baseline: the row that others are compared with.
    """

    key: str
    values: list[float]
    chance: float | None
    halfway: float | None
    baseline: str
    rows: list[SweepRow]

    @property
    def setting(self) -> str:
        """The setting's own name, without the sections it stands in."""
        return self.key.rpartition(".")[2]


def sweep_rows(record: StudyRecord) -> dict[str, dict[float, str]]:
    """The variant at each value of the swept setting, by row; empty without a sweep."""
    rows: Mapping[str, Mapping[str, str]] = record.sweep.get("rows", {})
    return {row: {float(value): name for value, name in there.items()} for row, there in rows.items()}


def baselines(record: StudyRecord) -> dict[str, str]:
    """What every variant but the baseline is compared with: the baseline, in a sweep that at the same value."""
    rows = sweep_rows(record)
    value_of = {variant: value for there in rows.values() for value, variant in there.items()}
    there = rows.get(_baseline_row(record, rows), {})
    pairs = {
        variant: there.get(value_of.get(variant, math.nan), record.baseline) for variant in record.variants
    }
    return {variant: other for variant, other in pairs.items() if variant != other}


def _baseline_row(record: StudyRecord, rows: Mapping[str, Mapping[float, str]]) -> str:
    """The study may name the row, or one of its variants."""
    if record.baseline in rows:
        return record.baseline
    return next((row for row, there in rows.items() if record.baseline in there.values()), "")


def sweep(record: StudyRecord, top1: Mapping[str, Mapping[int, float]]) -> Sweep | None:
    """None where the study sweeps nothing, or no trial has an accuracy.

    Args:
        top1: by seed, by variant.
    """
    rows = sweep_rows(record)
    if not any(top1.get(variant) for there in rows.values() for variant in there.values()):
        return None
    values = sorted({value for there in rows.values() for value in there})
    halfway = None if record.chance is None else (record.chance + 100) / 2
    found = [_row(row, there, values, top1) for row, there in rows.items()]
    if halfway is not None:
        rising = _rises(found)
        found = [_with_thresholds(one, values, halfway, rising=rising) for one in found]
    baseline = _baseline_row(record, rows)
    return Sweep(
        key=str(record.sweep["key"]),
        values=values,
        chance=record.chance,
        halfway=halfway,
        baseline=baseline,
        rows=_with_ratios(found, baseline),
    )


def _row(
    row: str, there: Mapping[float, str], values: Sequence[float], top1: Mapping[str, Mapping[int, float]]
) -> SweepRow:
    variants = [there.get(value, "") for value in values]
    found = [top1.get(variant, {}) for variant in variants]
    seeds = sorted({seed for one in found for seed in one})
    return SweepRow(
        row=row,
        variants=variants,
        accuracy=[mean_interval(list(one.values()), PER_CENT) for one in found],
        by_seed={seed: [one.get(seed, math.nan) for one in found] for seed in seeds},
        thresholds=[],
    )


def _rises(rows: Sequence[SweepRow]) -> bool:
    """Whether top-1 grows with the setting, on average over the rows that have both ends."""
    ends = [one.accuracy[-1].mean - one.accuracy[0].mean for one in rows]
    return sum(end for end in ends if not math.isnan(end)) >= 0


def _with_thresholds(row: SweepRow, values: Sequence[float], halfway: float, *, rising: bool) -> SweepRow:
    found = thresholds(row.by_seed, values, halfway, rising=rising)
    row = replace(row, thresholds=found)
    logs = _log_thresholds(row).values()
    return replace(row, threshold=math.exp(sum(logs) / len(logs)) if logs else None)


def thresholds(
    by_seed: Mapping[int, Sequence[float]], values: Sequence[float], halfway: float, *, rising: bool
) -> list[Threshold]:
    """Where each seed's curve crosses half-way, of the seeds that have a top-1 at every value.

    From the easy end on, the first place where it falls to half-way: beyond it nothing is sure to be learned. Between
    two values it is found on a line over the logarithm of the setting, or over the setting itself where one is 0.

    Args:
        values: from small to large. rising: whether the large ones are the easy end.
    """
    easy, hard = (Beyond.LARGEST, Beyond.SMALLEST) if rising else (Beyond.SMALLEST, Beyond.LARGEST)
    found = []
    for seed, top1 in by_seed.items():
        if any(map(math.isnan, top1)):
            continue
        curve = list(zip(values, top1, strict=True))[:: -1 if rising else 1]
        if curve[0][1] <= halfway:
            found.append(Threshold(seed=seed, value=None, beyond=easy))
            continue
        falls = (pair for pair in itertools.pairwise(curve) if pair[1][1] <= halfway)
        crossing = next((_crossing(*pair, halfway) for pair in falls), None)
        found.append(Threshold(seed=seed, value=crossing, beyond=hard if crossing is None else None))
    return found


def _crossing(last: tuple[float, float], first: tuple[float, float], halfway: float) -> float:
    """Between the last (value, top-1) above half-way and the first that is not."""
    (value, above), (other, below) = last, first
    return _between(value, other, (above - halfway) / (above - below))


def _between(start: float, end: float, part: float) -> float:
    if min(start, end) <= 0:
        return start + part * (end - start)
    return math.exp(math.log(start) + part * (math.log(end) - math.log(start)))


def _with_ratios(rows: list[SweepRow], baseline: str) -> list[SweepRow]:
    logs = {one.row: _log_thresholds(one) for one in rows}
    base = logs.get(baseline)
    gaps: dict[str, Difference] = {}
    for row, mine in logs.items():
        if row != baseline and base and mine and mine.keys() & base.keys():
            gaps[row] = paired_difference(mine, base, bounds=None)  # logarithms
    ratios = {row: _ratio(gap, baseline) for row, gap in zip(gaps, correct(list(gaps.values())), strict=True)}
    return [replace(one, ratio=ratios.get(one.row)) for one in rows]


def _log_thresholds(row: SweepRow) -> dict[int, float]:
    """By seed; empty where one lies beyond the values that were tried, or has no logarithm."""
    known = {one.seed: one.value for one in row.thresholds if one.value is not None and one.value > 0}
    return (
        {seed: math.log(value) for seed, value in known.items()} if len(known) == len(row.thresholds) else {}
    )


def _ratio(gap: Difference, other: str) -> Ratio:
    low, high = (None if end is None else math.exp(end) for end in (gap.low, gap.high))
    words = {Verdict.BETTER: "higher", Verdict.WORSE: "lower"}.get(gap.verdict, str(gap.verdict))
    return Ratio(
        mean=math.exp(gap.mean), n=gap.n, low=low, high=high, other=other, p_holm=gap.p_holm, words=words
    )
