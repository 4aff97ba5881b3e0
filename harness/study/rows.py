"""A variant as it stands in a study file to its settings, its operator tried."""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import pickle
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout, suppress
from typing import Any, NamedTuple

import torch

from harness.cost.config import OWN, CostConfig
from harness.cost.counting import placed as as_costed
from harness.errors import Problems, StudyError, first_line, setting
from harness.model import packages
from harness.model.any_backbone import AnyBackbone
from harness.model.build import build
from harness.model.config import ModelConfig
from harness.outside import blamed, is_ours, nothing_moved
from harness.study.head import SECTIONS, everywhere
from harness.study.reading import Source, merged, overlap, paths, readable, settings_of, without_refused
from harness.study.study import deciding
from harness.train import apart
from harness.train.settings import Settings
from operators.base import TemporalOp, find_operator, make_operator


class Row(NamedTuple):
    """A variant's settings, with defaults for what cannot be read; and the sections in which something is wrong."""

    settings: Settings
    unread: frozenset[str]


def read_row(
    name: str,
    base: dict[str, Any],
    change: Any,
    where: str,
    study_source: Source,
    problems: Problems,
    under: str = "variants",
) -> Row:
    """A variant: `change` over `base`. What is wrong with it goes to `problems`.

    Args:
        where: the file. study_source: where the study's own settings stand.
        under: the key under which the variant stands.
    """
    place = f"{where}: {under}.{name}"
    unread, known = set[str](), {}
    if not isinstance(change, dict) and change is not None:
        way_out = f"; write {{model.operator: {{name: {change}}}}}" if isinstance(change, str) else ""
        problems.add(f"{place}: {change!r} is not a mapping of settings{way_out}")
        unread.update(SECTIONS)
    for key, value in change.items() if isinstance(change, dict) else ():
        first = str(key).split(".")[0]
        if first in SECTIONS:
            known[key] = value
            continue
        hint = setting(first, [], settings_of(Settings))
        hint = hint if "mean" in hint else "; known: model..., data..., train..."
        problems.add(f"{place}.{key}: unknown key{hint}")
        unread.update(SECTIONS)
    changed = paths(known)

    def source(path: str) -> str:  # the variant's own lines are named as such, the study's as they stand
        return f"{place}.{path}" if any(overlap(path, key) for key in changed) else study_source(path)

    settings, wrong = readable(merged(base, known), Settings, "", source, problems, everywhere())
    unread |= wrong
    operator = _checked_operator(settings, source, problems)
    if operator is None:
        unread.add("model")
    else:
        settings = dataclasses.replace(settings, model=dataclasses.replace(settings.model, operator=operator))
    if settings.model.flow and under == "variants":
        rule = "no data set here has optical flow; such a network can only be costed: name it under `costed`"
        problems.add(f"{source('model.flow')}: {settings.model.flow}: {rule}")
    return Row(settings, frozenset(unread))


def check_distinct(variants: Mapping[str, Settings], where: str) -> None:
    """Two rows with the same settings, but for such as change no result, would be one trial, shown twice.

    Raises:
        StudyError: a line for each that is like another.
    """
    first, problems = dict[str, str](), Problems()
    for name, settings in variants.items():
        other = first.setdefault(json.dumps(deciding(settings), sort_keys=True), name)
        if other != name:
            rule = f"differs from {other} in no setting that can change a result; every row must"
            problems.add(f"{where}: variants.{name}: {rule}")
    problems.raise_any()


def check_cost(cost: CostConfig, variants: Mapping[str, Settings], source: Source) -> None:
    """Operators must be able to stand in the backbone that is costed.

    Raises:
        StudyError: a line for each reason why some cannot.
    """
    refused: dict[str, list[str]] = {}
    for name, settings in variants.items():
        try:
            model = as_costed(cost, settings.model)
            if model.is_outside and model != settings.model.drawn():
                _check_backbone(model, lambda path: source("cost.backbone"))
                with torch.device("meta"):
                    build(model, settings.data.num_frames, 2)
        except ValueError as error:
            refused.setdefault(first_line(error), []).append(name)
    problems = Problems()
    for why, names in refused.items():
        what = f"{cost.backbone} cannot carry the operators of {', '.join(names)}"
        problems.add(f"{source('cost.backbone')}: {what}: {why}; use {OWN}")
    problems.raise_any()


