"""What a study asks, and whether it can: all of a study file but its settings and its variants."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.cost.config import CostConfig
from harness.errors import Problems, StudyError, meant, nearest, setting
from harness.published import load_reference
from harness.stats.hypotheses import parse_hypothesis, parse_pair
from harness.study.reading import Source, settings_of
from harness.study.resources import Resources
from harness.study.study import ReportConfig
from harness.train.settings import Settings

SECTIONS = ("model", "data", "train")
APART = ("variants", "presets", "parts")  # keys that hold changes to the others
REQUIRED = ("question", "baseline")
ABLATE = "ablate"  # one that makes variants of them


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
def everywhere() -> list[str]:
    """Dotted names of all settings of a study; those of a variant first."""
    return [*settings_of(Settings), *settings_of(Head)]


def check_key(key: Any, where: str, without: Sequence[str] = ()) -> None:
    first, known = str(key).split(".")[0], _keys(without)
    if first == "profiles":
        rule = "a study at another scale is called a preset now: write presets"
        raise StudyError(f"{where}: {key}: {rule}")
    if first not in known:
        raise StudyError(f"{where}: {key}: unknown key{setting(first, known, everywhere())}")


def meant_key(key: Any, without: Sequence[str] = ()) -> str:
    """The key that an unknown one may stand for; "" where none is near."""
    return meant(str(key).split(".")[0], _keys(without), everywhere())


def _keys(without: Sequence[str]) -> list[str]:
    known = [item.name for item in dataclasses.fields(Head)] + [*SECTIONS, *APART, ABLATE]
    return [name for name in known if name not in without]


def check_asked(
    head: Head,
    unread: Collection[str],
    variants: Collection[str] | None,
    rows: Collection[str] | None,
    source: Source,
) -> None:
    """Whether what is asked can be asked of these variants.

    Args:
        unread: keys that could not be read, of which nothing more is said.
        variants, rows: names; None where not all of them are known.

    Raises:
        StudyError: a line for each thing that is wrong.
    """
    problems = Problems()
    if variants is not None and "baseline" not in unread and head.baseline not in variants:
        known = nearest(head.baseline, map(str, variants))
        problems.add(f"{source('baseline')}: no variant {head.baseline!r}{known}")
    if head.reference:
        try:
            load_reference(head.reference)
        except StudyError as error:
            problems.add(f"{source('reference').removesuffix('reference')}{error}")
    with problems.collect():
        _check_seeds(head.seeds, source("seeds"))
    for name in variants or ():
        with problems.collect():
            check_name(name, source("variants"))
    if head.margin < 0:
        problems.add(f"{source('margin')}: {head.margin:g} is below 0")
    margin = 1.0 if "margin" in unread or head.margin < 0 else head.margin
    for key, texts in (("hypotheses", head.hypotheses), ("pairs", head.pairs)):
        seen: set[tuple[str, str, str, float | None]] = set()
        for number, text in enumerate(texts):
            with problems.collect():
                _check_stated(key, text, margin, rows, seen, source(f"{key}[{number}]"))
    problems.raise_any()


def _check_seeds(seeds: Sequence[int], place: str) -> None:
    if not seeds:
        raise StudyError(f"{place}: empty; give at least one")
    if len(set(seeds)) < len(seeds):
        raise StudyError(f"{place}: {list(seeds)} has a seed twice")
    if min(seeds) < 0:
        raise StudyError(f"{place}: {min(seeds)} is below 0")


def check_name(name: Any, place: str) -> None:
    """Of a variant or a part.

    Raises:
        StudyError: not every file and every table can have it.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_+-]*", str(name)):
        raise StudyError(f"{place}: {name!r} is no name; use letters, digits, _ + -")


def _check_stated(
    key: str,
    text: str,
    margin: float,
    rows: Collection[str] | None,
    seen: set[tuple[str, str, str, float | None]],
    place: str,
) -> None:
    """A hypothesis or a pair names variants of the study, and says nothing twice, nor the other way round."""
    try:
        relation, left, right, level = _stated(key, text, margin)
    except ValueError as error:
        raise StudyError(f"{place}: {error}") from None
    for name in (left, right):
        if rows is not None and name not in rows:
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


def check_levels(head: Head, variants: Mapping[str, Settings], source: Source) -> None:
    """A hypothesis about a level names one that the clips of both its variants have.

    Args:
        variants: those whose clips are known; of the others nothing is said.

    Raises:
        StudyError: a line for each that does not.
    """
    problems = Problems()
    for place, text in enumerate(head.hypotheses):
        with problems.collect():
            _check_level(text, head.margin, variants, source(f"hypotheses[{place}]"))
    problems.raise_any()


def _check_level(text: str, margin: float, variants: Mapping[str, Settings], place: str) -> None:
    try:
        one = parse_hypothesis(text, margin)
    except ValueError:  # as `check_asked` says
        return
    for name in (one.left, one.right) if one.level is not None else ():
        if name not in variants:
            continue
        level_name, levels = variants[name].data.levels()
        if not levels:
            problem = f"the clips of {name} have no levels; state it without `at`"
        elif one.level_name != level_name:
            problem = f"the level of its clips is called {level_name}"
        elif one.level not in levels:
            problem = f"{name} has no such clips; known: {level_name} {', '.join(f'{x:g}' for x in levels)}"
        else:
            continue
        raise StudyError(f"{place}: {text!r}: {problem}")
