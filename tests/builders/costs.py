"""What costs are taken of in tests: two variants of the tiny network, on the CPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch

from builders.operators import TABLE2
from harness.cost import cache
from harness.cost.config import CostConfig
from harness.model.config import ModelConfig
from harness.records import CostRecord

CPU = torch.device("cpu")
TINY = CostConfig(backbone="resnet_tiny", size=32, num_classes=16, repeats=3)
VARIANTS = {
    "tsn": (ModelConfig(operator=TABLE2["tsn"]), 4),
    "ks1357": (ModelConfig(operator=TABLE2["ks1357"]), 4),
}


def take(
    folder: Path,
    profiles: Path | None = None,
    *,
    remeasure: bool = False,
    begin: Callable[[int, int], None] = lambda measured, doubtful: None,
    **sources: str,
) -> dict[str, CostRecord]:
    """Measure both once, and keep it in a folder."""
    config = dataclasses.replace(TINY, repeats=1)
    return cache.costs(
        config,
        VARIANTS,
        sources,
        CPU,
        folder,
        channels_last=True,
        allocator="default",
        profiles=profiles,
        remeasure=remeasure,
        begin=begin,
    )
