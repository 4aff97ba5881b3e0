"""AveragePool: the mean of neighbouring frames, at every channel and pixel.

Source: the mean in place of the maximum of I3D's pooling (Carreira and Zisserman, CVPR 2017), its part along time. It
sees neighbours, and cannot tell the past from the future.
"""

from __future__ import annotations

import torch
from torch import Tensor

from operators.base import Facts
from operators.max_pool import Pool
from operators.stencil import Span, stencil


class AveragePool(Pool, name="average_pool"):
    """Averages a window of frames. Frames outside the clip count as zero.

    y[t] = 1 / k * sum over |d| <= k // 2 of x[t+d]
    """

    facts = Facts(
        title="the mean in place of I3D's max pooling",
        venue="CVPR",
        year=2017,
        formula="y[t] = 1/3 sum over |d| <= 1 of x[t+d]",
        parameters="0",
        macs="0",
        reach="1",
        also=("temporal_average_pool", "mean_pool"),
        blind="past and future alike",
    )
    taps: Tensor

    def __init__(self, channels: int, num_frames: int, kernel_size: int = 3) -> None:
        super().__init__(channels, num_frames, kernel_size)
        self.register_buffer("taps", torch.full((kernel_size, channels), 1 / kernel_size), persistent=False)
        self.spans = [Span(channels, 0, kernel_size - 1, 1)]

    def kernel(self) -> tuple[list[int], Tensor]:
        reach = len(self.taps) // 2
        return list(range(-reach, reach + 1)), self.taps

    def forward(self, x: Tensor) -> Tensor:
        return stencil(x, self.taps, self.spans, path=self.stencil_path, taps=0)
