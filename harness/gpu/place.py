"""Where a step runs, what it has to finish in, and where it leaves what it has found so far."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from harness import shipped
from harness.files import write_whole

STUDY = shipped.FOLDER / "kernel_sizes.yaml"
"""Its rows are costed, and trained on the ladder."""


@dataclass
class Place:
    """Of one step.

    device: to run on; a CPU rehearses.
    quick: fewer of everything: it takes a third of the time.
    folder: for what the step needs meanwhile.
    file: what it found, as JSON, whole after every `say`.
    """

    device: torch.device
    quick: bool
    folder: Path
    file: Path
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        """The folder that stays."""
        return self.file.parent

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    def say(self, **found: Any) -> None:
        """Keep what was found, at once: the step may be stopped by its time limit."""
        self.found |= found
        write_whole(self.file, json.dumps(self.found, indent=1) + "\n")

    def add(self, name: str, row: Mapping[str, Any]) -> None:
        """One more row of a list of findings."""
        self.say(**{name: [*self.found.get(name, []), dict(row)]})

    def synchronize(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize()

    def seconds(self) -> float:
        """Now, all of the device's work done."""
        self.synchronize()
        return time.perf_counter()
