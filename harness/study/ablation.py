"""Ablations: the full model, and for each named component a variant without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from harness.errors import StudyError
from harness.records import flatten
from harness.study.reading import Source
from harness.train.settings import Settings, plain

FULL = "full"
"""The variant that has every component: the study's settings as they stand."""

_FORMS = (
    "write what takes it away, as in {model.placement: inner}, or the name of a setting that is a list, of which each "
    "entry is a component, as in model.operator.kernel_sizes"
)


def expand(
    raw: Any, full: Callable[[], Settings], variants: Iterable[str], source: Source
) -> dict[str, dict[str, Any]]:
    """What stands under `ablate:` as variants: the full model first, then one without each component.

    Args:
        full: the full model's settings.
        variants: names that are taken.

    Raises:
        StudyError: it cannot be used. Whether a change can be made is known when rows are made of it.
    """
    if raw is None or raw == {}:
        return {}
    place = source("ablate")
    if not isinstance(raw, dict):
        raise StudyError(f"{place}: {raw!r} names no components; {_FORMS}")
    flat = flatten(plain(full()))
    found: dict[str, dict[str, Any]] = {FULL: {}}
    for component, change in raw.items():
        if isinstance(change, str):
            found |= _without_each(str(component), change, flat, f"{place}.{component}")
        elif isinstance(change, dict) and change:
            found[f"without_{component}"] = change
        else:
            raise StudyError(f"{place}.{component}: {change!r}: {_FORMS}")
    for name in found:
        if name in variants:
            raise StudyError(
                f"{source('variants')}.{name}: `ablate` makes a variant of that name; use another"
            )
    return found


def _without_each(component: str, key: str, flat: Mapping[str, Any], place: str) -> dict[str, dict[str, Any]]:
    """A variant without each entry of a setting that is a list."""
    entries = flat.get(key)
    if not isinstance(entries, list):
        what = f"is {entries!r}, no list" if key in flat else "is not set by the study"
        raise StudyError(f"{place}: {key} {what}; {_FORMS}")
    if len(entries) < 2:
        raise StudyError(f"{place}: {key} is {entries}: without its one entry nothing is left")
    if len(set(map(str, entries))) < len(entries):
        raise StudyError(f"{place}: {key} is {entries}: of equal entries, say by hand which one goes")
    return {
        f"without_{component}_{entry}": {key: [other for other in entries if other != entry]}
        for entry in entries
    }
