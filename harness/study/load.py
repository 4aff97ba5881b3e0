"""A study: YAML in, checked settings and an explicit list of trials out.

Everything is checked before anything starts; what is wrong is one line that names the file, the path in it, the
value, the rule and the nearest valid name.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.errors import Problems, StudyError, nearest
from harness.outside import import_from
from harness.study import ablation, untrusted
from harness.study.head import (
    ABLATE,
    APART,
    REQUIRED,
    SECTIONS,
    Head,
    check_asked,
    check_key,
    check_levels,
    check_name,
    everywhere,
    meant_key,
)
from harness.study.reading import mapping, merged, overlap, paths, read_yaml, readable
from harness.study.rows import Row, check_cost, check_distinct, read_row
from harness.study.study import Study
from harness.study.sweep import check_alone, placed, read_sweep
from harness.study.tuning import Tuning, check_not_held_out, read_tuning
from harness.train.settings import Settings

_STATED = ("question", "source", "reference", "hypotheses", "pairs", "margin")
"""Keys of what a study asks: another question is another file."""


def load_studies(
    path: str | Path, *, preset: str = "", overrides: Sequence[str] = (), parts: Sequence[str] = ()
) -> list[Study]:
    """Read and check a study file: one study, or one for each of its `parts`, of which `parts` may name some.

    Raises:
        StudyError: anything in it cannot be used, or there is no such part.
    """
    known = list(_layers(Path(path), preset, Problems()).parts)
    problems, studies = Problems(), []
    for part in parts:
        if part not in known:
            hint = nearest(part, known) if known else "; the study has none"
            problems.add(f"{path}: parts: no part {part!r}{hint}")
    problems.raise_any()
    chosen = [part for part in known if part in parts] if parts else known
    for part in chosen or [""]:
        with problems.collect():
            studies.append(load_study(path, preset=preset, overrides=overrides, part=part))
    problems.raise_any()
    return studies


def _whole(path: Path) -> dict[str, Any]:
    """What a study file says; of one that is `like` another, on top of what that one says."""
    raw = read_yaml(path)
    if "like" not in raw:
        return raw
    other = raw.pop("like")
    if not isinstance(other, str) or Path(other).name != other:
        raise StudyError(f"{path}: like: {other!r} is no file beside this one, as in like: reach.yaml")
    try:
        below = read_yaml(path.parent / other)
    except StudyError as error:
        raise StudyError(f"{path}: like: {error}") from None
    if "like" in below:
        raise StudyError(f"{path}: like: {other} is itself like {below['like']}; name that one")
    return merged(below, raw)


class _Layers(typing.NamedTuple):
    """A study file with one preset merged in: what holds for all variants, the variants (None where they cannot be
    read), and the parts."""

    base: dict[str, Any]
    variants: dict[str, Any] | None
    parts: dict[str, Any]


def _layers(path: Path, preset: str, problems: Problems) -> _Layers:
    """Keys that nobody knows, and what is no mapping, go to `problems`, and are left out."""
    where = str(path)
    raw = _known_keys(_whole(path), where, problems)
    variants = mapping(raw, "variants", where, problems)
    presets = mapping(raw, "presets", where, problems) or {}
    parts = mapping(raw, "parts", where, problems) or {}
    base = merged({}, {key: value for key, value in raw.items() if key not in APART})
    if preset:
        if preset not in presets:
            hint = nearest(preset, presets) if presets else "; the study has none"
            raise StudyError(f"{where}: presets: no preset {preset!r}{hint}")
        place = f"{where}: presets.{preset}"
        chosen = mapping(presets, preset, f"{where}: presets", problems) or {}
        chosen = _known_keys(chosen, place, problems, without=("presets",))
        own = mapping(chosen, "variants", place, problems)
        variants = None if variants is None or own is None else merged(variants, own)
        if "parts" in chosen:
            parts = mapping(chosen, "parts", place, problems) or {}
        base = merged(base, {key: value for key, value in chosen.items() if key not in APART})
    known = {}
    for name in parts:
        with problems.collect():
            check_name(name, f"{where}: parts")
        part = mapping(parts, name, f"{where}: parts", problems) or {}
        known[name] = _known_keys(part, f"{where}: parts.{name}", problems, without=("presets", "parts"))
    return _Layers(base, variants, known)


def load_study(path: str | Path, *, preset: str = "", overrides: Sequence[str] = (), part: str = "") -> Study:
    """Read and check a study.

    Args:
        preset: one of the file's `presets`: the same question at another scale.
        overrides: `key=value` with a dotted key and a YAML value, as given to `--set`.
        part: one of the file's `parts`: the same rows under other settings, a comparison of its own.

    Raises:
        StudyError: anything in it cannot be used; it names all that is wrong, a line for each.
    """
    path = Path(path)
    where, problems = str(path), Problems()
    base, given_variants, parts = _layers(path, preset, problems)
    if part not in parts and (part or parts):
        raise StudyError(f"{where}: parts: no part {part!r}; known: {', '.join(parts) or 'none'}")
    variants = {str(name): change for name, change in (given_variants or {}).items()}
    # While they are not, nothing is said of a name that may be one of them.
    all_known = given_variants is not None
    changed = dict(parts.get(part, {}))
    chosen = changed.pop("variants", None)
    base = merged(base, changed)
    import_from(path.resolve().parent)  # an operator of the user's own may lie beside the study
    try:
        variants = _ablated(base, variants, where) | variants
    except StudyError as error:
        problems.add_all(error)
        all_known = False
    if not variants and all_known:
        problems.add(f"{where}: variants: missing; give at least one, as in tsn: {{model.operator: ...}}")
        all_known = False
    if chosen is not None and all_known:
        with problems.collect():
            variants = _of_part(chosen, variants, f"{where}: parts.{part}.variants")
    given: dict[str, str] = {}  # path -> the --set that gave it
    for override in overrides:
        with problems.collect():
            key, value = _parse_override(override)
            _check_clash(override, key, value, variants)
            base = merged(base, {key: value})
            given |= dict.fromkeys(paths({key: value}), f"--set {override}: ")

    def source(path: str) -> str:
        override = next((words for key, words in given.items() if overlap(key, path)), f"{where}: ")
        return f"{override}{path}"

    sections: dict[str, Any] = {key: base.pop(key) for key in SECTIONS if key in base}
    broken = {key for key, section in sections.items() if not isinstance(section, dict)}
    for key in broken:
        problems.add(f"{source(key)}: {sections.pop(key)!r} is not a mapping")
    head, unread = readable(base, Head, "", source, problems, everywhere())
    sweep, tuned, values = None, "", dict[str, Any]()
    rows_known = all_known
    try:
        sweep = read_sweep(base.get("sweep"), variants, source)
    except StudyError as error:
        problems.add_all(error)
        rows_known = False
    with problems.collect():
        if sweep:
            check_alone("sweep", sweep.keys, variants, given, where)
    with problems.collect():
        tuned, values = read_tuning(base.get("tune"), head.seeds, sweep, source)
        check_alone("tuning", [tuned] if tuned else [], variants, given, where)
    rows = sweep.rows if sweep else {name: {"": name} for name in variants}
    names = [row for there in rows.values() for row in there.values()]
    with problems.collect():
        check_asked(head, unread, variants if all_known else None, names if rows_known else None, source)
    resolved, tried = dict[str, Row](), dict[str, dict[str, Settings]]()
    place = placed(sweep.keys, source("sweep"), source) if sweep else source
    for name, there in rows.items():
        for value, row in there.items():
            at_value = merged(sections, sweep.changes[value] if sweep else {})
            resolved[row] = read_row(name, at_value, variants[name], where, place, problems)
            at = placed([tuned], source("tune"), place)
            tried[row] = {
                words: read_row(
                    name, merged(at_value, {tuned: one}), variants[name], where, at, problems
                ).settings
                for words, one in values.items()
            }
    costed = {
        str(name): read_row(str(name), {}, change, where, source, problems, under="costed").settings
        for name, change in head.costed.items()  # nothing of the study's own goes into them
    }

    def known(*needed: str) -> dict[str, Settings]:
        """The rows of which these sections are known."""
        wanted = set(needed)
        return {row: one.settings for row, one in resolved.items() if wanted.isdisjoint(one.unread | broken)}

    with problems.collect():
        check_distinct(known(*SECTIONS), where)
    with problems.collect():
        if "cost" not in unread:
            check_cost(head.cost, known("model", "data"), source)
    with problems.collect():
        if not {"hypotheses", "margin"} & unread:
            check_levels(head, known("data"), source)
    with problems.collect():
        if tuned:
            check_not_held_out(known("data"), source)
    problems.raise_any()
    stated = {item.name: getattr(head, item.name) for item in dataclasses.fields(Head)}
    stated |= {"baseline": next(iter(rows[head.baseline].values())), "sweep": sweep, "costed": costed}
    stated["tune"] = Tuning(key=tuned, tried=tried) if tuned else None
    return Study(path=path.resolve(), preset=preset, part=part, variants=known(), **stated)


def _ablated(base: dict[str, Any], variants: dict[str, Any], where: str) -> dict[str, Any]:
    """The variants that the study's `ablate` names."""

    def source(path: str) -> str:
        return f"{where}: {path}"

    def full() -> Settings:
        sections = {key: base[key] for key in SECTIONS if isinstance(base.get(key), dict)}
        problems = Problems()
        row = read_row(ablation.FULL, sections, {}, where, source, problems)
        problems.raise_any()
        return row.settings

    return ablation.expand(base.pop(ABLATE, None), full, variants, source)


