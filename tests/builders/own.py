"""Operators of a user's own: one that works, and others that end a trial in their way."""

from __future__ import annotations

from typing import Any

from builders.place import TINY, Workplace

OWN = """
import os, time, torch
from operators import TemporalOp

class Fine(TemporalOp):
    def forward(self, x):
        return x * 1.0

class Broken(TemporalOp):
    def forward(self, x):
        if "MENDED" in os.environ:
            return x
        raise ValueError("no idea")

class Hungry(TemporalOp):
    def forward(self, x):
        raise MemoryError

class Dying(TemporalOp):
    def forward(self, x):
        if x.is_meta:  # counted, in the process that drives the study
            return x
        os._exit(3)

class Slow(TemporalOp):
    def __init__(self, channels, num_frames):
        super().__init__(channels, num_frames)
        self.taps = torch.nn.Parameter(torch.ones(channels, 1, 1))
        self.calls = 0
    def forward(self, x):
        self.calls += 1
        while "HANG" in os.environ and self.calls > 4:  # in the second epoch: 2 steps and 1 evaluation each
            time.sleep(0.05)
        return x * self.taps
"""


def operators(place: Workplace, **classes: str) -> dict[str, Any]:
    """Variants with the operators of OWN, in a file beside the study."""
    (place.folder / "own_run.py").write_text(OWN)
    plain = {"tsn": TINY["variants"]["tsn"]}
    return plain | {name: {"model.operator": {"name": f"own_run.{cls}"}} for name, cls in classes.items()}