def _check_backbone(model: ModelConfig, source: Source) -> None:
    """Run one from outside, once."""
    if not model.is_outside:
        return
    place = source("model.backbone")
    if packages.own_path(model.backbone):
        _try_apart(f"{place}: {model.backbone}", _any_backbone, model.backbone)
    try:
        with nothing_moved():
            _any_backbone(model.backbone)
    except ValueError as error:
        raise StudyError(f"{place}: {first_line(error).removeprefix('backbone: ')}") from None
    except (Exception, SystemExit) as error:  # whatever a user's own file does
        raise StudyError(f"{place}: {model.backbone}: {blamed(error)}") from None


def _any_backbone(name: str) -> None:
    with torch.device("meta"):
        AnyBackbone(name)


def _checked_operator(settings: Settings, source: Source, problems: Problems) -> dict[Any, Any] | None:
    """As `_checked` has it, or so by stage; None where something is wrong."""
    model, frames = settings.model, settings.data.num_frames
    try:
        _check_backbone(model, source)
    except StudyError as error:
        problems.add(str(error))
        return None
    if "name" in model.operator:
        return _checked(model, frames, "model.operator", source, problems)
    found = {
        stage: _checked(
            dataclasses.replace(model, operator=one, stages=(stage,)),
            frames,
            f"model.operator.{stage}",
            source,
            problems,
        )
        for stage, one in model.operator.items()
    }
    return None if None in found.values() else found


def _checked(
    model: ModelConfig, frames: int, path: str, source: Source, problems: Problems
) -> dict[str, Any] | None:
    """The operator under its own name, also where it was given a paper's: the same operator has the same trials.
    None where something is wrong with it.

    The network is built on the meta device: whatever an operator refuses is found before anything starts.
    """
    operator, place, refusals = dict(model.operator), source(path), 0
    name = operator.pop("name")

    def refused(key: str, rule: str) -> None:
        nonlocal refusals
        refusals += 1
        if key in ("name", *operator):
            problems.add(f"{place}.{key}: {rule}")
        else:
            problems.add(f"{source(f'model.{key}') if key else place}: {rule}")

    def tried(given: dict[Any, Any]) -> bool:
        try:
            with torch.device("meta"):
                build(dataclasses.replace(model.drawn(), operator={"name": name, **given}), frames, 2)
        except TypeError as error:
            raise ValueError(first_line(error)) from None
        return True

    if isinstance(name, str) and "." in name:
        try:
            _try_apart(f"{place}: {name}", _one_operator, name, frames, operator)
        except StudyError as error:
            problems.add_all(error)
            return None
    try:
        with problems.collect(), nothing_moved():
            cls = _found(name, place)
            known = {"name", *operator, *(item.name for item in dataclasses.fields(ModelConfig))}
            without_refused(tried, dict(operator), known, refused, set())
            return None if refusals else {"name": name if "." in name else cls.name, **operator}
    except (Exception, SystemExit) as error:  # of a user's own file when imported, or its class when made
        problems.add(f"{place}: {name}: {blamed(error)}")
    return None


def _found(name: Any, place: str) -> type[TemporalOp]:
    """The operator's class."""
    if not isinstance(name, str):
        raise StudyError(f"{place}.name: {name!r} is not a name")
    try:
        cls = find_operator(name)
    except (ValueError, TypeError) as error:
        line = first_line(error)
        named = line.startswith("name: ")
        raise StudyError(f"{place}{'.' if named else ': '}{line}") from None
    if "." not in name and not is_ours(cls):  # another process, and another run, would not know it
        dotted = f"{cls.__module__}.{cls.__qualname__}"
        raise StudyError(f"{place}.name: {name!r} is not of the zoo; write its dotted path, {dotted}")
    return cls


def _one_operator(name: str, frames: int, settings: dict[str, Any]) -> None:
    make_operator(name, channels=64, num_frames=frames, **settings)


def _try_apart(what: str, call: Callable[..., None], *arguments: Any) -> None:
    """Have the user's own code imported and called in a process of its own first: what it raises there, it raises here
    again; but here it must not end the process, nor keep it for ever.

    Raises:
        StudyError: it does.
    """
    try:
        _tried_apart(pickle.dumps((call, arguments)), tuple(sys.path))
    except apart.NoAnswerError as error:
        raise StudyError(f"{what}: cannot be made: {error}") from None


@functools.cache
def _tried_apart(work: bytes, folders: tuple[str, ...]) -> None:
    """Once for all rows that have the same: what a file of the user's own imports may take long each time."""
    apart.answer(_survives, work, seconds=apart.PATIENCE)


def _survives(work: bytes) -> None:
    call, arguments = pickle.loads(work)
    said = io.StringIO()  # what it prints, it prints again
    with redirect_stdout(said), redirect_stderr(said), suppress(BaseException):
        call(*arguments)
