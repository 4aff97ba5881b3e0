"""Reading settings: YAML in, mappings merged and dataclasses out. What is wrong is one line that names its place."""

from __future__ import annotations

import collections.abc
import dataclasses
import math
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness import shipped
from harness.errors import DataError, Problems, StudyError, nearest, setting
from harness.files import is_no_file
from harness.records import with_name
from harness.study import untrusted

_ATOMIC = {"operator", "dataset", "sweep", "tune", "ablate"}  # mappings that are replaced whole, never merged

Source = Callable[[str], str]
"""From a setting's dotted path to where the user wrote it: the file, a variant in it, or --set."""


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a study file holds.

    Raises:
        StudyError: there is no such file, or it is no YAML mapping; placed by line and column.
    """
    if is_no_file(path):
        raise StudyError(f"{path}: cannot be read: it is no file")
    try:
        if path.is_file() and path.stat().st_size > untrusted.MOST_BYTES:
            raise StudyError(f"{path}: larger than {untrusted.MOST_BYTES / 2**20:.0f} MiB: this is no study")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        folder = path.parent
        known = [p.stem for p in folder.glob("*.yaml")] if folder.is_dir() else []
        hint = nearest(path.stem, {*known, *shipped.studies()})
        raise StudyError(f"no study file {path}{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot be read ({error})") from None
    try:
        raw = untrusted.parse(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise StudyError(f"{place}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise StudyError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise StudyError(f"{path}: holds no mapping; a study starts with `question: ...`")
    return raw


def mapping(raw: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    """The mapping under a key, empty where there is none; StudyError for anything else."""
    value = raw.get(key, {})
    if not isinstance(value, dict):
        raise StudyError(f"{where}: {key}: {value!r} is not a mapping")
    return value


def merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`change` over `base`; its keys may be dotted, and mappings merge down to single settings."""
    result = dict(base)
    for key, value in change.items():
        first, _, rest = str(key).partition(".")
        if rest:
            value = {rest: value}
        elif not isinstance(value, dict) or first in _ATOMIC:
            result[first] = value
            continue
        below = result.get(first, {})
        if first in _ATOMIC and isinstance(below, str):
            below = with_name(below)
        result[first] = merged(below if isinstance(below, dict) else {}, value)
    return result


def paths(change: dict[str, Any]) -> list[str]:
    """Dotted names of what a change sets, down to single settings and to mappings that are replaced whole."""
    found = []
    for key, value in change.items():
        atomic = str(key).split(".")[-1] in _ATOMIC
        nested = paths(value) if isinstance(value, dict) and value and not atomic else []
        found += [f"{key}.{path}" for path in nested] or [str(key)]
    return found


def overlap(one: str, other: str) -> bool:
    """Whether two dotted names are the same, or one holds the other."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def settings_of(kind: type, prefix: str = "") -> list[str]:
    """Dotted names of all settings that a dataclass holds, down to single ones."""
    found = []
    for name, hint in typing.get_type_hints(kind).items():
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            found += settings_of(hint, f"{prefix}{name}.")
        else:
            found.append(f"{prefix}{name}")
    return found


def coerce(value: Any, wanted: Any, path: str, source: Source, everywhere: Sequence[str] = ()) -> Any:
    """`value` as the annotated type, or a StudyError that names its place. Dataclasses are read strictly.

    Args:
        everywhere: dotted names of all settings, one of which may be meant by a key that stands in the wrong section.
    """

    def wrong(rule: str) -> StudyError:
        return StudyError(f"{source(path)}: {value!r} is not {rule}")

    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        return _coerce_dataclass(value, wanted, path, source, everywhere)
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        for option in arguments:
            try:
                return coerce(value, option, path, source, everywhere)
            except StudyError:
                continue
        raise wrong(" or ".join("nothing" if a is type(None) else a.__name__ for a in arguments))
    if wanted is Any:
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise wrong("a list")
        return tuple(coerce(item, arguments[0], path, source) for item in value)
    if origin in (dict, collections.abc.Mapping):
        if not isinstance(value, dict):
            raise wrong("a mapping")
        return value
    if wanted is float:
        try:
            number = float("nan") if isinstance(value, bool) else float(value)  # YAML reads 1e-3 as text
        except (ValueError, TypeError, OverflowError):
            raise wrong("a number") from None
        if not math.isfinite(number):
            raise wrong("a number")
        return number
    if wanted is int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong("a whole number")
        return value
    if wanted is bool:
        if not isinstance(value, bool):
            raise wrong("true or false")
        return value
    if wanted is type(None):
        if value is not None:
            raise wrong("nothing")
        return None
    if not isinstance(value, str):
        raise wrong("text")
    return value


def _coerce_dataclass(
    value: Any, wanted: type, path: str, source: Source, everywhere: Sequence[str] = ()
) -> Any:
    prefix = f"{path}." if path else ""
    if not isinstance(value, dict):
        raise StudyError(f"{source(path)}: {value!r} is not a mapping")
    fields = {item.name: item for item in dataclasses.fields(wanted)}
    hints = typing.get_type_hints(wanted)
    problems, read = Problems(), {}
    for key, given in value.items():
        with problems.collect():
            if key not in fields:
                raise StudyError(f"{source(f'{prefix}{key}')}: unknown key{setting(key, fields, everywhere)}")
            read[key] = coerce(given, hints[key], f"{prefix}{key}", source, everywhere)
    for name, item in fields.items():
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        with problems.collect():
            if required and name not in value:
                raise StudyError(f"{source(f'{prefix}{name}')}: missing")
    problems.raise_any()
    try:
        return wanted(**read)
    except (ValueError, DataError) as error:
        key, _, text = str(error).partition(": ")
        if key.split(".")[0] not in fields:
            raise StudyError(f"{source(path)}: {error}") from None
        raise StudyError(f"{source(f'{prefix}{key}')}: {text}") from None
