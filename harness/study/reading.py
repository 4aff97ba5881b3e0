"""Reading settings: YAML in, mappings merged and dataclasses out. What is wrong is one line that names its place."""

from __future__ import annotations

import collections.abc
import dataclasses
import math
import re
import types
import typing
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness import shipped
from harness.errors import DataError, Problems, StudyError, first_line, nearest, setting
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


def mapping(raw: dict[str, Any], key: str, where: str, problems: Problems) -> dict[str, Any] | None:
    """The mapping under a key, empty where there is none. None, and a line in `problems`, for anything else."""
    value = raw.get(key, {})
    if isinstance(value, dict):
        return value
    problems.add(f"{where}: {key}: {value!r} is not a mapping")
    return None


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
        problems = Problems()
        made, _ = readable(value, wanted, path, source, problems, everywhere)
        problems.raise_any()
        return made
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
            named = isinstance(value, str) and path.split(".")[-1] == "operator"
            raise wrong(f"a mapping; write {{name: {value}}}" if named else "a mapping")
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


def readable(
    value: Any, wanted: type, path: str, source: Source, problems: Problems, everywhere: Sequence[str] = ()
) -> tuple[Any, set[str]]:
    """A dataclass of what can be read, so that whatever is wrong can be said at once; a line for each goes to
    `problems`.

    Returns:
        The dataclass, with defaults for what cannot be read, and None for a required key that is missing; and the
        keys under which something is wrong.
    """
    prefix = f"{path}." if path else ""
    fields = {item.name: item for item in dataclasses.fields(wanted)}
    if not isinstance(value, dict):
        problems.add(f"{source(path)}: {value!r} is not a mapping")
        return wanted(), set(fields)
    hints = typing.get_type_hints(wanted)
    read, unread = dict[str, Any](), set[str]()
    for key, given in value.items():
        below = f"{prefix}{key}"
        if key not in fields:
            meant = setting(key, fields, everywhere)
            problems.add(f"{source(below)}: unknown key{meant}")
            unread |= {str(key), *(name for name in fields if f"{name!r}?" in meant)}
            continue
        if dataclasses.is_dataclass(hints[key]):
            read[key], wrong = readable(given, hints[key], below, source, problems, everywhere)
        else:
            wrong = {key}
            with problems.collect():
                read[key], wrong = coerce(given, hints[key], below, source, everywhere), set()
        unread |= {key} if wrong else set()
    for name, item in fields.items():
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        if required and name not in read:
            if name not in value:
                problems.add(f"{source(f'{prefix}{name}')}: missing")
            read[name] = None
            unread.add(name)

    def refused(key: str, rule: str) -> None:
        place = f"{prefix}{key}" if key else path
        problems.add(f"{source(place)}: {rule}")

    return without_refused(lambda given: wanted(**given), read, fields, refused, unread) or wanted(), unread


def without_refused(
    make: Callable[[dict[Any, Any]], Any],
    given: dict[Any, Any],
    known: Collection[str],
    refused: Callable[[str, str], None],
    left_out: set[str],
) -> Any:
    """What is made of settings, without each one that is refused on the way; None where that does not help.

    Args:
        make: raises ValueError or DataError for one thing at a time, as `setting: rule`.
        known: settings that such a line may begin with.
        refused: called with each one that is refused, and the rule; with "" and the line, where it names none.
        left_out: settings that are not given because they cannot be read. A rule that names one of them, or of those
            that are left out on the way, may be broken by its default alone: nothing is said of it.
    """
    while True:
        try:
            return make(given)
        except (ValueError, DataError) as error:
            line = first_line(error)
            key, _, rule = line.partition(": ")
            first, _, below = key.partition(".")
            if first not in known:
                refused("", line)
                return None
            if (below or first) not in left_out and not any(_names(rule, other) for other in left_out):
                refused(key, rule)
            left_out.add(below or first)
            if (
                first not in given
            ):  # its default does not go with another setting, of which nothing is known then
                first, below = next((name for name in given if _names(rule, str(name))), ""), ""
                if not first:
                    return None
            whole = given.pop(first)
            if isinstance(whole, dict) and below in whole:
                given[first] = {name: one for name, one in whole.items() if name != below}


def _names(rule: str, name: str) -> bool:
    """Whether a rule speaks of a setting, by its name or the last word of it: of num_frames as frames."""
    return re.search(rf"\b({re.escape(name)}|{re.escape(name.rpartition('_')[2])}s?)\b", rule) is not None
