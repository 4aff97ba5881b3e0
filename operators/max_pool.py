"""MaxPool: the largest of neighbouring frames, at every channel and pixel.

Source: the max pooling of stride 1 in the blocks of I3D (Carreira and Zisserman, CVPR 2017), its part along time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from operators import frames
from operators.base import Facts, TemporalOp


class Pool(TemporalOp):
    """A window of frames that has a middle; what is made of it multiplies nothing.

    Args:
        channels: C.
        num_frames: T.
        kernel_size: k, odd, in frames.

    Raises:
        ValueError: the size is even or below 1.
    """

    def __init__(self, channels: int, num_frames: int, kernel_size: int = 3) -> None:
        super().__init__(channels, num_frames)
        frames.check_odd(kernel_size)
        self.reach = kernel_size // 2

    def macs(self, height: int, width: int) -> int:
        return 0  # pooling is not counted, in time as in space


class MaxPool(Pool, name="max_pool"):
    """Takes the maximum over a window of frames. Frames outside the clip do not count.

    y[t] = max over |d| <= k // 2 of x[t+d]
    """

    facts = Facts(
        title="I3D's max pooling, along time",
        venue="CVPR",
        year=2017,
        formula="y[t] = max over |d| <= 1 of x[t+d]",
        parameters="0",
        macs="0",
        reach="1",
        also=("temporal_max_pool",),
        blind="past and future alike",
    )

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for d in range(1, min(self.reach or 0, self.num_frames - 1) + 1):
            y = torch.maximum(y, torch.cat([x[:, d:], y[:, -d:]], dim=1))  # a frame beside itself stays
            y = torch.maximum(y, torch.cat([y[:, :d], x[:, :-d]], dim=1))
        return y
