"""A study: YAML in, checked settings and an explicit list of trials out.

Everything is checked before anything starts; what is wrong is one line that names the file, the path in it, the
value, the rule and the nearest valid name.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import typing
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml

from harness.cost.config import OWN, CostConfig
from harness.cost.counting import placed as as_costed
from harness.errors import Problems, StudyError, first_line, in_a_line, nearest, setting
from harness.model.any_backbone import AnyBackbone
from harness.model.build import build
from harness.model.config import ModelConfig
from harness.outside import import_from, is_ours, place_of
from harness.published import load_reference
from harness.stats.hypotheses import parse_hypothesis, parse_pair
from harness.study import ablation, untrusted
from harness.study.reading import (
    Source,
    coerce,
    mapping,
    merged,
    overlap,
    paths,
    read_yaml,
    settings_of,
)
from harness.study.resources import Resources
from harness.study.study import ReportConfig, Study, deciding
from harness.study.sweep import check_alone, placed, read_sweep
from harness.study.tuning import Tuning, check_not_held_out, read_tuning
from harness.train.settings import Settings
from operators.base import find_operator

_SECTIONS = ("model", "data", "train")
_APART = ("variants", "presets", "parts")  # keys that hold changes to the others
_ABLATE = "ablate"  # and one that makes variants of them
_STATED = ("question", "source", "reference", "hypotheses", "pairs", "margin")
"""Keys of what a study asks: another question is another file."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """The keys of a study file that are read as they stand.

    question: what the study asks. Required.
    baseline: the variant that all others are compared with. Required.
    source: where the question comes from, in words.
    reference: published rows to quote, from studies/paper_tables.yaml; rows match by the variant's name.
    seeds: a trial is a variant with a seed. Fewer than 3 seeds give no interval.
    margin: points of top-1 that do not matter; 0: none is named.
    hypotheses: statements about rows, tested as they stand and corrected together; all else is exploratory.
    pairs: differences shown besides those to the baseline, corrected together, as in ks7 vs ks5.
    profile: write traces of training steps of every variant, and show where their time goes.
    sweep: one setting and two or more numbers; every variant becomes a row at each of them.
    tune: one setting of `model` or `train` and two or more numbers; every row is first trained once at each of them.
    costed: networks that are never trained; their parameters and MACs stand in the report.
    """

    question: str
    baseline: str
    source: str = ""
    reference: str = ""
    seeds: tuple[int, ...] = (0, 1, 2)
    margin: float = 0.0
    hypotheses: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    resources: Resources = field(default_factory=Resources)
    cost: CostConfig = field(default_factory=CostConfig)
    profile: bool = False
    report: ReportConfig = field(default_factory=ReportConfig)
    sweep: Any = None
    tune: Any = None
    costed: dict[str, Any] = field(default_factory=dict)


@functools.cache
def _everywhere() -> list[str]:
    """Dotted names of all settings of a study; those of a variant first."""
    return [*settings_of(Settings), *settings_of(Head)]


def load_studies(
    path: str | Path, *, preset: str = "", overrides: Sequence[str] = (), parts: Sequence[str] = ()
) -> list[Study]:
    """Read and check a study file: one study, or one for each of its `parts`, of which `parts` may name some.

    Raises:
        StudyError: anything in it cannot be used, or there is no such part.
    """
    known = list(_layers(Path(path), preset, Problems()).parts)
    for part in parts:
        if part not in known:
            hint = nearest(part, known) if known else "; the study has none"
            raise StudyError(f"{path}: parts: no part {part!r}{hint}")
    chosen = [part for part in known if part in parts] if parts else known
    problems, studies = Problems(), []
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
    """A study file with one preset merged in: what holds for all variants, the variants, and the parts."""

    base: dict[str, Any]
    variants: dict[str, Any]
    parts: dict[str, Any]


def _layers(path: Path, preset: str, problems: Problems) -> _Layers:
    """Keys that nobody knows go to `problems`, and are left out."""
    where = str(path)
    raw = _known_keys(_whole(path), where, problems)
    variants, presets = mapping(raw, "variants", where), mapping(raw, "presets", where)
    parts = mapping(raw, "parts", where)
    base = merged({}, {key: value for key, value in raw.items() if key not in _APART})
    if preset:
        if preset not in presets:
            hint = nearest(preset, presets) if presets else "; the study has none"
            raise StudyError(f"{where}: presets: no preset {preset!r}{hint}")
        place = f"{where}: presets.{preset}"
        chosen = mapping(presets, preset, f"{where}: presets")
        chosen = _known_keys(chosen, place, problems, without=("presets",))
        variants = merged(variants, mapping(chosen, "variants", place))
        parts = mapping(chosen, "parts", place) if "parts" in chosen else parts
        base = merged(base, {key: value for key, value in chosen.items() if key not in _APART})
    known = {}
    for name in parts:
        _check_name(name, f"{where}: parts")
        part = mapping(parts, name, f"{where}: parts")
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
    base, variants, parts = _layers(path, preset, problems)
    if part not in parts and (part or parts):
        raise StudyError(f"{where}: parts: no part {part!r}; known: {', '.join(parts) or 'none'}")
    variants = {str(name): change for name, change in variants.items()}
    changed = dict(parts.get(part, {}))
    chosen = changed.pop("variants", None)
    base = merged(base, changed)
    variants = _ablated(base, variants, where) | variants
    if not variants:
        raise StudyError(f"{where}: variants: missing; give at least one, as in tsn: {{model.operator: ...}}")
    if chosen is not None:
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

    sections: dict[str, Any] = {key: base.pop(key) for key in _SECTIONS if key in base}
    for key, section in sections.items():
        if not isinstance(section, dict):
            raise StudyError(f"{source(key)}: {section!r} is not a mapping")
    head, sweep = None, None
    tuned, values = "", dict[str, Any]()
    with problems.collect():
        head = coerce(base, Head, "", source, _everywhere())
    asked = head
    with problems.collect():  # what is wrong with its costs keeps nothing else from being checked
        plain = {key: base[key] for key in ("baseline", "seeds", *_STATED) if key in base}
        asked = head or coerce(plain, Head, "", source, _everywhere())
    with problems.collect():
        sweep = read_sweep(base.get("sweep"), variants, source)
        if sweep:
            check_alone("sweep", sweep.keys, variants, given, where)
    with problems.collect():
        tuned, values = read_tuning(base.get("tune"), head.seeds if head else (), sweep, source)
        check_alone("tuning", [tuned] if tuned else [], variants, given, where)
    rows = sweep.rows if sweep else {name: {"": name} for name in variants}
    for check in (_check_head, _check_names, _check_stated) if asked else ():
        with problems.collect():
            check(asked, variants, [row for there in rows.values() for row in there.values()], source)
    import_from(path.resolve().parent)  # an operator of the user's own may lie beside the study
    resolved, tried = {}, dict[str, dict[str, Settings]]()
    place = placed(sweep.keys, source("sweep"), source) if sweep else source
    for name, there in rows.items():
        for value, row in there.items():
            at_value = merged(sections, sweep.changes[value] if sweep else {})
            with problems.collect():
                resolved[row] = _variant(name, at_value, variants[name], where, place)
                at = placed([tuned], source("tune"), place)
                tried[row] = {
                    words: _variant(name, merged(at_value, {tuned: one}), variants[name], where, at)
                    for words, one in values.items()
                }
    costed = {}
    for name, change in head.costed.items() if head else ():  # nothing of the study's own goes into them
        with problems.collect():
            costed[str(name)] = _variant(str(name), {}, change, where, source, under="costed")
    problems.raise_any()
    assert head is not None
    with problems.collect():
        _check_distinct(resolved, where)
    with problems.collect():
        _check_cost(head.cost, resolved, source)
    with problems.collect():
        _check_levels(head, resolved, source)
    with problems.collect():
        if tuned:
            check_not_held_out(resolved, source)
    problems.raise_any()
    stated = {item.name: getattr(head, item.name) for item in dataclasses.fields(Head)}
    stated |= {"baseline": next(iter(rows[head.baseline].values())), "sweep": sweep, "costed": costed}
    stated["tune"] = Tuning(key=tuned, tried=tried) if tuned else None
    return Study(path=path.resolve(), preset=preset, part=part, variants=resolved, **stated)


def _ablated(base: dict[str, Any], variants: dict[str, Any], where: str) -> dict[str, Any]:
    """The variants that the study's `ablate` names."""

    def source(path: str) -> str:
        return f"{where}: {path}"

    def full() -> Settings:
        import_from(Path(where).resolve().parent)
        sections = {key: base[key] for key in _SECTIONS if isinstance(base.get(key), dict)}
        return _variant(ablation.FULL, sections, {}, where, source)

    return ablation.expand(base.pop(_ABLATE, None), full, variants, source)


