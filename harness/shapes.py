"""The shapes of what is read back of our own files: whether a value, edited perhaps, can be what stands there.

Places are named as an error names them: `record.tuning.chosen.ks3`.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any

STATUSES = ("done", "failed", "running", "missing")
"""Of a trial."""


def fits(value: Any, hint: Any) -> bool:
    """Whether a field of this type may hold a value that was read; None also stands for a number that is none."""
    of, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if of in (typing.Union, types.UnionType):
        return any(fits(value, option) for option in inner)
    if of is list:
        return isinstance(value, list) and (inner[0] is Any or all(fits(item, inner[0]) for item in value))
    if of is dict:
        return isinstance(value, dict) and (
            inner[1] is Any or all(fits(item, inner[1]) for item in value.values())
        )
    if hint is dict or dataclasses.is_dataclass(hint):
        return isinstance(value, dict)  # looked into on its own
    if hint is float:
        return value is None or type(value) in (int, float)
    return type(value) is hint


_READ: dict[str, dict[str, Any]] = {
    "model": {"operator": dict[str, Any] | str, "width": float},
    "data": {"dataset": dict[str, Any] | str},
}
"""Settings that a report reads; it shows others as they stand."""

_OPERATORS: dict[str, Any] = {
    "kernel_size": int,
    "dilation": int,
    "kernel_sizes": list[int],
    "dilations": list[int] | None,
}


def check_settings(settings: Mapping[str, Any], place: str) -> None:
    """Of one variant, as nested dicts.

    Raises:
        ValueError: a setting that a report reads is not what stands there.
    """
    for section, wanted in _READ.items():
        there = settings.get(section, {})
        operator = there.get("operator", {}) if isinstance(there, dict) else None
        read = (
            [(there[key], hint) for key, hint in wanted.items() if key in there]
            if operator is not None
            else []
        )
        if operator is None or not all(value is not None and fits(value, hint) for value, hint in read):
            raise ValueError(f"{place}.{section}: {there!r} is not what stands there")
        if isinstance(operator, dict) and operator.get("name") in ("depthwise", "mixtconv"):
            for key, hint in _OPERATORS.items():
                if key in operator and not fits(operator[key], hint):
                    raise ValueError(
                        f"{place}.{section}.operator.{key}: {operator[key]!r} is not what stands there"
                    )


def is_sweep(found: Mapping[str, Any]) -> bool:
    """Whether it is what `StudyRecord.sweep` says."""
    try:
        values = [float(value) for there in found["rows"].values() for value in there]
    except (KeyError, ValueError, AttributeError, TypeError):
        return False
    return (
        "key" in found and all(map(math.isfinite, values)) and fits(found["rows"], dict[str, dict[str, str]])
    )


_TUNING: dict[str, Any] = {
    "key": str,
    "values": list[str],
    "seed": int,
    "holdout": float,
    "tried": dict[str, dict[str, dict[str, Any]]],
    "chosen": dict[str, str],
}

_TRIED: dict[str, Any] = {"trial_id": str, "status": str, "reason": str}


def check_tuning(found: Mapping[str, Any], variants: Collection[str], place: str) -> None:
    """That it is what `StudyRecord.tuning` says.

    Raises:
        ValueError: a part of it is not.
    """
    _check_parts(found, _TUNING, place)
    values, chosen = found["values"], found["chosen"]
    if not values or not all(map(_is_number, values)) or len(set(values)) < len(values):
        raise ValueError(f"{place}.values: {values!r} are no numbers, each once")
    for row, there in found["tried"].items():
        if row not in variants:
            raise ValueError(f"{place}.tried: no variant {row!r}")
        if sorted(there) != sorted(values):
            raise ValueError(f"{place}.tried.{row}: tries {list(there)!r}, not {values!r}")
        for value, trial in there.items():
            _check_tried(trial, f"{place}.tried.{row}.{value}")
    for row, value in chosen.items():
        trial = found["tried"].get(row, {}).get(value, {})
        if trial.get("status") != "done" or trial.get("top1") is None:
            raise ValueError(f"{place}.chosen.{row}: {value!r} is no value that was tried to its end")


def _check_tried(trial: Mapping[str, Any], place: str) -> None:
    _check_parts(trial, _TRIED, place)
    if trial["status"] not in STATUSES:
        raise ValueError(f"{place}.status: {trial['status']!r} is none of {', '.join(STATUSES)}")
    for key in ("top1", "loss"):
        if not fits(trial.get(key), float):
            raise ValueError(f"{place}.{key}: {trial[key]!r} is no number")


def _check_parts(found: Mapping[str, Any], wanted: Mapping[str, Any], place: str) -> None:
    for name, hint in wanted.items():
        if name not in found:
            raise ValueError(f"{place}.{name}: is missing")
        if found[name] is None or not fits(found[name], hint):
            raise ValueError(f"{place}.{name}: {found[name]!r} is not what stands there")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
