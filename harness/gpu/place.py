"""Where a step runs, what it has to finish in, and where it leaves what it has found so far."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from harness import shipped
from harness.errors import in_a_line
from harness.files import write_whole
from operators import MixTConv
from operators.stencil import AUTO

ASKED = {
    "clocks.sm": "SM clock",
    "clocks.max.sm": "of at most",
    "clocks.mem": "memory clock",
    "power.draw": "power",
    "power.limit": "of at most",
    "temperature.gpu": "°C",
    "utilization.gpu": "busy",
    "memory.used": "memory in use",
    "compute_mode": "compute mode",
    "driver_version": "driver",
}
"""Of nvidia-smi, and in words."""

STUDY = shipped.FOLDER / "kernel_sizes.yaml"
"""Its rows are costed, and trained on the ladder."""


@dataclass
class Place:
    """Of one step.

    device: to run on; a CPU rehearses.
    quick: fewer of everything: it takes a third of the time.
    folder: for what the step needs meanwhile.
    file: what it found, as JSON, whole after every `say`.
    stencil: the path that networks take; see `choose_stencil`.
    broken: why the step must go on in a new process; see `usable`.
    """

    device: torch.device
    quick: bool
    folder: Path
    file: Path
    found: dict[str, Any] = field(default_factory=dict)
    stencil: str = AUTO
    broken: str = ""

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

    def choose_stencil(self) -> None:
        """Where the default path cannot run, networks take `eager`, and the page says why: Triton needs a C compiler
        and Python's headers, and without them nothing else would be measured either."""
        if reason := self.found.get("no_triton") or refusal(self.device, AUTO):
            self.stencil = "eager"
            self.say(no_triton=reason)


def refusal(device: torch.device, path: str) -> str:
    """Why a path of the stencil does not run, forward and backward; "" where it does."""
    op = MixTConv(8, 4).to(device)
    op.stencil_path = path
    try:
        op(torch.ones(1, 4, 8, 3, 3, device=device, requires_grad=True)).sum().backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
    except Exception as error:  # a compiler's, a library's
        return in_a_line(error)
    return ""


def usable(device: torch.device) -> str:
    """Why nothing more can run on a device in this process, as after an illegal access to its memory; else ""."""
    if device.type != "cuda":
        return ""
    try:
        torch.ones(1, device=device).sum().item()
    except RuntimeError as error:
        return in_a_line(error)
    return ""


def clocks(device: torch.device) -> str:
    """Clocks, power and temperature of a GPU now, in a line."""
    command = ["nvidia-smi", f"--query-gpu=uuid,{','.join(ASKED)}", "--format=csv,noheader"]
    unknown = "clocks unknown: nvidia-smi does not answer"
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return unknown
    try:
        lines = process.communicate(timeout=20)[0].splitlines()
    except subprocess.TimeoutExpired:
        process.kill()  # and not waited for: the driver may hold it
        return unknown
    if process.returncode:
        return unknown
    own = str(torch.cuda.get_device_properties(device).uuid)
    rows = [line.split(", ") for line in lines if line]
    named = (row for row in rows if own in row[0])  # a part of a GPU (MIG) has a name of its own
    _, *values = next(named, rows[0] if rows else [""])
    return ", ".join(f"{name} {value}" for name, value in zip(ASKED.values(), values, strict=False))