def _of_part(chosen: Any, variants: dict[str, Any], place: str) -> dict[str, Any]:
    """Those of the study's variants that a part names, in the study's order."""
    if not isinstance(chosen, list) or not chosen:
        raise StudyError(f"{place}: {chosen!r} is not a list of the study's variants")
    for name in chosen:
        if str(name) not in variants:
            raise StudyError(f"{place}: no variant {name!r}{nearest(name, variants)}")
    return {name: change for name, change in variants.items() if name in map(str, chosen)}


def _known_keys(
    raw: dict[str, Any], where: str, problems: Problems, *, without: Sequence[str] = ()
) -> dict[str, Any]:
    """What stands under keys that a study has; the others go to `problems`."""
    found = {}
    for key, value in raw.items():
        with problems.collect():
            _check_key(key, where, without)
            found[key] = value
    return found


def _check_key(key: Any, where: str, without: Sequence[str] = ()) -> None:
    known = [item.name for item in dataclasses.fields(Head)] + [*_SECTIONS, *_APART, _ABLATE]
    known = [name for name in known if name not in without]
    first = str(key).split(".")[0]
    if first == "profiles":
        rule = "a study at another scale is called a preset now: write presets"
        raise StudyError(f"{where}: {key}: {rule}")
    if first not in known:
        raise StudyError(f"{where}: {key}: unknown key{setting(first, known, _everywhere())}")


