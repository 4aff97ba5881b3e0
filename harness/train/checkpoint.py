"""What a trial saves after every epoch, to go on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


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
        """The epoch with the highest top-1 on the validation clips, the first of equals."""
        return max(self.history, key=lambda entry: entry["val/top1"])


def misfits(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """How the tensors of another network differ, the first of them by name; "" if they do not."""
    wrong = [f"no {name}" for name in own if name not in given]
    wrong += [f"unknown {name}" for name in given if name not in own]
    wrong += [
        f"{name} is {tuple(given[name].shape)}, not {tuple(value.shape)}"
        for name, value in own.items()
        if name in given and given[name].shape != value.shape
    ]
    return wrong[0] + (f" and {len(wrong) - 1} more" if len(wrong) > 1 else "") if wrong else ""


def layout(group: Mapping[str, Any]) -> tuple[set[str], int]:
    """What is always the same in a parameter group of one optimiser: its settings' names, how much it holds."""
    return set(group), len(group["params"])
