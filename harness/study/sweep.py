"""A sweep: one setting that varies over rows, so that every variant of the file is a row at each of its values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import Problems, StudyError
from harness.study.reading import Source, overlap, paths

_SECTIONS = ("model", "data", "train")

_FORMS = (
    "write {train.lr: [0.01, 0.02]}, or, where others change along, [{train.lr: 0.01, train.epochs: 40}, ...]"
)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What varies over rows.

    key: the setting, with its dotted name.
    changes: all settings of each value, under dotted names, by the value in words; the swept one comes first.
    rows: for each of the file's variants its rows, such as `ks3@96`, by the value in words.
    """

    key: str
    changes: dict[str, dict[str, Any]]
    rows: dict[str, dict[str, str]]

    @property
    def axis(self) -> str:
        """The setting's own name."""
        return self.key.rpartition(".")[2]

    @property
    def keys(self) -> list[str]:
        """The setting, and those that change along."""
        return list(next(iter(self.changes.values())))

    def record(self) -> dict[str, Any]:
        """As `StudyRecord.sweep` keeps it."""
        return {"key": self.key, "values": [_number(text) for text in self.changes], "rows": self.rows}


def read_sweep(raw: Any, variants: Iterable[str], source: Source) -> Sweep | None:
    """What stands under `sweep:`; None where nothing does.

    Raises:
        StudyError: it is no sweep. Whether its settings exist is known when rows are made of it.
    """
    if raw is None or raw in ({}, []):
        return None
    place = source("sweep")
    changes = raw
    if isinstance(raw, dict):
        key, values = next(iter(raw.items()))
        if len(raw) > 1 or not isinstance(values, list):
            raise StudyError(
                f"{place}: {raw!r}: one setting with a list of values varies over rows; {_FORMS}"
            )
        changes = [{key: value} for value in values]
    if not isinstance(changes, list) or not all(isinstance(one, dict) and one for one in changes):
        raise StudyError(f"{place}: {raw!r} is no sweep; {_FORMS}")
    if len(changes) < 2:
        raise StudyError(
            f"{place}: {raw!r} has fewer than two values; without a sweep, set it like any other"
        )
    keys, by_value = [str(key) for key in changes[0]], dict[str, dict[str, Any]]()
    for change in changes:
        _check_change(change, keys, place)
        value = in_words(change[keys[0]])
        if value in by_value:
            raise StudyError(f"{place}: {keys[0]}: {value} is given twice")
        by_value[value] = change
    rows = {variant: {value: f"{variant}@{value}" for value in by_value} for variant in variants}
    return Sweep(key=keys[0], changes=by_value, rows=rows)


def check_alone(
    what: str, keys: Iterable[str], variants: Mapping[str, Any], given: Mapping[str, str], where: str
) -> None:
    """Refuse settings that something else sets too: one of the two would be lost without a word.

    Args:
        what: the key of a study that sets them.
        given: what --set sets, and how an error about it begins.

    Raises:
        StudyError: a line for each that a variant or --set sets.
    """
    problems = Problems()
    for key in keys:
        for path, override in given.items():
            if overlap(path, key):
                problems.add(f"{override}the {what} sets {key} itself; change it in the file")
        for name, change in variants.items():
            for path in paths(change) if isinstance(change, dict) else ():
                if overlap(path, key):
                    rule = f"sets {path}, and so does the {what}; leave one of them out"
                    problems.add(f"{where}: variants.{name}: {rule}")
    problems.raise_any()


def placed(keys: Iterable[str], here: str, of_study: Source) -> Source:
    """Where a row's settings stand that no variant sets: these keys here, the others where the study's do."""
    keys = list(keys)
    return lambda path: f"{here}: {path}" if any(overlap(path, key) for key in keys) else of_study(path)


def _check_change(change: Mapping[Any, Any], keys: list[str], place: str) -> None:
    if [str(key) for key in change] != keys:
        rule = f"every mapping has the keys of the first one, in its order: {', '.join(keys)}"
        raise StudyError(f"{place}: {change!r}: {rule}")
    for key in keys:
        if key.split(".")[0] not in _SECTIONS or "." not in key:
            raise StudyError(f"{place}: {key}: unknown key; known: model..., data..., train...")
    if math.isnan(_number(change[keys[0]])):
        raise StudyError(f"{place}: {keys[0]}: {change[keys[0]]!r} is not a number")


def _number(value: Any) -> float:
    """NaN where it is none."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # YAML reads 1e-3 as text
    except (TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def in_words(value: Any) -> str:
    """A number as names have it: 96, 0.001; "" where it is none."""
    number = _number(value)
    if math.isnan(number):
        return ""
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
