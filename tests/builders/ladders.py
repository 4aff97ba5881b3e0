"""Records of made-up studies whose clips have levels, or that sweep a setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from builders.studies import study, trial
from harness.records import StudyRecord, TrialRecord

PAIRS = 20
"""Clips forwards and backwards at each level, two classes."""

TWINS = ["left", "right"]


def climber(variant: str, seed: int, right: Mapping[float, int], name: str = "lag") -> TrialRecord:
    """A trial that is right about both twins of so many pairs at each level, the first ones, and about one twin of
    each other pair: a network that cannot order frames takes both for the same class."""
    rows = [
        (f"{level:g}-{pair}-{label}", f"{level:g}-{pair}", label, label if pair < many else 0, level)
        for level, many in right.items()
        for pair in range(PAIRS)
        for label in (0, 1)
    ]
    columns = ("clip", "cluster", "label", "predicted", "level")
    at = {f"{name}/{level:g}": 50.0 + 50.0 * many / PAIRS for level, many in right.items()}
    pair = 100.0 * sum(right.values()) / (PAIRS * len(right))
    last = {"top1": 50 + pair / 2, "top5": 100.0, "pair": pair, "loss": 0.5, **at}
    return trial(
        variant,
        seed,
        last["top1"],
        last=last,
        per_class={},
        predictions=dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True)),
    )


def ladder(
    curves: Mapping[str, Sequence[Sequence[int]]], levels: Sequence[float], **changes: Any
) -> StudyRecord:
    """A study of lags.

    Args:
        curves: by variant, for each seed the pairs that are right at each level.
    """
    trials = [
        climber(variant, seed, dict(zip(levels, right, strict=True)))
        for variant, seeds in curves.items()
        for seed, right in enumerate(seeds)
    ]
    seeds = sorted({one.seed for one in trials})
    known = {"level_name": "lag", "chance": 50.0, "classes": TWINS, "groups": ["", ""], "reference": ""}
    return study(trials, list(curves), **{"seeds": seeds, **known, **changes})


def swept(
    curves: Mapping[str, Sequence[Sequence[float]]],
    values: Sequence[float],
    key: str = "data.dataset.train_clips",
    **changes: Any,
) -> StudyRecord:
    """A study of rows at several values of one setting.

    Args:
        curves: by row, for each seed the top-1 at each value.
    """
    rows = {row: {f"{value:g}": f"{row}@{value:g}" for value in values} for row in curves}
    trials = [
        trial(
            f"{row}@{value:g}", seed, top1, last={"top1": top1, "top5": 100.0}, per_class={}, predictions={}
        )
        for row, seeds in curves.items()
        for seed, curve in enumerate(seeds)
        for value, top1 in zip(values, curve, strict=True)
    ]
    seeds = sorted({one.seed for one in trials})
    known = {
        "baseline": f"{next(iter(curves))}@{values[0]:g}",
        "chance": 50.0,
        "reference": "",
        "classes": TWINS,
    }
    sweep = {"key": key, "values": list(values), "rows": rows}
    variants = [variant for there in rows.values() for variant in there.values()]
    return study(trials, variants, **{"seeds": seeds, "sweep": sweep, "groups": ["", ""], **known, **changes})
