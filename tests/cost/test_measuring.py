"""Whatever an operator does while it is measured, the process that asked goes on, and so do the other networks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from builders.costs import CPU, TINY, VARIANTS

from harness.cost import cache
from harness.model.config import ModelConfig
from harness.outside import nothing_moved
from operators.base import find_operator

HOSTILE = """
import os, sys
import torch
from operators import TemporalOp

torch.set_default_dtype(torch.float64)  # in which no network here would take its clips

class Hostile(TemporalOp):
    def __init__(self, channels, num_frames, deed):
        super().__init__(channels, num_frames)
        self.deed = deed

    def forward(self, x):
        if not x.is_meta:
            DEEDS[self.deed]()
        return x * 1.0

def fail():
    raise MemoryError("12 GiB")

DEEDS = {
    "vanishes": lambda: os._exit(3),
    "leaves": lambda: sys.exit(0),
    "starves": fail,
    "moves": lambda: torch.use_deterministic_algorithms(True),
}
"""


def test_a_network_that_cannot_be_measured_says_why_and_the_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hostile_cost.py").write_text(HOSTILE)
    monkeypatch.syspath_prepend(tmp_path)
    with nothing_moved():  # as where a study is read
        find_operator("hostile_cost.Hostile")
    own = {
        deed: (ModelConfig(operator={"name": "hostile_cost.Hostile", "deed": deed}), 4)
        for deed in ("vanishes", "leaves", "starves", "moves")
    }
    kept = tmp_path / "cost"
    taken = cache.costs(
        dataclasses.replace(TINY, repeats=1, step=True),
        {"tsn": VARIANTS["tsn"], **own},
        {},
        CPU,
        kept,
        channels_last=True,
        allocator="default",
    )
    failed = {name: [w for w in one.warnings if w.startswith("failed:")] for name, one in taken.items()}
    said = {
        name: words[0].removeprefix("failed: could not be measured: ")
        for name, words in failed.items()
        if words
    }
    assert said == {
        "vanishes": "its process exited with 3",
        "leaves": "its code called sys.exit(0)",
        "starves": "MemoryError: 12 GiB",
    }
    assert {name: len(one.latency_ms) for name, one in taken.items()} == {
        "tsn": 1, "vanishes": 0, "leaves": 0, "starves": 0, "moves": 1,
    }  # fmt: skip
    assert set(taken["tsn"].peak_memory_mib) == set(taken["moves"].peak_memory_mib) == {"step"}
    assert len(list(kept.iterdir())) == 2  # the others are tried again
    assert not torch.are_deterministic_algorithms_enabled()