def _parse_override(override: str) -> tuple[str, Any]:
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or not key:
        raise StudyError(f"--set {override}: not key=value, as in --set train.epochs=2")
    first = key.split(".")[0]
    if first in (*_APART, *_STATED, _ABLATE):
        raise StudyError(f"--set {override}: {first} cannot be set here; edit the file")
    _check_key(key, f"--set {override}")
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


def _check_head(head: Head, variants: dict[str, Any], rows: Collection[str], source: Source) -> None:
    if head.baseline not in variants:
        known = nearest(head.baseline, map(str, variants))
        raise StudyError(f"{source('baseline')}: no variant {head.baseline!r}{known}")
    if head.reference:
        try:
            load_reference(head.reference)
        except StudyError as error:
            place = source("reference").removesuffix("reference")
            raise StudyError(f"{place}{error}") from None
    if not head.seeds:
        raise StudyError(f"{source('seeds')}: empty; give at least one")
    if len(set(head.seeds)) < len(head.seeds):
        raise StudyError(f"{source('seeds')}: {list(head.seeds)} has a seed twice")
    if min(head.seeds) < 0:
        raise StudyError(f"{source('seeds')}: {min(head.seeds)} is below 0")


def _check_names(head: Head, variants: dict[str, Any], rows: Collection[str], source: Source) -> None:
    for name in variants:
        _check_name(name, source("variants"))


