"""TemporalFC: a fully connected layer over the frames, shared by all channels and pixels.

Source: ResMLP (Touvron et al., TPAMI 2022), its linear layer across patches, here across frames and without its affine
layers; MLP-Mixer (NeurIPS 2021) mixes tokens so, with two layers. Unlike a filter it knows which frame is which.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from operators import frames
from operators.base import Facts, TemporalOp


class TemporalFC(TemporalOp, name="temporal_fc"):
    """Adds to each frame a learned sum of all frames. Starts as the identity.

        y[t] = x[t] + sum over s of A[t, s] x[s]

    Cost:
        C * T * T * H * W MACs per clip.
    """

    facts = Facts(
        title="ResMLP's linear layer, over frames",
        venue="TPAMI",
        year=2022,
        formula="y[t] = x[t] + sum over s of A[t,s] x[s]",
        parameters="T^2",
        macs="C T^2 H W",
        reach="T - 1",
        also=("tfc", "resmlp", "token_mixing"),
    )

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames)
        self.reach = num_frames - 1
        self.weight = nn.Parameter(torch.zeros(num_frames, num_frames))

    def forward(self, x: Tensor) -> Tensor:
        return x + frames.mixed(x, self.weight)

    def macs(self, height: int, width: int) -> int:
        return self.channels * self.num_frames**2 * height * width
