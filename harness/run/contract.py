"""Every operator of a study keeps the contract, or nothing is trained: tried before anything else."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from harness.errors import Problems, StudyError, in_a_line, printable
from harness.model.build import build
from harness.outside import is_ours
from harness.study.study import Study
from harness.train import apart
from harness.train.settings import Settings
from operators.base import find_operator
from operators.contract import examine

LARGEST = 256
"""Channels with which an operator of the user's own is tried, besides the fewest of its network: a dense one with
2,048 of them would take a minute."""


@dataclass(frozen=True)
class Subject:
    """An operator as a network has it.

    Attributes:
        operator: a dotted path.
        row: the first variant that has it.
    """

    operator: str
    settings: dict[str, Any]
    channels: int
    frames: int
    row: str

    @property
    def command(self) -> str:
        """What prints every promise."""
        settings = "".join(f" --set {shlex.quote(f'{key}={value}')}" for key, value in self.settings.items())
        size = f"--channels {self.channels} --frames {self.frames}"
        return f"python -m operators.check {self.operator} {size}{settings}"


def check_operators(studies: Sequence[Study], variants: Collection[str], *, trains: bool = True) -> int:
    """Try each operator of these variants once, at the channels and frames of its network.

    One of the user's own has a process for itself. Those of the zoo share one, each at the fewest channels of its
    network: tests hold them to the contract at others.

    Args:
        trains: trials follow. Before a plan alone nobody waits for operators of the zoo, which tests hold to the
            contract: only those of the user's own are tried.

    Returns:
        How many operators, told apart by their settings.

    Raises:
        StudyError: a line for each that breaks a promise, ends the process that tries it, or hangs.
    """
    found: dict[tuple[str, str, int, int], Subject] = {}
    for study in studies:
        for row in study.rows(variants) if variants else study.variants:
            for one in _subjects(study.variants[row], row):
                key = (one.operator, repr(one.settings), one.channels, one.frames)
                found.setdefault(key, one)
    ours = [one for one in found.values() if is_ours(find_operator(one.operator))]
    problems = Problems()
    with problems.collect():
        if ours and trains:
            _check(ours)
    broken = set[tuple[str, str]]()  # said once, not at every number of channels
    for (operator, made_with, *_), one in found.items():
        if one in ours or (operator, made_with) in broken:
            continue
        try:
            _check([one])
        except StudyError as error:
            problems.add_all(error)
            broken.add((operator, made_with))
    problems.raise_any()
    return len({key[:2] for key in found})


def _subjects(settings: Settings, row: str) -> list[Subject]:
    frames = settings.data.num_frames
    with torch.device("meta"):
        network = build(settings.model.drawn(), frames, num_classes=2)
    sizes: dict[str, dict[int, Subject]] = {}
    for _, op in network.operators():
        cls = type(op)
        one = Subject(f"{cls.__module__}.{cls.__qualname__}", dict(op.made_with), op.channels, frames, row)
        sizes.setdefault(f"{one.operator} {one.settings}", {})[op.channels] = one
    chosen = []
    for by_channels in sizes.values():
        fewest, *others = sorted(by_channels)
        own = not is_ours(find_operator(by_channels[fewest].operator))
        chosen += [by_channels[fewest], *(by_channels[c] for c in others if own and c <= LARGEST)]
    return chosen


def _check(subjects: Sequence[Subject]) -> None:
    try:
        broken = apart.answer(_broken, subjects, seconds=apart.PATIENCE * len(subjects))
    except apart.NoAnswerError as error:
        one, what = subjects[0], f"cannot be checked: {error}"
    else:
        if broken is None:
            return
        one, what = broken
    raise StudyError(
        f"variants.{one.row}: model.operator: {one.operator} {what}; try {one.command}, or --unchecked"
    )


def _broken(subjects: Sequence[Subject]) -> tuple[Subject, str] | None:
    """The first that breaks a promise, and which; called in a process of its own."""
    torch.set_num_threads(1)
    for one in subjects:
        cls = find_operator(one.operator)
        try:
            outcomes = examine(cls, channels=one.channels, frames=one.frames, **one.settings)
        except Exception as error:  # in its constructor
            return one, f"cannot be checked: {in_a_line(error)}"
        broken = [outcome for outcome in outcomes if not outcome.kept]
        if broken:
            first, more = broken[0], f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
            return one, f"breaks the promise {first.promise!r}{more}: {printable(first.found)}"
    return None
