"""Canon: what the last frames add to each frame, by a depthwise causal convolution.

Source: Physics of Language Models, Part 4.1 (Allen-Zhu, NeurIPS 2025), its Canon layer: four taps, residual, without
activation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from operators.base import Facts, TemporalOp
from operators.stencil import Span, stencil


class Canon(TemporalOp, name="canon"):
    """Adds a weighted sum of this frame and those before; before the clip there are zeros.

        y_c[t] = x_c[t] + sum over 0 <= d < k of w_c[d] x_c[t-d]

    Taps start uniform within 1 / sqrt(k), PyTorch's default for a depthwise convolution.

    Args:
        channels: C.
        num_frames: T.
        kernel_size: k, in frames; even ones too.

    Cost:
        C * k * T * H * W MACs per clip.

    Raises:
        ValueError: the size is below 1.
    """

    facts = Facts(
        title="Canon layer",
        venue="NeurIPS",
        year=2025,
        formula="y_c[t] = x_c[t] + sum over 0 <= d < 4 of w_c[d] x_c[t-d]",
        parameters="4 C",
        macs="4 C T H W",
        reach="3",
        also=("canon_layer",),
    )
    causal = True

    def __init__(self, channels: int, num_frames: int, kernel_size: int = 4) -> None:
        super().__init__(channels, num_frames)
        if kernel_size < 1:
            raise ValueError(f"kernel_size: {kernel_size} is below 1")
        self.reach = kernel_size - 1
        bound = kernel_size**-0.5
        self.taps = nn.Parameter(torch.empty(kernel_size, channels).uniform_(-bound, bound))  # d = 0 first
        self.spans = [Span(channels, 0, kernel_size - 1, 1)]

    def table(self) -> Tensor:
        """(2k - 1, C): offsets -(k - 1)..k - 1, none of them ahead."""
        residual = F.pad(torch.ones_like(self.taps[:1]), (0, 0, 0, len(self.taps) - 1))
        return F.pad((self.taps + residual).flip(0), (0, 0, 0, len(self.taps) - 1))

    def kernel(self) -> tuple[list[int], Tensor]:
        past = len(self.taps) - 1
        return list(range(-past, past + 1)), self.table()

    def forward(self, x: Tensor) -> Tensor:
        return stencil(x, self.table(), self.spans, path=self.stencil_path)

    def macs(self, height: int, width: int) -> int:
        return self.taps.numel() * self.num_frames * height * width
