"""Ordinary: a dense 1D convolution over time, every output channel reading every input channel.

Source: the row "TSN+Ordinary 1D" of the MixTConv paper's Table 2. The paper does not say how it is
initialised, nor where it stands; its 43 GFLOPS fit no placement (see the reference tables).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from operators import frames
from operators.base import Facts, TemporalOp
from operators.mixtconv import INITS, initial_taps
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
        if init not in INITS:
            raise ValueError(f"init: {init!r} is none of {', '.join(INITS)}")
        self.reach = kernel_size // 2
        self.weight = nn.Parameter(torch.empty(channels, channels, kernel_size, 1))
        if self.weight.is_meta:  # shapes alone
            return
        if init == "random":
            nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        else:
            taps = initial_taps(kernel_size, channels, init).detach()
            with torch.no_grad():
                self.weight.copy_(torch.diag_embed(taps).permute(1, 2, 0).unsqueeze(-1))

    def forward(self, x: Tensor) -> Tensor:
        x = layout.canonical(x)
        h, w = x.shape[3:]
        # A 2D convolution over (T, H*W). With channels innermost this view is free and already channels_last.
        rows = x.permute(0, 2, 1, 3, 4).flatten(3)  # (N, C, T, H*W)
        mixed = (
            F.conv2d(rows, self.weight, padding=(self.weight.shape[2] // 2, 0))
            .unflatten(3, (h, w))
            .permute(0, 2, 1, 3, 4)
        )
        return layout.like(layout.in_format(mixed, layout.is_channels_last(x)), x)

    def macs(self, height: int, width: int) -> int:
        return self.weight.numel() * self.num_frames * height * width
