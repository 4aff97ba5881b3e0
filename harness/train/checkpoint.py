"""What a trial saves after every epoch, to go on from: how it is written, and read back."""

from __future__ import annotations

import io
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import TrainingError
from harness.files import sealed, sealed_bytes, set_aside, write_whole
from harness.shapes import fits


@dataclass
class State:
    """What a checkpoint holds besides weights and optimiser: the past.

    spent: seconds by what they went to, as in TrialRecord.
    best: weights of the best epoch so far, on the CPU, where the best one is to be the result; else empty.
    unreadable: indices of training clips that were left out.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    spent: dict[str, float] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    unreadable: list[int] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    @property
    def best_entry(self) -> dict[str, float]:
        """Of the epochs that were validated, the one with the highest top-1 on those clips, the first of equals."""
        validated = [entry for entry in self.history if "val/top1" in entry]
        return max(validated, key=lambda entry: entry["val/top1"])


@dataclass(frozen=True)
class Learner:
    """What learns, and so changes with every step."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler


def save(path: Path, state: State, learner: Learner) -> None:
    """Write a checkpoint, whole or not at all. No random state is in it: every epoch derives its own."""
    past = {item.name: getattr(state, item.name) for item in fields(state)}
    now = {item.name: getattr(learner, item.name).state_dict() for item in fields(learner)}
    write_whole(path, sealed(as_bytes(now | past)))


def as_bytes(content: Any) -> bytes:
    """What `torch.save` writes; told to write a file itself, it does not say why it cannot."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def set_damaged_aside(path: Path) -> str:
    """Rename a checkpoint that is not as `save` wrote it, damaged or edited, so that its trial starts over.

    Returns:
        One line that says so, or "".
    """
    if not path.exists() or (path.is_file() and sealed_bytes(path) >= 0):
        return ""
    aside = set_aside(path, f"{path.parent.name}-{path.name}")
    return f"its checkpoint was not as it was saved: it is {aside.name} now, and the trial started over"


def load(path: Path, learner: Learner) -> State:
    """Take up what `save` wrote: the learner goes on where it was. It is left alone where the file does not fit it.

    Raises:
        TrainingError: the file is damaged, or of another network or optimiser.
    """
    way_out = "with --force the trial starts over"
    size = sealed_bytes(path)
    if size < 0:
        raise TrainingError(f"{path}: a damaged checkpoint; {way_out}")
    try:
        with path.open("rb") as file:
            saved = torch.load(io.BytesIO(file.read(size)), map_location="cpu", weights_only=True)
    except Exception:  # a sealed file that is no checkpoint; what a pickle can raise is anything
        raise TrainingError(f"{path}: a damaged checkpoint; {way_out}") from None
    if wrong := _unlike(saved, typing.get_type_hints(State) | {item.name: dict for item in fields(Learner)}):
        raise TrainingError(f"{path}: not a checkpoint of this version ({wrong}); {way_out}")
    now = {item.name: saved[item.name] for item in fields(learner)}
    state = State(**{item.name: saved[item.name] for item in fields(State)})
    if wrong := _misfits(learner.model.state_dict(), now["model"]):
        raise TrainingError(f"{path}: a checkpoint of another network ({wrong}); {way_out}")
    if not _fits_optimizer(now["optimizer"], learner.optimizer):
        raise TrainingError(f"{path}: a checkpoint of another optimiser or grouping; {way_out}")
    if not _alike(now["scaler"], learner.scaler.state_dict()):
        raise TrainingError(f"{path}: a checkpoint of another precision; {way_out}")
    for name, its_state in now.items():
        getattr(learner, name).load_state_dict(its_state)
    return state


def _unlike(saved: Any, wanted: Mapping[str, Any]) -> str:
    """Which part is not there, or not what it should be; "" where all are."""
    if not isinstance(saved, dict):
        return "it holds no parts"
    return next(
        (name for name, kind in wanted.items() if name not in saved or not fits(saved[name], kind)), ""
    )


def _misfits(own: Mapping[str, Tensor], given: Mapping[Any, Any]) -> str:
    """How the tensors of another network differ, the first of them by name; "" if they do not."""
    wrong = [f"no {name}" for name in own if name not in given]
    wrong += [f"unknown {name}" for name in given if name not in own]
    for name, value in own.items():
        if name in given and (found := getattr(given[name], "shape", None)) != value.shape:
            wrong.append(
                f"{name} is {'no tensor' if found is None else tuple(found)}, not {tuple(value.shape)}"
            )
    return wrong[0] + (f" and {len(wrong) - 1} more" if len(wrong) > 1 else "") if wrong else ""


def _fits_optimizer(given: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> bool:
    """Whether it is of the same groups with the same settings, and what it remembers of each parameter is as large."""
    own = optimizer.state_dict()
    groups, memory = given.get("param_groups"), given.get("state")
    if (
        not isinstance(groups, list)
        or not isinstance(memory, dict)
        or len(groups) != len(own["param_groups"])
    ):
        return False
    if not all(isinstance(group, dict) for group in groups):
        return False
    if not all(map(_alike, groups, own["param_groups"])):
        return False
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return all(
        number in range(len(parameters))
        and isinstance(kept, dict)
        and all(
            value is None or getattr(value, "shape", None) in ((), parameters[number].shape)
            for value in kept.values()
        )
        for number, kept in memory.items()
    )


def _alike(given: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    """Whether two sets of settings have the same names, and values of the same kinds; one that is None is of any.

    The numbers of parameters, a list, must be the same.
    """
    return given.keys() == own.keys() and all(
        given[name] == value
        if isinstance(value, list)
        else given[name] is None or value is None or isinstance(given[name], type(value) | _number(value))
        for name, value in own.items()
    )


def _number(value: Any) -> Any:
    return float | int if isinstance(value, float | int) and not isinstance(value, bool) else type(value)