def _check_name(name: Any, place: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_+-]*", str(name)):
        raise StudyError(f"{place}: {name!r} is no name; use letters, digits, _ + -")


def _check_stated(head: Head, variants: dict[str, Any], rows: Collection[str], source: Source) -> None:
    """Hypotheses and pairs name variants of the study, and say nothing twice, nor the other way round."""
    if head.margin < 0:
        raise StudyError(f"{source('margin')}: {head.margin:g} is below 0")
    for key, texts in (("hypotheses", head.hypotheses), ("pairs", head.pairs)):
        seen: set[tuple[str, str, str, float | None]] = set()
        for number, text in enumerate(texts):
            place = source(f"{key}[{number}]")
            try:
                relation, left, right, level = _stated(key, text, head.margin)
            except ValueError as error:
                raise StudyError(f"{place}: {error}") from None
            for name in (left, right):
                if name not in rows:
                    raise StudyError(f"{place}: no variant {name!r}{nearest(name, rows)}")
            if relation == "<":
                relation, left, right = ">", right, left
            elif relation in ("~", "vs"):  # the order says nothing
                left, right = sorted((left, right))
            if (relation, left, right, level) in seen:
                raise StudyError(f"{place}: {text!r} is stated twice")
            seen.add((relation, left, right, level))


def _stated(key: str, text: str, margin: float) -> tuple[str, str, str, float | None]:
    """The relation, the two variants and the level of a hypothesis, or of a pair."""
    if key == "pairs":
        return ("vs", *parse_pair(text), None)
    one = parse_hypothesis(text, margin)
    return one.relation, one.left, one.right, one.level


def _check_levels(head: Head, variants: dict[str, Settings], source: Source) -> None:
    """A hypothesis about a level names one that the clips of both its variants have."""
    for place, text in enumerate(head.hypotheses):
        one = parse_hypothesis(text, head.margin)
        for name in (one.left, one.right) if one.level is not None else ():
            level_name, levels = variants[name].data.levels()
            if not levels:
                problem = f"the clips of {name} have no levels"
            elif one.level_name != level_name:
                problem = f"the level of its clips is called {level_name}"
            elif one.level not in levels:
                problem = (
                    f"{name} has no such clips; known: {level_name} {', '.join(f'{x:g}' for x in levels)}"
                )
            else:
                continue
            raise StudyError(f"{source(f'hypotheses[{place}]')}: {text!r}: {problem}")


def _check_distinct(variants: dict[str, Settings], where: str) -> None:
    """Two rows with the same settings, but for such as change no result, would be one trial, shown twice."""
    first: dict[str, str] = {}
    for name, settings in variants.items():
        other = first.setdefault(json.dumps(deciding(settings), sort_keys=True), name)
        if other != name:
            rule = f"differs from {other} in no setting that can change a result; every row must"
            raise StudyError(f"{where}: variants.{name}: {rule}")


def _variant(
    name: str, base: dict[str, Any], change: Any, where: str, study_source: Source, under: str = "variants"
) -> Settings:
    place = f"{where}: {under}.{name}"
    if change is None:
        change = {}
    if not isinstance(change, dict):
        raise StudyError(f"{place}: {change!r} is not a mapping of settings")
    problems, known = Problems(), {}
    for key, value in change.items():
        with problems.collect():
            first = str(key).split(".")[0]
            if first not in _SECTIONS:
                hint = setting(first, [], settings_of(Settings))
                hint = hint if "mean" in hint else "; known: model..., data..., train..."
                raise StudyError(f"{place}.{key}: unknown key{hint}")
            known[key] = value
    changed = paths(known)

    def source(path: str) -> str:  # the variant's own lines are named as such, the study's as they stand
        return f"{place}.{path}" if any(overlap(path, key) for key in changed) else study_source(path)

    whole, settings = merged(base, known), None
    with problems.collect():
        settings = coerce(whole, Settings, "", source, _everywhere())
    with problems.collect():  # what is wrong with its training keeps its operator from nothing
        untrained = {key: section for key, section in whole.items() if key != "train"}
        network: Settings = settings or coerce(untrained, Settings, "", source, _everywhere())
        operator = _checked_operator(network, source)
        if network.model.flow and under == "variants":
            rule = (
                "no data set here has optical flow; such a network can only be costed: name it under `costed`"
            )
            raise StudyError(f"{source('model.flow')}: {network.model.flow}: {rule}")
    problems.raise_any()
    assert settings is not None
    return dataclasses.replace(settings, model=dataclasses.replace(settings.model, operator=operator))


