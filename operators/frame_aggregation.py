"""FrameAggregation: a depthwise sum over neighbouring frames, then a ReLU.

Source: bLVNet-TAM, "More Is Less" (Fan et al., NeurIPS 2019), its temporal aggregation module by sum.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from operators import frames
from operators.base import Facts, TemporalOp
from operators.stencil import Span, stencil


class FrameAggregation(TemporalOp, name="frame_aggregation"):
    """Weights every channel of neighbouring frames, sums, and cuts off below zero.

        y_c[t] = relu(sum over |d| <= k // 2 of w_c[d] x_c[t+d])

    Frames outside the clip count as zero. Taps start uniform in [-1, 1], PyTorch's default for the 1x1 depthwise
    convolutions of the published code.

    Args:
        channels: C.
        num_frames: T.
        kernel_size: k, odd, in frames.

    Cost:
        C * k * T * H * W MACs per clip.

    Raises:
        ValueError: the size is even or below 1.
    """

    facts = Facts(
        title="TAM of bLVNet",
        venue="NeurIPS",
        year=2019,
        formula="y_c[t] = relu(sum over |d| <= 1 of w_c[d] x_c[t+d])",
        parameters="3 C",
        macs="3 C T H W",
        reach="1",
        also=("blvnet_tam", "blvnet"),
    )

    def __init__(self, channels: int, num_frames: int, kernel_size: int = 3) -> None:
        super().__init__(channels, num_frames)
        frames.check_odd(kernel_size)
        self.reach = kernel_size // 2
        self.taps = nn.Parameter(torch.empty(kernel_size, channels).uniform_(-1, 1))
        self.spans = [Span(channels, 0, kernel_size - 1, 1)]

    def forward(self, x: Tensor) -> Tensor:
        return stencil(x, self.taps, self.spans, path=self.stencil_path).relu()

    def macs(self, height: int, width: int) -> int:
        return self.taps.numel() * self.num_frames * height * width
