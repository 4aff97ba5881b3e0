"""Ordinary: a dense 1D convolution over time, every output channel reading every input channel.

Source: the row "TSN+Ordinary 1D" of the MixTConv paper's Table 2. The paper does not say how it is
initialised, nor where it stands; its 43 GFLOPS fit no placement (see the reference tables).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from operators import frames
from operators.base import Facts, TemporalOp
from operators.mixtconv import check_init, initial_taps
from operators.stencil import layout


class Ordinary(TemporalOp, name="ordinary"):
    """Convolves over time with C x C kernels, without bias. Frames outside the clip count as zero.

    Args:
        channels: C.
        num_frames: T.
        kernel_size: odd, in frames.
        init: "shift" and "identity" start as their depthwise counterparts (nothing mixes channels yet);
            "random" is PyTorch's default for a convolution.

    Cost:
        C * C * kernel_size * T * H * W MACs per clip.

    Raises:
        ValueError: the size is even or below 1, or `init` is unknown.
    """

    facts = Facts(
        title="ordinary 1D convolution",
        venue="ICPR",
        year=2020,
        formula="y[t] = sum over |d| <= 1 of W[d] x[t+d], W[d] in C x C",
        parameters="3 C^2",
        macs="3 C^2 T H W",
        reach="1",
        also=("conv1d", "temporal_convolution"),
    )

    def __init__(self, channels: int, num_frames: int, kernel_size: int = 3, init: str = "shift") -> None:
        super().__init__(channels, num_frames)
        frames.check_odd(kernel_size)
        self.reach = kernel_size // 2
        self.weight = dense_start(nn.Parameter(torch.empty(channels, channels, kernel_size, 1)), init)

    def forward(self, x: Tensor) -> Tensor:
        x = layout.canonical(x)
        mixed = frames.convolved(x, self.weight)
        return layout.like(layout.in_format(mixed, layout.is_channels_last(x)), x)

    def macs(self, height: int, width: int) -> int:
        return self.weight.numel() * self.num_frames * height * width


def dense_start(weight: nn.Parameter, init: str) -> nn.Parameter:
    """Fill a kernel (C, C, k, height, width, or one side of both): see `init` of `Ordinary`; at the middle pixel.

    Raises:
        ValueError: `init` is unknown.
    """
    check_init(init)
    if weight.is_meta:  # shapes alone
        return weight
    if init == "random":
        nn.init.kaiming_uniform_(weight, a=5**0.5)
        return weight
    taps = initial_taps(weight.shape[2], len(weight), init).detach()
    with torch.no_grad():
        middle = weight.zero_()
        for size in reversed(weight.shape[3:]):
            middle = middle[..., size // 2]
        middle.copy_(torch.diag_embed(taps).permute(1, 2, 0))
    return weight