def _check_backbone(model: ModelConfig, source: Source) -> None:
    """Run one from outside, once."""
    if not model.is_outside:
        return
    place = source("model.backbone")
    try:
        with torch.device("meta"):
            AnyBackbone(model.backbone)
    except ValueError as error:
        raise StudyError(f"{place}: {first_line(error).removeprefix('backbone: ')}") from None
    except Exception as error:  # whatever a user's own file does
        raise StudyError(f"{place}: {model.backbone}: {place_of(error)}{in_a_line(error)}") from None


def _check_cost(cost: CostConfig, variants: dict[str, Settings], source: Source) -> None:
    """Operators must be able to stand in the backbone that is costed."""
    for name, settings in variants.items():
        try:
            model = as_costed(cost, settings.model)
            if model.is_outside and model != settings.model.drawn():
                _check_backbone(model, lambda path: source("cost.backbone"))
                with torch.device("meta"):
                    build(model, settings.data.num_frames, 2)
        except ValueError as error:
            raise StudyError(
                f"{source('cost.backbone')}: {cost.backbone} cannot carry the operators of {name}: "
                f"{first_line(error)}; use {OWN}"
            ) from None


def _checked_operator(settings: Settings, source: Source) -> dict[Any, Any]:
    """As `_checked` has it, or so by stage."""
    model, frames = settings.model, settings.data.num_frames
    _check_backbone(model, source)
    if "name" in model.operator:
        return _checked(model, frames, "model.operator", source)
    return {
        stage: _checked(
            dataclasses.replace(model, operator=one, stages=(stage,)),
            frames,
            f"model.operator.{stage}",
            source,
        )
        for stage, one in model.operator.items()
    }


def _checked(model: ModelConfig, frames: int, path: str, source: Source) -> dict[str, Any]:
    """The operator under its own name, also where it was given a paper's: the same operator has the same trials.

    The network is built on the meta device: whatever an operator refuses is found before anything starts.
    """
    operator, place = dict(model.operator), source(path)
    name = operator.pop("name")
    try:
        if not isinstance(name, str):
            raise ValueError(f"name: {name!r} is not a name")
        cls = find_operator(name)
        dotted = f"{cls.__module__}.{cls.__qualname__}"
        if "." not in name and not is_ours(cls):  # another process, and another run, would not know it
            raise ValueError(f"name: {name!r} is not of the zoo; write its dotted path, {dotted}")
        with torch.device("meta"):
            build(model.drawn(), frames, 2)
    except (ValueError, TypeError) as error:
        text = next(iter(str(error).splitlines()), type(error).__name__)
        setting, colon, rule = text.partition(":")
        if colon and setting in ("name", *operator):
            place, text = f"{place}.{setting}", rule.strip()
        elif colon and hasattr(model, setting):  # another setting of the network
            place, text = source(f"model.{setting}"), rule.strip()
        raise StudyError(f"{place}: {text}") from None
    except Exception as error:  # whatever a user's own file does when imported, or its class when made
        raise StudyError(f"{place}: {name}: {place_of(error)}{_first_line(error)}") from None
    return {"name": name if "." in name else cls.name, **operator}


def _first_line(error: Exception) -> str:
    text = error.msg if isinstance(error, SyntaxError) else next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