def _of_part(chosen: Any, variants: dict[str, Any], place: str) -> dict[str, Any]:
    """Those of the study's variants that a part names, in the study's order."""
    if not isinstance(chosen, list) or not chosen:
        raise StudyError(f"{place}: {chosen!r} is not a list of the study's variants")
    problems = Problems()
    for name in chosen:
        if str(name) not in variants:
            problems.add(f"{place}: no variant {name!r}{nearest(name, variants)}")
    problems.raise_any()
    return {name: change for name, change in variants.items() if name in map(str, chosen)}


def _known_keys(
    raw: dict[str, Any], where: str, problems: Problems, *, without: Sequence[str] = ()
) -> dict[str, Any]:
    """What stands under keys that a study has; the others go to `problems`."""
    found = {}
    for key, value in raw.items():
        with problems.collect():
            check_key(key, where, without)
            found[key] = value
            continue
        one = meant_key(key, without)
        if one in REQUIRED and one not in raw:  # else it is said, too, that this one is missing
            found[one] = value
    return found


def _parse_override(override: str) -> tuple[str, Any]:
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or not key:
        raise StudyError(f"--set {override}: not key=value, as in --set train.epochs=2")
    first = key.split(".")[0]
    if first in (*APART, *_STATED, ABLATE):
        raise StudyError(f"--set {override}: {first} cannot be set here; edit the file")
    check_key(key, f"--set {override}")
    try:
        return key, untrusted.parse(text)
    except yaml.YAMLError:
        raise StudyError(f"--set {override}: {text!r} is not a YAML value") from None


def _check_clash(override: str, key: str, value: Any, variants: dict[str, Any]) -> None:
    """A variant's own setting would win, and the override be lost without a word."""
    for name, change in variants.items():
        for path in paths(change) if isinstance(change, dict) else ():
            if any(overlap(path, wanted) for wanted in paths({key: value})):
                rule = f"variant {name!r} sets {path} itself; change it in the file"
                raise StudyError(f"--set {override}: {rule}")
