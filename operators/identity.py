"""Identity: no temporal operator, which turns the skeleton into the TSN baseline.

Source: Temporal Segment Networks; the first row of the MixTConv paper's Table 2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from operators.base import Facts, TemporalOp


class Identity(TemporalOp, name="identity"):
    """Leaves every frame as it is. No parameters, no MACs."""

    facts = Facts("TSN", "ECCV", 2016, "y[t] = x[t]", "0", "0", "0", also=("tsn",))
    reach = 0

    def kernel(self) -> tuple[list[int], Tensor]:
        return [0], torch.ones(1, self.channels)

    def forward(self, x: Tensor) -> Tensor:
        return x

    def macs(self, height: int, width: int) -> int:
        return 0
